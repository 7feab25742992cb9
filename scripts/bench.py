"""Time training side by side: ae, the usual Keras script, PyTorch and scikit-learn, and the matrix products alone.

    python scripts/bench.py [--epochs 6] [--threads 2,1] [--json FILE.json] [--png FILE.png]

Every contestant trains the same two networks (784-64-784 and 784-1000-500-250-30 mirrored; ReLU, sigmoid
output, MSE, Adam 1e-3, batches of 256) on the same 54,000 MNIST images, each in a process of its own, taking
turns, twice, on as many cores as there are and on one. Seconds per epoch is the median over all epochs but each
process's first, which compiles. PyTorch and scikit-learn come with `pip install --group bench`; the ones missing are
named and left out. MNIST is read from ../shared/data; where it is missing, generated images of that shape take its
place.

The bound is the time of the step's matrix products alone, in their own shapes, one after the other in NumPy's BLAS:
no training on batches of 256 takes less without faster products, whatever the rate of large ones.
"""

import argparse
import importlib.util
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist_train.npy"
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""Those that this process may use, none where the system does not say: then each library takes all, on one row."""
IMAGES, BATCH = 54_000, 256
NETWORKS = {"784-64-784": [64], "784-1000-500-250-30": [1000, 500, 250, 30]}
CONTESTANTS = {"ae": "tensorflow", "keras": "tensorflow", "torch": "torch", "sklearn": "sklearn", "products": "numpy"}
TITLES = {
    "ae": "ae",
    "keras": "Keras fit on arrays",
    "torch": "PyTorch loop",
    "sklearn": "scikit-learn MLPRegressor",
    "products": "the matrix products alone, in NumPy",
}


def widths(hidden: list[int]) -> list[int]:
    """Return the widths of all layers of the mirrored network."""
    return [784, *hidden, *hidden[-2::-1], 784]


def train_ae(path: Path, hidden: list[int], epochs: int) -> list[float]:
    from aecli.runs.config_file import load_config
    from aecli.training.trainer import train

    *outer, code = hidden
    keys = [f"data.train={path}", "data.validation_split=0.1", f"model.hidden={outer}", f"model.latent_dim={code}"]
    keys += ["training.batch_size=256", f"training.epochs={epochs}", "model.linear_path=none"]
    keys += ["model.activation=relu", "model.latent_activation=relu"]
    run = train(load_config(None, keys).config, Path("run"), overwrite=True)
    return [record.seconds for record in run.history]


def train_keras(path: Path, hidden: list[int], epochs: int) -> list[float]:
    import keras

    images = np.load(path)[:IMAGES].reshape(IMAGES, 784).astype("float32") / 255
    sizes = widths(hidden)
    layers = [keras.layers.Dense(size, activation="relu") for size in sizes[1:-1]]
    model = keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(784, activation="sigmoid")])
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        model.fit(images, images, batch_size=BATCH, epochs=1, verbose=0)
        seconds.append(time.perf_counter() - started)
    return seconds


def train_torch(path: Path, hidden: list[int], epochs: int) -> list[float]:
    import torch

    images = torch.from_numpy(np.load(path)[:IMAGES].reshape(IMAGES, 784).astype("float32") / 255)
    sizes = widths(hidden)
    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1], torch.nn.Sigmoid())
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        for rows in torch.randperm(IMAGES).split(BATCH):
            batch = images[rows]
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(batch), batch).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds


def train_sklearn(path: Path, hidden: list[int], epochs: int) -> list[float]:
    import warnings

    from sklearn.neural_network import MLPRegressor

    images = np.load(path)[:IMAGES].reshape(IMAGES, 784).astype("float32") / 255
    model = MLPRegressor(hidden_layer_sizes=widths(hidden)[1:-1], batch_size=BATCH, max_iter=1, warm_start=True)
    warnings.simplefilter("ignore")
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        model.fit(images, images)
        seconds.append(time.perf_counter() - started)
    return seconds


def multiply(path: Path, hidden: list[int], epochs: int) -> list[float]:
    """Return the seconds of an epoch's matrix products as NumPy computes them: forward, and both gradients backward."""
    rng = np.random.default_rng(0)
    sizes = widths(hidden)
    outputs = [rng.random((BATCH, size), np.float32) for size in sizes]
    kernels = [rng.random(shape, np.float32) for shape in itertools.pairwise(sizes)]
    products = [pair for i, w in enumerate(kernels) for pair in ((outputs[i], w), (outputs[i].T, outputs[i + 1]))]
    products += [(outputs[i + 1], w.T) for i, w in enumerate(kernels) if i]
    times = []
    for _ in range(epochs):
        started = time.perf_counter()
        for _ in range(IMAGES // BATCH):
            for a, b in products:
                a @ b
        times.append(time.perf_counter() - started)
    return times


def measure(name: str, path: Path, hidden: list[int], epochs: int, threads: int) -> dict[str, Any]:
    """Train in a process of its own on so many cores; return its seconds per epoch, wall time and peak memory."""
    command = [sys.executable, __file__, "--contestant", name, "--data", str(path), "--epochs", str(epochs)]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--hidden", json.dumps(hidden)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Every library takes as many threads as it may use cores when it is loaded.
        preexec_fn=partial(os.sched_setaffinity, 0, CORES[:threads]) if CORES else None,
    )
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} ended with {os.waitstatus_to_exitcode(status)}")
    seconds = json.loads(output.splitlines()[-1])
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"epochs": seconds, "wall_seconds": time.perf_counter() - started, "peak_mb": peak}


def compare(path: Path, epochs: int, deep_epochs: int, threads: list[int]) -> list[dict[str, Any]]:
    """Run every contestant twice on both networks with each number of threads, taking turns; return a row of each."""
    present = [name for name, package in CONTESTANTS.items() if importlib.util.find_spec(package)]
    for name in sorted(set(CONTESTANTS) - set(present)):
        print(f"{TITLES[name]} is left out: {CONTESTANTS[name]} is not installed (the extra 'bench')", file=sys.stderr)
    rows = []
    for (network, hidden), cores in itertools.product(NETWORKS.items(), threads):
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in present}
        for _, name in itertools.product(range(2), present):
            print(f"{network}, threads {cores}: {TITLES[name]} ...", file=sys.stderr, flush=True)
            count = epochs if len(hidden) == 1 else deep_epochs
            runs[name].append(measure(name, path, hidden, count, cores))
        rows += [{"network": network, "threads": cores, "by": name, **_summary(runs[name])} for name in present]
    return rows


def _summary(measured: list[dict[str, Any]]) -> dict[str, Any]:
    epochs = [seconds for run in measured for seconds in run["epochs"][1:]]
    return {
        "seconds_per_epoch": statistics.median(epochs),
        "epochs_measured": len(epochs),
        "first_epoch": statistics.median(run["epochs"][0] for run in measured),
        "wall_seconds": statistics.median(run["wall_seconds"] for run in measured),
        "peak_mb": max(run["peak_mb"] for run in measured),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table of docs/performance.md."""
    lines = [
        "| network | threads | trained by | s / epoch | ae's share of it | whole process, s | peak MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    ours = {(row["network"], row["threads"]): row["seconds_per_epoch"] for row in rows if row["by"] == "ae"}
    for row in rows:
        share = ours[row["network"], row["threads"]] / row["seconds_per_epoch"]
        cells = [row["network"], row["threads"], TITLES[row["by"]], f"{row['seconds_per_epoch']:.3f}", f"{share:.2f}"]
        whole = "" if row["by"] == "products" else f"{row['wall_seconds']:.0f} | {row['peak_mb']:.0f}"
        lines.append(f"| {' | '.join(map(str, cells))} | {whole or ' |'} |")
    return "\n".join(lines)


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw seconds per epoch as bars, a panel for each network, the products as a line; with the most threads."""
    from matplotlib.figure import Figure

    most = max(row["threads"] for row in rows)
    figure = Figure(figsize=(9, 3), layout="constrained")
    for axis, network in zip(figure.subplots(1, len(NETWORKS)), NETWORKS, strict=True):
        shown = {
            row["by"]: row["seconds_per_epoch"] for row in rows if (row["network"], row["threads"]) == (network, most)
        }
        bound = shown.pop("products")
        colours = ["#d6604d" if name == "ae" else "#92c5de" for name in shown]
        bars = axis.barh([TITLES[name] for name in shown], list(shown.values()), color=colours)
        axis.bar_label(bars, fmt=" %.2f s", fontsize=8)
        axis.margins(x=0.2)
        axis.axvline(bound, color="#444444", ls="--", lw=1)
        axis.invert_yaxis()
        axis.set_title(network, fontsize=9)
        axis.tick_params(labelsize=8)
    figure.supxlabel(f"seconds an epoch of {IMAGES:,} images; dashed: the matrix products alone", fontsize=8)
    figure.savefig(path, dpi=130)


def threads_of(text: str) -> list[int]:
    """Return the numbers of a list such as 2,1."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=11)
    parser.add_argument("--deep-epochs", type=int, default=4)
    parser.add_argument(
        "--threads", type=threads_of, default=[len(CORES), 1] if CORES else [os.cpu_count()], metavar="N,M"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--png", type=Path)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--hidden", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        trainer = {
            "ae": train_ae, "keras": train_keras, "torch": train_torch, "sklearn": train_sklearn, "products": multiply,
        }  # fmt: skip
        print(json.dumps(trainer[options.contestant](options.data, options.hidden, options.epochs)))
        return
    targets = {name: value.absolute() for name, value in (("json", options.json), ("png", options.png)) if value}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        path = MNIST
        if not path.is_file():
            print(f"{MNIST} is not there: training on generated images of the same shape", file=sys.stderr)
            path = Path(folder) / "images.npy"
            np.save(path, np.random.default_rng(0).integers(0, 256, (60_000, 28, 28)).astype(np.uint8))
        results = compare(path, options.epochs, options.deep_epochs, options.threads)
        if "json" in targets:
            targets["json"].write_text(
                json.dumps({"machine": machine(), "images": IMAGES, "results": results}, indent=2) + "\n"
            )
        if "png" in targets:
            picture(results, targets["png"])
    print(markdown(results))


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "onnxruntime")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
