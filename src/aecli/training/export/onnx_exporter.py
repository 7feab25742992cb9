"""The parts of a run as ONNX, from its own encoder.onnx and decoder.onnx: without Keras and its engine."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import compose, helper

from aecli.core.errors import TrainingError, one_line
from aecli.runs.model import open_session
from aecli.runs.onnx_check import read_graph
from aecli.runs.run import Run
from aecli.training.export.exporter import Values
from aecli.training.export.kinds import Part

_INT8_OPERATORS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
"""Those with weights: nearly all bytes and most of the time. What stands between them stays float32."""

_JOINED = "decoder/"
"""What the names of a decoder's values begin with where it follows an encoder: theirs may be the same."""


@dataclass(frozen=True)
class OnnxExporter:
    """A file for batches of any size; its metadata are values of JSON."""

    run: Run

    def write(self, part: Part, path: Path, metadata: Mapping[str, Any], calibration: Values | None) -> None:
        """Write the file; of a Gaussian code it gives the mean."""
        try:
            model = self._model(part)
            if calibration is not None:
                model = _in_int8(model, path, part, calibration)
            del model.metadata_props[:]
            helper.set_model_props(model, {key: json.dumps(content) for key, content in metadata.items()})
            onnx.checker.check_model(model, full_check=True)
            onnx.save(model, path)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # what joins, checks and quantises raises errors of every kind
            raise TrainingError(
                f"--to onnx: {self.run.path}: cannot be written ({one_line(error)[:120]}): train the run again"
            ) from error

    def compute(self, part: Part, path: Path, given: Values) -> Values:
        """Return what a file makes of images or latents."""
        return np.asarray(open_session(str(path)).run([part.made], {part.given: given})[0])

    def _model(self, part: Part) -> Any:
        if part.name == "decoder":
            return _read(self.run.decoder_file)
        encoder = _read(self.run.encoder_file)
        if part.name == "encoder":
            return _only(encoder, part.made)
        decoder = compose.add_prefix(_read(self.run.decoder_file), _JOINED)
        [given], [made] = decoder.graph.input, decoder.graph.output
        joined = compose.merge_models(
            encoder, decoder, io_map=[(encoder.graph.output[0].name, given.name)], outputs=[made.name]
        )
        del joined.opset_import[1:]  # both have the same
        joined.producer_name = encoder.producer_name
        return _renamed(joined, made.name, part.made)


def _read(path: Path) -> Any:
    """Return the model of a file of a run, which may come from a stranger, without what it says of itself."""
    model = onnx.load_from_string(read_graph(path).content)
    del model.metadata_props[:]
    return model


def _only(model: Any, output: str) -> Any:
    """Return a model with one of its outputs, and of its nodes those that this takes."""
    graph = model.graph
    needed, nodes = {output}, []
    for node in reversed(graph.node):
        if needed & {*node.output}:
            nodes.append(node)
            needed |= {*node.input}
    kept = helper.make_graph(
        [*reversed(nodes)], graph.name, [*graph.input], [value for value in graph.output if value.name == output],
        [constant for constant in graph.initializer if constant.name in needed],
    )  # fmt: skip
    return helper.make_model(
        kept, producer_name=model.producer_name, ir_version=model.ir_version, opset_imports=[*model.opset_import]
    )


def _renamed(model: Any, before: str, after: str) -> Any:
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [after if name == before else name for name in names]
    for value in model.graph.output:
        value.name = after if value.name == before else value.name
    return model


def _in_int8(model: Any, path: Path, part: Part, calibration: Values) -> Any:
    """Return a model with weights of 8 bits, a scale for each channel, and values of 8 bits calibrated on these."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    # It advises a pass that there is nothing to do for: the graph has no shapes to infer and no layers to fuse.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    quantize_static(
        model, str(path), _Batches(part.given, calibration), QuantFormat.QDQ, op_types_to_quantize=_INT8_OPERATORS,
        per_channel=True, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return onnx.load(path)


class _Batches:
    """Values one by one, as the calibration reads them."""

    def __init__(self, name: str, values: Values) -> None:
        self._values: Iterator[dict[str, Values]] = ({name: value[None]} for value in values)

    def get_next(self) -> dict[str, Values] | None:
        """Return the next one, None at the end."""
        return next(self._values, None)
