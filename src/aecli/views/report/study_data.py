"""What the folder of a study holds, read once for its page."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aecli.core.errors import AeError, RunError
from aecli.runs.config import Config, TrainingConfig
from aecli.runs.content import checked_images, read_text
from aecli.runs.records import EpochRecord, LayerHealth
from aecli.runs.run import Run
from aecli.studies.config import StudyFile
from aecli.studies.plan import plan
from aecli.studies.results import Result
from aecli.studies.study import Study
from aecli.studies.summary import Summary, SummaryRow, summarise
from aecli.studies.verdict import which_networks

TRAINED = ("complete", "collapsed")
"""The states of a run that has a model and a history."""


@dataclass(frozen=True)
class StudyData:
    """A study's config, its results and what they say together."""

    study: Study
    config: StudyFile
    results: tuple[Result, ...]
    summary: Summary

    @cached_property
    def _configs(self) -> dict[str, Config]:
        """The config of every variant, of its first seed, by the variant's name."""
        return {variant.name: variant.config.run_config for variant in plan(self.config)}

    def training(self, row: SummaryRow) -> TrainingConfig:
        """Return how a row was trained; a variant that the config does not name, as the config says."""
        return self._configs.get(row.variant, self.config).training

    def of(self, row: SummaryRow) -> list[Result]:
        """Return the results of a row of the table, by seed."""
        return sorted((r for r in self.results if r.variant == row.variant), key=lambda r: r.seed)

    def complete(self, row: SummaryRow) -> list[Result]:
        """Return the results of a row that count."""
        return [result for result in self.of(row) if result.state == "complete"]

    def run(self, result: Result) -> Run:
        """Return the run of a result."""
        return Run(self.study.path / result.run)

    @cached_property
    def histories(self) -> dict[str, list[list[EpochRecord]]]:
        """The histories of every variant's runs that count, as far as they are still there."""
        return {row.variant: _read_all([self.run(r) for r in self.complete(row)], "history") for row in self.rows}

    @cached_property
    def lost_histories(self) -> dict[str, list[tuple[Result, list[EpochRecord]]]]:
        """The histories of every variant's runs that do not count, with their results, as far as they have any."""
        lost = {row.variant: [r for r in self.of(row) if r.state != "complete"] for row in self.rows}
        return {
            variant: [(result, history) for result in results for history in _read_all([self.run(result)], "history")]
            for variant, results in lost.items()
        }

    @cached_property
    def healths(self) -> dict[str, list[list[LayerHealth]]]:
        """The same of their health; collapsed runs too, whose health tells why."""
        return {
            row.variant: _read_all([self.run(r) for r in self.of(row) if r.state in TRAINED], "health")
            for row in self.rows
        }

    @property
    def rows(self) -> tuple[SummaryRow, ...]:
        """The rows of the table, best first."""
        return self.summary.rows

    @cached_property
    def lost(self) -> list[Result]:
        """The runs that do not count."""
        return [result for result in self.results if result.state != "complete"]

    @cached_property
    def environments(self) -> list[dict[str, Any]]:
        """What environment.json of every run with one says."""
        return _read_all([self.run(result) for result in self.results if result.state in TRAINED], "environment")

    @cached_property
    def about(self) -> dict[str, Any]:
        """What summary.json says beside the summary: when the study ended, and on which images."""
        try:
            return checked_images(dict(json.loads(read_text(self.study.summary_file))))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return {}


def load_study(study: Study) -> StudyData:
    """Read a study's folder; RunError where it is none."""
    config = study.config
    results = tuple(study.results())
    if not results:
        raise RunError(f"{study.results_file}: has no run: run ae compare again")
    return StudyData(study, config, results, summarise(results, config.study.metric, which_networks(config)))


def _read_all(runs: list[Run], name: str) -> list[Any]:
    """Return one property of the runs; a run that has it no more is left out, a page can do without."""
    contents = []
    for run in runs:
        try:
            content = getattr(run, name)
        except AeError:
            continue
        if content:
            contents.append(content)
    return contents
