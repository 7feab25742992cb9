"""How far a study is, read from its folder while its runs are trained, wherever that is: nothing of it is held."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

from aecli.core.locks import is_held
from aecli.runs.run import Run
from aecli.studies.executors.executor import ATTEMPTS
from aecli.studies.parts.part import Part
from aecli.studies.parts.threads import threads_note, threads_of
from aecli.studies.plan import planned_runs
from aecli.studies.study import Study

RunStatus = Literal["complete", "training", "failed", "missing"]
STATES: tuple[RunStatus, ...] = get_args(RunStatus)


@dataclass(frozen=True)
class PlannedRun:
    """A run that a study plans: its folder in that of the study, and how far it is.

    "failed" is final, with a `reason`; "missing" is what the same command begins, or goes on with. `threads` are those
    that a complete run was trained with.
    """

    variant: str
    seed: int
    run: str
    state: RunStatus
    reason: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class StudyStatus:
    """The runs of a study, or of a part of it, in the order of its plan.

    `locks` says whether the file system has locks: where it has none, nobody can tell which runs are in training.
    """

    runs: tuple[PlannedRun, ...]
    locks: bool

    @property
    def counts(self) -> dict[RunStatus, int]:
        """How many runs are in each state."""
        counts = Counter(run.state for run in self.runs)
        return {state: counts[state] for state in STATES}

    @property
    def threads_note(self) -> str | None:
        """The line that names the runs of other thread counts, where there are any."""
        return threads_note({f"{run.variant}, seed {run.seed}": run.threads for run in self.runs})


def study_status(study: Study, part: Part | None = None) -> StudyStatus:
    """Read how far a study is, or a part of it; raises AeError where the folder is none, or its config is damaged."""
    runs, locks = [], True
    for variant, seed in planned_runs(study.config, part):
        run = study.run(variant, seed)
        state, reason = _state(run)
        if state == "missing":
            held = is_held(run.lock_file)
            locks = locks and held is not None
            state = "training" if held else "missing"
        threads = threads_of(run) if state == "complete" else None
        runs.append(PlannedRun(variant.name, seed, study.name_of(run), state, reason, threads))
    return StudyStatus(tuple(runs), locks)


def _state(run: Run) -> tuple[RunStatus, str | None]:
    if run.state == "complete":
        return "complete", None
    if run.state == "failed" and run.failure[1] >= ATTEMPTS:
        return "failed", run.failure[0]
    return "missing", None
