"""Graphs of strangers: each that could grow, or that does other than ae writes, is refused before it is run."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from aecli.runs.onnx_check import read_graph
from tests.hostile import graph


def node(operator: str, *names: str, **attributes: Any) -> Any:
    *inputs, output = names
    return helper.make_node(operator, inputs, [output], **attributes)


def ones(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def numbers(name: str, *content: float) -> Any:
    array = np.array(content)
    return numpy_helper.from_array(array.astype(np.float32 if array.dtype.kind == "f" else np.int64), name)


FIRST = node("Transpose", "images", "x", perm=[0, 3, 1, 2])
"""Images (N, 8, 8, 1) as (N, 1, 8, 8)."""

KEPT: dict[str, Any] = {"pads": [1, 1, 1, 1], "strides": [1, 1]}
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
TWICE, DOUBLED = numbers("s", 1.0, 1.0, 2.0, 2.0), node("Resize", "x", "", "s", "latents", **NEAREST)


def doublings(count: int) -> list[Any]:
    names = ["x", *(f"x{i}" for i in range(1, count)), "latents"]
    return [node("Resize", names[i], "", "s", names[i + 1], **NEAREST) for i in range(count)]


GOOD = {
    "a convolution": ([FIRST, node("Conv", "x", "w", "b", "latents", **KEPT)], [ones("w", 4, 1, 3, 3), ones("b", 4)], 256),
    "a doubling": ([FIRST, DOUBLED], [TWICE], 256),
    "eight doublings": ([FIRST, *doublings(8)], [TWICE], 2048 * 2048),
    "a transposed convolution": (
        [FIRST, node("ConvTranspose", "x", "w", "latents", pads=[1, 1, 1, 1], strides=[2, 2])], [ones("w", 1, 3, 4, 4)],
        3 * 16 * 16,
    ),
    "channels to pixels": (
        [FIRST, node("Conv", "x", "w", "y", **KEPT), node("DepthToSpace", "y", "latents", blocksize=2, mode="DCR")],
        [ones("w", 4, 1, 3, 3)], 256,
    ),
    "a cut": (
        [FIRST, node("Slice", "x", "a", "e", "o", "latents")], [numbers("a", 0, 1), numbers("e", 8, 7), numbers("o", 2, 3)],
        64,
    ),
    "a norm": (
        [FIRST, node("Reshape", "x", "r", "y"), node("InstanceNormalization", "y", "g", "g", "latents")],
        [numbers("r", 0, 2, 32), ones("g", 2)], 64,
    ),
    "weights for each channel": ([FIRST, node("Mul", "x", "w", "latents")], [ones("w", 5, 1, 1)], 320),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_what_ae_writes_is_read_with_the_size_of_its_largest_value(case, tmp_path):
    nodes, tensors, largest = GOOD[case]
    (tmp_path / "m.onnx").write_bytes(graph(*nodes, tensors=tensors))
    assert read_graph(tmp_path / "m.onnx").largest == largest


CONV = "has strides or pads that ae does not give it"
BAD = {
    "a chain of doublings": ([FIRST, *doublings(13)], [TWICE], "grow beyond its input and its file"),
    "a scale of a million": (
        [FIRST, DOUBLED], [numbers("s", 1.0, 1.0, 1e6, 1e6)], "does other than double height and width",
    ),
    "more images than there are": (
        [FIRST, DOUBLED], [numbers("s", 2.0, 1.0, 2.0, 2.0)], "does other than double height and width"
    ),
    "a size of its own": (
        [FIRST, node("Resize", "x", "", "", "z", "latents", **NEAREST)], [numbers("z", 1, 1, 2**20, 2**20)], "takes more than",
    ),
    "scales that are computed": (
        [FIRST, node("Resize", "x", "", "x", "latents", **NEAREST)], [], "multiplies what it has computed"
    ),
    "a resize with an attribute of its own": (
        [FIRST, node("Resize", "x", "", "s", "latents", **NEAREST, antialias=1)], [TWICE], "'antialias' of its own"
    ),
    "a convolution of images with each other": (
        [FIRST, node("Conv", "x", "x", "latents", **KEPT)], [], "multiplies what it has computed"
    ),
    "a billion of zeros around": (
        [FIRST, node("Conv", "x", "w", "latents", pads=[2**30] * 4, strides=[1, 1])], [ones("w", 1, 1, 3, 3)], CONV,
    ),
    "pads that cut": (
        [FIRST, node("Conv", "x", "w", "latents", pads=[-9] * 4, strides=[1, 1])], [ones("w", 1, 1, 3, 3)], CONV,
    ),
    "a stride of a billion": (
        [FIRST, node("ConvTranspose", "x", "w", "latents", pads=[1] * 4, strides=[2**30, 1])], [ones("w", 1, 1, 4, 4)], CONV,
    ),
    "a stride of none": (
        [FIRST, node("Conv", "x", "w", "latents", pads=[1] * 4, strides=[0, 1])], [ones("w", 1, 1, 3, 3)], CONV,
    ),
    "an output shape": (
        [FIRST, node("ConvTranspose", "x", "w", "latents", pads=[1] * 4, strides=[2, 2], output_shape=[2**20] * 2)],
        [ones("w", 1, 1, 4, 4)], "'output_shape' of its own",
    ),
    "more pixels than strides make": (
        [FIRST, node("ConvTranspose", "x", "w", "latents", pads=[1] * 4, strides=[2, 2], output_padding=[2**20] * 2)],
        [ones("w", 1, 1, 4, 4)], "'output_padding' of its own",
    ),
    "groups": (
        [FIRST, node("Conv", "x", "w", "latents", **KEPT, group=2)], [ones("w", 2, 1, 3, 3)], "'group' of its own"
    ),
    "a dilation": (
        [FIRST, node("Conv", "x", "w", "latents", **KEPT, dilations=[2, 2])], [ones("w", 1, 1, 3, 3)], "'dilations' of its",
    ),
    "pads by name": (
        [FIRST, node("Conv", "x", "w", "latents", auto_pad="SAME_UPPER", **KEPT)], [ones("w", 1, 1, 3, 3)], "'auto_pad' of",
    ),
    "weights of five axes": (
        [FIRST, node("Conv", "x", "w", "latents", **KEPT)], [ones("w", 1, 1, 3, 3, 3)], "weights of more than 4 axes",
    ),
    "weights of two axes": (
        [FIRST, node("Conv", "x", "w", "latents", **KEPT)], [ones("w", 1, 1)], "weights of other axes",
    ),
    "weights of other channels": (
        [FIRST, node("Conv", "x", "w", "latents", **KEPT)], [ones("w", 1, 2, 3, 3)], "weights of other axes",
    ),
    "a bias for each pixel": (
        [FIRST, node("Conv", "x", "w", "b", "latents", **KEPT)], [ones("w", 1, 1, 3, 3), ones("b", 64)], "to each channel",
    ),
    "a million channels of each pixel": (
        [FIRST, node("Conv", "x", "w", "x1", pads=[0] * 4, strides=[1, 1]), *doublings(9)[1:]],
        [ones("w", 2000, 1, 1, 1), TWICE], "grow beyond its input and its file",
    ),
    "every channel times every pixel": (
        [
            FIRST, node("Conv", "x", "w", "c", pads=[0] * 4, strides=[1, 1]), *doublings(7),
            node("Mul", "c", "latents", "y"),
        ],
        [ones("w", 2000, 1, 8, 8), TWICE], "grow beyond its input and its file",
    ),
    "images beside images": (
        [node("Reshape", "images", "r", "latents")], [numbers("r", 1, 64)], "reshapes across its images"
    ),
    "images cut up": ([node("Reshape", "images", "r", "latents")], [numbers("r", -1, 8)], "reshapes across its images"),
    "images for pixels": (
        [node("Transpose", "images", "latents", perm=[1, 0, 2, 3])], [], "turns its images round"
    ),
    "an axis twice": ([node("Transpose", "images", "latents", perm=[0, 1, 1, 3])], [], "turns its images round"),
    "images beside images, flat": ([node("Flatten", "images", "latents", axis=2)], [], "reshapes across its images"),
    "a shape that is computed": (
        [node("Flatten", "images", "y"), node("Reshape", "images", "y", "latents")], [], "multiplies what it has computed"
    ),
    "a long shape": ([node("Reshape", "images", "r", "latents")], [numbers("r", 0, *[1] * 9, 64)], "told more than ae"),
    "one image for another": (
        [FIRST, node("Slice", "x", "a", "e", "o", "latents")], [numbers("a", 0), numbers("e", 1), numbers("o", 0)],
        "cuts other axes",
    ),
    "a cut from behind": (
        [FIRST, node("Slice", "x", "a", "e", "o", "latents")], [numbers("a", -2), numbers("e", 8), numbers("o", 2)],
        "cuts what is not there",
    ),
    "a cut backwards": (
        [FIRST, node("Slice", "x", "a", "e", "o", "t", "latents")],
        [numbers("a", 0), numbers("e", 8), numbers("o", 2), numbers("t", -1)], "takes more than ae gives it",
    ),
    "pixels of no channels": (
        [FIRST, node("DepthToSpace", "x", "latents", blocksize=2)], [], "make four channels one"
    ),
    "large blocks": (
        [FIRST, node("DepthToSpace", "x", "latents", blocksize=2**20)], [], "'blocksize' of its own"
    ),
    "images against pixels": (
        [FIRST, node("Flatten", "x", "y"), node("Mul", "x", "y", "latents")], [], "values of other axes than each other"
    ),
    "a row for each weight": (
        [node("Flatten", "images", "y"), node("Mul", "y", "w", "latents")], [ones("w", 1000, 64)], "of more than 1 axes"
    ),
    "weights alone": ([node("Neg", "w", "latents")], [ones("w", 3)], "values of other axes than each other"),
    "a value of no node": ([node("Neg", "y", "latents")], [], "do not follow from each other"),
    "a value given twice": (
        [node("Neg", "images", "latents"), node("Abs", "images", "latents")], [], "do not follow from each other"
    ),
    "the same weights twice": (
        [node("Flatten", "images", "y"), node("Gemm", "y", "w", "latents")], [ones("w", 64, 8), ones("w", 64, 9)], "twice"
    ),
    "weights of a negative size": (
        [node("Neg", "images", "latents")], [TensorProto(name="w", data_type=1, dims=[-4])], "weights have no size"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_could_grow_or_is_not_of_ae_is_refused(case, tmp_path):
    nodes, tensors, says = BAD[case]
    (tmp_path / "m.onnx").write_bytes(graph(*nodes, tensors=tensors))
    with pytest.raises(ValueError, match=says):
        read_graph(tmp_path / "m.onnx")


@pytest.mark.parametrize("axes", [["N", 8, "M", 1], ["N"], ["N", 0, 8, 1]], ids=str)
def test_an_input_of_no_known_size_is_refused(axes, tmp_path):
    images, latents = (helper.make_tensor_value_info(name, 1, axes) for name in ("images", "latents"))
    made = helper.make_graph([node("Neg", "images", "latents")], "g", [images], [latents])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(made).SerializeToString())
    with pytest.raises(ValueError, match="other than a batch of images or latents"):
        read_graph(tmp_path / "m.onnx")


def test_a_file_of_many_weights_may_hold_large_values(tmp_path):
    """The bound is in proportion to the file: what a large network needs is let through."""
    nodes = [FIRST, *doublings(11)]
    (tmp_path / "m.onnx").write_bytes(graph(*nodes, tensors=[TWICE]))
    with pytest.raises(ValueError, match="grow beyond"):
        read_graph(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(graph(*nodes, tensors=[TWICE, ones("unused", 2**21)]))
    assert read_graph(tmp_path / "m.onnx").largest == 2**28


def test_many_small_nodes_are_counted_together(tmp_path):
    """What is alive at once may be all of them."""
    wide = [FIRST, *doublings(9)[:-1], node("Neg", "x8", "y0")]
    nodes = [*wide, *(node("Neg", "x8", f"y{i}") for i in range(1, 30)), node("Neg", "y0", "latents")]
    (tmp_path / "m.onnx").write_bytes(graph(*nodes, tensors=[TWICE]))
    with pytest.raises(ValueError, match="grow beyond"):
        read_graph(tmp_path / "m.onnx")
