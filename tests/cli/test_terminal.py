"""What a training shows: a bar in a terminal of any width, plain lines in a file, a log or a dumb terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aecli.cli import terminal
from aecli.core.signals import Interrupted, Signals
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from tests.conftest import SMALL

LONGEST = 240.0
"""Seconds after which a process that ends by no Ctrl-C is given up."""

SETTINGS = [f"--set={key}" for key in (*SMALL, "training.epochs=1000000", "training.loss={mse: 1, ssim: 0.02}")]


class Terminal:
    """A process in a terminal of its own, of so many columns."""

    def __init__(self, columns: int, *command: str, **environment: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        surroundings = {name: value for name, value in os.environ.items() if name not in ("CI", "COLUMNS")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aecli", *command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=surroundings | {"TERM": "xterm"} | environment, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self.ours, self.text = ours, ""

    def read(self, until: str | None = None) -> str:
        """Return all that was shown, when `until` was, or when the process has ended."""
        end = time.monotonic() + LONGEST
        while (until is None or not re.search(until, self.text)) and time.monotonic() < end:
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.ours, 65536).decode(errors="replace")
                except OSError:  # the process has closed the other end
                    break
        return self.text

    def close(self) -> int:
        self.process.kill()
        os.close(self.ours)
        return self.process.wait()


def lines_of(text: str) -> Iterator[str]:
    """Yield every line as it stood at some time, without what paints it."""
    for line in re.split(r"\r\x1b\[2K|\r?\n|\r", text):
        yield re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).removesuffix("^C")  # which the terminal itself shows


def test_a_bar_stays_whole_in_a_narrow_terminal_and_ctrl_c_is_answered_at_once():
    shown = Terminal(60, "train", "--run", "a", *SETTINGS)
    try:
        shown.read(r"training .*loss \d")
        os.write(shown.ours, b"\x03")
        text = shown.read()
    finally:
        code = shown.close()
    bars = [line for line in lines_of(text) if "━" in line]
    assert [
        bar for bar in bars if re.fullmatch(r"training +━+ +\d+/1000000 +loss [\d.]+( +\S+ [\d.]+)* +[\d:-]+ *", bar)
    ]
    assert all(len(bar) <= 60 for bar in bars)
    assert not [bar for bar in bars if "…" in bar]
    assert (
        0
        < text.index("stopping ...")
        < text.index("stopped: a keeps a checkpoint; go on with: ae train --resume --run a")
    )
    assert Run(Path("a")).state == "interrupted"
    assert code == 130


@pytest.mark.parametrize("surroundings", [{"CI": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_log_has_plain_lines(surroundings):
    shown = Terminal(60, "train", "missing.npy", "--config", "relu", **surroundings)
    try:
        text = shown.read()
    finally:
        shown.close()
    first, second = text.splitlines()
    assert first == "--config relu: the config that comes with ae"
    assert second.endswith("missing.npy: no such file: check the path")


def test_a_table_too_wide_for_a_terminal_comes_in_several(run):
    shown = Terminal(60, "runs")
    try:
        lines = [line.rstrip() for line in lines_of(shown.read())]
    finally:
        shown.close()
    assert max(map(len, lines)) <= 60
    heads = [line.split() for line in lines if line.startswith("run ")]
    assert len(heads) > 1
    assert all(head[:3] == ["run", "state", "activation"] for head in heads)
    assert {"latent_dim", "dead", "epochs", "val", "mse", "psnr", "dB", "date"} <= {
        word for head in heads for word in head
    }


def test_the_columns_of_narrow_tables_are_all_there_once():
    lines = [["name", "a", "bb", "ccc"], ["first one", "1", "2", "33333"]]
    assert terminal._fitting(lines, 1, 1000) == [[0, 1, 2, 3]]
    assert terminal._fitting(lines, 1, 23) == [[0, 1, 2, 3]]
    assert terminal._fitting(lines, 1, 22) == [[0, 1, 2], [0, 3]]
    assert terminal._fitting(lines, 1, 1) == [[0, 1], [0, 2], [0, 3]]
    assert terminal._fitting([["a", "b"]], 2, 1) == [[0, 1]]


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("epochs", "seconds", "most"), [(3, 0.01, 3), (20, 2.0, 20), (36_000, 0.1, 200), (260_000, 1.0, 700)]
)
def test_a_long_training_writes_no_thousands_of_lines(monkeypatch, capsys, epochs, seconds, most):
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    progress = terminal._Lines()
    for epoch in range(1, epochs + 1):
        clock.now += seconds
        progress.epoch(EpochRecord(epoch, 0.5, 0.5, 0.1, seconds, {}), epochs)
    progress.stage("exporting")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= most + 1
    assert lines[0].startswith(f"epoch 1/{epochs}  loss 0.5")
    assert lines[-2].startswith(f"epoch {epochs}/{epochs} ")
    if seconds >= 2.0:
        assert len(lines) == most + 1


def test_a_signal_is_told_before_anything_ends():
    told: list[str] = []

    def step() -> None:
        with Signals(lambda: told.append("at once")) as signals, signals.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            told.append("the step ends")

    with pytest.raises(Interrupted):
        step()
    assert told == ["at once", "the step ends"]


def test_who_stops_a_training_while_it_writes_is_told_all_the_same(capfd):
    def say(message):
        raise RuntimeError("reentrant call inside a writer")

    terminal.tell_stopping(say)()
    assert "stopping ..." in capfd.readouterr().err.splitlines()
