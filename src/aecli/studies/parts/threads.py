"""With how many threads the runs of a study were trained: they change the last bits of a result."""

from collections.abc import Mapping

from aecli.core.errors import AeError
from aecli.runs.run import Run

_MOST_NAMED = 8
"""Runs that the note names; of more it says how many, their environment.json has it."""


def threads_of(run: Run) -> int | None:
    """Return with how many threads a complete run was trained; None where its folder does not say."""
    try:
        return int(run.environment["machine"]["threads"])
    except (AeError, KeyError, TypeError, ValueError):
        return None


def threads_note(threads: Mapping[str, int | None]) -> str | None:
    """Return the line that names the runs trained with other thread counts than most; None where all have the same.

    `threads` are those of every complete run by what the run is called.
    """
    known = {name: count for name, count in threads.items() if count is not None}
    counts = list(known.values())
    if len(set(counts)) < 2:
        return None
    usual = max(dict.fromkeys(counts), key=counts.count)
    others = {name: count for name, count in known.items() if count != usual}
    named = "; ".join(f"{name} ({count})" for name, count in list(others.items())[:_MOST_NAMED])
    more = f"; and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    return (
        f"threads: {counts.count(usual)} of {len(counts)} runs were trained with {usual}, but {named}{more}: the last "
        f"bits of their results may differ"
    )
