"""Comparing: trains what a study lacks, and sums up what it has."""

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aecli.core.errors import AeError, ConfigError
from aecli.core.files import write_text
from aecli.core.machine import cores, processes
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.dataset import ImageDataset
from aecli.runs.config import Config
from aecli.runs.config_file import to_yaml
from aecli.runs.metrics import NLL
from aecli.runs.provenance import data_fields, run_fingerprint, with_absolute_paths
from aecli.runs.run import FORMAT_VERSION, Run
from aecli.studies.config import StudyFile
from aecli.studies.costs import cost_note
from aecli.studies.executors.executor import ATTEMPTS, Event, Executor, Task
from aecli.studies.executors.gpus import WORKERS_A_GPU, gpus_for
from aecli.studies.executors.processes import ProcessExecutor
from aecli.studies.parts.part import Part
from aecli.studies.parts.threads import threads_note, threads_of
from aecli.studies.plan import Variant, complete_study, plan, planned_runs, seeds
from aecli.studies.results import Result
from aecli.studies.study import Study
from aecli.studies.summary import Summary, require_metric, summarise
from aecli.studies.verdict import which_networks
from aecli.training.engines.engine import DEFAULT_ENGINE
from aecli.training.prepare import check_output_range, check_shape, open_data


class StudyProgress(Protocol):
    """Receives what happens in a study."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def planned(self, runs: Sequence[tuple[Variant, int]], results: Sequence[Result]) -> None:
        """All runs, variants with seeds, and the results that are there already."""

    def event(self, event: Event, result: Result | None) -> None:
        """Something happened to a run; `result` comes with its end."""

    def close(self) -> None:
        """No more runs will come."""


class NullStudyProgress:
    """Reports to nobody."""

    def note(self, message: str) -> None: ...
    def planned(self, runs: Sequence[tuple[Variant, int]], results: Sequence[Result]) -> None: ...
    def event(self, event: Event, result: Result | None) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class StudyResult:
    """A finished study: its folder, every run's result, and what they say together."""

    study: Study
    results: tuple[Result, ...]
    summary: Summary


def compare(
    config: StudyFile,
    folder: Path,
    progress: StudyProgress,
    workers: int | None = None,
    overwrite: bool = False,
    on_progress: ProgressCallback = no_progress,
    executor: Executor | None = None,
    device: str = "cpu",
) -> StudyResult:
    """Train the runs that the study in `folder` lacks, and write its table and summary.

    A run that is complete, or has failed twice, is never trained again; one of another config or of other
    images is refused, or with `overwrite` trained anew. `workers` are by default as many as there are cores, as far as
    the memory goes, and no more than a few for each GPU; the cores are shared among them. `device` is "cpu",
    "gpu:0,1", or "auto", every GPU, else the CPU. `executor` trains the runs, by default in so many worker processes.
    Raises AeError before anything is trained when config and images do not fit, or another process works on this
    study, and WriteError when the disk is full.
    """
    work = _prepare(config, progress, workers, on_progress, executor, device)
    study, config = Study(folder), work.config
    with study.locked(config, progress.note):
        results = _train_missing(study, work, planned_runs(config), progress, overwrite, study.write_results)
        summary = summarise(results, config.study.metric, which_networks(config))
        threads = _threads_note(study, results)
        header = {"format_version": FORMAT_VERSION, "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **work.data}
        header |= {"threads": threads} if threads else {}
        write_text(study.summary_file, json.dumps({**header, **summary.to_json()}, indent=2, allow_nan=False) + "\n")
    if threads:
        progress.note(threads)
    return StudyResult(study, results, summary)


def train_part(
    config: StudyFile,
    folder: Path,
    part: Part,
    progress: StudyProgress,
    workers: int | None = None,
    overwrite: bool = False,
    on_progress: ProgressCallback = no_progress,
    executor: Executor | None = None,
    device: str = "cpu",
) -> tuple[Result, ...]:
    """Train what the study in `folder` lacks of a part; return the results of that part's runs.

    Parts may be trained at the same time, on whatever machines: no run is in two of them, and nothing but the study's
    config is written outside of the runs. Arguments and errors are those of `compare`; AeError too where the folder
    has another study.
    """
    work = _prepare(config, progress, workers, on_progress, executor, device)
    study = Study(folder)
    study.join(work.config, overwrite)
    return _train_missing(study, work, planned_runs(work.config, part), progress, overwrite, lambda _: None)


@dataclass(frozen=True)
class _Work:
    """What training the runs of a study takes: its complete config, what is known of its images, who trains them.

    `note_costs` says what runs will take.
    """

    config: StudyFile
    data: Mapping[str, Any]
    executor: Executor
    note_costs: Callable[[Sequence[tuple[Variant, Config]]], None]


def _prepare(
    config: StudyFile,
    progress: StudyProgress,
    workers: int | None,
    on_progress: ProgressCallback,
    executor: Executor | None,
    device: str,
) -> _Work:
    """Open the images and see that every variant fits them."""
    config = complete_study(with_absolute_paths(config))
    variants = plan(config)
    train, test = open_data(config, on_progress)
    for source in (train, test):
        if source is not None:
            progress.note(str(source))
            for variant in variants:
                _check(variant, source)
    data = {"data": data_fields(train), "test": test and data_fields(test)}
    count = len(variants) * len(seeds(config))
    # By all runs, not by those that are missing or of this part: the threads change the last bits of a result.
    gpus = gpus_for(device)
    usual = processes(DEFAULT_ENGINE.memory)
    workers = min(workers or min(usual, WORKERS_A_GPU * len(gpus) or usual), count)
    threads = max(1, cores() // workers)
    if gpus:
        progress.note(f"{workers} workers on {len(gpus)} GPU{'s' * (len(gpus) > 1)}")
    executor = executor or ProcessExecutor(workers, threads, gpus)

    def note_costs(runs: Sequence[tuple[Variant, Config]]) -> None:
        if costs := cost_note(runs, train, test, workers, threads):
            progress.note(costs)

    return _Work(config, data, executor, note_costs)


def _threads_note(study: Study, results: Sequence[Result]) -> str | None:
    trained = [result for result in results if result.state in ("complete", "collapsed")]
    return threads_note({f"{r.variant}, seed {r.seed}": threads_of(Run(study.path / r.run)) for r in trained})


def _require_likelihoods(variants: Sequence[Variant]) -> None:
    """Raise AeError that names the variants by whose codes no image has a likelihood."""
    plain = [variant.name for variant in variants if variant.config.model.variational is None]
    if plain:
        raise AeError(
            f"study.metric: {', '.join(plain[:8])}{' and others' * (len(plain) > 8)}: no variational code, so no nll: "
            f"set model.code: {{gaussian: {{}}}}, or compare by another metric, e.g. --by mse"
        )


def _check(variant: Variant, source: ImageDataset) -> None:
    """Raise ConfigError where a variant does not fit the images, with its name where its config is one of several."""
    try:
        check_shape(variant.config, source)
        check_output_range(variant.config, source)
    except ConfigError as error:
        if not variant.of:
            raise
        raise ConfigError([f"{variant.name}: {problem}" for problem in error.problems]) from error


def _train_missing(
    study: Study,
    work: _Work,
    planned: Sequence[tuple[Variant, int]],
    progress: StudyProgress,
    overwrite: bool,
    write_results: Callable[[Sequence[Result]], None],
) -> tuple[Result, ...]:
    """Train those of the planned runs that are missing; return the result of every one, which are written too."""
    runs = {study.run(variant, seed).path: (variant, seed) for variant, seed in planned}
    missing = []
    for path, (variant, seed) in runs.items():
        config = variant.at(seed)
        wanted = run_fingerprint(config, work.data)
        if not _finished(Run(path), wanted, overwrite):
            missing.append(Task(variant.name, config, path, variant.name, None if overwrite else wanted))
    todo = {task.folder for task in missing}
    results = {path: study.result(*runs[path]) for path in runs if path not in todo}
    metric = work.config.study.metric
    if metric == NLL.name:
        _require_likelihoods(plan(work.config))
    require_metric([*results.values()], metric)
    work.note_costs([(runs[task.folder][0], task.config) for task in missing])
    progress.planned(planned, list(results.values()))

    def write() -> None:
        write_results([results.get(path) or study.result(*runs[path]) for path in runs])

    events = work.executor.run(missing)
    try:
        for event in events:
            path = event.task.folder
            if event.kind == "failed":
                _mark_failed(Run(path), event)
            if event.kind in ("done", "failed"):
                results[path] = study.result(*runs[path])
            progress.event(event, results.get(path))
            if event.kind == "done":  # what cannot be compared in the end need not be trained further
                require_metric([results[path]], metric)
    except BaseException:
        with suppress(AeError):  # what ended the study is what the user should see
            write()
        raise
    finally:
        if isinstance(events, Generator):
            events.close()  # now, not when the error that ended the study has been forgotten
        progress.close()
    write()
    return tuple(results[path] for path in runs)


def _mark_failed(run: Run, event: Event) -> None:
    """Mark a run as failed for good; it may have failed before its folder was made, or made anew."""
    with run.locked():
        if not run.begun or run.state == "complete":
            run.create(to_yaml(event.task.config), overwrite=True)
        run.write_failure("failed", event.reason or "", 0, ATTEMPTS)


def _finished(run: Run, wanted: str, overwrite: bool) -> bool:
    """Whether a run needs no training; AeError where it is one of another config or other images."""
    if not run.path.is_dir() or run.state in ("incomplete", "interrupted"):
        return False
    if run.state == "failed":
        return run.failure[1] >= ATTEMPTS and not overwrite
    if run.environment.get("identity") == wanted:
        return True
    if overwrite:
        return False
    raise AeError(
        f"{run.path}: was trained with another config or on other images: give another --output or add --overwrite"
    )
