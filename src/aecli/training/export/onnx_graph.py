"""A graph of ONNX in the making, and the file that it becomes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from aecli.core.errors import TrainingError
from aecli.runs.onnx_operators import OPERATORS

_OPSET, _IR_VERSION = 17, 8
"""Old enough for ONNX Runtime 1.20 and OpenCV 4, new enough for every activation."""

Attribute = float | str | Sequence[int]

Given = str | float | NDArray[Any]
"""What a node takes: a value by its name, or a constant."""


class Graph:
    """Nodes and their constants; nodes of operators in OPERATORS, no others."""

    def __init__(self) -> None:
        self.layer = ""
        """What the nodes added next are named after."""
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._channels_first: set[str] = set()

    def add(self, operator: str, *inputs: Given, **attributes: Attribute) -> str:
        """Add a node; return the name of its output."""
        if operator not in OPERATORS:
            raise TrainingError(
                f"layer '{self.layer}': the operator {operator} is not in OPERATORS of aecli/runs/onnx_operators.py, "
                f"so the file could not be opened: add a row there"
            )
        name = f"{self.layer}/{operator}_{len(self._nodes)}"
        names = [
            given if isinstance(given, str) else self._constant(f"{name}:{place}", given)
            for place, given in enumerate(inputs)
        ]
        self._nodes.append(helper.make_node(operator, names, [name], name, **attributes))
        return name

    def has_channels_first(self, x: str) -> bool:
        """Whether a value is (N, C, H, W), where Keras has it as (N, H, W, C)."""
        return x in self._channels_first

    def channels_first(self, x: str) -> str:
        """Return images (N, H, W, C) as (N, C, H, W)."""
        if self.has_channels_first(x):
            return x
        return self.with_channels_first(self.add("Transpose", x, perm=[0, 3, 1, 2]))

    def channels_last(self, x: str) -> str:
        """Return a value as Keras has it, images as (N, H, W, C)."""
        return self.add("Transpose", x, perm=[0, 2, 3, 1]) if x in self._channels_first else x

    def with_channels_first(self, x: str) -> str:
        """Take note that a value is (N, C, H, W); return its name."""
        self._channels_first.add(x)
        return x

    def ordered_like(self, x: str, result: str) -> str:
        """Take note that a value has its axes as another one has; return its name."""
        return self.with_channels_first(result) if x in self._channels_first else result

    def _constant(self, name: str, value: float | NDArray[Any]) -> str:
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def rename(self, before: str, after: str) -> None:
        """Name a value anew, where it is made and where it is taken."""
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [after if name == before else name for name in names]

    def write(self, path: Path, given: Any, outputs: Sequence[Any], metadata: Mapping[str, object]) -> None:
        """Write the graph with its input and its outputs, as `value` gives them, and metadata as JSON values."""
        graph = helper.make_graph(self._nodes, "autoencoder", [given], [*outputs], self._constants)
        opsets = [helper.make_opsetid("", _OPSET)]
        proto = helper.make_model(graph, producer_name="ae", ir_version=_IR_VERSION, opset_imports=opsets)
        helper.set_model_props(proto, {key: json.dumps(content) for key, content in metadata.items()})
        onnx.checker.check_model(proto, full_check=True)
        onnx.save(proto, path)


def value(name: str, shape: Sequence[int | None]) -> Any:
    """Return how ONNX describes a float32 value of a shape whose first axis, the batch, may have any length N."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape[1:]])
