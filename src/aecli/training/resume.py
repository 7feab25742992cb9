"""Going on with a run: what must be as it was, and the checkpoint to go on from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aecli.core.errors import ConfigError, OtherImagesError, ReadError, RunError
from aecli.data.split import Split
from aecli.runs.config import Config
from aecli.runs.config_file import load_recorded
from aecli.runs.provenance import with_absolute_paths
from aecli.runs.run import Run
from aecli.training.checkpoints import Checkpoint, read_checkpoint

_MAY_CHANGE = ("data.train", "data.test", "data.memory_budget", "training.epochs", "training.checkpoint_seconds")
"""Keys that change nothing, or that are looked at elsewhere: images by their fingerprint, epochs by themselves."""

_FALLS = {"cosine": "every step depends", "linear_tail": "the last steps depend"}
"""The schedules that fall to 0 over the epochs, and what of them depends on their number."""


def is_done(run: Run, config: Config) -> bool:
    """Whether a run is complete, for all epochs of the config."""
    return run.state == "complete" and load_recorded(run.config_file).config.training.epochs == config.training.epochs


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
    run_config = load_recorded(run.config_file).config
    problems = [
        f"{run.config_file}: {key}: the run was begun with {before}, not with {now}: leave the key as it was, or give "
        f"another --run"
        for key, before, now in _differences(run_config, config)
        if key not in _MAY_CHANGE
    ]
    before, now = run_config.training.epochs, config.training.epochs
    schedule = run_config.training.schedule
    if before != now and schedule in _FALLS:
        problems.append(
            f"{run.config_file}: training.epochs: with schedule {schedule} {_FALLS[schedule]} on how many epochs there "
            f"are, {before} in this run: leave it as it was, or give another --run"
        )
    elif now < before:
        problems.append(
            f"{run.config_file}: training.epochs: the run was begun with {before}, {now} are fewer: give {before} or "
            f"more, or another --run"
        )
    if problems:
        raise ConfigError(problems)


def _differences(run_config: Config, config: Config) -> list[tuple[str, Any, Any]]:
    befores, nows = (with_absolute_paths(c).model_dump(mode="json") for c in (run_config, config))
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


def check_split(run: Run, split: Split) -> None:
    """Raise OtherImagesError where the rows are not those that the run was begun with: its labels are others."""
    if not run.split_file.is_file():  # it was killed before it wrote them
        return
    before = run.split
    if not all(np.array_equal(getattr(before, part), getattr(split, part)) for part in ("train", "validation", "test")):
        raise OtherImagesError(
            f"{run.split_file}: holds other rows than the labels beside the images give now: give the same labels, or "
            f"another --run"
        )


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint to go on from, and its file."""

    file: Path
    checkpoint: Checkpoint


def find_checkpoint(run: Run, trajectory: str, streamed: bool, note: Callable[[str], None]) -> ResumePoint | None:
    """Return the newest checkpoint of this trajectory; those that are newer but of no use go when others are written.

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
            if checkpoint.trajectory == trajectory:
                if checkpoint.streamed == streamed:
                    return ResumePoint(file, checkpoint)
                raise RunError(
                    f"{run.path}: its images were {'streamed' if checkpoint.streamed else 'held in memory'} and now "
                    f"would not be: set data.memory_budget so that they are"
                )
            note(f"{file}: belongs to another training: left out")
    return None
