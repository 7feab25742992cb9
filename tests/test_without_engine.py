"""Where neither TensorFlow nor Keras is installed, a run is used as anywhere else."""

import json

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
        ["plot", "latents"], ["report", str(run.path)], ["export", str(run.path), "--to", "onnx", "--int8"],
    ]  # fmt: skip
    done = python(USE, json.dumps(uses))
    assert json.loads(done.stdout.splitlines()[-1]) == [0] * len(uses), done.stderr


def test_training_says_what_is_missing_in_one_line():
    done = python(USE, json.dumps([["train"]]))
    assert json.loads(done.stdout.splitlines()[-1]) == [1]
    assert "is not installed, and training needs it: pip install " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["litert", "savedmodel"])
def test_exporting_says_what_is_missing_in_one_line(run, kind):
    done = python(USE, json.dumps([["export", str(run.path), "--to", kind]]))
    assert json.loads(done.stdout.splitlines()[-1]) == [1]
    [line] = done.stderr.splitlines()
    assert f"is not installed, and --to {kind} needs it: pip install " in line
