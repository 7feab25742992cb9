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
from aecli.studies.plan import Variant, complete_study, plan, seeds
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

    def planned(self, variants: Sequence[Variant], seeds: Sequence[int], results: Sequence[Result]) -> None:
        """The runs to come, and the results that are there already."""

    def event(self, event: Event, result: Result | None) -> None:
        """Something happened to a run; `result` comes with its end."""

    def close(self) -> None:
        """No more runs will come."""


class NullStudyProgress:
    """Reports to nobody."""

    def note(self, message: str) -> None: ...
    def planned(self, variants: Sequence[Variant], seeds: Sequence[int], results: Sequence[Result]) -> None: ...
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
    config = complete_study(with_absolute_paths(config))
    variants = plan(config)
    train, test = open_data(config, on_progress)
    for source in (train, test):
        if source is not None:
            progress.note(str(source))
            for variant in variants:
                _check(variant, source)
    data = {"data": data_fields(train), "test": test and data_fields(test)}
    study = Study(folder)
    count = len(variants) * len(seeds(config))
    # By all runs, not by those that are missing: the threads change the last bits of a result.
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

    with study.locked(config, progress.note):
        results = _train_missing(study, config, data, progress, executor, overwrite, note_costs)
        summary = summarise(results, config.study.metric, which_networks(config))
        header = {"format_version": FORMAT_VERSION, "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **data}
        write_text(study.summary_file, json.dumps({**header, **summary.to_json()}, indent=2, allow_nan=False) + "\n")
    return StudyResult(study, results, summary)


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
    config: StudyFile,
    data: Mapping[str, Any],
    progress: StudyProgress,
    executor: Executor,
    overwrite: bool,
    note_costs: Callable[[Sequence[tuple[Variant, Config]]], None],
) -> tuple[Result, ...]:
    """Train the runs that are missing; return the result of every run, which results.csv then has."""
    variants, run_seeds = plan(config), seeds(config)
    missing = [
        Task(variant.name, variant.at(seed), study.run(variant, seed).path, variant.name)
        for variant in variants
        for seed in run_seeds
        if not _finished(study.run(variant, seed), run_fingerprint(variant.at(seed), data), overwrite)
    ]
    todo = {task.folder for task in missing}
    runs = {study.run(variant, seed).path: (variant, seed) for variant in variants for seed in run_seeds}
    results = {path: study.result(*runs[path]) for path in runs if path not in todo}
    metric = config.study.metric
    if metric == NLL.name:
        _require_likelihoods(variants)
    require_metric([*results.values()], metric)
    note_costs([(runs[task.folder][0], task.config) for task in missing])
    progress.planned(variants, run_seeds, list(results.values()))

    def write_results() -> None:
        study.write_results([results.get(path) or study.result(*runs[path]) for path in runs])

    events = executor.run(missing)
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
            write_results()
        raise
    finally:
        if isinstance(events, Generator):
            events.close()  # now, not when the error that ended the study has been forgotten
        progress.close()
    write_results()
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
