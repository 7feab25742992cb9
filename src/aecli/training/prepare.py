"""Before training: the images opened and split, and checked against the config."""

from dataclasses import dataclass

from aecli.core.errors import ConfigError
from aecli.core.files import packaged
from aecli.core.machine import memory_size
from aecli.core.progress import Told, untold
from aecli.data.config import PACKAGED_DIGITS
from aecli.data.dataset import ImageSource, Rows, open_images, open_images_like
from aecli.data.files.open import PACKED, holds_pictures, open_source
from aecli.data.loader import WINDOW_BYTES, Feed
from aecli.data.split import Split, split_indices
from aecli.models.activations import find_activation
from aecli.runs.config import Config
from aecli.training.check.findings import before_training, constant_images
from aecli.training.progress import Progress


@dataclass(frozen=True)
class Prepared:
    """The checked images of a training; `test` is a file of its own, None where the split has the test rows."""

    train: ImageSource
    test: ImageSource | None
    split: Split

    @property
    def parts(self) -> dict[str, tuple[ImageSource, Rows | None]]:
        """The source and the rows, None for all, of every part that there is."""
        parts: dict[str, tuple[ImageSource, Rows | None]] = {
            "train": (self.train, self.split.train),
            "validation": (self.train, self.split.validation),
        }
        if self.test is not None:
            return {**parts, "test": (self.test, None)}
        return {**parts, "test": (self.train, self.split.test)} if len(self.split.test) else parts


def require_files(config: Config) -> None:
    """Raise DataError where a file that the config names is missing or no array, without reading its values."""
    for path in (config.data.train, config.data.test):
        # What is packed or decoded is looked at when it is opened, which takes its time.
        if path is not None and not holds_pictures(path) and path.suffix.lower() not in PACKED:
            open_source(path, config.data.decoding)


def open_data(config: Config, told: Told = untold) -> tuple[ImageSource, ImageSource | None]:
    """Open the training and the test images that a config names, reading every value once."""
    data = config.data
    value_range = None if data.value_range == "auto" else data.value_range
    train = open_images(
        data.train or packaged(PACKAGED_DIGITS), data.image_shape, value_range, decoding=data.decoding, told=told
    )
    test = open_images_like(data.test, train.format, value_range, data.fit, told) if data.test else None
    return train, test


def prepare(config: Config, train: ImageSource, test: ImageSource | None, progress: Progress) -> Prepared:
    """Split the opened images and check them against the config; raises AeError with the cure where they do not fit."""
    split = split_of(config, train, test)
    for each in (train, test):
        if each is not None:
            check_fit(config, each)
            progress.note(str(each))
    for finding in before_training(config, train, len(split.train), len(split.validation)):
        progress.note(finding.text)
    for finding in constant_images(train, train.scan.constant_rows, train.scan.constant):
        progress.note(finding.text)
    return Prepared(train, test, split)


def split_of(config: Config, train: ImageSource, test: ImageSource | None) -> Split:
    """Return the rows for training, validation and, where there is no test file, test; DataError for too few images."""
    data = config.data
    test_split = 0.0 if test else data.test_split
    return split_indices(str(train.file.path), len(train), data.validation_split, config.split_seed, test_split)


def feeds(config: Config, prepared: Prepared, *, mapped: bool = False) -> tuple[Feed, Feed]:
    """Return the feeds of the training and of the validation images, which share the memory budget."""
    megabytes = config.data.memory_budget
    budget = megabytes * 10**6 if megabytes else memory_size() // 4
    source, split, batch_size = prepared.train, prepared.split, config.training.batch_size
    train = Feed(source, split.train, batch_size, budget, mapped=mapped)
    left = WINDOW_BYTES if train.streamed else budget - train.size
    return train, Feed(source, split.validation, batch_size, left, mapped=mapped)


def check_fit(config: Config, source: ImageSource) -> None:
    """Raise ConfigError when the output activation cannot reach the images or the loss does not fit them."""
    scale, offset = source.format.scale_and_offset()
    low, high = source.scan.low * scale + offset, source.scan.high * scale + offset
    output = config.model.output_activation
    reach = find_activation(output.name).output_range(output.parameters)
    where = f"{source.file.path}: the images reach from {low:.4g} to {high:.4g} where 0 to 1 is data.value_range"
    slack = 1e-6
    if low < reach[0] - slack or high > reach[1] + slack:
        if -slack <= low and high <= 1 + slack:
            cure = "set model.output_activation: sigmoid"
        else:
            cure = "set data.value_range: auto, or model.output_activation: linear"
        raise ConfigError(
            [f"model.output_activation: {output} gives only {reach[0]:.4g} to {reach[1]:.4g}; {where}: {cure}"]
        )
    if config.training.loss == "binary_crossentropy":
        if low < -slack or high > 1 + slack:
            raise ConfigError(
                [f"training.loss: binary_crossentropy needs images in [0, 1]; {where}: set training.loss: mse"]
            )
        if reach[0] < 0 or reach[1] > 1:
            raise ConfigError(
                [
                    f"training.loss: binary_crossentropy needs an output in [0, 1], {output} gives "
                    f"{reach[0]:.4g} to {reach[1]:.4g}: set model.output_activation: sigmoid, or training.loss: mse"
                ]
            )
