"""A second executor: a study trained in this process comes out as one trained by worker processes."""

import csv
from pathlib import Path

import numpy as np
import pytest

from aecli.core.machine import cores
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.studies.compare import NullStudyProgress, compare
from aecli.studies.config import StudyFile
from aecli.studies.executors.executor import Executor
from aecli.studies.executors.processes import ProcessExecutor
from tests.in_process import InProcessExecutor

TINY = ("model.latent_dim=8", "training.epochs=2", "training.learning_rate=0.01")


class Recorded(NullStudyProgress):
    def __init__(self):
        self.events, self.there = [], 0

    def planned(self, runs, results):
        self.there = len(results)

    def event(self, event, result):
        self.events.append(event)

    def count(self, kind):
        return sum(event.kind == kind for event in self.events)


def study_of(*overrides, folder="study", executor: Executor | None = None, **options):
    """Compare in this process; return the study's result and its events."""
    progress = Recorded()
    config = load_config(None, (*TINY, *overrides), StudyFile).config
    executor = executor or InProcessExecutor()
    return compare(config, Path(folder), progress, workers=1, executor=executor, **options), progress


VARY = "study.vary={model.activation: [relu, linear]}"


def test_a_study_comes_out_as_that_of_worker_processes():
    ours, progress = study_of(VARY, "study.seeds=2", folder="ours")
    theirs, other = study_of(VARY, "study.seeds=2", folder="theirs", executor=ProcessExecutor(1, cores()))
    for kind, count in (("started", 4), ("epoch", 8), ("done", 4), ("failed", 0)):
        assert progress.count(kind) == other.count(kind) == count
    rows = [list(csv.DictReader(study.study.results_file.read_text().splitlines())) for study in (ours, theirs)]
    for row in (*rows[0], *rows[1]):
        del row["seconds"]
    assert rows[0] == rows[1]
    assert ours.summary.verdict == theirs.summary.verdict


def test_a_study_goes_on_with_another_executor():
    study_of(VARY, "study.seeds=1")
    result, progress = study_of(VARY, "study.seeds=2", executor=ProcessExecutor(1, cores()))
    assert progress.there == 2
    assert progress.count("done") == 2
    assert {Run(result.study.path / row.run).state for row in result.results} == {"complete"}


@pytest.fixture
def too_large():
    """Images on which no training has a finite loss."""
    images = np.random.default_rng(0).random((300, 5, 5)).astype(np.float32)
    np.save("large.npy", images)
    return ("data.train=large.npy", "training.learning_rate=1e6", "training.optimizer=sgd", "training.epochs=20")


def test_a_run_that_fails_is_tried_once_more_and_then_counted(too_large):
    sets = (*too_large, "model.output_activation=linear", "study.vary={model.activation: [exponential]}")
    result, progress = study_of(*sets, "study.seeds=1")
    assert [progress.count(kind) for kind in ("retried", "failed", "done")] == [1, 1, 0]
    assert result.results[0].state == "failed"
    assert "loss became" in Run(result.study.path / result.results[0].run).failure[0]


def test_the_command_line_knows_the_runs_for_its_own(ae):
    result, _ = study_of(VARY, "study.seeds=1")
    sets = [part for key in (*TINY, VARY) for part in ("--set", key)]
    Path("defaults.yaml").write_text("{}")
    again = ae("compare", "--config", "defaults.yaml", "--output", "study", "--seeds", "1", *sets)
    assert "2 of 2 runs are there already" in again.stderr
    assert result.summary.verdict in again.stdout
    assert result.study.report_file.is_file()
