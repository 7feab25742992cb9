"""Verifying: a run trained again is identical, or the first number that differs is named, with what may be why."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aecli.runs.provenance import describe_environment, environment_differences
from aecli.runs.run import Run


def test_a_run_trained_again_is_identical(run, ae):
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    done = ae("verify", str(run.path))
    assert done.exit_code == 0
    assert done.stdout == f"{run.path}: identical: all 3 epochs, weights of SHA-256 {run.metrics['weights_sha256']}\n"
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def rewrite(path, change):
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_what_differs_is_named_with_what_changed(run, ae):
    rewrite(run.metrics_file, lambda metrics: metrics | {"weights_sha256": "0" * 64})
    rewrite(run.environment_file, lambda about: about | {"machine": about["machine"] | {"threads": 77}})
    done = ae("verify", str(run.path))
    assert done.exit_code == 1
    assert ": different: weights: their SHA-256 is 000000000000... in the run, " in done.stdout
    assert "threads 77, now " in done.stdout

    # An earlier number is named before a later one.
    lines = run.history_file.read_text().splitlines()
    epoch, loss, *rest = lines[2].split(",")
    changed = float(np.nextafter(float(loss), 1))
    run.history_file.write_text("\n".join([*lines[:2], ",".join([epoch, repr(changed), *rest]), *lines[3:], ""]))
    done = ae("verify", str(run.path), "--quick", "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert said["difference"] == f"loss of epoch 2: {changed!r} in the run, {loss} now"
    assert said["identical"] is False


def test_a_run_of_an_older_version_says_so(run, ae):
    rewrite(run.environment_file, lambda about: about | {"versions": about["versions"] | {"aecli": "0.0.1"}})
    rewrite(run.metrics_file, lambda metrics: {k: v for k, v in metrics.items() if k != "weights_sha256"})
    done = ae("verify", str(run.path), "--quick")
    assert done.exit_code == 0
    assert "although with aecli 0.0.1, now " in done.stderr
    assert "keeps no hash of its weights" in done.stderr


def test_a_package_of_earlier_versions_is_no_difference():
    now = describe_environment(["cpu"], {"tensorflow": "2.21.0"}, [])
    with_another = {**now, "versions": {**now["versions"], "tf2onnx": "1.17.0"}}
    assert environment_differences(with_another, now) == []
    without_one = {**now, "versions": {name: v for name, v in now["versions"].items() if name != "keras"}}
    assert environment_differences(without_one, now) == [f"keras none, now {now['versions']['keras']}"]


AE = [sys.executable, "-m", "aecli.cli.main"]


def trained_in(folder, variables):
    """A run of a process of its own, on two threads, in this folder and with these environment variables."""
    folder.mkdir(parents=True, exist_ok=True)
    sets = [f"--set={key}" for key in ("model.latent_dim=4", "model.dropout=0.3", "training.epochs=3")]
    done = subprocess.run(
        [*AE, "train", "--quiet", *sets, "--threads=2", "--json"],
        cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return Run(folder / json.loads(done.stdout)["run"])


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run in the first of several surroundings; read it, never write to it."""
    return trained_in(tmp_path_factory.mktemp("first"), {"PYTHONHASHSEED": "1", "LANG": "C", "TZ": "UTC"})


def test_neither_the_process_nor_its_folder_nor_its_environment_changes_a_bit(tmp_path, first):
    """But for what names the threads: it is OMP_NUM_THREADS alone, and TensorFlow's own variable is not heard."""
    surroundings = (
        {"PYTHONHASHSEED": "2", "LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"},
        {"TF_NUM_INTRAOP_THREADS": "7", "TF_DETERMINISTIC_OPS": "0", "TF_CPP_MIN_LOG_LEVEL": "0"},
    )
    runs = [first, *(trained_in(tmp_path / ("deep/" * i), variables) for i, variables in enumerate(surroundings, 1))]
    files = {(run.encoder_file.read_bytes(), run.decoder_file.read_bytes()) for run in runs}
    assert (len({run.metrics["weights_sha256"] for run in runs}), len(files)) == (1, 1)
    assert runs[-1].environment["machine"]["variables"] == ["TF_DETERMINISTIC_OPS=0"]


def test_another_number_of_threads_is_named(first):
    """Whether it changes a bit is the processor's affair; that it was another one is said either way."""
    for threads, named in (("1", True), ("2", False)):
        command = [*AE, "verify", first.path, f"--threads={threads}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ("threads 2, now 1" in done.stdout + done.stderr) == named
        assert named or (done.returncode == 0 and "identical" in done.stdout)


def test_other_images_are_refused(run, ae, digits):
    np.save("other.npy", digits[::-1])
    done = ae("verify", str(run.path), "--data", "other.npy")
    assert done.exit_code == 1
    assert "other.npy: its SHA-256 is" in done.stderr
    assert "no such run" in ae("verify", str(Path("runs/smal"))).stderr
