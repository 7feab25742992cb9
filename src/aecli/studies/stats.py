"""What some seeds can tell: intervals, paired comparisons, and which variants are worse than the best one.

The scores of a variant are float64 (seeds,): one number per seed, NaN where that seed has none (missing, failed,
collapsed). All variants share their seeds, position i is the same seed, so two variants are compared by their
differences over the seeds both have. Lower is better; only `compare_scores` can be asked for the other way round.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from aecli.core.rng import derive
from aecli.studies.power import error_per_pair, seeds_to_show, smallest_effect

Scores = NDArray[np.float64]
"""One score per seed, float64 (seeds,), NaN where there is none."""

_CONFIDENCE = 0.95
_RESAMPLES = 10_000
FEWEST_SEEDS = 5
"""Seeds below which the mean of a variant has no interval worth the name."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval; what the values are too few to give is NaN."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class AgainstBest:
    """How a variant does against the best one, over the `seeds` both have.

    `worse_by` is the mean paired difference in the unit of the score, positive when the variant is the worse one. Its
    interval holds for all pairs of variants at once, see `compare_scores`. `best_wins` is the share of seeds on which
    the best variant does better, with an interval for itself alone; as the same seeds picked the best one it is too
    large: on five seeds 0.71 on average over the rows of eight identical variants, 0.83 in the last row.
    `best_wins_unseen` is the share of seeds on which that variant does better that is the best of the *other* seeds,
    half a win where it is the variant itself: 0.52 and 0.68. `shown_from` is how large the true difference must be for
    so many seeds to show it in 80 % of studies, with the spread that they have, NaN where that is unknown. `p` is
    Wilcoxon's, `p_holm` corrects it for all pairs.
    """

    seeds: int
    worse_by: Interval
    best_wins: Interval
    best_wins_unseen: Interval
    shown_from: float
    p: float
    p_holm: float

    @property
    def distinguishable(self) -> bool:
        """Whether these seeds show that the variant is worse: its interval lies above zero."""
        return self.worse_by.low > 0


@dataclass(frozen=True)
class ComparisonRow:
    """One variant: on how many seeds it has a score, their mean, its mean rank, and how it does against the best.

    `against_best` is None for the best variant itself and for a variant without scores.
    """

    name: str
    seeds: int
    mean: Interval
    mean_rank: float
    against_best: AgainstBest | None


@dataclass(frozen=True)
class Comparison:
    """All variants, best mean first, those without scores last.

    `best` has the best mean, None if no variant has a score. `tied` are the variants that these seeds do not show to
    be worse than it, itself first. `worst` is shown to be worse than every other variant, None if no one is.
    `shown_from` is the largest of that of the others in `tied`: a difference of that size such seeds would show; None
    if there are none, or none of known spread. `seeds_needed` is how many paired seeds would tell all the others in
    `tied` from the best, were their differences what they seem; None if there are none, or if it would take over
    SEEDS_LIMIT. Where there is no difference it mostly is a number all the same, so no sentence says it. `far_seeds`
    are the variants of which one seed lies far from the others, see `has_far_value`.
    """

    best: str | None
    tied: tuple[str, ...]
    worst: str | None
    shown_from: float | None
    seeds_needed: int | None
    far_seeds: tuple[str, ...]
    rows: tuple[ComparisonRow, ...]


def mean_interval(values: Scores, confidence: float = _CONFIDENCE) -> Interval:
    """Return the mean of the finite values with a bootstrap interval, the same on every call.

    A plain bootstrap is too narrow for a handful of seeds: by sqrt((n - 1) / n), and as it takes the spread for
    known (Hesterberg 2015, The American Statistician 69). So the percentile interval is stretched about the mean by
    both factors, sqrt(n / (n - 1)) and Student's quantile over the normal one. Measured on 4,000 samples, the 95 %
    interval of 5, 11, 20 normal values covers the mean in 95, 95, 95 %, of log-normal ones (sigma 0.5) in 91, 93,
    93 %; unstretched in 85, 90, 92 % of the normal ones, and BCa in no more. A studentised bootstrap covers 95 %
    too, but is half as wide again at five values and has no bound at fewer. Fewer than FEWEST_SEEDS values have no
    interval: stretched that far, it would reach where no value can be.
    """
    finite = _finite(values)
    count = len(finite)
    if count < FEWEST_SEEDS:
        return Interval(_mean(finite), math.nan, math.nan)
    from scipy.special import ndtri, stdtrit

    mean, tail = _mean(finite), (1 - confidence) / 2
    draws = np.random.default_rng(derive(0, "bootstrap")).integers(count, size=(_RESAMPLES, count))
    low, high = np.quantile((finite - mean)[draws].mean(axis=1), [tail, 1 - tail])
    stretch = math.sqrt(count / (count - 1)) * stdtrit(count - 1, 1 - tail) / ndtri(1 - tail)
    return Interval(mean, float(mean + stretch * low), float(mean + stretch * high))


def has_far_value(values: Scores, error: float) -> bool:
    """Return whether a value lies farther from the others than those of normal ones do but in a share `error` of cases.

    Grubbs's test (1950), both ways. What it finds is no reason to leave a value out, but one to doubt the intervals of
    all variants: it is where such a seed is *not* among the few that an interval misses the mean. Of samples of ten
    values of which one is far off, say, those without it have the short intervals.
    """
    finite = _finite(values)
    count = len(finite)
    spread = float(finite.std(ddof=1)) if count >= FEWEST_SEEDS else 0.0
    if not spread:
        return False
    from scipy.special import stdtrit

    t = float(stdtrit(count - 2, 1 - error / (2 * count)))
    limit = (count - 1) / math.sqrt(count) * math.sqrt(t * t / (count - 2 + t * t))
    return bool(np.abs(finite - _mean(finite)).max() > limit * spread)


def paired_difference(a: Scores, b: Scores, confidence: float = _CONFIDENCE) -> Interval:
    """Return the mean of a - b over the seeds both have, with Student's paired interval.

    Not a bootstrap: when many pairs are compared at once the confidence is so near 1 that a bootstrap of five
    differences could only answer with the smallest and the largest of them.
    """
    differences = _finite(a - b)
    count = len(differences)
    if count < 2:
        return Interval(_mean(differences), math.nan, math.nan)
    from scipy.special import stdtrit

    mean = _mean(differences)
    half = float(stdtrit(count - 1, (1 + confidence) / 2) * differences.std(ddof=1) / math.sqrt(count))
    return Interval(mean, mean - half, mean + half)


def probability_of_improvement(a: Scores, b: Scores, confidence: float = _CONFIDENCE) -> Interval:
    """Return P(a is better than b) over the seeds both have, ties counting half (Bouthillier et al. 2021).

    The interval is Wilson's (1927). A bootstrap of five wins in five would answer "1, from 1 to 1"; where the
    probability is 0.9 the bootstrap interval of 5, 11, 20 seeds covers it in 40, 68, 88 % of cases, Wilson's in
    92, 98, 96 %.
    """
    wins = (1 - np.sign(_finite(a - b))) / 2
    count = len(wins)
    if not count:
        return Interval(math.nan, math.nan, math.nan)
    from scipy.special import ndtri

    share, z = _mean(wins), float(ndtri((1 + confidence) / 2))
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def wilcoxon(a: Scores, b: Scores) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test over the seeds both have.

    Exact up to 50 seeds, with ties up to 13. Equal scores are left out; if nothing is left, p is 1.
    """
    differences = _finite(a - b)
    if not differences.any():
        return 1.0
    from scipy import stats

    # Zeros out first: with them scipy would turn to an approximation.
    return float(stats.wilcoxon(differences[differences != 0]).pvalue)


def least_p(seeds: int, variants: int) -> tuple[float, float]:
    """Return the smallest p that Wilcoxon's test can give on so many seeds, alone and after Holm's over all pairs."""
    least = 2.0 ** (1 - seeds)
    return least, min(1.0, least * math.comb(variants, 2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for being several, in their order (Holm 1979)."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values, np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]


def mean_ranks(scores: Mapping[str, Scores]) -> dict[str, float]:
    """Return each variant's rank, 1 the best, ties sharing theirs, averaged over the seeds.

    Only over the seeds that every variant with any score has, since a rank among fewer is another scale; NaN for a
    variant without scores, and for all if there is no such seed.
    """
    known = [name for name, values in scores.items() if np.isfinite(values).any()]
    if not known:
        return dict.fromkeys(scores, math.nan)
    table = np.stack([scores[name] for name in known])
    table = table[:, np.isfinite(table).all(axis=0)]
    lower = (table[None] < table[:, None]).sum(axis=1)
    equal = (table[None] == table[:, None]).sum(axis=1)
    means = [_mean(ranks) for ranks in lower + (equal + 1) / 2]
    return dict.fromkeys(scores, math.nan) | dict(zip(known, means, strict=True))


def compare_scores(
    scores: Mapping[str, Scores], higher_is_better: bool = False, confidence: float = _CONFIDENCE
) -> Comparison:
    """Compare variants over paired seeds: which is best, and which are shown to be worse.

    A variant is shown to be worse if the paired Student interval of its difference to the best lies above zero, at a
    confidence that holds for all k (k - 1) / 2 pairs at once (Bonferroni). All pairs, not the k - 1 with the best:
    the best is picked by the same seeds, and a claim about it is a claim about any pair. Measured with 8 identical
    normal variants, the share of comparisons that call any of them worse is 3, 4, 4 % for 5, 11, 20 seeds; correcting
    for the k - 1 only it would be 10, 12, 12 %. (Wilcoxon's p after Holm: 0, 2, 4 %, and 0, 11, 11 %.) Where equal
    means hide scores of very different skew (log-normal, sigma 0.1 to 1) it is 11 to 14 %: look at the seeds then.

    The rule is not Wilcoxon's p < 0.05, which five seeds cannot reach however clear the difference is; it is
    reported beside. The best mean is over the variant's own seeds; a variant that has fewer seeds and is even better
    on the shared ones is not worse, and stays in `tied`.
    """
    losses = {name: -values if higher_is_better else values for name, values in scores.items()}
    known = [name for name, values in losses.items() if np.isfinite(values).any()]
    known.sort(key=lambda name: _mean(_finite(losses[name])))
    against = _against_best({name: losses[name] for name in known}, confidence)
    tied = [name for name in known if name not in against or not against[name].distinguishable]
    ranks = mean_ranks(losses)
    rows = tuple(
        ComparisonRow(
            name,
            seeds=int(np.isfinite(scores[name]).sum()),
            mean=mean_interval(scores[name], confidence),
            mean_rank=ranks[name],
            against_best=against.get(name),
        )
        for name in [*known, *(name for name in scores if name not in known)]
    )
    error = error_per_pair(len(known), confidence)
    shown = [against[name].shown_from for name in tied[1:] if math.isfinite(against[name].shown_from)]
    return Comparison(
        best=known[0] if known else None,
        tied=tuple(tied),
        worst=_worst([losses[name] for name in known], 1 - error, known),
        shown_from=max(shown, default=None),
        seeds_needed=_seeds_needed([losses[name] - losses[tied[0]] for name in tied[1:]], error),
        far_seeds=tuple(name for name in known if has_far_value(losses[name], (1 - confidence) / len(known))),
        rows=rows,
    )


def _against_best(losses: Mapping[str, Scores], confidence: float) -> dict[str, AgainstBest]:
    """Compare the variants, best first, with the first; lower is better."""
    pairs = list(combinations(losses, 2))
    p_values = [wilcoxon(losses[a], losses[b]) for a, b in pairs]
    error = error_per_pair(len(losses), confidence)
    unseen = best_of_other_seeds(list(losses.values()))
    # The pairs with the first variant come first: the others are only counted in the corrections.
    return {
        name: AgainstBest(
            seeds=int(np.isfinite(losses[name] - losses[best]).sum()),
            worse_by=paired_difference(losses[name], losses[best], 1 - error),
            best_wins=probability_of_improvement(losses[best], losses[name], confidence),
            best_wins_unseen=probability_of_improvement(unseen, losses[name], confidence),
            shown_from=_shown_from(_finite(losses[name] - losses[best]), error),
            p=p,
            p_holm=p_holm,
        )
        for (best, name), p, p_holm in zip(pairs[: len(losses) - 1], p_values, holm(p_values), strict=False)
    }


def best_of_other_seeds(losses: Sequence[Scores]) -> Scores:
    """Return, for every seed, the score of the variant whose mean over the other seeds is best.

    So the seed has no say in which variant is judged on it. NaN where no variant has another seed.
    """
    if not losses:
        return np.empty(0)
    table = np.stack(losses)
    known = np.isfinite(table)
    kept = np.where(known, table, 0.0)
    others = known.sum(axis=1, keepdims=True) - known
    sums = np.stack([np.delete(kept, seed, axis=1).sum(axis=1) for seed in range(table.shape[1])], axis=1)
    means = np.divide(sums, others, out=np.full(table.shape, np.inf), where=others > 0)
    best = means.argmin(axis=0)
    seeds = np.arange(table.shape[1])
    return np.where(np.isfinite(means[best, seeds]), table[best, seeds], np.nan)


def _shown_from(differences: Scores, error: float) -> float:
    """Return the difference that so many seeds show in 80 % of studies, see `AgainstBest`."""
    if len(differences) < 2:
        return math.nan
    return smallest_effect(len(differences), error) * float(differences.std(ddof=1))


def _worst(losses: Sequence[Scores], confidence: float, names: Sequence[str]) -> str | None:
    """Return the last of the variants, best first, if it is shown to be worse than each of the others."""
    *others, last = losses or [np.empty(0)]
    shown = [paired_difference(last, other, confidence).low > 0 for other in others]
    return names[-1] if shown and all(shown) else None


def _seeds_needed(unresolved: Sequence[Scores], error: float) -> int | None:
    """Return the fewest seeds that show the smallest of these differences with power 0.8, None if too many.

    The smallest in its standard deviations, taken as it looks now; one on fewer than two seeds tells nothing. `error`
    is what a single pair may err. Wilcoxon's p must be able to reach it too: it is never below 2 ** (1 - seeds).
    """
    if not unresolved:
        return None
    needed = seeds_to_show(min(_effect(_finite(differences)) for differences in unresolved), error)
    return needed and max(needed, 1 + math.ceil(-math.log2(error)))


def _effect(differences: Scores) -> float:
    """Return the size of the mean in standard deviations; infinite where it is unknown or does not vary."""
    if not differences.any():
        return 0.0 if len(differences) else math.inf
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return abs(_mean(differences)) / spread if spread else math.inf


def _finite(values: Scores) -> Scores:
    """Return the finite values in ascending order, so that the order of the seeds changes nothing."""
    return np.sort(values[np.isfinite(values)])


def _mean(values: Scores) -> float:
    return float(values.mean()) if len(values) else math.nan
