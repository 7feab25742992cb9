"""A file of a run stands for the run."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import aecli
from aecli.core.errors import RunError
from aecli.runs.run import find_run, run_to_resume
from tests.conftest import DIGITS


@pytest.mark.parametrize(
    "name",
    ["model.keras", "config.yaml", "metrics.json", "encoder.onnx", "decoder.onnx", "history.csv", "split.npz",
     "environment.json", "health.csv", "plots/history.png"],
)  # fmt: skip
def test_a_file_of_a_run_stands_for_it(run, name):
    file = Path("runs/small", name)
    assert find_run(file).path == Path("runs/small")
    assert aecli.load_run(file).path == Path("runs/small")
    assert run_to_resume(file).path == Path("runs/small")


@pytest.mark.parametrize(
    "arguments",
    [
        ("encode", DIGITS, "--run"), ("reconstruct", DIGITS, "--run"), ("evaluate", DIGITS, "--run"),
        ("plot", "history", "--run"), ("report",),
    ],
)  # fmt: skip
def test_every_command_takes_it(ae, run, arguments):
    result = ae(*arguments, "runs/small/model.keras")
    assert result.exit_code == 0, result.output


def test_training_there_finds_the_run(ae, run):
    result = ae("train", "--run", "runs/small/model.keras")
    assert "runs/small: a run is already there" in result.stderr


def test_a_file_in_the_folder_of_the_run_itself(run, monkeypatch):
    monkeypatch.chdir(run.path)
    assert find_run(Path("model.keras")).path == Path(".")
    assert find_run(Path("plots/history.png")).path == Path(".")


def test_a_file_of_a_study_stands_for_it(ae, run):
    Path("studies/s").mkdir(parents=True)
    for name in ("study.yaml", "results.csv"):
        Path("studies/s", name).write_text("")
    from aecli.studies.study import study_at

    assert study_at(Path("studies/s/results.csv")).path == Path("studies/s")
    assert study_at(Path("studies/s")).path == Path("studies/s")


def test_a_file_of_something_else_is_no_run(run):
    np.save("images.npy", np.zeros((3, 3)))
    shutil.copy(run.config_file, "config.yaml")
    for name in ("images.npy", "config.yaml"):
        with pytest.raises(RunError, match=f"^{name}: is a file of no run"):
            find_run(Path(name))
    Path("runs/small/notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is a file of no run"):
        find_run(Path("runs/small/notes.txt"))
