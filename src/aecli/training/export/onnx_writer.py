"""From a functional Keras model to an ONNX file, layer by layer.

A layer is known by the name of its class and its attributes: neither Keras nor its engine is imported, so that
models of every engine can be written.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from aecli.core.errors import TrainingError
from aecli.models.activations import ACTIVATIONS
from aecli.models.linear.inverse import Inverse
from aecli.training.export import onnx_spatial as spatial
from aecli.training.export.onnx_graph import Graph, value

WriteLayer = Callable[..., str]
"""Adds the nodes of a layer: takes the graph, the layer and the names of its inputs; returns that of its output."""


def write_onnx(
    model: Any, path: Path, input_name: str, output_names: Sequence[str], metadata: Mapping[str, object]
) -> None:
    """Write a functional model of one input, for batches of any size; TrainingError where it has no ONNX."""
    graph = Graph()
    for result, name in zip(_write_outputs(graph, model, input_name), output_names, strict=True):
        graph.rename(graph.channels_last(result), name)
    [given] = model.inputs
    outputs = [value(name, result.shape) for name, result in zip(output_names, model.outputs, strict=True)]
    graph.write(path, value(input_name, given.shape), outputs, metadata)


def _write_layer(graph: Graph, layer: Any, *inputs: str) -> str:
    kind = type(layer).__name__
    if kind not in LAYERS:
        raise TrainingError(
            f"layer '{layer.name}': a {kind} cannot be written as ONNX: "
            f"add a row to LAYERS of aecli/training/export/onnx_writer.py"
        )
    graph.layer = layer.name
    return LAYERS[kind](graph, layer, *inputs)


def _model(graph: Graph, model: Any, *inputs: str) -> str:
    [output] = _write_outputs(graph, model, *inputs)
    return output


def _write_outputs(graph: Graph, model: Any, *inputs: str) -> list[str]:
    """Write all layers of a functional model, each after those that it takes values of; return its outputs."""
    names = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
    for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if not node.is_input:
                [output] = node.output_tensors
                names[id(output)] = _write_layer(graph, node.operation, *(names[id(x)] for x in node.input_tensors))
    return [names[id(output)] for output in model.outputs]


def _dense(graph: Graph, layer: Any, x: str) -> str:
    """(N, inputs) times the weights (inputs, units), plus the bias (units,) where there is one."""
    return _activate(graph, graph.add("Gemm", x, *layer.get_weights()), layer.activation.__name__)


def _convolution(write: WriteLayer) -> WriteLayer:
    """Return how a convolution is written with its activation, where it is one that ae makes."""

    def write_one(graph: Graph, layer: Any, x: str) -> str:
        if (getattr(layer, "groups", 1), layer.padding, *layer.dilation_rate) != (1, "same", 1, 1):
            raise TrainingError(
                f"layer '{graph.layer}': only convolutions with padding 'same', without groups or dilation, can be "
                f"written as ONNX: give it a row of its own in LAYERS of aecli/training/export/onnx_writer.py"
            )
        return _activate(graph, write(graph, layer, x), layer.activation.__name__)

    return write_one


def _activate(graph: Graph, x: str, name: str, parameters: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Add an activation of the table, with its defaults for the parameters that are not given."""
    row = ACTIVATIONS.get(name)
    if row is None or row.onnx is None:
        raise TrainingError(
            f"layer '{graph.layer}': the activation '{name}' cannot be written as ONNX: "
            f"give it a row with onnx in ACTIVATIONS of aecli/models/activations.py"
        )
    return graph.ordered_like(x, row.onnx(graph, x, **{**row.parameters, **parameters}))


def _add(graph: Graph, layer: Any, *inputs: str) -> str:
    if any(map(graph.has_channels_first, inputs)):
        return graph.with_channels_first(graph.add("Add", *map(graph.channels_first, inputs)))
    return graph.add("Add", *inputs)


def _bounded(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Mul", graph.add("Tanh", graph.add("Div", x, layer.bound)), layer.bound)


def _quantised(graph: Graph, layer: Any, x: str) -> str:
    """Levels are counted from 0; the middle of the tangent's range is that of the levels."""
    steps = layer.levels - 1
    places = graph.add("Mul", graph.add("Add", graph.add("Tanh", x), 1.0), steps / 2)
    return graph.add("Sub", graph.add("Mul", graph.add("Round", places), 2 / steps), 1.0)


def _inverse(graph: Graph, layer: Any, x: str) -> str:
    bounds = [float(bound) if isfinite(bound) else "" for bound in (layer.low, layer.high)]
    inverse: Inverse = layer.inverse
    return inverse.onnx(graph, graph.add("Clip", x, *bounds) if bounds != ["", ""] else x)


def _flatten(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Flatten", graph.channels_last(x), axis=1)


def _reshape(graph: Graph, layer: Any, x: str) -> str:
    return graph.add(
        "Reshape", graph.channels_last(x), np.array([0, *layer.target_shape])
    )  # 0: the length that the axis has


def _same(graph: Graph, layer: Any, x: str) -> str:
    return x


def _activation(graph: Graph, layer: Any, x: str) -> str:
    return _activate(graph, x, layer.activation.__name__)


def _elementwise(graph: Graph, layer: Any, x: str) -> str:
    return _activate(graph, x, layer.function, layer.parameters)


def _leaky_relu(graph: Graph, layer: Any, x: str) -> str:
    return _activate(graph, x, "leaky_relu", {"negative_slope": float(layer.negative_slope)})


def _elu(graph: Graph, layer: Any, x: str) -> str:
    return _activate(graph, x, "elu", {"alpha": float(layer.alpha)})


def _prelu(graph: Graph, layer: Any, x: str) -> str:
    """A slope for each unit, or for each channel (1, 1, channels)."""
    [slopes] = layer.get_weights()
    if graph.has_channels_first(x):
        slopes = slopes.transpose(2, 0, 1)
    return graph.ordered_like(x, graph.add("PRelu", x, slopes))


LAYERS: dict[str, WriteLayer] = {
    "Activation": _activation,
    "Add": _add,
    "Bounded": _bounded,
    "Conv2D": _convolution(spatial.conv),
    "Conv2DTranspose": _convolution(spatial.conv_transposed),
    "Cropping2D": spatial.cropping,
    "Dense": _dense,
    "Doubled": spatial.doubled,
    "Dropout": _same,
    "ELU": _elu,
    "Elementwise": _elementwise,
    "Flatten": _flatten,
    "Functional": _model,
    "GroupNormalization": spatial.group_norm,
    "InverseActivation": _inverse,
    "LeakyReLU": _leaky_relu,
    "PReLU": _prelu,
    "Quantised": _quantised,
    "Reshape": _reshape,
    "Scaled": _same,
    "Shuffled": spatial.shuffled,
}
"""Name of a layer's class -> how it is written. A new layer is a row here."""
