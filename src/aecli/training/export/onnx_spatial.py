"""Layers of images (N, H, W, C) as ONNX, which has the channels before height and width."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.training.export.onnx_graph import Graph

_HEIGHT_AND_WIDTH = np.array([2, 3])


def conv(graph: Graph, layer: Any, x: str) -> str:
    """The kernel is (height, width, inputs, channels) in Keras."""
    kernel, *bias = layer.get_weights()
    sides = zip(layer.input.shape[1:3], layer.output.shape[1:3], kernel.shape, layer.strides, strict=False)
    needed = [max((result - 1) * stride + width - given, 0) for given, result, width, stride in sides]
    y = graph.add(
        "Conv", graph.channels_first(x), kernel.transpose(3, 2, 0, 1), *bias,
        pads=_divided(needed), strides=list(layer.strides),
    )  # fmt: skip
    return graph.with_channels_first(y)


def _divided(zeros: Sequence[int]) -> list[int]:
    """Return how many of these zeros for height and width come before, and how many after: the odd one after."""
    before = [count // 2 for count in zeros]
    return [*before, *(count - half for count, half in zip(zeros, before, strict=True))]


def conv_transposed(graph: Graph, layer: Any, x: str) -> str:
    """The kernel is (height, width, channels, inputs) in Keras; a result of stride times what comes in."""
    kernel, *bias = layer.get_weights()
    beyond = [width - stride for width, stride in zip(kernel.shape, layer.strides, strict=False)]
    y = graph.add(
        "ConvTranspose", graph.channels_first(x), kernel.transpose(3, 2, 0, 1), *bias,
        pads=_divided(beyond), strides=list(layer.strides),
    )  # fmt: skip
    return graph.with_channels_first(y)


def cropping(graph: Graph, layer: Any, x: str) -> str:
    """Rows and columns are cut away at both ends."""
    starts = [start for start, _ in layer.cropping]
    ends = [size - end for size, (_, end) in zip(layer.input.shape[1:3], layer.cropping, strict=True)]
    return _slice(graph, graph.channels_first(x), np.array(starts), np.array(ends))


def doubled(graph: Graph, layer: Any, x: str) -> str:
    """Each pixel becomes 2 x 2, and what is beyond the size is cut."""
    scales = np.array([1, 1, 2, 2], np.float32)
    y = graph.add(
        "Resize", graph.channels_first(x), "", scales,
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    return _cut(graph, layer, graph.with_channels_first(y))


def shuffled(graph: Graph, layer: Any, x: str) -> str:
    """Four channels become 2 x 2 pixels, and what is beyond the size is cut."""
    y = graph.add("DepthToSpace", graph.channels_first(x), blocksize=2, mode="DCR")
    return _cut(graph, layer, graph.with_channels_first(y))


def _cut(graph: Graph, layer: Any, x: str) -> str:
    size = (layer.height, layer.width)
    if size == tuple(2 * side for side in layer.input.shape[1:3]):
        return x
    return _slice(graph, x, np.array([0, 0]), np.array(size))


def _slice(graph: Graph, x: str, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> str:
    return graph.with_channels_first(graph.add("Slice", x, starts, ends, _HEIGHT_AND_WIDTH))


def group_norm(graph: Graph, layer: Any, x: str) -> str:
    """Each group of channels is one instance to be normalised; operators of groups are younger than our opset."""
    _, height, width, channels = layer.input.shape
    groups = layer.groups
    x = graph.add("Reshape", graph.channels_first(x), np.array([0, groups, channels // groups * height * width]))
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    x = graph.add("InstanceNormalization", x, ones, zeros, epsilon=layer.epsilon)
    x = graph.add("Reshape", x, np.array([0, channels, height, width]))
    gamma, beta = (weights.reshape(-1, 1, 1) for weights in layer.get_weights())
    return graph.with_channels_first(graph.add("Add", graph.add("Mul", x, gamma), beta))
