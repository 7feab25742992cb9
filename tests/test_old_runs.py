"""Runs written by earlier versions stay usable: each folder in old_runs/ is as its version left it, but for the plots."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aecli.run import FORMAT_VERSION, Run
from tests.conftest import DIGITS

OLD_RUNS = Path(__file__).parent / "old_runs"


@pytest.fixture(params=sorted(path.name for path in OLD_RUNS.iterdir()))
def old_run(request):
    shutil.copy(DIGITS, "digits.npy")  # which the run names
    return Run(Path(shutil.copytree(OLD_RUNS / request.param, Path("runs") / request.param)))


def test_the_format_of_today_has_an_old_run():
    versions = [Run(path).environment["format_version"] for path in OLD_RUNS.iterdir()]
    assert max(versions) == FORMAT_VERSION


def test_an_old_run_measures_as_it_did(old_run, ae):
    done = ae("evaluate", str(DIGITS), "--json")
    assert done.exit_code == 0, done.stderr
    before = old_run.metrics["splits"]
    counts = [before[part]["images"] for part in ("train", "validation")]
    both = np.average([before[part]["model"]["mse"] for part in ("train", "validation")], weights=counts)
    assert json.loads(done.stdout)["model"]["mse"] == pytest.approx(both, rel=1e-5)


def test_an_old_run_works_with_every_command(old_run, ae):
    name = old_run.name
    for arguments in (
        ["encode", str(DIGITS), "--output", "latents.npy"], ["decode", "latents.npy", "--output", "images.npy"],
        ["reconstruct", str(DIGITS), "--output", "again.npy"], ["plot"], ["plot", "history"], ["plot", "health"],
        ["report", f"runs/{name}"], ["runs"],
    ):  # fmt: skip
        done = ae(*arguments)
        assert done.exit_code == 0, (arguments, done.stderr)
    assert np.load("latents.npy").shape == (1797, 4)
    np.testing.assert_array_equal(np.load("again.npy")[old_run.split.validation], np.load(old_run.reconstructions_file))
    assert "complete" in done.stdout


def test_an_old_run_can_be_extended(old_run, ae):
    before = old_run.history
    done = ae("train", "--resume", "--set", f"training.epochs={len(before) + 1}")
    assert done.exit_code == 0, done.stderr
    assert f"goes on in epoch {len(before) + 1}" in done.stderr
    assert old_run.history[: len(before)] == before
    assert len(old_run.history) == len(before) + 1
