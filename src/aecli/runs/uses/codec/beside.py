"""What a codec must be compared with: PCA's at the same bytes, pictures at the same PSNR, and pixels without loss."""

import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from aecli.data.dataset import ImageDataset
from aecli.data.format import Images, Stored
from aecli.data.picture_codecs import (
    PICTURE_CODECS,
    QUALITIES,
    Pixels,
    can_encode,
    encode_each,
    encode_mosaic,
)  # fmt: skip
from aecli.models.linear.pca import Matrix
from aecli.runs.baselines import BASELINES, Baselines
from aecli.runs.model import Latents
from aecli.runs.uses.codec.compress import Sample, estimated_bytes, least_that, mean_psnr
from aecli.runs.uses.codec.steps import Steps

MOST_FILES = 100
"""Images that are written as a picture file each, evenly spread over those that are measured."""


@dataclass(frozen=True)
class Measured:
    """What a codec makes of images: bytes of each on average, the mean PSNR in dB, None where nothing is lost."""

    title: str
    bytes: float
    psnr: float | None


@dataclass(frozen=True)
class PcaCodec:
    """The coefficients of a run's principal components, rounded to uniform steps: they all move the image as far."""

    baselines: Baselines

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{BASELINES['pca']}-{len(self.baselines.components)}"

    def encode(self, images: Images) -> Matrix:
        """Return the coefficients (N, k) of images (N, H, W, C)."""
        flat = (images - self.baselines.mean).reshape(len(images), -1)
        return np.asarray(flat @ self.baselines.components.T, np.float32)

    def decode(self, coefficients: Latents) -> Images:
        """Return the images (N, H, W, C) of coefficients (N, k)."""
        flat = coefficients @ self.baselines.components
        return np.asarray(flat.reshape(-1, *self.baselines.mean.shape) + self.baselines.mean, np.float32)

    def steps(self, step: float) -> Steps:
        """Return the same step for all."""
        return Steps(step, np.zeros(len(self.baselines.components), np.int8))

    def measured(self, step: float, sample: Sample, coefficients: Matrix, count: int) -> Measured:
        """Return what a step costs; `coefficients` are those of images to count the bytes of."""
        steps = self.steps(step)
        size = estimated_bytes(steps, coefficients, count)
        quality = sample.quality(self.decode, steps.to_latents(steps.to_integers(self.encode(sample.images))))
        return Measured(f"{self.title}, same bytes", size, quality)

    def at_bytes(self, most: float, sample: Sample, coefficients: Matrix, count: int) -> Measured | None:
        """Return what it reaches in so many bytes an image; None where that is too few."""
        step = least_that(lambda step: estimated_bytes(self.steps(step), coefficients, count) <= most, 0.5)
        return None if step is None else self.measured(step, sample, coefficients, count)


def pixels_of(images: Images) -> Pixels | None:
    """Return images as pictures of 8 bits; None where pictures have other channels."""
    return np.rint(images.clip(0, 1) * 255).astype(np.uint8) if images.shape[3] in (1, 3) else None


def picture_rows(images: Images, enough: float) -> Iterator[Measured | str]:
    """Yield what JPEG, WebP and AVIF take for images to have so much PSNR, side by side and as files; or why not."""
    pixels = pixels_of(images)
    if pixels is None:
        yield f"JPEG, WebP and AVIF: not measured, they hold 1 or 3 channels, the images have {images.shape[3]}"
        return
    few = slice(None, None, -(-len(images) // MOST_FILES))
    for codec, title in PICTURE_CODECS.items():
        if not can_encode(codec):
            yield f"{title}: not measured, the Pillow installed cannot write it"
            continue
        ways = (("one sheet of all", encode_mosaic, slice(None)), ("a file each", encode_each, few))
        for way, encode, chosen in ways:
            yield _at_quality(f"{title}, {way}", encode, codec, (images[chosen], pixels[chosen]), enough)


def _at_quality(
    title: str,
    encode: Callable[[Pixels, str, int], tuple[int, Pixels]],
    codec: str,
    pictures: tuple[Images, Pixels],
    enough: float,
) -> Measured:
    """Return the least quality that has so much PSNR, or the highest there is."""
    images, pixels = pictures

    def at(quality: int) -> Measured:
        size, restored = encode(pixels, codec, quality)
        return Measured(title, size / len(pixels), mean_psnr(images, restored.astype(np.float32) / np.float32(255)))

    low, high = QUALITIES[0], QUALITIES[-1]
    best = None
    while low < high:
        middle = (low + high) // 2
        tried = at(middle)
        if tried.psnr is not None and tried.psnr >= enough:
            best, high = tried, middle
        else:
            low = middle + 1
    return best or at(high)


def lossless(stored: Stored) -> Measured:
    """Return what the pixels take as they are stored, through xz."""
    return Measured(
        "pixels by lzma, lossless", len(lzma.compress(np.ascontiguousarray(stored).tobytes())) / len(stored), None
    )


def coefficients_of(source: ImageDataset, codec: PcaCodec, sample: Sample) -> Matrix:
    """Return the coefficients of the images of a sample that bytes are counted of."""
    return np.concatenate([*source.map(codec.encode, sample.counted)])
