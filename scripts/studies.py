"""Run the studies under docs/studies/: which activation reconstructs images best, and on what that depends.

    python scripts/studies.py [--only NAME] [--seeds N] [--keep FOLDER] [--workers N] [--stop-before HH:MM]
    python scripts/studies.py --tables

Each study isolates one thing: the activation of the hidden layers before a linear code, that of the code behind PReLU
layers, the same hidden layers in a convolutional network, and what is left of it where every network begins at the best
linear code. Every row trains at its own best learning rate of three, by the validation images of three seeds that the
study itself does not use, in trainings half as long; at the linear code all have the one that `ae suggest` takes. Then
paired seeds: all rows of a seed have the same images, split and order of batches, and train until nothing improves any
more.

They go into --keep (default: ./studies), where a second call continues them, also with more --seeds than the first;
Ctrl-C and --stop-before stop them. A study that is complete is copied to docs/studies/: its tables and one picture;
--tables prints those of docs/results.md from there. Needs the arrays and photographs in ../shared/data.
"""

import argparse
import csv
import json
import math
import re
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
DOCS = ROOT / "docs" / "studies"
IMAGES = 20_000
RATES = (1e-3, 3e-3, 1e-2)
RATES_OF_CONVOLUTIONS = (3e-4, 1e-3, 3e-3)
FIRST_SEED_OF_RATES = 100
HIDDEN = ("relu", "leaky_relu", "prelu", "sigmoid", "tanh", "elu", "gelu", "linear", "selu", "silu", "mish")
CODES = ("linear", "relu", "leaky_relu", "prelu", "sigmoid", "tanh", "elu", "silu")
CONVOLUTIONAL = ("relu", "leaky_relu", "prelu", "tanh", "elu", "gelu", "silu")

PLAIN = {"family": "dense", "latent_dim": 64, "initializer": "matched", "linear_path": "none", "output_bias": "mean"}
CONV = {
    "family": "conv", "channels": [16, 32, 64], "convs": 1, "latent_dim": 64, "initializer": "matched",
    "linear_path": "none", "output_bias": "mean", "latent_activation": "linear",
}  # fmt: skip
TRAINING = {"batch_size": 64, "schedule": "cosine", "optimizer": "adam", "loss": "mse"}


@dataclass(frozen=True)
class Study:
    """One study: its images, its rows, {name: section "model"}, and how it trains them.

    `rate` is the learning rate of all rows; by default each has its own, the best of `rates`.
    """

    data: str
    rows: Mapping[str, Mapping[str, Any]]
    seeds: int = 11
    epochs: int = 50
    rate: float | None = None
    rates: Sequence[float] = RATES
    training: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def asked(self, rates: Mapping[str, float]) -> dict[str, Any]:
        """Return the config of the study where each row has a learning rate; none: of the search for them."""
        long = {"epochs": self.epochs, "early_stopping": {"patience": 10}}
        training = {**TRAINING, **self.training, **(long if rates else {"epochs": max(1, self.epochs // 2)})}
        rows = {
            name: {"model": dict(model), "training": {**training, **({"learning_rate": rates[name]} if rates else {})}}
            for name, model in self.rows.items()
        }
        study: dict[str, Any] = {"configs": rows, "seeds": self.seeds}
        if not rates:
            study |= {"tune": {"training.learning_rate": list(self.rates)}, "seeds": 3}
        return {
            "data": {"train": "images", **self.settings}, "study": study,
            "training": {"seed": 0 if rates else FIRST_SEED_OF_RATES},
        }  # fmt: skip


def hidden(data: str, widths: list[int], **more: Any) -> Study:
    """Return a study of the activation of the hidden layers, before a linear code."""
    model = {**PLAIN, "hidden": widths, "latent_activation": "linear"}
    return Study(data, {name: {**model, "activation": name} for name in HIDDEN}, **more)


def code(data: str) -> Study:
    """Return a study of the activation of the code, behind hidden layers with PReLU."""
    model = {**PLAIN, "hidden": [256], "activation": "prelu"}
    return Study(data, {name: {**model, "latent_activation": name} for name in CODES})


def from_linear(data: str) -> Study:
    """Return a study of the hidden layers of networks that begin at the best linear code, else the same."""
    model = {**PLAIN, "hidden": [256], "latent_activation": "linear", "linear_path": "auto"}
    rows = {name: {**model, "activation": name} for name in HIDDEN}
    return Study(data, rows, seeds=5, rate=2e-3)


def convolutional(data: str, **more: Any) -> Study:
    """Return a study of the hidden layers of a convolutional network, before a linear code."""
    rows = {name: {**CONV, "activation": name} for name in CONVOLUTIONAL}
    return Study(data, rows, seeds=5, rates=RATES_OF_CONVOLUTIONS, **more)


STUDIES = {
    "mnist-hidden-1": hidden("mnist", [256]),
    "mnist-code": code("mnist"),
    "fashion_mnist-hidden-1": hidden("fashion_mnist", [256]),
    "fashion_mnist-code": code("fashion_mnist"),
    "mnist-from-linear": from_linear("mnist"),
    "fashion_mnist-from-linear": from_linear("fashion_mnist"),
    "mnist-hidden-3": hidden("mnist", [256, 256, 256], epochs=30),
    "fashion_mnist-hidden-3": hidden("fashion_mnist", [256, 256, 256], epochs=30),
    "photos-conv": convolutional("photos", epochs=60, training={"batch_size": 16}, settings={"size": [48, 48]}),
    "fashion_mnist-conv": convolutional("fashion_mnist", epochs=12),
}
TABLES = (
    ("MNIST, 784-256-64", "mnist-hidden-1"), ("Fashion-MNIST, 784-256-64", "fashion_mnist-hidden-1"),
    ("MNIST, three of 256", "mnist-hidden-3"), ("Fashion-MNIST, three of 256", "fashion_mnist-hidden-3"),
), (
    ("MNIST", "mnist-code"), ("Fashion-MNIST", "fashion_mnist-code"),
), (
    ("MNIST", "mnist-from-linear"), ("Fashion-MNIST", "fashion_mnist-from-linear"),
), (
    ("Fashion-MNIST", "fashion_mnist-conv"), ("photographs", "photos-conv"),
)  # fmt: skip
"""The studies of each table, with their titles."""
KEPT = ("study.yaml", "results.csv", "summary.json")


def images_of(study: Study, folder: Path) -> list[str]:
    """Return the images to compare on and the option for the test images, the photographs' drawn from their own."""
    if study.data == "photos":
        return [str(SHARED / "photos")]
    images = folder / f"{study.data}_{IMAGES}.npy"
    if not images.is_file():
        np.save(images, np.load(SHARED / f"{study.data}_train.npy", mmap_mode="r")[:IMAGES])
    return [images.name, f"--test={SHARED / f'{study.data}_test.npy'}"]


def compare(study: Study, rates: Mapping[str, float], name: str, folder: Path, options: argparse.Namespace) -> None:
    """Run or continue one study in `folder`; leave where it is time to stop."""
    config = folder / f"{name}.yaml"
    config.write_text(json.dumps(study.asked(rates), indent=1))
    command = [sys.executable, "-m", "aecli", "compare", *images_of(study, folder), f"--config={config.name}"]
    command += [f"--output={name}", f"--workers={options.workers}"]
    process = subprocess.Popen(command, cwd=folder)
    try:
        code = process.wait(options.stop_before and max(0.0, (options.stop_before - datetime.now()).total_seconds()))
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise SystemExit(f"{name}: stopped, the same command goes on") from None
    if code:
        raise SystemExit(code)


def searched(results: Path) -> dict[str, dict[float, float]]:
    """Return the mean validation mse of each row at each rate, infinite where a seed fails or learns nothing."""
    errors: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    with results.open(encoding="utf-8", newline="") as file:
        for result in csv.DictReader(file):
            rate = float(re.findall(r"learning_rate=([^,]+)", result["variant"])[0])
            complete = result["state"] == "complete"
            errors[result["row"]][rate].append(float(result["validation_mse"]) if complete else math.inf)
    return {row: {rate: fmean(each) for rate, each in rates.items()} for row, rates in errors.items()}


def rates_of(study: Study, results: Path) -> dict[str, float]:
    """Return the learning rate of each row, by the `results` of the search where the study has no rate for all."""
    if study.rate is not None:
        return dict.fromkeys(study.rows, study.rate)
    return {row: min(errors, key=lambda rate: errors[rate]) for row, errors in searched(results).items()}


def publish(name: str, folder: Path, rates: Mapping[str, float]) -> None:
    """Copy a study's tables and its picture, with the names of its files instead of their places."""
    target = DOCS / name
    target.mkdir(parents=True, exist_ok=True)
    for file in KEPT:
        text = (folder / name / file).read_text(encoding="utf-8")
        for place in (folder, SHARED):
            text = text.replace(f"{place}/", "")
        (target / file).write_text(text, encoding="utf-8")
    shutil.copy(folder / name / "plots" / "dots.png", target)
    if STUDIES[name].rate is None:
        shutil.copy(folder / f"{name}-rates" / "results.csv", target / "rates.csv")
    print(f"{name}: " + ", ".join(f"{row} {rate:g}" for row, rate in rates.items()), file=sys.stderr)


def published(studies: Sequence[tuple[str, str]]) -> bool:
    """Whether a table has any study."""
    return any((DOCS / name).is_dir() for _, name in studies)


def table(studies: Sequence[tuple[str, str]]) -> str:
    """Return the test mse of some published studies, a row an activation, bold where none is shown to be better.

    x 1000, mean and interval over the seeds, and behind them the learning rate.
    """
    found = [(title, DOCS / name) for title, name in studies if (DOCS / name).is_dir()]
    columns = {title: _column(folder) for title, folder in found}
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [f"| test mse x 1000 | {' | '.join(columns)} |", f"| --- {'| --- ' * len(columns)}|"]
    lines += [f"| {row} | {' | '.join(column.get(row, '') for column in columns.values())} |" for row in rows]
    return "\n".join(lines)


def rate_table(names: Sequence[str]) -> str:
    """Return what the searches of some published studies found: mean validation mse x 1000 of each row at each rate."""
    errors = {name: searched(DOCS / name / "rates.csv") for name in names}
    columns = [(name, rate) for name in names for rate in STUDIES[name].rates]
    lines = [f"| | {' | '.join(f'{name} {rate:g}' for name, rate in columns)} |", f"| --- {'| --- ' * len(columns)}|"]
    for row in errors[names[0]]:
        cells = [_error(errors[name][row], rate) for name, rate in columns]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _error(errors: Mapping[float, float], rate: float) -> str:
    if math.isinf(errors[rate]):
        return "-"
    return f"**{1000 * errors[rate]:.2f}**" if errors[rate] == min(errors.values()) else f"{1000 * errors[rate]:.2f}"


def _column(folder: Path) -> dict[str, str]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    rates = rates_of(STUDIES[folder.name], folder / "rates.csv")
    cells = {row["name"]: _interval(row["mean"]) for row in summary["rows"]}
    cells = {name: f"**{cell}**" if name in summary["tied"] else cell for name, cell in cells.items()}
    cells = {name: f"{cell} at {rates[name]:.0e}".replace("e-0", "e-") for name, cell in cells.items()}
    return {**cells, **{line["name"]: _interval(line["mean"]) for line in summary["baselines"]}}


def _interval(mean: Mapping[str, float]) -> str:
    if mean["estimate"] is None:  # no seed learned anything
        return "learns nothing"
    estimate, low, high = (f"{1000 * mean[key]:.2f}" for key in ("estimate", "low", "high"))
    return f"{estimate} [{low}, {high}]" if low != high else estimate


def time_today(text: str) -> datetime:
    """Return the time of today that HH:MM says."""
    hour, minute = map(int, text.split(":"))
    return datetime.now().replace(hour=hour, minute=minute, second=0, microsecond=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=STUDIES)
    parser.add_argument("--seeds", type=int, help="fewer than planned (11, or 5), for a first answer")
    parser.add_argument("--keep", type=Path, default=Path("studies"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--stop-before", type=time_today, metavar="HH:MM")
    parser.add_argument("--tables", action="store_true")
    options = parser.parse_args()
    if options.tables:
        for studies in filter(published, TABLES):
            print(table(studies), end="\n\n")
            if searches := [name for _, name in studies if (DOCS / name / "rates.csv").is_file()]:
                print(rate_table(searches), end="\n\n")
        return
    folder = options.keep.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for name in [options.only] if options.only else STUDIES:
        print(name, file=sys.stderr, flush=True)
        study = replace(STUDIES[name], seeds=options.seeds or STUDIES[name].seeds)
        if study.rate is None:
            compare(study, {}, f"{name}-rates", folder, options)
        rates = rates_of(study, folder / f"{name}-rates" / "results.csv")
        compare(study, rates, name, folder, options)
        publish(name, folder, rates)


if __name__ == "__main__":
    main()
