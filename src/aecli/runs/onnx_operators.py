"""The ONNX operators that `ae` writes, and that it reads in files of strangers: a rule each.

`onnx_graph.py` adds no node of another operator, `onnx_check.py` lets no other through. A rule returns the shape of
what an operator gives, without its batch axis, from what it takes; it raises ValueError where there would not be one
row for each image. So the size of every value is known before anything is computed, and `onnx_check.py` bounds their
sum: a graph of these alone runs no code, reads no other file, ends, and takes memory in proportion to its input and
its file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any, Literal

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """What is known of a value beforehand.

    `computed` ones have a row for each image, and `shape` is that of a row. The others are constants of this shape,
    with their `content` where that is short; or with `shape_of`, how long the axes of a computed value are.
    """

    shape: Shape
    kind: Literal["computed", "constant", "shape_of"] = "computed"
    content: tuple[float, ...] = ()


@dataclass(frozen=True)
class Taken:
    """What a node takes: its values, None for those that are left out, and its attributes."""

    operator: str
    values: Sequence[Value | None]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def computed(self, place: int = 0, axes: int | None = None) -> Shape:
        """Return the shape of a computed value, of so many axes."""
        value = self.values[place] if place < len(self.values) else None
        if value is None or value.kind != "computed" or (axes is not None and len(value.shape) != axes):
            raise ValueError(f"its operator {self.operator} takes other values than ae gives it")
        return value.shape

    def constant(self, place: int, axes: int) -> Value:
        """Return a constant of so many axes."""
        value = self.values[place] if place < len(self.values) else None
        if value is None or value.kind == "computed":
            raise ValueError(f"its operator {self.operator} multiplies what it has computed")
        if len(value.shape) > axes:
            raise ValueError(f"its operator {self.operator} takes weights of more than {axes} axes")
        if value.kind != "constant" or len(value.shape) < axes:
            raise ValueError(f"its operator {self.operator} takes weights of other axes than ae gives it")
        return value

    def numbers(self, place: int) -> tuple[int, ...]:
        """Return the content of a short constant of one axis."""
        value = self.constant(place, 1)
        if len(value.content) != value.shape[0]:
            raise ValueError(f"its operator {self.operator} is told more than ae tells it")
        return tuple(int(number) for number in value.content)

    def only(self, count: int, **attributes: Any) -> None:
        """Require no more values than `count`, and no other attributes than these; a value of None may be anything."""
        for name, given in self.attributes.items():
            wanted = attributes.get(name, _NOTHING)
            if wanted is not None and wanted != given:
                raise ValueError(f"its operator {self.operator} has a {name[:40]!a} of its own")
        if len(self.values) > count:
            raise ValueError(f"its operator {self.operator} takes more than ae gives it")


_NOTHING: Any = object()


def _elementwise(taken: Taken) -> Shape:
    """Values of the same number of axes, and constants of no more than a row has."""
    values = [value for value in taken.values if value is not None]
    computed = [value.shape for value in values if value.kind == "computed"]
    axes = {len(shape) for shape in computed}
    if len(axes) != 1:
        raise ValueError(f"its operator {taken.operator} takes values of other axes than each other")
    longest = max(axes)
    for value in values:
        if value.kind == "shape_of" or len(value.shape) > longest:
            raise ValueError(f"its operator {taken.operator} takes weights of more than {longest} axes")
    rows = [(1,) * (longest - len(value.shape)) + value.shape for value in values]
    sides = [set(sides) - {1} for sides in zip(*rows, strict=True)]
    if any(len(side) > 1 for side in sides):
        raise ValueError(f"its operator {taken.operator} takes values of other lengths than each other")
    return tuple(next(iter(side), 1) for side in sides)


def _same(taken: Taken) -> Shape:
    return taken.computed()


def _gemm(taken: Taken) -> Shape:
    [given] = taken.computed(0, axes=1)
    weights = taken.constant(1, axes=2).shape
    inputs, units = reversed(weights) if taken.attributes.get("transB", 0) else weights
    if taken.attributes.get("transA", 0) or inputs != given:
        raise ValueError("its operator Gemm takes weights of another length than its values have")
    if len(taken.values) > 2 and taken.constant(2, axes=1).shape != (units,):
        raise ValueError("its operator Gemm adds more than a number to each unit")
    return (units,)


def _matmul(taken: Taken) -> Shape:
    *rest, given = taken.computed()
    inputs, units = taken.constant(1, axes=2).shape
    if inputs != given:
        raise ValueError("its operator MatMul takes weights of another length than its values have")
    return (*rest, units)


def _flatten(taken: Taken) -> Shape:
    if taken.attributes.get("axis", 1) != 1:
        raise ValueError("it reshapes across its images")
    return (prod(taken.computed()),)


def _reshape(taken: Taken) -> Shape:
    first, *row = taken.numbers(1)
    if first not in (0, -1) or min(row, default=0) < 1 or prod(row) != prod(taken.computed()):
        raise ValueError("it reshapes across its images")
    return tuple(row)


def _transpose(taken: Taken) -> Shape:
    shape, order = taken.computed(), taken.attributes.get("perm", ())
    if list(order[:1]) != [0] or sorted(order) != [*range(len(shape) + 1)]:
        raise ValueError("it turns its images round across each other")
    return tuple(shape[axis - 1] for axis in order[1:])


def _slice(taken: Taken) -> Shape:
    taken.only(4)
    shape, (starts, ends, axes) = list(taken.computed()), (taken.numbers(place) for place in (1, 2, 3))
    if not len(starts) == len(ends) == len(axes) == len(set(axes)) or min(axes, default=0) < 1:
        raise ValueError("its operator Slice cuts other axes than ae does")
    for start, end, axis in zip(starts, ends, axes, strict=True):
        if axis > len(shape) or not 0 <= start < end <= shape[axis - 1]:
            raise ValueError("its operator Slice cuts what is not there")
        shape[axis - 1] = end - start
    return tuple(shape)


def _conv(taken: Taken) -> Shape:
    channels, (pads, strides, size, kernel) = _convolution(taken, inputs_axis=1)
    sides = [
        (side + pads[i] + pads[i + 2] - width) // stride + 1
        for i, (side, width, stride) in enumerate(zip(size, kernel, strides, strict=True))
    ]
    return _image(taken, channels, sides)


def _conv_transpose(taken: Taken) -> Shape:
    channels, (pads, strides, size, kernel) = _convolution(taken, inputs_axis=0)
    sides = [
        (side - 1) * stride + width - pads[i] - pads[i + 2]
        for i, (side, width, stride) in enumerate(zip(size, kernel, strides, strict=True))
    ]
    return _image(taken, channels, sides)


def _convolution(taken: Taken, inputs_axis: int) -> tuple[int, tuple[Shape, Shape, Shape, Shape]]:
    """Return the channels that a convolution gives, and its pads, strides, size and kernel, both sides each."""
    taken.only(3, pads=None, strides=None)
    inputs, *size = taken.computed(axes=3)
    *ends, height, width = taken.constant(1, axes=4).shape
    pads, strides = (tuple(taken.attributes.get(name, ())) for name in ("pads", "strides"))
    if ends[inputs_axis] != inputs or len(strides) != 2 or len(pads) != 4:
        raise ValueError(f"its operator {taken.operator} takes weights of other axes than ae gives it")
    if min(strides) < 1 or max(strides) > 2 or min(pads) < 0 or max(pads) >= max(height, width):
        raise ValueError(f"its operator {taken.operator} has strides or pads that ae does not give it")
    channels = ends[1 - inputs_axis]
    if len(taken.values) > 2 and taken.constant(2, axes=1).shape != (channels,):
        raise ValueError(f"its operator {taken.operator} adds more than a number to each channel")
    return channels, (pads, strides, tuple(size), (height, width))


def _image(taken: Taken, channels: int, sides: Sequence[int]) -> Shape:
    if min(sides) < 1:
        raise ValueError(f"its operator {taken.operator} leaves nothing of an image")
    return (channels, *sides)


def _resize(taken: Taken) -> Shape:
    taken.only(3, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    channels, height, width = taken.computed(axes=3)
    if taken.values[1] is not None or taken.numbers(2) != (1, 1, 2, 2):
        raise ValueError("its operator Resize does other than double height and width")
    return channels, 2 * height, 2 * width


def _depth_to_space(taken: Taken) -> Shape:
    taken.only(1, blocksize=2, mode="DCR")
    channels, height, width = taken.computed(axes=3)
    if "blocksize" not in taken.attributes or channels % 4:
        raise ValueError("its operator DepthToSpace does other than make four channels one")
    return channels // 4, 2 * height, 2 * width


def _shape(taken: Taken) -> Shape:
    taken.only(1)
    return taken.computed()


def _fill(taken: Taken) -> Shape:
    [value] = taken.values
    if value is None or value.kind != "shape_of":
        raise ValueError("it makes values of a size of its own")
    return value.shape


@dataclass(frozen=True)
class Operator:
    """One operator of ONNX; `earlier` where only files of earlier versions have it."""

    name: str
    shape: Callable[[Taken], Shape] = _elementwise
    earlier: bool = False


_ROWS = (
    Operator("Abs", earlier=True),
    Operator("Add"),
    Operator("Cast", earlier=True),
    Operator("Celu"),
    Operator("Clip"),
    Operator("ConstantOfShape", _fill, earlier=True),
    Operator("Conv", _conv),
    Operator("ConvTranspose", _conv_transpose),
    Operator("DepthToSpace", _depth_to_space),
    Operator("Div"),
    Operator("Elu"),
    Operator("Erf"),
    Operator("Exp"),
    Operator("Flatten", _flatten),
    Operator("Gemm", _gemm),
    Operator("Greater"),
    Operator("GreaterOrEqual", earlier=True),
    Operator("HardSigmoid"),
    Operator("HardSwish"),
    Operator("Identity", earlier=True),
    Operator("InstanceNormalization", _same),
    Operator("LeakyRelu"),
    Operator("Less", earlier=True),
    Operator("LessOrEqual", earlier=True),
    Operator("Log"),
    Operator("MatMul", _matmul, earlier=True),
    Operator("Max"),
    Operator("Min", earlier=True),
    Operator("Mul"),
    Operator("Neg"),
    Operator("Not", earlier=True),
    Operator("PRelu"),
    Operator("Pow", earlier=True),
    Operator("Relu"),
    Operator("Reshape", _reshape),
    Operator("Resize", _resize),
    Operator("Round"),
    Operator("Selu"),
    Operator("Shape", _shape, earlier=True),
    Operator("Shrink"),
    Operator("Sigmoid"),
    Operator("Slice", _slice),
    Operator("Softplus"),
    Operator("Softsign"),
    Operator("Sqrt"),
    Operator("Sub"),
    Operator("Tanh"),
    Operator("Transpose", _transpose),
    Operator("Where"),
)

OPERATORS: Mapping[str, Operator] = MappingProxyType({row.name: row for row in _ROWS})


def given_by(taken: Taken) -> Value:
    """Return what is known of the value that a node gives; ValueError where its rule refuses what it takes."""
    return Value(OPERATORS[taken.operator].shape(taken), "shape_of" if taken.operator == "Shape" else "computed")
