"""Images to a file .aez and back: which steps are taken, and what they cost."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import exp, log, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError, DataError
from aecli.core.files import written_whole
from aecli.core.machine import ordered_map
from aecli.data.dataset import ImageDataset, Rows, chunk_slices
from aecli.data.format import Images
from aecli.models.linear.fit import some
from aecli.runs.config_file import load_recorded
from aecli.runs.metrics import psnr
from aecli.runs.model import Latents, Model, weights_sha256
from aecli.runs.run import Run
from aecli.runs.uses.codec.aez import AezFile, AezHeader, block_of, header_bytes
from aecli.runs.uses.codec.integers import HEADER_BYTES, Integers, pack
from aecli.runs.uses.codec.steps import LARGEST_STEP, SMALLEST_STEP, Levels, Quantiser, Steps, exponents_for

LOST_DB = 0.25
"""What the steps may cost where nothing is asked for."""

MOST_MEASURED = 1_000
"""Images whose PSNR is measured, evenly spread."""

_MOST_MEASURED_VALUES = 2**22
_MOST_SEARCHED = 2**19
"""Numbers that are packed again and again in search of a step."""

_CLOSE = 0.005
"""How close a step is searched for, as a share of it."""

_WIDER = 1.02


@dataclass(frozen=True)
class Sample:
    """Images evenly spread over a source, in [0, 1], with their rows and latents.

    Bytes are counted of the latents of as many or more, those of the rows `counted`.
    """

    rows: Rows
    images: Images
    of_images: Latents
    counted: Rows
    latents: Latents

    def quality(self, decode: Callable[[Latents], Images], latents: Latents) -> float:
        """Return the PSNR of its images as they come back from latents, in dB."""
        return mean_psnr(self.images, np.clip(decode(latents), 0, 1))


def mean_psnr(images: Images, restored: Images) -> float:
    """Return the mean PSNR of images in dB, without those that are exact; infinite where all are."""
    values = psnr(images, restored)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("inf")


def sample_of(source: ImageDataset, model: Model, rows: Rows | None = None) -> Sample:
    """Read the images, of a source or of these rows of it, that steps are chosen by and quality is measured on."""
    everything = np.arange(len(source)) if rows is None else rows
    most = min(MOST_MEASURED, max(1, _MOST_MEASURED_VALUES // prod(model.image_shape)))
    measured = some(everything, most)
    images = np.concatenate([*source.map(lambda images: images, measured)])
    of_images = model.encode(images)
    searched = some(everything, max(1, _MOST_SEARCHED // model.latent_dim))
    if len(searched) <= len(measured):
        searched, latents = measured, of_images
    else:
        latents = np.concatenate([*source.map(model.encode, searched)])
    return Sample(measured, images, of_images, searched, latents)


def code_levels(run: Run) -> Levels | None:
    """Return the levels of a run's quantised code, None for another code."""
    code = load_recorded(run.config_file).config.model.code
    return Levels.of(code.quantised) if code is not None and code.quantised is not None else None


def choose_quantiser(
    run: Run, model: Model, sample: Sample, count: int, step: float | None, most_bytes: float | None
) -> Steps | Levels:
    """Return how latents become whole numbers: by this step, in so many bytes an image, or at a loss of LOST_DB.

    `count` is how many images there are. Codes that have levels keep them: AeError where something else is asked.
    """
    levels = code_levels(run)
    if levels is not None:
        if step is not None or most_bytes is not None:
            option = "--step" if step is not None else "--bytes"
            raise AeError(f"{option}: the code of {run.path} has {levels.levels} levels already: leave {option} out")
        return levels
    exponents = exponents_for(model, sample.latents)
    if step is not None:
        return Steps(step, exponents)
    if most_bytes is None:
        enough = sample.quality(model.decode, sample.of_images) - LOST_DB
        return Steps(step_of_quality(sample, model.decode, exponents, enough), exponents)

    def fits(step: float) -> bool:
        return estimated_bytes(Steps(step, exponents), sample.latents, count) <= most_bytes

    found = least_that(fits, 0.05)
    if found is None:
        least = estimated_bytes(Steps(LARGEST_STEP, exponents), sample.latents, count)
        raise AeError(f"--bytes {most_bytes:g}: the file of {count:,} images takes {least:.2f} each: give more")
    return Steps(found, exponents)


def step_of_quality(
    sample: Sample,
    decode: Callable[[Latents], Images],
    exponents: NDArray[np.int8],
    enough: float,
    of_images: Latents | None = None,
) -> float:
    """Return the largest step at which the images still have so much PSNR.

    `of_images` are their codes where they are not the latents of the sample.
    """
    codes = sample.of_images if of_images is None else of_images

    def bad(step: float) -> bool:
        steps = Steps(step, exponents)
        return sample.quality(decode, steps.to_latents(steps.to_integers(codes))) < enough

    found = least_that(bad, 0.05)
    return LARGEST_STEP if found is None else found / (1 + _CLOSE)


def least_that(holds: Callable[[float], bool], first: float) -> float | None:
    """Return about the least step for which a condition holds that, once it holds, holds for all larger ones.

    The search begins at `first`; None where it holds for no step there is.
    """
    low = high = first
    if holds(first):
        while holds(low):
            if low <= SMALLEST_STEP:
                return low
            high, low = low, max(low / 2, SMALLEST_STEP)
    else:
        while not holds(high):
            if high >= LARGEST_STEP:
                return None
            low, high = high, min(high * 2, LARGEST_STEP)
    while high / low > 1 + _CLOSE:
        middle = exp((log(low) + log(high)) / 2)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def estimated_bytes(quantiser: Steps | Levels, latents: Latents, count: int) -> float:
    """Return how many bytes an image takes in a file of `count` images, of whose codes these are some or all."""
    length = latents.shape[1]
    header = len(header_bytes(AezHeader(bytes(32), count, length, quantiser)))
    packed = len(pack(quantiser.to_integers(latents))) - HEADER_BYTES
    blocks = -(-count // block_of(length))
    return (header + blocks * HEADER_BYTES) / count + packed / len(latents)


def write_aez(run: Run, model: Model, source: ImageDataset, quantiser: Steps | Levels, path: Path) -> int:
    """Write the codes of images to a file; return its bytes."""
    header = AezHeader(bytes.fromhex(weights_sha256(run)), len(source), model.latent_dim, quantiser)
    whole = source.map(lambda images: quantiser.to_integers(model.encode(images)))
    with written_whole(path) as temporary, temporary.open("wb") as file:
        file.write(header_bytes(header))
        for block in in_blocks(whole, header.block):
            file.write(pack(block))
        return file.tell()


def compress_images(
    run: Run,
    model: Model,
    source: ImageDataset,
    sample: Sample,
    path: Path,
    step: float | None = None,
    most_bytes: float | None = None,
) -> tuple[int, Steps | Levels]:
    """Write images to a file; return its bytes, and how its latents became whole numbers. See `choose_quantiser`."""
    quantiser = choose_quantiser(run, model, sample, len(source), step, most_bytes)
    size = write_aez(run, model, source, quantiser, path)
    # Where some images were searched, all of them may take a little more.
    while isinstance(quantiser, Steps) and most_bytes is not None and size > most_bytes * len(source):
        if quantiser.step * _WIDER > LARGEST_STEP:
            break
        quantiser = replace(quantiser, step=quantiser.step * _WIDER)
        size = write_aez(run, model, source, quantiser, path)
    return size, quantiser


def in_blocks(parts: Iterable[NDArray[Any]], size: int) -> Iterator[NDArray[Any]]:
    """Yield the rows of parts (n, k) again, `size` at a time."""
    waiting: list[NDArray[Any]] = []
    count = 0
    for part in parts:
        # Small numbers while they wait.
        waiting, count = [*waiting, part.astype(np.int32)], count + len(part)
        while count >= size:
            rows = np.concatenate(waiting)
            yield rows[:size].astype(np.int64)
            waiting, count = [rows[size:]], count - size
    if count:
        yield np.concatenate(waiting).astype(np.int64)


def require_run(file: AezFile, run: Run, model: Model) -> None:
    """Raise DataError unless the codes in a file are those of a run."""
    if file.header.weights.hex() != weights_sha256(run):
        raise DataError(
            f"{file.path}: its codes are of another run than {run.path}: give the run that wrote it with --run"
        )
    if file.header.length != model.latent_dim:
        raise DataError(f"{file.path}: is damaged (its codes are of another length): compress the images again")


def decode_file(file: AezFile, model: Model) -> Iterator[Images]:
    """Yield the images of a file, chunk by chunk."""
    quantiser: Quantiser = file.header.quantiser

    def decode(integers: Integers) -> Images:
        return model.decode(quantiser.to_latents(integers))

    for block in file.blocks():
        parts = (block[part] for part in chunk_slices(len(block), model.image_shape))
        yield from ordered_map(decode, parts)
