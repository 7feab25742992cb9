"""The config's section of images: which, and how to read them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict

from aecli.core.schema import Section
from aecli.data.augmentation import Augmentation
from aecli.data.files.options import Color, DecodeOptions, Fit, WhichFrames, require_axes

PACKAGED_DIGITS = "data/digits.npy"


FilePath = Annotated[Path, Strict(False), PlainSerializer(str)]


def _in_order_pair(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] < pair[1]:
        raise ValueError(f"expected low < high, received {list(pair)}")
    return pair


Pair = Annotated[tuple[float, float], Strict(False), AfterValidator(_in_order_pair)]


def _both_sides(size: Any) -> Any:
    return (size, size) if isinstance(size, int) and not isinstance(size, bool) else size


Side = Annotated[int, Field(gt=0, le=65_535)]


Size = Annotated[
    tuple[Side, Side], Strict(False), BeforeValidator(_both_sides, json_schema_input_type=Side | tuple[Side, Side])
]


def _class_name(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ClassName = Annotated[str, Field(min_length=1), BeforeValidator(_class_name, json_schema_input_type=int | str)]


class DataConfig(Section):
    """Which images, and how to read them."""

    train: FilePath | None = None
    """training images: pictures (folder, archive, list, pattern), .npy, .npz, .h5, .mat or IDX; null: digits of ae"""
    test: FilePath | None = None
    """test images, measured after training; null: none"""
    validation_split: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """share of the training images held out, shuffled by the seed"""
    test_split: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of them kept for the test where there is no file of test images; 0: none"""
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """decides the split; null: training.seed"""
    only_label: ClassName | None = None
    """trains on the images of this class alone, by the labels beside them or their folders; null: on all"""
    image_shape: (
        Annotated[tuple[Annotated[int, Field(gt=0)], ...], Strict(False), Field(min_length=2, max_length=3)] | None
    ) = None
    """[height, width] or [height, width, channels] of flat rows; null: as stored, square rows as a square"""
    size: Size | None = None
    """of pictures: [height, width], or one number for both; null: their own if all share one, else 64 x 64"""
    fit: Fit = "crop"
    """pictures of other proportions are scaled and cropped, padded with black, or stretched: crop, pad or stretch"""
    color: Color = "auto"
    """of pictures: grey, rgb, or auto: grey where all of them are"""
    frames: WhichFrames = "all"
    """of files that hold several pictures, such as stacks and animations: all, or the first"""
    value_range: Literal["auto"] | Pair = "auto"
    """the stored values that stand for black and white, [low, high]; auto: from dtype and data"""
    axes: Annotated[str, AfterValidator(require_axes)] | None = None
    """of an array whose axes are not NHW, NHWC or ND: HWN or HWCN (MATLAB), NCHW, HWC, DN; null: as stored"""
    augment: Augmentation | None = None
    """training images changed anew in every epoch, e.g. {shift: 0.1, flip: horizontal, rotate: 10}; null: as stored"""
    memory_budget: Annotated[int, Field(gt=0)] | None = None
    """MB of training images held in memory, larger files are streamed; null: a quarter of the machine's memory"""

    @property
    def decoding(self) -> DecodeOptions:
        """What is asked of pictures."""
        return DecodeOptions(self.size, self.fit, self.color, self.frames, axes=self.axes)
