"""What the runs of a study say together: the table's rows, the verdict, and the curve over the code length."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError
from aecli.runs.baselines import BASELINES
from aecli.runs.metrics import comparable, table_metrics
from aecli.studies.results import Result
from aecli.studies.stats import AgainstBest, Interval, compare_scores, mean_interval
from aecli.studies.verdict import far_seeds_caveat, verdict_of


@dataclass(frozen=True)
class Network:
    """What a row is that is a whole config, and the means of the metric of the linear codes as long as its own code."""

    family: str
    code_length: int | None
    weights: int | None
    pca: float | None
    best_linear: float | None


@dataclass(frozen=True)
class SummaryRow:
    """One row of the table: a variant, with its own best of the tuned values.

    `counts` are its runs by state; the means are over its complete runs. `against_best` is None for the best one,
    `network` where the rows are variants of one config.
    """

    name: str
    variant: str
    counts: dict[str, int]
    mean: Interval
    mean_rank: float
    against_best: AgainstBest | None
    tied: bool
    means: dict[str, float | None]
    reasons: tuple[str, ...]
    network: Network | None = None


@dataclass(frozen=True)
class Baseline:
    """A row below the line: what the variants are to be measured by."""

    name: str
    mean: Interval


@dataclass(frozen=True)
class CurvePoint:
    """One code length of the bottleneck curve: the best variant's mean and PCA's."""

    latent_dim: int
    variant: str
    mean: float
    pca: float


@dataclass(frozen=True)
class Summary:
    """What a study found; `verdict` says it in two sentences, `caveat` what its intervals may not hold for.

    `best` to `seeds_needed` and `far_seeds` are those of `stats.Comparison`.
    """

    metric: str
    seeds: tuple[int, ...]
    best: str | None
    tied: tuple[str, ...]
    worst: str | None
    shown_from: float | None
    seeds_needed: int | None
    far_seeds: tuple[str, ...]
    caveat: str
    verdict: str
    rows: tuple[SummaryRow, ...]
    baselines: tuple[Baseline, ...]
    curve: tuple[CurvePoint, ...]
    knee: int | None

    @property
    def of_configs(self) -> bool:
        """Whether the rows are whole configs."""
        return any(row.network is not None for row in self.rows)

    @property
    def code_lengths(self) -> tuple[int, ...]:
        """The code lengths of the rows where they are whole configs."""
        return tuple(sorted({row.network.code_length for row in self.rows if row.network and row.network.code_length}))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; what is not a number is None."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        for row in plain["rows"] if not self.of_configs else ():
            del row["network"]
        return plain


_MEANS = (
    "train_mse", "validation_mse", "gap", "epochs", "settled", "falling", "seconds", "dead", "saturated",
    "gradient_norm",
)  # fmt: skip
"""What is averaged over the runs of a row beside the metrics."""


def summarise(results: Sequence[Result], metric: str = "mse", networks: str = "") -> Summary:
    """Compare the variants of a study by a metric on the test images; `networks` says what they are.

    Collapsed, failed and missing runs are counted in their row and left out of every mean. Raises AeError where a
    variant has no such metric.
    """
    require_metric(results, metric)
    seeds = tuple(sorted({result.seed for result in results}))
    groups = _by_row(results)
    chosen = {row: _own_best(group) for row, group in groups.items()}
    scores = {row: _scores(runs, seeds, metric) for row, runs in chosen.items()}
    comparison = compare_scores(scores, higher_is_better=comparable()[metric].better == "higher")
    rows = tuple(
        SummaryRow(
            name=row.name,
            variant=chosen[row.name][0].variant,
            counts=dict(Counter(result.state for result in chosen[row.name])),
            mean=row.mean,
            mean_rank=row.mean_rank,
            against_best=row.against_best,
            tied=row.name in comparison.tied,
            means=_means(chosen[row.name], metric),
            reasons=tuple(dict.fromkeys(r.reason for r in chosen[row.name] if r.reason)),
            network=_network(chosen[row.name], metric),
        )
        for row in comparison.rows
    )
    baselines = _baselines(results, metric)
    curve = _curve(chosen, metric)
    knee = _knee(curve)
    at_knee = next((point for point in curve if point.latent_dim == knee), None)
    verdict = " ".join(filter(None, (verdict_of(comparison, rows, baselines, metric, len(seeds), at_knee), networks)))
    return Summary(
        metric=metric,
        seeds=seeds,
        best=comparison.best,
        tied=comparison.tied,
        worst=comparison.worst,
        shown_from=comparison.shown_from,
        seeds_needed=comparison.seeds_needed,
        far_seeds=comparison.far_seeds,
        caveat=far_seeds_caveat(comparison.far_seeds),
        verdict=verdict,
        rows=rows,
        baselines=baselines,
        curve=curve,
        knee=knee,
    )


def require_metric(results: Sequence[Result], metric: str) -> None:
    """Raise AeError that names the variants whose complete runs have no such metric."""
    has: dict[str, bool] = {}
    for result in results:
        if result.state == "complete":
            has[result.label] = has.get(result.label, False) or result.value(metric) is not None
    lacking = [label for label, known in has.items() if not known]
    if lacking:
        names = f"{', '.join(lacking[:_MOST_NAMED])}{' and others' * (len(lacking) > _MOST_NAMED)}"
        verb = "has" if len(lacking) == 1 else "have"
        raise AeError(f"study.metric: {names} {verb} no {metric}: compare by one that all have, e.g. --by mse")


_MOST_NAMED = 8


def _network(runs: Sequence[Result], metric: str) -> Network | None:
    """Return what a row is, None where it is no whole config."""
    first = runs[0]
    if first.config is None:
        return None

    # Of a run that did not begin, the images are not known, and what hangs on them.
    begun = next((run for run in runs if run.weights is not None), first)
    counted = [run for run in runs if run.state == "complete"] or runs
    linear = (_mean_of(counted, f"{baseline}_{metric}") for baseline in ("pca", "best_linear"))
    return Network(first.family or "", begun.latent_dim, begun.weights, *linear)


def _by_row(results: Sequence[Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.label, []).append(result)
    return groups


def _own_best(results: Sequence[Result]) -> list[Result]:
    """Return the runs of the tuned values whose mean validation mse is lowest; the test images have no say."""
    variants: dict[str, list[Result]] = {}
    for result in results:
        variants.setdefault(result.variant, []).append(result)

    def validation_mse(runs: list[Result]) -> float:
        # Values that fail with some seeds must not win by the seeds they survive.
        survived = [r.validation_mse for r in runs if r.state == "complete" and r.validation_mse is not None]
        return float(np.mean(survived)) if len(survived) == len(runs) else math.inf

    return min(variants.values(), key=validation_mse)


def _scores(runs: Sequence[Result], seeds: Sequence[int], metric: str) -> NDArray[np.float64]:
    known = {run.seed: run.value(metric) for run in runs if run.state == "complete"}
    return np.array([math.nan if known.get(seed) is None else known[seed] for seed in seeds])


def _mean(runs: Sequence[Result], name: str) -> float | None:
    return _mean_of([run for run in runs if run.state == "complete"], name)


def _mean_of(runs: Sequence[Result], name: str) -> float | None:
    values = [value for run in runs if (value := run.value(name)) is not None]
    return float(np.mean(values)) if values else None


def _baselines(results: Sequence[Result], metric: str) -> tuple[Baseline, ...]:
    """Return the linear codes for every code length and the mean image, each over the seeds."""
    values_by_name: dict[str, dict[int, float]] = {}
    for key, title in BASELINES.items():
        for result in sorted(results, key=lambda r: r.latent_dim or 0):
            value = result.value(f"{key}_{metric}")
            if value is not None:
                name = title if key == "mean_image" else f"{title}-{result.latent_dim}"
                values_by_name.setdefault(name, {})[result.seed] = value
    return tuple(
        Baseline(name, mean_interval(np.array(list(values.values())))) for name, values in values_by_name.items()
    )


def _means(runs: Sequence[Result], metric: str) -> dict[str, float | None]:
    """Return the means of a row, and what it leaves of the best linear code's error: its metric as a share of that."""
    means = {name: _mean(runs, name) for name in (*(row.name for row in table_metrics()), *_MEANS, metric)}
    ours, linear = means[metric], _mean(runs, f"best_linear_{metric}")
    lower = comparable()[metric].better == "lower"
    return {**means, "of_linear": ours / linear if lower and ours is not None and linear else None}


def _curve(chosen: Mapping[str, Sequence[Result]], metric: str) -> tuple[CurvePoint, ...]:
    """Return the best variant and PCA at every code length, where the study has several of the same config."""
    lengths = {(runs[0].config, runs[0].latent_dim) for runs in chosen.values()}
    if len(lengths) == len({config for config, _ in lengths}) > 1:
        return ()  # of different networks, to whose difference the code length is one reason among others
    better = max if comparable()[metric].better == "higher" else min
    points: dict[int, list[CurvePoint]] = {}
    for row, runs in chosen.items():
        mean, pca = _mean(runs, metric), _mean(runs, f"pca_{metric}")
        if mean is not None and pca is not None and runs[0].latent_dim is not None:
            points.setdefault(runs[0].latent_dim, []).append(CurvePoint(runs[0].latent_dim, row, mean, pca))
    if len(points) < 2:
        return ()
    return tuple(better(points[length], key=lambda point: point.mean) for length in sorted(points))


def _knee(curve: Sequence[CurvePoint]) -> int | None:
    """Return the code length beyond which more of it gains least: the point farthest from the curve's chord.

    Satopaa et al. 2011 ("Kneedle"), over the logarithm of the code length; None for fewer than three points.
    """
    if len(curve) < 3:
        return None
    x = np.log([point.latent_dim for point in curve])
    y = np.array([point.mean for point in curve])
    if y[0] == y[-1]:
        return None
    distance = np.abs((x - x[0]) / (x[-1] - x[0]) - (y - y[0]) / (y[-1] - y[0]))
    return curve[int(distance.argmax())].latent_dim


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
