"""Before training: the images opened and split, and checked against the config."""

from dataclasses import dataclass, replace
from functools import cached_property

from aecli.core.errors import ConfigError, DataError
from aecli.core.files import packaged
from aecli.core.machine import memory_size
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.config import PACKAGED_DIGITS
from aecli.data.dataset import ImageDataset, Rows, open_images, open_images_like
from aecli.data.files.labels import NoLabels
from aecli.data.files.open import open_source, opens_at_once
from aecli.data.labels import labels_of, rows_of_class
from aecli.data.loader import WINDOW_BYTES, Loader
from aecli.data.split import Split, split_indices
from aecli.models.family import LARGEST_PATH, Family
from aecli.models.losses.config import loss_problem, loss_text, weights_of
from aecli.models.losses.discriminator import discriminator_problem
from aecli.models.losses.likelihood import LIKELIHOODS, likelihood_of
from aecli.runs.config import Config
from aecli.training.check.findings import before_training, constant_images
from aecli.training.progress import Progress


@dataclass(frozen=True)
class Prepared:
    """A config and its images, checked against each other.

    `test` is a file of its own, None where the split has the test rows. `mapped` images are not loaded: processes that
    train on the same file share its memory map.
    """

    config: Config
    train: ImageDataset
    test: ImageDataset | None
    split: Split
    mapped: bool = False

    @property
    def parts(self) -> dict[str, tuple[ImageDataset, Rows | None]]:
        """The source and the rows, None for all, of every part that there is."""
        parts: dict[str, tuple[ImageDataset, Rows | None]] = {
            "train": (self.train, self.split.train),
            "validation": (self.train, self.split.validation),
        }
        if self.test is not None:
            return {**parts, "test": (self.test, None)}
        return {**parts, "test": (self.train, self.split.test)} if len(self.split.test) else parts

    @property
    def code_length(self) -> int:
        """How many numbers the code of an image has."""
        return self.config.model.code_length(self.train.format.image_shape)

    @cached_property
    def model(self) -> Family:
        """The config's network, without a linear path where that is too large and nobody has asked for it."""
        return network_for(self.config.model, self.train.format.image_shape)

    @cached_property
    def loaders(self) -> tuple[Loader, Loader]:
        """The loaders of the training and of the validation images, which share the memory budget."""
        megabytes = self.config.data.memory_budget
        budget = megabytes * 10**6 if megabytes else memory_size() // 4
        batch_size = self.config.training.batch_size
        train = Loader(self.train, self.split.train, batch_size, budget, mapped=self.mapped)
        left = WINDOW_BYTES if train.streamed else budget - train.size
        return train, Loader(self.train, self.split.validation, batch_size, left, mapped=self.mapped)


def network_for(model: Family, image_shape: tuple[int, int, int]) -> Family:
    """Return a model for images of this shape, without a linear path that is too large where nobody asked for it."""
    if model.linear_path != "auto" or model.path_weights(image_shape) <= LARGEST_PATH:
        return model
    return model.model_copy(update={"linear_path": "none"})


def check_paths(config: Config) -> None:
    """Raise DataError where a file that the config names is missing or no array, without reading its values."""
    for path in (config.data.train, config.data.test):
        # What is packed or decoded is looked at when it is opened, which takes its time.
        if path is not None and opens_at_once(path):
            decoding = config.data.decoding
            open_source(path, decoding if path == config.data.train else replace(decoding, axes=None))


def open_data(config: Config, on_progress: ProgressCallback = no_progress) -> tuple[ImageDataset, ImageDataset | None]:
    """Open the training and the test images that a config names, reading every value once."""
    data = config.data
    value_range = None if data.value_range == "auto" else data.value_range
    train = open_images(
        data.train or packaged(PACKAGED_DIGITS),
        data.image_shape,
        value_range,
        decoding=data.decoding,
        on_progress=on_progress,
    )
    if data.test is None:
        return train, None
    return train, open_images_like(data.test, train.format, value_range, data.fit, data.frames, on_progress, data.axes)


def prepare(
    config: Config, train: ImageDataset, test: ImageDataset | None, progress: Progress, *, mapped: bool = False
) -> Prepared:
    """Split the opened images and check them against the config; raises AeError with the cure where they do not fit."""
    split = split_of(config, train, test)
    check_shape(config, train)
    for source in (train, test):
        if source is not None:
            check_output_range(config, source)
            progress.note(str(source))
    if config.data.only_label is not None:
        count = sum(map(len, (split.train, split.validation, split.test)))
        progress.note(f"data.only_label {config.data.only_label}: {count:,} of {len(train):,} images")
    prepared = Prepared(config, train, test, split, mapped)
    if prepared.model is not config.model:
        progress.note(
            f"model.linear_path: none, since a linear code of {prepared.code_length:,} values would have "
            f"{config.model.path_weights(train.format.image_shape) / 1e6:,.0f} million weights: give smaller images, "
            f"or a shorter code"
        )
    for finding in before_training(config, train, len(split.train), len(split.validation)):
        progress.note(finding.text)
    for finding in constant_images(train, train.scan.constant_rows, train.scan.constant):
        progress.note(finding.text)
    return prepared


def split_of(config: Config, train: ImageDataset, test: ImageDataset | None) -> Split:
    """Return the rows for training, validation and, where there is no test file, test; DataError for too few images.

    They are those of one class where the config asks for one: a function of the seed and of its rows. Raises
    ConfigError where there is a test file beside, which would have images of other classes.
    """
    data = config.data
    test_split = 0.0 if test else data.test_split
    path, seed = str(train.file.path), config.split_seed
    if data.only_label is None:
        return split_indices(path, len(train), data.validation_split, seed, test_split)
    rows = _rows_of_label(data.only_label, train, test)
    path = f"{path}: of class '{data.only_label}'"
    return split_indices(path, len(rows), data.validation_split, seed, test_split).of(rows)


def _rows_of_label(name: str, train: ImageDataset, test: ImageDataset | None) -> Rows:
    """Return the rows of the training file that are of a class."""
    if test is not None:
        raise ConfigError(
            [
                f"data.only_label: {name}, while the test images are of every class: leave out data.test, or set "
                f"data.test_split"
            ]
        )
    labels = labels_of(train)
    if isinstance(labels, NoLabels):
        raise DataError(f"{train.file.path}: data.only_label {name}: {labels.reason}: put labels there")
    try:
        return rows_of_class(labels, name)
    except ValueError as error:
        raise DataError(f"{train.file.path}: data.only_label: {error}") from error


def check_shape(config: Config, source: ImageDataset) -> None:
    """Raise ConfigError where images of this shape have no such network, no such loss, or no discriminator."""
    shape = source.format.image_shape
    problems = [config.model.problem(shape), code_problem(config), loss_problem(config.training.loss, shape)]
    if config.training.adversarial:
        problems.append(discriminator_problem(shape))
    if any(problems):
        raise ConfigError([problem for problem in problems if problem])


def code_problem(config: Config) -> str | None:
    """Return why a variational code cannot be trained as the config says, "key: what is wrong: what to do"."""
    gaussian, loss, epochs = config.model.variational, config.training.loss, config.training.epochs
    if gaussian is None:
        return None
    if likelihood_of(loss) is None:
        known = ", ".join(LIKELIHOODS)
        return (
            f"training.loss: {loss_text(loss)} is the logarithm of no distribution, which a Gaussian code needs: "
            f"set training.loss to one of {known}"
        )
    if gaussian.warmup >= epochs:
        return (
            f"model.code.gaussian.warmup: {gaussian.warmup} of {epochs} training.epochs leave none at the full weight: "
            f"set a shorter warmup, or more epochs"
        )
    return None


def check_output_range(config: Config, source: ImageDataset) -> None:
    """Raise ConfigError when the output activation cannot reach the images or the loss does not fit them."""
    scale, offset = source.format.scale_and_offset()
    low, high = source.scan.low * scale + offset, source.scan.high * scale + offset
    output = config.model.output_activation
    reach = output.row.output_range(output.parameters)
    place = f"{source.file.path}: the images reach from {low:.4g} to {high:.4g} where 0 to 1 is data.value_range"
    slack = 1e-6
    if low < reach[0] - slack or high > reach[1] + slack:
        if -slack <= low and high <= 1 + slack:
            cure = "set model.output_activation: sigmoid"
        else:
            cure = "set data.value_range: auto, or model.output_activation: linear"
        raise ConfigError(
            [f"model.output_activation: {output} gives only {reach[0]:.4g} to {reach[1]:.4g}; {place}: {cure}"]
        )
    if "binary_crossentropy" in weights_of(config.training.loss):
        if low < -slack or high > 1 + slack:
            raise ConfigError(
                [f"training.loss: binary_crossentropy needs images in [0, 1]; {place}: set training.loss: mse"]
            )
        if reach[0] < 0 or reach[1] > 1:
            raise ConfigError(
                [
                    f"training.loss: binary_crossentropy needs an output in [0, 1], {output} gives "
                    f"{reach[0]:.4g} to {reach[1]:.4g}: set model.output_activation: sigmoid, or training.loss: mse"
                ]
            )
