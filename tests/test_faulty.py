"""A disk that fails at every single call in turn, and a clock that jumps: one line, nothing half, nothing lost."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FULL = "cannot be written (No space left on device)"
BROKEN = "cannot be written (Input/output error)"
UNREADABLE = "cannot be read (Input/output error)"


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """faulty.c as a library; skips where there is no compiler, or no Linux to load it."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    path = tmp_path_factory.mktemp("faulty") / "faulty.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, ROOT / "tests" / "faulty.c", "-ldl"], check=True)
    return path


@pytest.fixture
def faulty(library, tmp_path):
    """Do one of the jobs of tests/faulty.py in an empty folder; return what it found."""

    def found(job):
        variables = {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.faulty", job],
            env={**os.environ, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    return found


@pytest.mark.parametrize(
    ("job", "message", "least"),
    [
        pytest.param("train", FULL, 100, marks=pytest.mark.long),
        pytest.param("train once", BROKEN, 100, marks=pytest.mark.long),
        ("resume", UNREADABLE, 10),
    ],
)
def test_a_training_whose_disk_fails_at_any_call_goes_on_to_the_same_bits(faulty, job, message, least):
    found = faulty(job)
    assert len(found) > least
    for each in found:
        assert message in each["said"], each
        assert "\n" not in each["said"], each
        assert each["state"] != "complete", each
        assert each["failed"] in (False, "interrupted"), each
        assert (each["hidden"], each["again"], each["identical"]) == ([], "", True), each


@pytest.mark.long
@pytest.mark.parametrize(("job", "message"), [("write", FULL), ("read", UNREADABLE)])
def test_a_command_whose_disk_fails_at_any_call_is_one_line_and_leaves_nothing_half(faulty, job, message):
    found = faulty(job)
    assert len({each["command"] for each in found}) >= 12
    for each in found:
        assert each["code"] == 1, each
        assert len(each["lines"]) == 1, each
        assert message in each["lines"][0], each
        assert (each["hidden"], each["torn"]) == ([], []), each


@pytest.mark.long
def test_a_clock_that_jumps_changes_nothing_and_one_before_1980_is_named(faulty):
    back, forth, in_1970 = faulty("clock")
    for each in (back, forth):
        assert each["identical"], each
        assert 0 <= each["seconds"] < 600, each
    assert "the clock of this machine stands before 1980" in in_1970["said"]
    assert (in_1970["state"], in_1970["again"], in_1970["identical"]) == ("interrupted", "", True)
