"""Verifying: a run trained again is identical, or the first number that differs is named, with what may be why."""

import json
from pathlib import Path

import numpy as np


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


def test_other_images_are_refused(run, ae, digits):
    np.save("other.npy", digits[::-1])
    done = ae("verify", str(run.path), "--data", "other.npy")
    assert done.exit_code == 1
    assert "other.npy: its SHA-256 is" in done.stderr
    assert "no such run" in ae("verify", str(Path("runs/smal"))).stderr
