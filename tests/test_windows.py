"""The commands on Windows, as far as a process of Linux can be one: see windows.py."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aecli.core.locks import OPEN_FILES_MOVE
from tests.conftest import ROOT, SMALL
from tests.data.files.test_open import save_pictures

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


def windows(*arguments: str) -> str:
    """Run a command; return what it printed."""
    command = [sys.executable, "-m", "tests.windows", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


def left() -> list[str]:
    return [path.name for path in Path().rglob(".*")]


def test_pictures_are_decoded_imported_and_cleared():
    save_pictures(3)
    np.savez("a.npz", x=np.zeros((2, 4, 4), np.uint8), y=[0, 1])
    for command in (["check", "p"], ["check", "p"], ["import", "p", "-o", "a.npy"], ["import", "a.npz", "-o", "b.npy"]):
        windows(*command)
    windows("import", "p", "-o", "a.npy", "--overwrite")
    assert "4 entries" in windows("cache")
    assert "in use" not in windows("cache", "clear")
    assert "0 entries" in windows("cache")
    assert not left()


@pytest.mark.long
def test_a_run_is_trained_continued_and_used():
    save_pictures(12)
    keys = [part for key in (*SMALL, "training.schedule=constant") for part in ("--set", key)]
    windows("train", "--data", "p", *keys, "--run", "runs/r")
    windows("train", "--data", "p", *keys, "--run", "runs/r", "--overwrite")
    windows("train", "--resume", "--run", "runs/r", "--set", "training.epochs=4")
    assert "complete" in windows("runs")
    windows("reconstruct", "p", "-o", "out.npy")
    windows("plot", "filters")
    assert not left()


HOLDS = """
from pathlib import Path
import tests.windows, sys
sys.argv = ["ae", "--version"]
import os; os._exit = lambda code: None
tests.windows.main()
from aecli.core.errors import LockedError
from aecli.core.locks import OPEN_FILES_MOVE, locked
assert not OPEN_FILES_MOVE
try:
    with locked(Path("lock")):
        Path("held").touch()
        input()
except LockedError as error:
    print(error)
print("gone:", not Path("lock").exists())
"""


def test_a_folder_is_locked_by_one_process_and_names_it():
    command = [sys.executable, "-c", HOLDS]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment()}
    with subprocess.Popen(command, **options) as holder:
        while not Path("held").exists() and holder.poll() is None:
            time.sleep(0.05)
        other = subprocess.run(command, input="\n", capture_output=True, text=True, check=False, env=environment())
        assert f"is being trained by process {holder.pid} since" in other.stdout, other.stderr
        assert "gone: True" in holder.communicate("\n")[0]
    assert OPEN_FILES_MOVE
