"""Export to ONNX, checked, with what another program needs to use the files alone."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tf2onnx
from tf2onnx.handler import tf_op

from aecli.models.backend import keras, tf

OPSET = 17


@tf_op("Expm1")
class _Expm1:
    @classmethod
    def version_1(cls, context: Any, node: Any, **_: Any) -> None:
        """exp(x) - 1, which ONNX has no operator for."""
        exp = context.make_node("Exp", node.input[:1])
        _replace(context, node, "Sub", [exp.output[0], _constant(context, 1.0)])


@tf_op("Erfc")
class _Erfc:
    @classmethod
    def version_9(cls, context: Any, node: Any, **_: Any) -> None:
        """1 - erf(x)."""
        erf = context.make_node("Erf", node.input[:1])
        _replace(context, node, "Sub", [_constant(context, 1.0), erf.output[0]])


def _constant(context: Any, value: float) -> str:
    from tf2onnx import utils

    return str(context.make_const(utils.make_name("constant"), np.float32(value)).output[0])


def _replace(context: Any, node: Any, operator: str, inputs: list[str]) -> None:
    shapes, dtypes, name, outputs = node.output_shapes, node.output_dtypes, node.name, node.output
    context.remove_node(name)
    context.make_node(operator, inputs, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)


class OnnxExporter:
    """Writes one network as ONNX, any batch size, again and again with other weights.

    Converting takes longer than many trainings, so it is done once, with weights that tell where each
    variable went; `write` then only fills in the numbers.
    """

    def __init__(self, model: Any, input_name: str, output_name: str) -> None:
        self._model, self._names = model, (input_name, output_name)
        trained = model.get_weights()
        rng = np.random.default_rng(0)
        probe = [rng.uniform(0.5, 1.5, weights.shape).astype(np.float32) for weights in trained]
        model.set_weights(probe)
        self._proto = _convert(model, *self._names)
        self._places = _places(self._proto, probe)
        model.set_weights(trained)

    def write(self, path: Path, metadata: Mapping[str, object]) -> None:
        """Write the network as it is now, with metadata as JSON values."""
        proto = self._proto if self._places is not None else _convert(self._model, *self._names)
        weights = self._model.get_weights()
        constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        for name, (index, change) in (self._places or {}).items():
            constants[name].CopyFrom(onnx.numpy_helper.from_array(change(weights[index]), name))
        onnx.helper.set_model_props(proto, {key: json.dumps(value) for key, value in metadata.items()})
        onnx.checker.check_model(proto)
        onnx.save(proto, path)


_CHANGES: tuple[Callable[[Any], Any], ...] = (
    lambda weights: weights,
    lambda weights: -weights,
    lambda weights: np.ascontiguousarray(weights.T),
)
"""What the converter may do to a variable on its way into the graph."""


def _convert(model: Any, input_name: str, output_name: str) -> Any:
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=input_name)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def forward(batch: Any) -> Any:
        return {output_name: model(batch, training=False)}

    proto, _ = tf2onnx.convert.from_function(forward, signature, opset=OPSET)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return proto


def _places(proto: Any, weights: list[Any]) -> dict[str, tuple[int, Callable[[Any], Any]]] | None:
    """Return for each constant that holds a variable which one, and how changed; None if one cannot be found."""
    found = {}
    for tensor in proto.graph.initializer:
        constant = onnx.numpy_helper.to_array(tensor)
        for index, variable in enumerate(weights):
            for change in _CHANGES:
                if np.array_equal(change(variable), constant):
                    found[tensor.name] = (index, change)
    return found if {index for index, _ in found.values()} == set(range(len(weights))) else None


def weights_hash(model: Any) -> str:
    """Return the SHA-256 of a model's weights, one after the other, as they lie in memory."""
    return hashlib.sha256(b"".join(weights.tobytes() for weights in model.get_weights())).hexdigest()


def predict(model: Any, images: Any) -> Any:
    """Return the Keras model's output for a few images as a NumPy array."""
    return keras.ops.convert_to_numpy(model(images, training=False))
