"""What a study found, in two sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aecli.runs.baselines import BASELINES
from aecli.runs.metrics import comparable
from aecli.studies.plan import plan
from aecli.studies.power import POWER
from aecli.studies.stats import Comparison, Interval

if TYPE_CHECKING:
    from aecli.studies.config import StudyFile
    from aecli.studies.summary import Baseline, CurvePoint, SummaryRow

_MOST_NAMED = 8
"""Variants that the verdict names, fewer of a grid; of more it says how many, the table has them."""


def which_networks(config: StudyFile) -> str:
    """Return the sentence that says which of the study's networks begin at a linear code, "" where it would be long."""
    begins: dict[str, set[bool]] = {}
    for variant in plan(config):
        begins.setdefault(variant.of, set()).add(variant.config.model.path != "none")
    kinds = set().union(*begins.values())
    if kinds == {True}:
        return "All networks begin at the best linear code of the images, which they correct."
    if kinds == {False}:
        return "All are plain networks, which begin at random weights."
    if any(len(each) > 1 for each in begins.values()):
        return ""
    linear = [name for name, each in begins.items() if each == {True}]
    verb = "begins" if len(linear) == 1 else "begin"
    return f"Of these {_listed(linear)} {verb} at the best linear code of the images, the others at random weights."


def verdict_of(
    comparison: Comparison, rows: Sequence[SummaryRow], baselines: Sequence[Baseline], metric: str, seeds: int,
    knee: CurvePoint | None,
) -> str:  # fmt: skip
    """Return what a study found in two sentences: which is best, and what else the rows, seeds and baselines show."""
    if comparison.best is None:
        reasons = "; ".join(dict.fromkeys(reason for row in rows for reason in row.reasons))
        return f"No variant has a complete run{': ' + reasons if reasons else ''}."
    first = _first_sentence(comparison, rows, metric, seeds)
    parts = [
        "" if _better_of_two(rows) else _worse_part(rows, comparison.worst, metric),
        *_baseline_parts(rows, baselines, metric),
        *([] if knee is None else [_knee_part(knee, metric)]),
        _falling_part(rows),
        *_lost_parts(rows),
    ]
    rest = "; ".join(part for part in parts if part)
    return f"{first} {_capital(rest)}." if rest else first


def _worse_part(rows: Sequence[SummaryRow], worst: str | None, metric: str) -> str:
    """Name the worst, which is only the worst where it is shown to be worse than each of the others."""
    worse = [row for row in rows if row.against_best and row.against_best.distinguishable]
    if not worse:
        return ""
    last = worse[-1]
    assert last.against_best is not None
    # Where some learned nothing, they are the worst, whatever the table can compare.
    lost = any(not row.counts.get("complete") for row in rows)
    by = f"by {_with_interval(last.against_best.worse_by)} {metric}"
    if len(worse) == 1:
        return f"{last.name} is worse {by}"
    if last.name == worst:
        return f"{last.name} is worst{' of those that learned' * lost}, {by}"
    return f"{len(worse)} are worse, {last.name} {by}"


def _baseline_parts(rows: Sequence[SummaryRow], baselines: Sequence[Baseline], metric: str) -> list[str]:
    if len({row.network.code_length for row in rows if row.network and row.network.code_length}) > 1:
        return [part] if (part := _own_pca_part(rows, metric)) else []
    parts = []
    for key, words in (("pca", "PCA with the same code length"), ("best_linear", "the best linear code")):
        named = [baseline for baseline in baselines if baseline.name.startswith(BASELINES[key])]
        if len(named) == 1:
            known, best = named[0].mean.estimate, rows[0].mean.estimate
            ahead = known > best if comparable()[metric].better == "higher" else known < best
            parts.append(f"{words}{' does better' if ahead else ''}: {_number(known)}")
    # Where they are the same, as they are where PCA is the best, one of them says it.
    return parts[:1] if len({part.rpartition(": ")[2] for part in parts}) == 1 else parts


def _own_pca_part(rows: Sequence[SummaryRow], metric: str) -> str:
    """Say which configs do worse than PCA of their own code length."""
    higher = comparable()[metric].better == "higher"
    known = {
        row.name: (row.network.pca, row.mean.estimate)
        for row in rows
        if row.network and row.network.pca is not None and not math.isnan(row.mean.estimate)
    }
    behind = [name for name, (pca, ours) in known.items() if (pca > ours if higher else pca < ours)]
    if not known:
        return ""
    if not behind:
        return "each does better than PCA of its own code length"
    return f"each beside PCA of its own code length, which does better than {_listed(behind)}"


def _better_of_two(rows: Sequence[SummaryRow]) -> bool:
    """Whether the study is of two configs, of which one is better."""
    return (
        len(rows) == 2
        and all(r.network for r in rows)
        and any(r.against_best and r.against_best.distinguishable for r in rows)
    )


def _knee_part(knee: CurvePoint, metric: str) -> str:
    means = f"{metric} {_number(knee.mean)}, PCA {_number(knee.pca)}"
    return f"code lengths beyond {knee.latent_dim} ({means}) gain less and less"


def _falling_part(rows: Sequence[SummaryRow]) -> str:
    """Say where the two best variants still improved by more, at the end, than they differ."""
    best = [(row.means["mse"], row.means["falling"] or 0.0) for row in rows if row.means["mse"]][:2]
    if len(best) < 2:
        return ""
    (first, fall), (second, other_fall) = best
    cut_short = max(fall, other_fall) > abs((second or 0.0) / (first or 1.0) - 1)
    return "training was cut short: the order may change with more epochs" if cut_short else ""


def _lost_parts(rows: Sequence[SummaryRow]) -> list[str]:
    """Name the variants that lost runs, each as what it is, those that lost all of them first."""
    parts = []
    for state, meaning in (("collapsed", "learned nothing"), ("failed", "failed")):
        lost = [row for row in rows if row.counts.get(state)]
        lost.sort(key=lambda row: row.counts.get("complete", 0))
        names = [f"{row.name} ({row.counts[state]} of {sum(row.counts.values())} runs)" for row in lost]
        if names:
            parts.append(f"{_listed(names)} {meaning}")
    return parts


def _first_sentence(comparison: Comparison, rows: Sequence[SummaryRow], metric: str, seeds: int) -> str:
    tied, best = comparison.tied, rows[0]
    if len(rows) == 1:
        return f"{best.name} reconstructs these images with {metric} {_with_interval(best.mean)}."
    if _better_of_two(rows):
        other = rows[1]
        assert other.against_best is not None
        by = _with_interval(other.against_best.worse_by)
        return f"{best.name} reconstructs these images better than {other.name}, by {by} {metric}."
    these = "this seed" if seeds == 1 else f"these {seeds} seeds"
    if len(tied) == 1:
        return f"{best.name} reconstructs these images best, with {metric} {_with_interval(best.mean)}."
    more = _apart(comparison, rows, metric)
    if len(tied) == len(rows):
        cannot = "cannot" if seeds > 1 else "can not"
        return f"{_capital(these)} {cannot} tell {_listed(tied)} apart{more}; {best.name} has the best mean."
    return f"{_listed(tied)} reconstruct these images best; {these} cannot tell them apart{more}."


def _apart(comparison: Comparison, rows: Sequence[SummaryRow], metric: str) -> str:
    """Say how far the tied variants lie apart, and how far they must for such seeds to show it."""
    against = [row.against_best for row in rows if row.tied and row.against_best]
    if not comparison.shown_from or not against:
        return ""
    most = max(abs(each.worse_by.estimate) for each in against if not math.isnan(each.worse_by.estimate))
    shown = _number(comparison.shown_from)
    return f" (up to {_number(most)} {metric} apart; {100 * POWER:.0f} % of such studies would show {shown})"


def far_seeds_caveat(names: Sequence[str]) -> str:
    """Return the sentence that says what a seed far from the others means for the intervals, "" where there is none."""
    if not names:
        return ""
    return (
        f"one seed of {_listed(names)} lies far from its others: where seeds do so, the 95 % intervals of all means "
        f"hold in 72 to 89 % of simulated studies"
    )


def _with_interval(interval: Interval) -> str:
    if math.isnan(interval.low):
        return _number(interval.estimate)
    return f"{_number(interval.estimate)} [{_number(interval.low)}, {_number(interval.high)}]"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def _listed(names: Sequence[str]) -> str:
    # The variants of a grid have commas in their names.
    comma, last = ("; ", "; and ") if any("," in name for name in names) else (", ", " and ")
    most = 3 if comma == "; " else _MOST_NAMED
    if len(names) > most + 1:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{comma.join(names[:-1])}{last}{names[-1]}"


def _capital(text: str) -> str:
    # A variant keeps the name it has in the config.
    return (
        text[0].upper() + text[1:] if text.startswith(("these", "this", "training", "code lengths", "each")) else text
    )
