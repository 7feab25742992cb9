"""Convolutions as plain values: their sizes, weights and products, known before any layer is built."""

from dataclasses import dataclass
from typing import Literal

from aecli.core.schema import Choice
from aecli.models.activations import Activation
from aecli.models.family import Product

Size = tuple[int, int]
"""Height and width."""

Upsampling = Literal["resize", "shuffle", "transposed"]
Step = Literal["same", "halve"] | Upsampling

_LARGEST_GROUPS, _LEAST_IN_GROUP = 8, 4


@dataclass(frozen=True)
class Convolution:
    """One convolution with its activation: `inputs` channels become `channels`, of this size.

    `step` halves the height and width that come in (stride 2, rounded up), or doubles them and cuts what is beyond
    `size`; `width` is that of the kernel, 4 where it is transposed. The last of a network computes in float32 whatever
    the precision, without dropout. What `passes` out of one is added to that of its size which takes it in.
    """

    inputs: int
    channels: int
    size: Size
    activation: Choice[Activation]
    step: Step = "same"
    width: int = 3
    normed: bool = False
    last: bool = False
    passes: Literal["out", "in"] | None = None

    @property
    def product(self) -> Product:
        """The matrix product that it is for an image: a row for each position."""
        rows = self.size[0] * self.size[1]
        if self.step == "transposed":  # each position sees a quarter of the 4 x 4 kernel
            return Product(4 * self.inputs, self.channels, rows)
        if self.step == "shuffle":
            height, width = halved(self.size)
            return Product(self.width**2 * self.inputs, 4 * self.channels, height * width)
        return Product(self.width**2 * self.inputs, self.channels, rows)

    @property
    def weights(self) -> int:
        """How many weights it has: its kernel, its bias, and what a norm and an activation learn for each channel."""
        outputs = 4 * self.channels if self.step == "shuffle" else self.channels
        kernel = (16 if self.step == "transposed" else self.width**2) * self.inputs * outputs
        learned = 2 * self.normed + (self.activation.row.learned_slope is not None)
        return kernel + outputs + learned * self.channels


def halved(size: Size) -> Size:
    """Return half of a size, rounded up: no row and no column is lost."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def groups_of(channels: int) -> int:
    """Return into how many groups of the same length a group norm divides channels."""
    most = min(_LARGEST_GROUPS, channels // _LEAST_IN_GROUP)
    return max((count for count in range(1, most + 1) if channels % count == 0), default=1)
