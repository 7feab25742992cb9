"""What stands under the table of a study's page: how far its numbers can be trusted."""

import math

from aecli.studies.power import POWER, error_per_pair, power, seeds_to_show, smallest_effect
from aecli.studies.stats import FEWEST_SEEDS, least_p
from aecli.studies.summary import Summary

_CONFIDENCE = 0.95
_EFFECTS = (1, 2, 3)
_LARGE = 2
"""Differences in standard deviations of the paired differences, of which the page says how often they are shown."""

_SIGNIFICANT = 0.05
"""The p below which a difference is commonly taken for shown."""

_SHARE = f"{100 * POWER:.0f} %"


def on_intervals(summary: Summary) -> tuple[str, ...]:
    """Say what the brackets are, and what their intervals may not hold for."""
    if len(summary.seeds) < FEWEST_SEEDS:
        return (f"Fewer than {FEWEST_SEEDS} seeds: the means have no interval worth the name.",)
    caveat = f"{summary.caveat[:1].upper()}{summary.caveat[1:]}."
    return ("[ ] are 95 % intervals over the seeds.", *([caveat] if summary.caveat else []))


def on_power(summary: Summary) -> tuple[str, ...]:
    """Say how large a difference so many seeds of so many variants show, where there are variants to compare."""
    seeds, variants = len(summary.seeds), _compared(summary)
    if variants < 2 or seeds < 2:
        return ()
    error = error_per_pair(variants, _CONFIDENCE)
    shown = " / ".join(f"{100 * power(effect, seeds, error):.0f}" for effect in _EFFECTS)
    effects = " / ".join(f"{effect}" for effect in _EFFECTS)
    note = f"{seeds} seeds of {variants} variants show a difference of {effects} standard deviations of the paired "
    note += f"differences in {shown} % of studies, one of {smallest_effect(seeds, error):.2g} in {_SHARE}"
    needed = seeds_to_show(_LARGE, error)
    return (f"{note}; {needed} seeds would show one of {_LARGE} in {_SHARE}." if needed else f"{note}.",)


def on_p(summary: Summary) -> tuple[str, ...]:
    """Say how a best variant that wins on every seed and a large p go together, where there are variants to compare."""
    seeds, variants = len(summary.seeds), _compared(summary)
    if variants < 2:
        return ()
    alone, corrected = least_p(seeds, variants)
    note = "P(best wins) is a share of seeds, no significance: 1.00 says that on every one the best by the other seeds "
    note += "did better."
    if corrected > _SIGNIFICANT:
        these = f"{seeds} seed{'s' * (seeds != 1)}"
        note += f" On {these} Wilcoxon's p is never below {alone:.2g}, corrected for {math.comb(variants, 2)} "
        note += f"pair{'s' * (variants > 2)} never below {corrected:.2g}, however clear the difference is."
    return (f"{note} So neither decides what is tied or worse: the interval of worse by does.",)


def _compared(summary: Summary) -> int:
    return sum(not math.isnan(row.mean.estimate) for row in summary.rows)
