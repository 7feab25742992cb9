"""What an exported file says of itself: all that it takes to use it without the run."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from aecli.data.files.options import DecodeOptions
from aecli.data.format import ImageFormat
from aecli.training.export.kinds import Part

_COLORS = MappingProxyType({1: "grey", 3: "rgb", 4: "rgba"})


def metadata_of(
    part: Part, config: str, image_format: ImageFormat, decoding: DecodeOptions, latent_dim: int,
    outputs: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Return what a file of a part says of itself, values of JSON; `outputs` where they are more than the part's one.

    The file takes and gives images as `axes` says, in units where `value_range` stands for 0 and 1. Pictures have to
    be brought to `size`, height and width, as `fit` says.
    """
    height, width, channels = image_format.image_shape
    return {
        "config": config,
        "part": part.name,
        "inputs": [part.given],
        "outputs": list(outputs) or [part.made],
        "image_shape": [height, width, channels],
        "axes": "NHWC",
        "size": [height, width],
        "fit": decoding.fit,
        "channels": channels,
        "color": _COLORS.get(channels),
        "value_range": list(image_format.value_range),
        "latent_dim": latent_dim,
    }
