"""Export to ONNX, checked, with what another program needs to use the files alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import tf2onnx
from tf2onnx.handler import tf_op

from aecli.nn.door import keras, tf

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
    import numpy as np
    from tf2onnx import utils

    return str(context.make_const(utils.make_name("constant"), np.float32(value)).output[0])


def _replace(context: Any, node: Any, operator: str, inputs: list[str]) -> None:
    shapes, dtypes, name, outputs = node.output_shapes, node.output_dtypes, node.name, node.output
    context.remove_node(name)
    context.make_node(operator, inputs, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)


def export_onnx(model: Any, path: Path, input_name: str, output_name: str, metadata: Mapping[str, object]) -> None:
    """Write a Keras model of one input and one output as ONNX, any batch size, metadata as JSON values."""
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=input_name)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def forward(batch: Any) -> Any:
        return {output_name: model(batch, training=False)}

    proto, _ = tf2onnx.convert.from_function(forward, signature, opset=OPSET)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.helper.set_model_props(proto, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def predict(model: Any, images: Any) -> Any:
    """Return the Keras model's output for a few images as a NumPy array."""
    return keras.ops.convert_to_numpy(model(images, training=False))
