"""What a training needs of an engine: a compiled step to train and validate with, on devices of its own."""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from aecli.core.errors import TrainingError
from aecli.core.system.packages import is_importable
from aecli.data.augmentation import Augmentation
from aecli.data.format import Images
from aecli.data.loader import Loader
from aecli.models.autoencoder import Autoencoder
from aecli.models.objective import Objective
from aecli.runs.config import TrainingConfig
from aecli.runs.records import LayerHealth
from aecli.training.checkpoints import Cursor, VariableValues
from aecli.training.export.exporter import Exporter


class NotInstalledError(TrainingError):
    """A package that an engine needs is not installed; `purpose` is what needs it here."""

    def __init__(self, package: str, purpose: str) -> None:
        super().__init__(f"{package}: is not installed, and {purpose} needs it: pip install {package}")
        self.package = package


@dataclass(frozen=True)
class NetworkHealth:
    """The health of every layer, encoder first, and the error on the sample as a share of its mean image's."""

    layers: Sequence[LayerHealth]
    fvu: float


class CompiledStep(Protocol):
    """The training step and the validation pass of one autoencoder, compiled, with its optimizer."""

    @property
    def autoencoder(self) -> Autoencoder:
        """The network that is validated and kept: the one that is trained, or the average of its weights."""

    @property
    def batch_size(self) -> int:
        """Images in one step."""

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""

    def compile(self, train: Loader, validation: Loader) -> None:
        """Compile what `train` and `validate` run, without training."""

    def train(self, loader: Loader, seed: int, start: Cursor) -> Iterator[Cursor]:
        """Train on an epoch from the cursor on; yield where it stands, several times a second."""

    def validate(self, loader: Loader, seed: int) -> Iterator[Cursor]:
        """Sum up the losses over all images; yield the sums so far."""

    def probe(self, epoch: int, sample: Images) -> NetworkHealth:
        """Return the health of the network on images (N, H, W, C)."""

    def values(self) -> tuple[list[VariableValues], list[VariableValues]]:
        """Return copies of the variables of the network that is trained and of the optimizer, averages among these."""

    def restore(self, model: Sequence[VariableValues], optimizer: Sequence[VariableValues]) -> None:
        """Set the variables to what `values` gave; TrainingError where they are those of another network."""

    def reset(self, fresh: Autoencoder) -> None:
        """Go back to the state before training, with the variables of a freshly built network."""

    def free_images(self) -> None:
        """Free the images held for training."""


class Engine(Protocol):
    """A library that computes trainings, behind Keras's layers."""

    @property
    def out_of_memory(self) -> tuple[type[BaseException], ...]:
        """What it raises where an array does not fit in memory."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the packages that its results depend on."""

    def variables(self) -> list[str]:
        """Return the environment variables that change how it computes, as NAME=VALUE."""

    def devices(self, wanted: str) -> AbstractContextManager[object]:
        """Return what puts a training on devices: "auto", "cpu" or "gpu:N". Raises TrainingError."""

    def device_names(self) -> list[str]:
        """Return what a training runs on, e.g. ["cpu"]."""

    def compile(
        self,
        autoencoder: Autoencoder,
        objective: Objective,
        training: TrainingConfig,
        loader: Loader,
        augmentation: Augmentation | None,
        averaged: Autoencoder | None,
    ) -> CompiledStep:
        """Return the compiled step of a network.

        With `training.ema` the weights of the network are averaged into `averaged`, which is then the step's
        autoencoder; otherwise it is None.
        """

    def exporters(self, network: Autoencoder) -> Mapping[str, Exporter]:
        """Return what writes a network as files of the engine's own, by the name of their kind."""


@dataclass(frozen=True)
class EngineSource:
    """An engine that is not imported yet, which takes seconds: what imports it, and what is known before.

    `title` is its name as messages say it, `memory` about the bytes that it takes by itself; the environment
    variables `sharing` let several processes train on one GPU. `package` is what has to be installed
    for it, and has its name, as its folder here.
    """

    title: str
    memory: int
    load: Callable[[], Engine]
    sharing: Mapping[str, str] = field(default_factory=dict)
    package: str = ""

    def require(self) -> None:
        """Raise TrainingError where its package is not installed; nothing is imported."""
        if self.package and not is_importable(self.package):
            raise NotInstalledError(self.package, "training")

    def loads(self) -> bool:
        """Whether it can be imported in this process."""
        try:
            self.load()
        except Exception:
            return False
        return True


def _import(package: str) -> Engine:
    """Return the engine of a package; TrainingError where that, or another that it needs, is not installed."""
    try:
        engine: Engine = importlib.import_module(f"aecli.training.engines.{package}.engine").ENGINE
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "aecli"):
            raise
        # Keras is met first, and comes with the engine's package.
        raise NotInstalledError(missing if is_importable(package) else package, "training") from error
    return engine


ENGINES: dict[str, EngineSource] = {
    "tensorflow": EngineSource("TensorFlow", 900 * 10**6, partial(_import, "tensorflow"), package="tensorflow",
                               sharing={"TF_FORCE_GPU_ALLOW_GROWTH": "true"}),
}  # fmt: skip
"""The engines by name; each has a folder here."""

DEFAULT_ENGINE = next(iter(ENGINES.values()))
