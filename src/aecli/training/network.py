"""Networks for a training: built from the config, compiled by an engine, and copied for the files."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from aecli.core.errors import TrainingError
from aecli.models.autoencoder import Autoencoder
from aecli.models.linear.start import Start
from aecli.models.losses.discriminator import build_discriminator
from aecli.models.losses.likelihood import likelihood_of
from aecli.runs.onnx_check import read_graph
from aecli.training.engines.engine import CompiledStep, Engine
from aecli.training.export.onnx_writer import write_onnx
from aecli.training.prepare import Prepared

Precision = Literal["float32", "mixed"]


@dataclass(frozen=True)
class CompiledModel:
    """A compiled step, and a copy of its network in float32 on one device, for the files."""

    step: CompiledStep
    export_copy: Autoencoder


def compile_key(prepared: Prepared, start: Start) -> str:
    """Return what a compiled network depends on: all but the seed, and the weights that it starts with."""
    config = prepared.config
    model, training = prepared.model.model_dump(mode="json"), config.training.model_dump(mode="json")
    augment = config.data.augment and config.data.augment.model_dump(mode="json")
    data = [asdict(prepared.train.format), config.data.memory_budget, augment]
    counts = [len(prepared.split.train), len(prepared.split.validation)]
    return json.dumps([model, {**training, "seed": None}, data, counts, start.code is None, start.margin])


def compile_model(prepared: Prepared, start: Start, engine: Engine, note: Callable[[str], None]) -> CompiledModel:
    """Build and compile the untrained network in the precision to train in, and its copy for the files."""
    config = prepared.config
    export_copy = build_autoencoder(prepared, start, engine)
    _require_usable(export_copy)
    precision = _precision(config.training.precision, engine, note)
    trained = build_autoencoder(prepared, start, engine, precision)
    objective = prepared.model.objective(config.training.loss)
    averaged = None
    if config.training.ema is not None:
        averaged = replace(build_autoencoder(prepared, start, engine, precision), discriminator=trained.discriminator)
    step = engine.compile(trained, objective, config.training, prepared.loaders[0], config.data.augment, averaged)
    return CompiledModel(step, export_copy)


def build_autoencoder(
    prepared: Prepared, start: Start, engine: Engine, precision: Precision = "float32"
) -> Autoencoder:
    """Build the untrained network of the config's seed."""
    from aecli.models.layers import computing_in

    config = prepared.config
    try:
        with computing_in(precision):
            shape, seed = prepared.train.format.image_shape, config.training.seed
            network = prepared.model.build(shape, seed, start)
            if config.training.adversarial:
                network = replace(network, discriminator=build_discriminator(shape, seed))
    except engine.out_of_memory as error:
        raise TrainingError("model: its weights do not fit in memory: set a smaller model") from error
    if network.scale is not None:
        likelihood = likelihood_of(config.training.loss)
        assert likelihood is not None  # else it would have been refused
        network.scale.assign(likelihood.scale(start.error))
    return network


def _require_usable(network: Autoencoder) -> None:
    """Raise TrainingError where the files of a network would be refused when they are read, before it is trained."""
    if not network.convolutional:  # no other's values are that many
        return
    with tempfile.TemporaryDirectory() as folder:
        halves = (network.encoder, "images", network.code_names), (network.decoder, "latents", ("images",))
        for half, given, made in halves:
            path = Path(folder) / "half.onnx"
            write_onnx(half, path, given, made, {})
            try:
                read_graph(path)
            except ValueError as error:
                raise TrainingError(
                    f"model: its files could not be used ({error}): set fewer model.channels, or give smaller images"
                ) from error


def _precision(wanted: Precision, engine: Engine, note: Callable[[str], None]) -> Precision:
    if wanted == "mixed" and engine.device_names() == ["cpu"]:
        note("training.precision: mixed is for GPUs, a CPU would lose by it: training in float32")
        return "float32"
    return wanted
