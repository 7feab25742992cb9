"""TensorFlow as an engine."""

import os
from contextlib import AbstractContextManager
from typing import Any

from aecli.data.augmentation import Augmentation
from aecli.data.loader import Loader
from aecli.models.autoencoder import Autoencoder
from aecli.models.objective import Objective
from aecli.runs.config import TrainingConfig
from aecli.training.engines.tensorflow.backend import tf
from aecli.training.engines.tensorflow.devices import choose_devices, device_names
from aecli.training.engines.tensorflow.exporters import LiteRTExporter, SavedModelExporter
from aecli.training.engines.tensorflow.step import TensorFlowStep
from aecli.training.export.exporter import Exporter

_VARIABLES = ("TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS")


class TensorFlowEngine:
    """Trains with steps compiled by XLA, on a CPU, a GPU, or several with mirrored weights."""

    out_of_memory: tuple[type[BaseException], ...] = (MemoryError, tf.errors.ResourceExhaustedError)

    def versions(self) -> dict[str, str]:
        """Return TensorFlow's version, whichever of its packages is installed."""
        return {"tensorflow": str(tf.__version__)}

    def variables(self) -> list[str]:
        """Return the environment variables that change how TensorFlow computes, as NAME=VALUE."""
        return [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]

    def devices(self, wanted: str) -> AbstractContextManager[Any]:
        """Return the scope of the devices "auto", "cpu" or "gpu:N"."""
        scope: AbstractContextManager[Any] = choose_devices(wanted).scope()
        return scope

    def device_names(self) -> list[str]:
        """Return what a training runs on, e.g. ["cpu"] or ["gpu:0 NVIDIA H200"]."""
        return device_names()

    def compile(
        self,
        autoencoder: Autoencoder,
        objective: Objective,
        training: TrainingConfig,
        loader: Loader,
        augmentation: Augmentation | None,
        averaged: Autoencoder | None,
    ) -> TensorFlowStep:
        """Return the compiled step of a network, whose weights are averaged into `averaged`."""
        return TensorFlowStep(autoencoder, objective, training, loader, augmentation, averaged)

    def exporters(self, network: Autoencoder) -> dict[str, Exporter]:
        """Return what writes a network as a SavedModel, and for LiteRT."""
        return {"savedmodel": SavedModelExporter(network), "litert": LiteRTExporter(network)}


ENGINE = TensorFlowEngine()
