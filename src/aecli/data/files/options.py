"""What is asked of pictures on their way to an array: one size, one way to reach it, grey or colour."""

from dataclasses import dataclass
from typing import Literal

Fit = Literal["crop", "pad", "stretch"]
Color = Literal["auto", "grey", "rgb"]
WhichFrames = Literal["all", "first"]


AXES = "NHWCD"
"""Number of the image, height, width, channel; D: the values of a flat image."""


@dataclass(frozen=True)
class DecodeOptions:
    """How pictures become images of one shape.

    `size` is (height, width); None keeps their own where all share a small one, and else takes 64 x 64. `fit`
    says what happens to other proportions: the longer side is cropped, the shorter padded with black, or both
    stretched. `color` auto is grey where all are grey. `frames` says whether all pages of a stack and all frames of an
    animation are images, or the first. `key` names an array of an .npz; a picture has no use for it,
    nor for `axes`, which names the axes of an array that are not (N, H, W[, C]).
    """

    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    color: Color = "auto"
    frames: WhichFrames = "all"
    key: str | None = None
    axes: str | None = None


def require_axes(axes: str) -> str:
    """Return letters that name the axes of images; ValueError where they do not."""
    if len(set(axes)) < len(axes) or set(axes) not in ({*"NHW"}, {*"NHWC"}, {*"HW"}, {*"HWC"}, {*"ND"}):
        raise ValueError(f"expected the letters N, H, W and C, each once, such as HWN, or DN, received '{axes}'")
    return axes
