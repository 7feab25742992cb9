"""Going on with a run: what must be as it was, and its checkpoints, written while it trains and found again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aecli.core.errors import ConfigError, OtherImagesError, ReadError, RunError
from aecli.runs.config import Config
from aecli.runs.config_file import load_config
from aecli.runs.provenance import with_absolute_paths
from aecli.runs.run import Run
from aecli.training.checkpoints import Checkpoint, State, read_checkpoint, write_checkpoint

DEAREST = 0.01
"""The share of a training's time that its checkpoints may take."""

FIRST_COST = 0.05
"""Seconds that the first checkpoint is taken to cost: a training of a few seconds has little to lose."""

_MAY_CHANGE = ("data.train", "data.test", "data.memory_budget", "training.epochs", "training.checkpoint_seconds")
"""Keys that change nothing, or that are looked at elsewhere: images by their fingerprint, epochs by themselves."""


class Keeper:
    """Writes the checkpoints of a run that trains, and keeps the last two.

    One is due after `seconds`, and at the end of an epoch as soon as DEAREST allows; in a `brief` run not for the
    epoch's sake. With 0 seconds one is always due. `spent` counts the seconds that they took.
    """

    def __init__(self, run: Run, seconds: float, checkpoint: Callable[[State], Checkpoint], brief: bool) -> None:
        self._last_file: Path | None = None
        self._run, self._seconds, self._checkpoint, self._brief = run, seconds, checkpoint, brief
        self._last, self._cost = time.perf_counter(), FIRST_COST
        self.spent = 0.0

    def go_on_from(self, file: Path) -> None:
        """Keep this checkpoint as the last one."""
        self._last_file = file

    def due(self, after: Literal["call", "epoch", "end"]) -> bool:
        """Whether a checkpoint should be written at this pause."""
        if after == "end":
            return not self._brief
        if self._seconds == 0:
            return True
        wait = 0.0 if after == "epoch" and not self._brief else self._seconds
        return time.perf_counter() - self._last >= max(wait, self._cost / DEAREST)

    def keep(self, state: Callable[[], State]) -> None:
        """Write a checkpoint of the state."""
        started, before, file = time.perf_counter(), self._run.checkpoint_files, self._run.next_checkpoint_file
        write_checkpoint(file, self._checkpoint(state()))
        for other in before:
            if other != self._last_file:
                other.unlink(missing_ok=True)
        self._last_file = file
        self._last = time.perf_counter()
        self._cost = self._last - started
        self.spent += self._cost

    def clear(self) -> None:
        """Leave what a complete run needs to be extended: the last checkpoint, in a brief run none."""
        for file in self._run.checkpoint_files[: None if self._brief else -1]:
            file.unlink(missing_ok=True)


def is_done(run: Run, config: Config) -> bool:
    """Whether a run is complete, for all epochs of the config."""
    return run.state == "complete" and load_config(run.config_file).config.training.epochs == config.training.epochs


def can_go_on(run: Run, config: Config) -> bool:
    """Whether a run that did not reach its end has a checkpoint, and this config."""
    if run.state not in ("incomplete", "interrupted") or not run.checkpoint_files:
        return False
    try:
        check_config(run, config)
    except (ConfigError, RunError):
        return False
    return True


def check_config(run: Run, config: Config) -> None:
    """Raise ConfigError naming every key in which the config is not the run's own."""
    own = load_config(run.config_file).config
    problems = [
        f"{run.config_file}: {key}: the run was begun with {before}, not with {now}: leave the key as it was, or give "
        f"another --run"
        for key, before, now in _differences(own, config)
        if key not in _MAY_CHANGE
    ]
    before, now = own.training.epochs, config.training.epochs
    if before != now and own.training.schedule == "cosine":
        problems.append(
            f"{run.config_file}: training.epochs: with schedule cosine every step depends on how many epochs there "
            f"are, {before} in this run: leave it as it was, or give another --run"
        )
    elif now < before:
        problems.append(
            f"{run.config_file}: training.epochs: the run was begun with {before}, {now} are fewer: give {before} or "
            f"more, or another --run"
        )
    if problems:
        raise ConfigError(problems)


def _differences(own: Config, config: Config) -> list[tuple[str, Any, Any]]:
    befores, nows = (with_absolute_paths(each.alone()).model_dump(mode="json") for each in (own, config))
    return [
        (f"{section}.{key}", before, nows[section][key])
        for section, keys in befores.items()
        for key, before in keys.items()
        if nows[section].get(key) != before
    ]


def check_images(run: Run, data: Mapping[str, Any]) -> None:
    """Raise OtherImagesError where the images are not those that the run was begun on."""
    for part in ("data", "test"):
        before, now = run.environment.get(part), data[part]
        if bool(before) != bool(now):
            how = "with" if before else "without"
            raise OtherImagesError(f"{run.path}: was begun {how} data.test: leave it as it was")
        if before and before["sha256"] != now["sha256"]:
            raise OtherImagesError(
                f"{now['file']}: its SHA-256 is {now['sha256'][:12]}..., that of the images the run was begun on "
                f"{before['sha256'][:12]}...: give the same images, or another --run"
            )


@dataclass(frozen=True)
class Found:
    """A checkpoint to go on from, and its file."""

    file: Path
    checkpoint: Checkpoint


def find_checkpoint(run: Run, course: str, streamed: bool, note: Callable[[str], None]) -> Found | None:
    """Return the newest checkpoint of this course; those that are newer but of no use go when others are written.

    Raises RunError where the images no longer come in the same order, being streamed or not, ReadError where the
    disk fails.
    """
    for file in reversed(run.checkpoint_files):
        try:
            checkpoint = read_checkpoint(file)
        except ReadError as error:
            raise ReadError(f"{error}, or move it away to go on from what is older") from error
        except RunError as error:
            note(f"{error}: left out")
        else:
            if checkpoint.course == course:
                if checkpoint.streamed == streamed:
                    return Found(file, checkpoint)
                raise RunError(
                    f"{run.path}: its images were {'streamed' if checkpoint.streamed else 'held in memory'} and now "
                    f"would not be: set data.memory_budget so that they are"
                )
            note(f"{file}: belongs to another training: left out")
    return None
