"""A file of a run stands for the run."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import aecli
from aecli.core.errors import RunError
from aecli.runs.run import find_run, run_to_resume
from tests.conftest import DIGITS, SMALL


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


@pytest.mark.parametrize(
    "arguments",
    [
        ("encode", DIGITS, "--run", "small"), ("plot", "history", "--run", "small/model.keras"), ("report", "small"),
        ("verify", "small", "--quick"), ("train", "--resume", "--run", "small"),
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_the_name_of_a_run_stands_for_it(ae, run, arguments):
    before = {entry.name for entry in Path().iterdir()}
    result = ae(*arguments)
    assert result.exit_code == 0, result.output
    assert {entry.name for entry in Path().iterdir()} - before <= {"digits_latents.npy"}


def test_a_run_found_by_its_name_is_told(ae, run):
    assert "using the run runs/small" in ae("encode", DIGITS, "--run", "small").stderr
    assert aecli.load_run("small").path == Path("runs/small")


def test_what_is_here_goes_before_a_name(ae, run):
    shutil.copytree(run.path, "small")
    assert find_run(Path("small")).path == Path("small")
    Path("other").mkdir()
    shutil.copytree(run.path, "runs/other")
    with pytest.raises(RunError, match=r"^other: is not a run's folder"):
        find_run(Path("other"))


def test_a_new_run_goes_where_the_user_has_said_whatever_is_named_so(ae, run):
    result = ae("train", "--run", "small", *(part for key in SMALL for part in ("--set", key)))
    assert result.exit_code == 0, result.output
    assert Path("small/metrics.json").is_file()


def test_a_misspelt_name_of_a_run_is_answered_with_the_name(ae, run):
    assert "smal: no such run; did you mean 'small'?" in ae("encode", DIGITS, "--run", "smal").stderr
    assert "runs/smal: no such run; did you mean 'small'?" in ae("encode", DIGITS, "--run", "runs/smal").stderr
    assert "../small: no such run" in ae("encode", DIGITS, "--run", "../small").stderr


def test_the_name_of_a_study_stands_for_it_in_a_report(ae, run):
    Path("studies/digits").mkdir(parents=True)
    Path("studies/digits/study.yaml").write_text("nonsense: 1")
    assert "studies/digits" in ae("report", "digits").stderr
    assert "digts: no such study or run; did you mean 'digits'?" in ae("report", "digts").stderr
    shutil.copytree(run.path, "runs/digits")
    both = ae("report", "digits")
    assert both.exit_code == 1
    assert both.stderr == "ae: digits: is the name of a study and of a run: give studies/digits or runs/digits\n"


def test_a_file_of_something_else_is_no_run(run):
    np.save("images.npy", np.zeros((3, 3)))
    shutil.copy(run.config_file, "config.yaml")
    for name in ("images.npy", "config.yaml"):
        with pytest.raises(RunError, match=f"^{name}: is a file of no run"):
            find_run(Path(name))
    Path("runs/small/notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is a file of no run"):
        find_run(Path("runs/small/notes.txt"))
