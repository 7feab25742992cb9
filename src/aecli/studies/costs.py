"""What a study will cost, said before it begins."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from aecli.core.errors import AeError
from aecli.data.dataset import ImageDataset
from aecli.runs.config import Config
from aecli.studies.plan import Variant
from aecli.training.check.costs import duration, seconds_of
from aecli.training.check.findings import count_of
from aecli.training.prepare import Prepared, split_of

_SHORT = 5.0
"""Seconds below which it is the overhead of every step that counts, which is not timed."""

_ALIKE = 1.2
"""Costs that differ by less than this factor are said as one."""


def cost_note(
    runs: Sequence[tuple[Variant, Config]], train: ImageDataset, test: ImageDataset | None, workers: int, threads: int
) -> str | None:
    """Return about how long the epochs of these runs take on so many workers, of so many threads each.

    It is timed in NumPy, once for the networks of a size. None where there is no run, or the images are too few.
    """
    try:
        seconds = _seconds(runs, train, test, threads)
    except AeError:  # which the runs will say
        return None
    if not seconds:
        return None
    workers = min(workers, len(runs))
    each = {name: fmean(values) for name, values in seconds.items()}
    total = max(sum(map(sum, seconds.values())) / workers, max(map(max, seconds.values())))
    most = "at most " * any(config.training.early_stopping is not None for _, config in runs)
    epochs = f"the epochs of {count_of(len(runs), 'run')} take"
    if total < _SHORT:
        return f"{epochs} less than {duration(_SHORT)}, beside starting and measuring"
    where = f"on {count_of(workers, 'worker')}" if workers > 1 else "one after the other"
    return f"{epochs} {most}about {duration(total)} {where}: {_each(each)}"


def _seconds(
    runs: Sequence[tuple[Variant, Config]], train: ImageDataset, test: ImageDataset | None, threads: int
) -> dict[str, list[float]]:
    """Return the seconds of every run by the config that it is of, or by its row where the study has one config."""
    timed: dict[tuple[object, ...], float] = {}
    seconds: dict[str, list[float]] = {}
    whole = any(variant.of for variant, _ in runs)
    for variant, config in runs:
        prepared = Prepared(config, train, test, split_of(config, train, test))
        shape, training = train.format.image_shape, config.training
        counts = len(prepared.split.train), len(prepared.split.validation)
        size = prepared.model.products(shape), prepared.model.parameter_count(shape), *counts, training.batch_size
        if size not in timed:
            timed[size] = seconds_of(prepared, threads) / training.epochs
        seconds.setdefault(variant.of if whole else variant.label, []).append(timed[size] * training.epochs)
    return seconds


def _each(seconds: Mapping[str, float]) -> str:
    """Say what a run costs, of every config where they differ."""
    least, most = min(seconds, key=seconds.__getitem__), max(seconds, key=seconds.__getitem__)
    factor = seconds[most] / seconds[least]
    if factor < _ALIKE:
        return f"about {duration(seconds[most])} a run"
    if len(seconds) > _MOST_NAMED:
        return f"about {duration(seconds[least])} to {duration(seconds[most])} a run"
    named = ", ".join(f"{name} about {duration(value)}" for name, value in sorted(seconds.items(), key=lambda i: i[1]))
    times = f"{factor:,.0f}" if factor >= 10 else f"{factor:.1f}"
    return f"{named} a run ({times} times {least})"


_MOST_NAMED = 8
