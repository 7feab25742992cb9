"""How far a study is, in a terminal: a row a variant, a sentence, what failed, and as JSON every run."""

from collections.abc import Iterable
from dataclasses import asdict

import click

from aecli.cli.terminal import note, note_if, print_json, print_table
from aecli.studies.parts.part import Part
from aecli.studies.parts.status import STATES, StudyStatus, study_status
from aecli.studies.study import Study


def print_status(study: Study, part: Part | None, as_json: bool, quiet: bool) -> None:
    """Print how far a study is, or a part of it; raises AeError where its folder holds none."""
    status = study_status(study, part)
    if as_json:
        runs = [asdict(run) for run in status.runs]
        whole = {"study": str(study.path), "part": part and str(part), "counts": status.counts, "runs": runs}
        print_json({**whole, "threads": status.threads_note})
        return
    if status.runs:
        print_table(["variant", *STATES], _rows(status))
    click.echo(_sentence(study, part, status))
    for run in status.runs:
        if run.state == "failed":
            note(f"{run.variant}, seed {run.seed}: failed: {run.reason}", quiet)
    if not status.locks:
        note(f"{study.path}: the file system has no locks: runs in training count as missing", quiet)
    note_if(status.threads_note, quiet)


def _rows(status: StudyStatus) -> list[list[str]]:
    """Return for every variant the seeds of its runs in each state."""
    variants = dict.fromkeys(run.variant for run in status.runs)
    seeds = {
        (variant, state): _ranges(run.seed for run in status.runs if (run.variant, run.state) == (variant, state))
        for variant in variants
        for state in STATES
    }
    return [[variant, *(seeds[variant, state] for state in STATES)] for variant in variants]


def _ranges(seeds: Iterable[int]) -> str:
    """Return increasing seeds as text: 0-3, 5."""
    ranges: list[list[int]] = []
    for seed in seeds:
        if ranges and ranges[-1][-1] == seed - 1:
            ranges[-1] = [ranges[-1][0], seed]
        else:
            ranges.append([seed])
    return ", ".join("-".join(map(str, ends)) for ends in ranges)


def _sentence(study: Study, part: Part | None, status: StudyStatus) -> str:
    place = f"{study.path}, part {part}" if part else str(study.path)
    if not status.runs:
        return f"{place}: no run, there are more parts than runs"
    others = [f"{count} {state}" for state, count in status.counts.items() if count and state != "complete"]
    complete = f"{status.counts['complete']} of {len(status.runs)} runs complete"
    return f"{place}: {', '.join([complete, *others])}"
