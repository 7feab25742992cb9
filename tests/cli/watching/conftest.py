"""Shared pieces: looks that do the next thing in place of waiting, and a run in the middle of its training."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aecli.cli.watching import looks
from aecli.runs.run import Run

LOCKS = pytest.mark.skipif(os.name == "nt", reason="flock is not there")


@pytest.fixture
def between_looks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes each pause between two looks do the next thing, and the last one Ctrl-C."""

    def script(*steps: Callable[[], object]) -> None:
        waiting = iter(steps)

        def pause() -> None:
            step = next(waiting, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        monkeypatch.setattr(looks, "pause", pause)

    return script


@dataclass
class Unfinished:
    """A complete run of three epochs, taken back to the first of them."""

    run: Run
    lines: list[str]
    metrics: Path

    def write(self, epochs: int) -> None:
        self.run.history_file.write_text("".join(self.lines[: 1 + epochs]))

    def complete(self) -> None:
        self.write(3)
        self.metrics.rename(self.run.metrics_file)


@pytest.fixture
def unfinished(run: Run) -> Unfinished:
    lines = run.history_file.read_text().splitlines(keepends=True)
    begun = Unfinished(run, lines, run.metrics_file.rename(run.path.parent / "metrics.json"))
    begun.write(1)
    return begun
