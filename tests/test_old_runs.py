"""Runs written by earlier versions stay usable: each folder in old_runs/ is as its version left it, but for the plots."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aecli.runs.run import FORMAT_VERSION, Run
from tests.conftest import DIGITS, python

OLD_RUNS = Path(__file__).parent / "old_runs"
OLD_MODELS = Path(__file__).parent / "old_models"


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
    np.save("digits_labels.npy", np.arange(1797) % 2)
    for arguments in (
        ["encode", str(DIGITS), "--output", "latents.npy"], ["decode", "latents.npy", "--output", "images.npy"],
        ["reconstruct", str(DIGITS), "--output", "again.npy"], ["plot"], ["plot", "history"], ["plot", "health"],
        ["sample", "--components", "2"], ["plot", "traversal"], ["score", str(DIGITS), "--output", "before.csv"],
        ["probe", "digits.npy"], ["compress", "digits.npy"], ["decompress", "digits.aez", "--output", "back.npy"],
        ["evaluate", "--keep"], ["score", str(DIGITS), "--output", "after.csv"],
        *(["export", f"runs/{name}", "--to", kind, "--part", "all"] for kind in ("onnx", "litert", "savedmodel")),
        ["report", f"runs/{name}"], ["runs"],
    ):  # fmt: skip
        done = ae(*arguments)
        assert done.exit_code == 0, (arguments, done.stderr)
        if "before.csv" in arguments:
            assert (
                "held_out.npz: is not there, so that there is no threshold: ae evaluate --keep makes it" in done.stderr
            )
    assert np.load("latents.npy").shape == (1797, 4)
    np.testing.assert_array_equal(np.load("again.npy")[old_run.split.validation], np.load(old_run.reconstructions_file))
    assert "complete" in done.stdout
    before, after = (Path(name).read_text().splitlines() for name in ("before.csv", "after.csv"))
    assert [line.split(",")[:2] for line in before] == [line.split(",")[:2] for line in after]
    assert before[1].endswith(",,")
    assert after[1].endswith(",1")


def test_an_old_run_can_be_extended(old_run, ae):
    before = old_run.history
    done = ae("train", "--resume", "--set", f"training.epochs={len(before) + 1}")
    assert done.exit_code == 0, done.stderr
    assert f"goes on in epoch {len(before) + 1}" in done.stderr
    assert "now none" not in done.stderr  # a package that this version has no use for
    assert old_run.history[: len(before)] == before
    assert len(old_run.history) == len(before) + 1


def test_the_other_pictures_and_a_verification_of_an_old_run(old_run, ae):
    for kind in ("errors", "filters"):
        done = ae("plot", kind)
        assert done.exit_code == 0, (kind, done.stderr)
    done = ae("verify", f"runs/{old_run.name}", "--quick")  # other versions and processors round otherwise
    assert done.exit_code in (0, 1), done.stderr
    assert "identical" in done.stdout or "different" in done.stdout


MODELS = sorted(path.stem for path in OLD_MODELS.glob("*.keras"))
MODULES = ["aecli.models.layers"]


@pytest.fixture(scope="module", params=MODULES)
def shapes(request):
    """What every old model gives, in a process that imports this module; each is loaded, whatever the others do."""
    code = (
        f"import {request.param}, keras, sys\n"
        "for path in sys.argv[1:]:\n"
        "    try: print(keras.models.load_model(path)(keras.ops.zeros((2, 8, 8, 1))).shape)\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    done = python(code, *(str(OLD_MODELS / f"{name}.keras") for name in MODELS))
    assert done.returncode == 0, done.stderr
    return dict(zip(MODELS, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_an_old_keras_model_loads_where_either_module_is_imported(name, shapes):
    assert shapes[name] == "(2, 8, 8, 1)"
