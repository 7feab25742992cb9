"""Where neither TensorFlow nor Keras is installed, a run is used as anywhere else."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import DIGITS, python

USE = """
import json, sys

class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())
from aecli.cli.main import cli

codes = []
for arguments in json.loads(sys.argv[1]):
    try:
        cli(arguments)
    except SystemExit as end:
        codes.append(end.code)
print(json.dumps(codes))
"""


@pytest.fixture
def labels():
    np.save("labels.npy", np.arange(len(np.load(DIGITS))) % 10)


def test_every_use_of_a_run_does_without(run, labels):
    uses = [
        ["runs"], ["reconstruct", str(DIGITS)], ["evaluate", str(DIGITS)], ["encode", str(DIGITS)],
        ["decode", "digits_latents.npy"], ["sample", "--components", "1"], ["score", str(DIGITS)],
        ["probe", str(DIGITS), "--labels", "labels.npy"], ["compress", str(DIGITS)], ["decompress", "digits.aez"],
        ["plot", "reconstructions"], ["plot", "latents"], ["report", str(run.path)], ["check", str(DIGITS)],
        ["export", str(run.path), "--to", "onnx", "--int8"],
    ]  # fmt: skip
    done = python(USE, json.dumps(uses))
    assert json.loads(done.stdout.splitlines()[-1]) == [0] * len(uses), done.stderr


def test_the_python_door_does_without(run):
    code = USE.partition("from aecli.cli")[0] + (
        "import aecli, numpy as np\n"
        "from aecli.runs.model import load_model\n"
        "run = aecli.load_run(sys.argv[1])\n"
        "print(load_model(run).reconstruct(np.zeros((2, 8, 8, 1), np.float32)).shape)\n"
    )
    done = python(code, str(run.path))
    assert done.stdout == "(2, 8, 8, 1)\n", done.stderr


MISSING = "ae: tensorflow: is not installed, and training needs it: pip install tensorflow"
"""TensorFlow brings Keras with it: who follows the line has both."""


def test_training_says_what_is_missing_in_one_line():
    done = python(USE, json.dumps([["train"]]))
    assert json.loads(done.stdout.splitlines()[-1]) == [1]
    assert done.stderr.splitlines()[-1] == MISSING
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["litert", "savedmodel"])
def test_exporting_says_what_is_missing_in_one_line(run, kind):
    done = python(USE, json.dumps([["export", str(run.path), "--to", kind]]))
    assert json.loads(done.stdout.splitlines()[-1]) == [1]
    [line] = done.stderr.splitlines()
    assert f"is not installed, and --to {kind} needs it: pip install " in line


def test_a_study_ends_with_that_line_and_no_run_of_it_has_failed():
    arguments = ["compare", str(DIGITS), "--activations", "relu,elu", "--seeds", "2", "--output", "study"]
    done = python(USE, json.dumps([arguments]))
    assert json.loads(done.stdout.splitlines()[-1]) == [1]
    assert MISSING in done.stderr.splitlines()
    with Path("study/results.csv").open() as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["missing"] * 4
