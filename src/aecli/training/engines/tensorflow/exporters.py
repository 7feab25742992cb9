"""Networks as files of TensorFlow's: a SavedModel, or the one file that LiteRT runs on phones and small boards."""

import json
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aecli.core.errors import TrainingError, one_line
from aecli.models.autoencoder import Autoencoder
from aecli.training.engines.tensorflow.backend import tf
from aecli.training.export.exporter import Values
from aecli.training.export.kinds import Part

_METADATA = "metadata.json"

_NEVER_INT8 = ["DIV", "EXP", "LOG", "MAXIMUM", "MINIMUM", "SUB"]
"""Operators of inverse activations: odds that 256 steps are to cover leave nothing of dark pixels."""


@dataclass(frozen=True)
class SavedModelExporter:
    """A folder, for batches of any size; metadata.json lies in it."""

    network: Autoencoder

    def write(self, part: Part, path: Path, metadata: Mapping[str, Any], calibration: Values | None) -> None:
        """Write the folder; there is no int8 of it."""
        if calibration is not None:
            raise TrainingError("--int8: a SavedModel has no such form: export --to litert or --to onnx")
        _save(self.network, part, path, None)
        (path / _METADATA).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")

    def compute(self, part: Part, path: Path, given: Values) -> Values:
        """Return what a folder makes of images or latents."""
        with _all_bits():
            signature = tf.saved_model.load(str(path)).signatures["serving_default"]
            return np.asarray(signature(**{part.given: tf.constant(given)})[part.made])


@dataclass(frozen=True)
class LiteRTExporter:
    """A file for one image at a time: fixed shapes are what the delegates of phones need.

    Metadata are a zip at its end, as the format has it: readers of the model do not see it, and `zipfile` reads
    metadata.json in it.
    """

    network: Autoencoder

    def write(self, part: Part, path: Path, metadata: Mapping[str, Any], calibration: Values | None) -> None:
        """Write the file; TrainingError where an operator has no counterpart."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _save(self.network, part, Path(folder), 1)
            try:
                content = _converted(folder, part, calibration)
            except Exception as error:  # the converter raises errors of every kind
                raise TrainingError(
                    f"--to litert: the converter cannot write this network ({one_line(error)[:120]}): export --to onnx"
                ) from error
        path.write_bytes(content)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(_METADATA, json.dumps(metadata, indent=2) + "\n")

    def compute(self, part: Part, path: Path, given: Values) -> Values:
        """Return what a file makes of images or latents, one after the other."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is the one that every installation has
            interpreter = tf.lite.Interpreter(model_path=str(path))
        runner = interpreter.get_signature_runner()
        return np.concatenate([runner(**{part.given: value[None]})[part.made] for value in given])


@contextmanager
def _all_bits() -> Iterator[None]:
    """Multiply in float32 while the block runs: GPUs would leave out bits of it (TF32), and differ from the run."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _save(network: Autoencoder, part: Part, folder: Path, batch: int | None) -> None:
    """Write a SavedModel with one signature; of a Gaussian code it gives the mean."""
    models = {"autoencoder": network.model, "encoder": network.encoder, "decoder": network.decoder}
    model = models[part.name]

    def compute(values: Any) -> dict[str, Any]:
        made = model(values, training=False)
        return {part.made: made[0] if isinstance(made, (list, tuple)) else made}

    shape = tf.TensorSpec((batch, *model.inputs[0].shape[1:]), tf.float32, name=part.given)
    module = tf.Module()
    module.compute = tf.function(compute, input_signature=[shape])
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.compute})


def _converted(folder: str, part: Part, calibration: Values | None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if calibration is None:
        return bytes(converter.convert())

    def samples() -> Iterator[dict[str, Values]]:
        return ({part.given: value[None]} for value in calibration)

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    # The converter alone has no way to leave operators in float32: what it is debugged with has.
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=_NEVER_INT8)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=samples, debug_options=options
    )
    return bytes(debugger.get_nondebug_quantized_model())
