"""A study on a file system that has no locks says so, once."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from aecli.runs.config_file import load_config
from aecli.studies.compare import NullStudyProgress, compare
from aecli.studies.config import StudyFile
from tests.in_process import InProcessExecutor


class Notes(NullStudyProgress):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_a_study_says_once_that_its_file_system_has_no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    overrides = ("model.latent_dim=4", "training.epochs=1", "training.batch_size=512", "study.seeds=2")
    config = load_config(None, (*overrides, "study.vary={model.activation: [relu]}"), StudyFile).config
    progress = Notes()
    compare(config, Path("study"), progress, executor=InProcessExecutor())
    [said] = [note for note in progress.notes if "locks" in note]
    assert said.startswith("study: its file system has no locks (Function not implemented): a second ae")
    assert "give another --output" in said
