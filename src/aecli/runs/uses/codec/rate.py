"""How quality follows bytes: of a run's codec, of PCA's, and of pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecli.core.machine import one_blas_thread
from aecli.data.dataset import ImageDataset
from aecli.data.format import Images
from aecli.data.picture_codecs import PICTURE_CODECS, can_encode, encode_mosaic
from aecli.runs.model import Latents, Model
from aecli.runs.run import Run
from aecli.runs.uses.codec.beside import PcaCodec, coefficients_of, pixels_of
from aecli.runs.uses.codec.compress import Sample, code_levels, estimated_bytes, mean_psnr, step_of_quality
from aecli.runs.uses.codec.steps import Levels, Steps, exponents_for

_STEPS, _RATIO = 12, 1.4
_NEAR_FLOATS_DB = 0.03
_LEAST_SHARE = 0.15
_QUALITIES = (1, 3, 6, 10, 16, 25, 40, 60)


@dataclass(frozen=True)
class RateCurve:
    """Bytes an image and PSNR in dB, with few bytes first; `own` is the run's codec."""

    title: str
    bytes: tuple[float, ...]
    psnr: tuple[float, ...]
    own: bool = False


def rate_curves(run: Run, model: Model, source: ImageDataset, sample: Sample, count: int) -> Iterator[RateCurve]:
    """Yield the curves of images as if `count` of them were in a file; of a code with levels one point."""
    levels = code_levels(run)
    if levels is not None:
        yield RateCurve(
            run.name, *_points([levels], model.decode, sample, (sample.of_images, sample.latents), count), True
        )
    else:
        exponents = exponents_for(model, sample.latents)
        latents = sample.of_images, sample.latents
        yield RateCurve(run.name, *_curve(model.decode, sample, latents, exponents, count), True)
    pca = PcaCodec(run.baselines)
    with one_blas_thread():
        coefficients = pca.encode(sample.images), coefficients_of(source, pca, sample)
        exponents = pca.steps(1.0).exponents
        yield RateCurve(pca.title, *_curve(pca.decode, sample, coefficients, exponents, count))
    yield from _picture_curves(sample.images)


def _picture_curves(images: Images) -> Iterator[RateCurve]:
    pixels = pixels_of(images)
    for codec, title in PICTURE_CODECS.items() if pixels is not None else ():
        if pixels is None or not can_encode(codec):
            continue
        made = [encode_mosaic(pixels, codec, quality) for quality in _QUALITIES]
        sizes = tuple(size / len(images) for size, _ in made)
        quality = tuple(mean_psnr(images, back.astype(np.float32) / np.float32(255)) for _, back in made)
        yield RateCurve(f"{title}, one sheet of all", sizes, quality)


def _curve(
    decode: Callable[[Latents], Images],
    sample: Sample,
    latents: tuple[Latents, Latents],
    exponents: NDArray[np.int8],
    count: int,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the bytes and the PSNR from coarse steps to where finer ones gain nothing."""
    finest = step_of_quality(
        sample, decode, exponents, sample.quality(decode, latents[0]) - _NEAR_FLOATS_DB, latents[0]
    )
    steps = [Steps(finest * _RATIO**i, exponents) for i in reversed(range(_STEPS))]
    sizes, quality = _points(steps, decode, sample, latents, count)
    # Where next to nothing is left of the codes there is little to see.
    first = next(i for i, size in enumerate(sizes) if size >= _LEAST_SHARE * sizes[-1])
    return sizes[first:], quality[first:]


def _points(
    quantisers: list[Steps] | list[Levels],
    decode: Callable[[Latents], Images],
    sample: Sample,
    latents: tuple[Latents, Latents],
    count: int,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    of_images, counted = latents
    sizes = tuple(estimated_bytes(quantiser, counted, count) for quantiser in quantisers)
    found = (quantiser.to_latents(quantiser.to_integers(of_images)) for quantiser in quantisers)
    return sizes, tuple(sample.quality(decode, back) for back in found)
