"""What a training will cost: memory, and about how long an epoch."""

import time
from collections.abc import Callable, Iterable
from math import ceil, prod

import numpy as np

from aecli.core.machine import cores, one_blas_thread
from aecli.data.loader import WINDOW_BYTES, Loader
from aecli.training.check.findings import BYTES_A_WEIGHT, Finding, count_of
from aecli.training.engines.engine import DEFAULT_ENGINE
from aecli.training.prepare import Prepared

_LARGEST_TIMED = 2048
"""Rows and columns of the largest matrices that are timed; larger ones take their time in proportion."""

_MOVED_A_WEIGHT = 28
"""Bytes that Adam moves for a weight in a step: reads gradient, weight and two moments, writes the last three."""

_SPEEDUP = 0.6
"""The power of the number of cores by which a training is faster: of two, 784-64-784 took 0.39 s instead of 0.58."""

_SECONDS_TIMED, _LEAST_CALLS = 0.03, 3


def cost_findings(prepared: Prepared) -> Iterable[Finding]:
    """Yield how the training will hold its images and weights, and about how long an epoch will take."""
    train, validation = prepared.loaders
    config = prepared.config
    weights = prepared.model.parameter_count(prepared.train.format.image_shape)
    images = _held_bytes(train) + _held_bytes(validation)
    how = "streamed from the file in every epoch through" if train.streamed else "held in memory,"
    yield Finding(
        "note",
        "memory",
        f"training images are {how} {_megabytes(images)}; {count_of(weights, 'weight')} for "
        f"{count_of(len(train), 'image')} take "
        f"{_megabytes(BYTES_A_WEIGHT * weights)}; {DEFAULT_ENGINE.title} itself about "
        f"{_megabytes(DEFAULT_ENGINE.memory)}",
        {
            "streamed": train.streamed,
            "image_bytes": images,
            "weights": weights,
            "weight_bytes": BYTES_A_WEIGHT * weights,
        },
    )
    seconds = _seconds_per_epoch(prepared)
    whole = seconds * config.training.epochs
    yield Finding(
        "note",
        "time",
        f"an epoch takes about {duration(seconds)} on this machine's {count_of(cores(), 'core')}, the "
        f"{config.training.epochs:,} of training.epochs about {duration(whole)}"
        + (", and what reading the file takes" if train.streamed else ""),
        {"seconds_per_epoch": seconds, "epochs": config.training.epochs},
    )


def time_of(prepared: Prepared) -> str:
    """Return about how long all epochs take on this machine, e.g. "40 s"."""
    return duration(seconds_of(prepared))


def seconds_of(prepared: Prepared, threads: int | None = None) -> float:
    """Return about how many seconds all epochs take in so many threads, by default those of this machine."""
    return _seconds_per_epoch(prepared, threads) * prepared.config.training.epochs


def _held_bytes(loader: Loader) -> int:
    """Return the bytes of images in memory at once: all, or a streamed loader's window and the next one."""
    return 2 * WINDOW_BYTES if loader.streamed else loader.size


def _seconds_per_epoch(prepared: Prepared, threads: int | None = None) -> float:
    """Return about how long an epoch takes, by default on all cores: a short timing in NumPy, without the engine.

    The matrix products of a step (forward, and backward twice but for the first layer) are timed at the network's
    own sizes in one thread, and the bytes that Adam moves at the speed of a copy. Validation is a forward pass. Random
    layers cost more than it says, and a GPU less.
    """
    with one_blas_thread():
        return _seconds_of_steps(prepared) / float((threads or cores()) ** _SPEEDUP)


def _seconds_of_steps(prepared: Prepared) -> float:
    """Return about how long an epoch takes in one thread."""
    config, shape = prepared.config, prepared.train.format.image_shape
    batch = min(config.training.batch_size, len(prepared.split.train))
    forward, backward = 0.0, 0.0
    for i, product in enumerate(prepared.model.products(shape)):
        seconds = _product_seconds(batch * product.rows, product.inputs, product.units)
        forward += seconds
        backward += seconds * (2 if i else 1)
    update = _MOVED_A_WEIGHT * prepared.model.parameter_count(shape) / _bytes_per_second()
    steps = len(prepared.split.train) / batch
    validation_steps = len(prepared.split.validation) / batch
    return ceil(steps) * update + steps * (forward + backward) + validation_steps * forward


def _product_seconds(batch: int, inputs: int, units: int) -> float:
    """Return the seconds of one (batch, inputs) @ (inputs, units)."""
    sides = [min(side, _LARGEST_TIMED) for side in (batch, inputs, units)]
    left, right = np.ones((sides[0], sides[1]), np.float32), np.ones((sides[1], sides[2]), np.float32)
    scale = batch * inputs * units / prod(sides)
    return scale * _seconds_of(lambda: np.matmul(left, right))


def _bytes_per_second() -> float:
    # Read once and written once, in pieces beyond any cache.
    source = np.ones(2**22, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / _seconds_of(lambda: np.copyto(target, source))


def _seconds_of(compute: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several calls: the others were beside something else."""
    seconds: list[float] = []
    stop = time.perf_counter() + _SECONDS_TIMED
    while len(seconds) < _LEAST_CALLS or time.perf_counter() < stop:
        started = time.perf_counter()
        compute()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _megabytes(size: int) -> str:
    if size >= 1e10:
        return f"{size / 1e9:,.0f} GB"
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e6:.2g} MB"


def duration(seconds: float) -> str:
    """Return a time in words, e.g. "40 s"."""
    if seconds < 1:
        return f"{seconds:.1g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
