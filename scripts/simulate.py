"""Simulate studies whose answer is known, and print how often the statistics of `ae compare` are right.

    python scripts/simulate.py [--studies 2000] [--only identical|power|intervals]

The functions of `aecli.studies` on synthetic seeds, of fixed random numbers: no network is trained. Some minutes on
one core; docs/comparing.md shows the tables.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from aecli.studies.power import error_per_pair, power, seeds_to_show, smallest_effect
from aecli.studies.stats import (
    Interval,
    best_of_other_seeds,
    compare_scores,
    has_far_value,
    mean_interval,
    paired_difference,
    probability_of_improvement,
)

Values = NDArray[np.float64]
SEEDS = (3, 5, 8, 11, 20)
VARIANTS = 8
EFFECTS = (0.5, 1.0, 2.0, 3.0)
CONFIDENCE = 0.95
RESAMPLES = 1000


def print_table(title: str, header: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
    """Print a table as Markdown."""
    print(f"\n{title}\n")
    for cells in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def percent(flags: Sequence[bool] | Values) -> str:
    """Return the share of true values in percent."""
    return f"{100 * np.mean(flags):.0f}"


def draw(rng: np.random.Generator, variants: int, seeds: int) -> Values:
    """Return the scores (variants, seeds) of identical variants, whose paired differences have the spread 1."""
    shared = 3 * rng.normal(size=seeds)  # what a split does to all variants alike
    return shared + rng.normal(scale=0.5**0.5, size=(variants, seeds))


def worse(scores: Values, rows: Sequence[int], than: int) -> list[bool]:
    """Return whether rows of scores are shown to be worse than one, as `compare_scores` does it for all pairs."""
    confidence = 1 - error_per_pair(len(scores), CONFIDENCE)
    return [paired_difference(scores[row], scores[than], confidence).low > 0 for row in rows]


def check(scores: Values) -> None:
    """Raise where the shortcuts of this file are not what `compare_scores` says."""
    found = compare_scores({str(i): values for i, values in enumerate(scores)})
    order = [int(row.name) for row in found.rows]
    shown = worse(scores, order[1:], order[0])
    assert [row.against_best is not None and row.against_best.distinguishable for row in found.rows[1:]] == shown
    assert (found.worst is not None) == all(worse(scores, [order[-1]], other)[0] for other in order[:-1])


def identical(studies: int) -> None:
    """Print what is said of eight variants between which there is no difference, and of two."""
    table: dict[str, list[str]] = {}

    def add(name: str, value: str) -> None:
        table.setdefault(name, []).append(value)

    for seeds in SEEDS:
        rng = np.random.default_rng(seeds)
        wins: dict[str, list[float]] = {"of the same seeds": [], "of the other seeds": []}
        last: dict[str, list[float]] = {name: [] for name in wins}
        covers: dict[str, list[bool]] = {name: [] for name in wins}
        called, worst, shown = [], [], []
        error = error_per_pair(VARIANTS, CONFIDENCE)
        for study in range(studies):
            scores = draw(rng, VARIANTS, seeds)
            if study < 5:
                check(scores)
            order = scores.mean(axis=1).argsort()
            called.append(any(worse(scores, list(order[1:]), int(order[0]))))
            worst.append(all(worse(scores, [int(order[-1])], int(other))[0] for other in order[:-1]))
            rivals = dict(zip(wins, (scores[order[0]], best_of_other_seeds(list(scores))), strict=True))
            for name, rival in rivals.items():
                found = [probability_of_improvement(rival, scores[row]) for row in order[1:]]
                wins[name] += [each.estimate for each in found]
                last[name].append(found[-1].estimate)
                covers[name] += [each.low <= 0.5 <= each.high for each in found]
            spreads = [float((scores[row] - scores[order[0]]).std(ddof=1)) for row in order[1:]]
            shown.append(power(smallest_effect(seeds, error) * max(spreads), seeds, error) >= 0.8)
        pairs = [draw(rng, 2, seeds) for _ in range(min(studies, 500))]
        differences = [pair[0] - pair[1] for pair in pairs]
        named = [seeds_to_show(abs(d.mean()) / d.std(ddof=1), 1 - CONFIDENCE) is not None for d in differences]
        add(f"{VARIANTS} variants, any called worse", percent(called))
        add("one named as worst, % (it was: the last of those called worse)", percent(worst))
        for name in wins:
            add(f"P(best wins), the best {name}, mean of the rows", f"{np.mean(wins[name]):.2f}")
            add(f"P(best wins), the best {name}, last row", f"{np.mean(last[name]):.2f}")
            add(f"P(best wins), the best {name}, its interval covers 0.5, %", percent(covers[name]))
        add(
            "such seeds would show the difference that the verdict names, in 80 % of studies or more, %", percent(shown)
        )
        add("2 variants, a number of seeds was named that would tell them apart, % (no longer)", percent(named))
    rows = [[name, *cells] for name, cells in table.items()]
    print_table("Identical variants", ["what", *(f"{n} seeds" for n in SEEDS)], rows)


def powers(studies: int) -> None:
    """Print how often one of eight variants that is worse is called so, and what the formula says of any one pair."""
    rows = []
    error = error_per_pair(VARIANTS, CONFIDENCE)
    for seeds in SEEDS:
        rng, cells = np.random.default_rng(seeds), []
        for effect in EFFECTS:
            found = []
            for _ in range(studies):
                scores = draw(rng, VARIANTS, seeds)
                scores[-1] += effect
                best = int(scores.mean(axis=1).argmin())
                found.append(worse(scores, [VARIANTS - 1], best)[0])
            cells.append(f"{percent(found)} ({100 * power(effect, seeds, error):.0f})")
        smallest = [smallest_effect(seeds, error_per_pair(k, CONFIDENCE)) for k in (VARIANTS, 4, 2)]
        rows.append([seeds, *cells, *(f"{effect:.2g}" for effect in smallest)])
    header = ["seeds", *(f"{effect:g} sd" for effect in EFFECTS), *(f"80 %, {k} variants" for k in (VARIANTS, 4, 2))]
    print_table("Shown, % (of any one pair), and the difference that is shown in 80 % of studies, in sd", header, rows)


def _normal(rng: np.random.Generator, count: int) -> Values:
    return rng.normal(size=count)


def _log_normal(sigma: float) -> Callable[[np.random.Generator, int], Values]:
    return lambda rng, count: np.exp(sigma * rng.normal(size=count)) - np.exp(sigma * sigma / 2)


def _with_outliers(rng: np.random.Generator, count: int) -> Values:
    return rng.normal(size=count) + 10 * (rng.random(count) < 0.1) - 1


DRAWS = {
    "normal": _normal,
    "log-normal, sigma 0.5": _log_normal(0.5),
    "log-normal, sigma 1": _log_normal(1.0),
    "one in ten 10 sd off": _with_outliers,
}
"""Seeds of a mean of 0."""


def others(values: Values) -> dict[str, Interval]:
    """Return the intervals that were tried and not taken."""
    count, mean, spread = len(values), float(values.mean()), float(values.std(ddof=1))
    error, z, t = spread / count**0.5, float(ndtri(0.975)), float(stdtrit(count - 1, 0.975))
    resampled = values[np.random.default_rng(0).integers(count, size=(RESAMPLES, count))]
    means = resampled.mean(axis=1)
    deviations = values - mean
    # Efron 1987; Johnson 1978 and Hall 1992 for the last one.
    skew = float((deviations**3).mean() / spread**3) / count**0.5 or 1e-12
    shift = float(ndtri(np.clip((means < mean).mean(), 1e-3, 1 - 1e-3)))
    acceleration = float((deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5))
    bca = [float(ndtr(shift + (shift + w) / (1 - acceleration * (shift + w)))) for w in (-z, z)]
    spreads = resampled.std(axis=1, ddof=1)
    studentised = (means - mean)[spreads > 0] / spreads[spreads > 0] * count**0.5
    hall = [3 / skew * (np.cbrt(1 + skew * (w - skew / 6)) - 1) for w in (t, -t)]
    return {
        "percentile bootstrap": Interval(mean, *np.quantile(means, [0.025, 0.975])),
        "BCa": Interval(mean, *np.quantile(means, bca)),
        "Student's t": Interval(mean, mean - t * error, mean + t * error),
        "Hall's transformation": Interval(mean, *(mean - w * error for w in hall)),
        "studentised bootstrap": Interval(mean, *(mean - np.quantile(studentised, [0.975, 0.025]) * error)),
    }


def intervals(studies: int) -> None:
    """Print how often 95 % intervals cover the mean they are of, and their median widths."""
    for name, draws in DRAWS.items():
        covered: dict[str, list[str]] = {}
        for seeds in (5, 11, 20):
            rng = np.random.default_rng(seeds)
            found = [(mean_interval(v), others(v)) for v in (draws(rng, seeds) for _ in range(studies))]
            for kind in ("of ae", *found[0][1]):
                each = [ours if kind == "of ae" else theirs[kind] for ours, theirs in found]
                width = np.median([i.high - i.low for i in each])
                share = percent([i.low <= 0 <= i.high for i in each])
                covered.setdefault(kind, []).append(f"{share} ({width:.2f})")
            rows = [[draws(rng, seeds) for _ in range(VARIANTS)] for _ in range(studies)]
            far = [any(has_far_value(v, (1 - CONFIDENCE) / VARIANTS) for v in study) for study in rows]
            covered.setdefault(f"the caveat stands beside {VARIANTS} such means, %", []).append(percent(far))
        title = f"95 % intervals of {name} seeds: coverage in % (median width)"
        print_table(title, ["interval", "5 seeds", "11 seeds", "20 seeds"], [[k, *v] for k, v in covered.items()])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="synthetic studies of each kind")
    tables = {"identical": identical, "power": powers, "intervals": intervals}
    parser.add_argument("--only", choices=tables)
    arguments = parser.parse_args()
    for name, table in tables.items():
        if arguments.only in (None, name):
            table(arguments.studies)


if __name__ == "__main__":
    main()
