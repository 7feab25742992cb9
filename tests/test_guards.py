"""What a config gives is pinned: the same split, losses, metrics and weights, whatever is rebuilt inside.

`guards.json` was recorded on one machine. Everywhere the split, the identity and, within what other processors round
otherwise, the numbers must be the same; on a machine like that one the weights are so bit for bit. A change that is
meant to move them records anew: `python -m tests.test_guards`.
"""

import csv
import hashlib
import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml

import aecli
from tests.conftest import DIGITS, PLAIN, SMALL

GUARDS = Path(__file__).with_name("guards.json")
REGULARISED = {
    "model.dropout": 0.2,
    "model.l2": 1e-4,
    "model.activity_l1": 1e-4,
    "training.epochs": 6,
    "training.early_stopping": {"patience": 2},
}
CHANGED = {
    "data.augment": {"shift": 0.1, "flip": "horizontal", "rotate": 10, "brightness": 0.1, "noise": 0.05},
    "training.corruption": {"gaussian": 0.2, "masking": 0.1},
    "training.epochs": 2,
}
AVERAGED = {
    "data.augment": {
        "probability": 0.5, "shift": 0.1, "subpixel": True, "rotate": 5, "scale": 0.1, "shear": 0.1, "mixup": 0.2,
    },
    "training.optimizer": {"name": "muon", "hidden_only": False}, "training.clipnorm": 0.1, "training.ema": 0.9,
    "training.warmup": 0.5, "training.schedule": "linear_tail",
}  # fmt: skip
TRAININGS = {
    "plain": {},
    "regularised": REGULARISED,
    "augmented and corrupted": CHANGED,
    "streamed": {"data.memory_budget": 1, "training.epochs": 2},
    "averaged and mixed": AVERAGED,
}
NUMBERS = ("mse", "mae", "sse_per_image", "psnr", "ssim", "fvu")


def small() -> dict:
    """The config of the shared run, as a mapping; the network is the plain one that was recorded."""
    pairs = [assignment.split("=") for assignment in (*PLAIN, *SMALL)]
    return {key: yaml.safe_load(value) for key, value in pairs}


def defaults() -> Path:
    """Write a config of nothing but defaults: without one, the images would decide the other keys."""
    file = Path("small.yaml")
    file.write_text("model:\n", encoding="utf-8")
    return file


def images(name: str) -> np.ndarray:
    digits = np.load(DIGITS)
    return np.concatenate([np.roll(digits, shift, axis=1) for shift in range(12)]) if name == "streamed" else digits


def machine() -> dict:
    """What the bits of a training depend on beside its config and images."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    processor = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    return {
        "processor": hashlib.sha256("\n".join([platform.machine(), *processor]).encode()).hexdigest()[:16],
        "versions": {name: version(name) for name in ("keras", "numpy")},
    }


def train(name: str) -> dict:
    """Train one of TRAININGS; return what is pinned of it."""
    run = aecli.train(images(name), config=defaults(), set={**small(), **TRAININGS[name]}, folder=f"runs/{name}")
    part = run.metrics["splits"]["validation"]
    split = b"".join(rows.astype("<i8").tobytes() for rows in (run.split.train, run.split.validation, run.split.test))
    return {
        "threads": run.environment["machine"]["threads"],
        "weights_sha256": run.metrics["weights_sha256"],
        "identity": run.environment["identity"],
        "split": hashlib.sha256(split).hexdigest(),
        "best_epoch": run.metrics["best_epoch"],
        "history": [[record.loss, record.val_loss, record.learning_rate] for record in run.history],
        "metrics": {row: [part[row][name] for name in NUMBERS] for row in ("model", "pca", "mean_image")},
    }


def compare() -> list[dict]:
    """Compare two activations over two seeds; return the rows of results.csv but for times and reasons."""
    keys = {**small(), "training.epochs": 1}
    aecli.compare(np.load(DIGITS), activations=["relu", "tanh"], seeds=2, config=defaults(), set=keys, folder="study")
    with Path("study/results.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "reason")} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_gives_what_it_gave(name):
    before, now = json.loads(GUARDS.read_text())[name], train(name)
    assert (now["identity"], now["split"]) == (before["identity"], before["split"])
    np.testing.assert_allclose(now["history"], before["history"], rtol=1e-3)
    for row, values in before["metrics"].items():
        np.testing.assert_allclose(now["metrics"][row], values, rtol=2e-3)
    if machine() == json.loads(GUARDS.read_text())["machine"] and now["threads"] == before["threads"]:
        assert now["weights_sha256"] == before["weights_sha256"]
        assert now["history"] == before["history"]
        assert now["best_epoch"] == before["best_epoch"]


def test_a_study_gives_what_it_gave():
    before, now = json.loads(GUARDS.read_text())["study"], compare()
    assert len(now) == len(before)
    for then, row in zip(before, now, strict=True):
        assert set(then) <= set(row)
        for key, value in then.items():
            if key in ("row", "variant", "seed", "state", "run", "identity", "epochs", "latent_dim"):
                assert row[key] == value, key
            elif value:
                assert float(row[key]) == pytest.approx(float(value), rel=2e-3, abs=1e-6), key


if __name__ == "__main__":
    import os

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        recorded = {"machine": machine(), **{name: train(name) for name in TRAININGS}, "study": compare()}
    GUARDS.write_text(json.dumps(recorded, indent=1) + "\n")
