"""Measure training and reconstruction on files from 60,000 images to larger than memory should hold.

    python scripts/bench_scale.py [--gigabytes 6] [--json FILE.json] [--png FILE.png]

The images are MNIST from ../shared/data (generated ones where it is missing), repeated and jittered: each copy is
shifted by up to two pixels, scaled in brightness and given noise, so no two are equal. Every measurement is a
whole `ae` process; seconds per epoch are those of history.csv, the peak memory is the process's.

1. Cost: 784-64-784 streamed on 60,000, 240,000 and 960,000 images; seconds per epoch and peak memory.
2. Larger than memory: one epoch on a file of --gigabytes, streamed and in memory, then `ae reconstruct` on it.
"""

import argparse
import csv
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from bench import MNIST, machine

AE = [sys.executable, "-m", "aecli.cli.main"]
COUNTS = (60_000, 240_000, 960_000)
BLOCK = 60_000
STREAMED = "data.memory_budget=20"


def write_images(path: Path, count: int) -> None:
    """Write this many uint8 images (28, 28), block by block."""
    rng = np.random.default_rng(0)
    real = np.load(MNIST) if MNIST.is_file() else rng.integers(0, 256, (BLOCK, 28, 28)).astype(np.uint8)
    out = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 28, 28))
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        block = np.roll(real, rng.integers(-2, 3, 2), axis=(1, 2))[: rows.stop - start].astype(np.int16)
        brightness = rng.integers(200, 256, (len(block), 1, 1), dtype=np.int16)
        noise = rng.integers(0, 8, block.shape, dtype=np.int16)
        out[rows] = np.minimum(block * brightness // 255 + noise, 255)
    out.flush()


def run(*arguments: str) -> dict[str, float]:
    """Run `ae`; return its seconds and its peak memory in MB."""
    started = time.perf_counter()
    with Path("log.txt").open("w") as log:
        process = subprocess.Popen([*AE, *arguments], stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"ae {' '.join(arguments)} failed:\n{Path('log.txt').read_text()[-1000:]}")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"wall_seconds": time.perf_counter() - started, "peak_mb": peak}


def train(images: str, epochs: int, *keys: str) -> dict[str, Any]:
    """Train 784-64-784 on a file; return what it cost and the last validation loss."""
    overrides = [f"training.epochs={epochs}", "training.batch_size=256", "model.latent_dim=64", *keys]
    cost = run("train", "--data", images, "--run", "run", "--overwrite", *(f"--set={key}" for key in overrides))
    with Path("run/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    # The shortest of some equal epochs: what another program on the machine took is not the cost.
    epoch = min(float(row["seconds"]) for row in rows)
    stages = json.loads(Path("run/environment.json").read_text())["seconds"]
    return {**cost, "seconds_per_epoch": epoch, "val_loss": float(rows[-1]["val_loss"]), "stages": stages}


def in_its_own_process(count: int, name: str) -> None:
    """Write images without their memory counting for the processes measured."""
    process = multiprocessing.get_context("spawn").Process(target=write_images, args=(Path(name).absolute(), count))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name}: could not be written")


def linear_cost() -> list[dict[str, Any]]:
    """Measure epochs at every count, and how far each is from the line through the origin and the means."""
    rows = []
    for count in COUNTS:
        in_its_own_process(count, "images.npy")
        rows.append({"images": count, **train("images.npy", 6, STREAMED)})
        print(rows[-1], file=sys.stderr, flush=True)
    slope = statistics.mean(row["seconds_per_epoch"] / row["images"] for row in rows)
    return [{**row, "off_the_line": row["seconds_per_epoch"] / (slope * row["images"]) - 1} for row in rows]


def larger_than_memory(gigabytes: float) -> dict[str, Any]:
    """Train an epoch on a large file streamed and in memory, by turns, and reconstruct it."""
    in_its_own_process(int(gigabytes * 1e9 / 784), "large.npy")
    megabytes = Path("large.npy").stat().st_size / 1e6
    results: dict[str, Any] = {"megabytes": megabytes}
    for name, budget in (("streamed", 1000), ("in_memory", 10**6)):
        results[name] = train("large.npy", 1, f"data.memory_budget={budget}")
        print(name, results[name], file=sys.stderr, flush=True)
    cost = run("reconstruct", "large.npy", "--run", "run", "--output", "out.npy", "--overwrite")
    results["reconstruct"] = {**cost, "mb_per_second": megabytes / cost["wall_seconds"]}
    streamed, resident = results["streamed"], results["in_memory"]
    results["streamed_speed"] = resident["seconds_per_epoch"] / streamed["seconds_per_epoch"]
    results["val_loss_ratio"] = streamed["val_loss"] / resident["val_loss"]
    return results


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw seconds per epoch and peak memory over the number of images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    images = [row["images"] / 1000 for row in rows]
    panels = (("seconds_per_epoch", "seconds an epoch"), ("peak_mb", "peak memory, MB"))
    for axis, (key, title) in zip(figure.subplots(1, 2), panels, strict=True):
        values = [row[key] for row in rows]
        axis.plot(images, values, "o", color="#d6604d")
        line = statistics.mean(v / i for v, i in zip(values, images, strict=True))
        if key == "seconds_per_epoch":
            axis.plot([0, images[-1]], [0, line * images[-1]], ls="--", lw=1, color="#444444")
        axis.set_ylim(0, 1.25 * max(values))
        axis.set_xlim(0, None)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("images streamed, thousands", fontsize=8)
        axis.tick_params(labelsize=8)
    figure.savefig(path, dpi=130)


def markdown(cost: list[dict[str, Any]], large: dict[str, Any]) -> str:
    """Return the tables of docs/performance.md."""
    lines = ["| images, streamed | s / epoch | off the line | peak MB |", "| --- | --- | --- | --- |"]
    for row in cost:
        cells = f"{row['seconds_per_epoch']:.2f} | {row['off_the_line']:+.0%} | {row['peak_mb']:.0f}"
        lines.append(f"| {row['images']:,} | {cells} |")
    lines += ["", f"| {large['megabytes']:,.0f} MB | s / epoch | val loss | peak MB |", "| --- | --- | --- | --- |"]
    for name in ("streamed", "in_memory"):
        row = large[name]
        cells = f"{row['seconds_per_epoch']:.1f} | {row['val_loss']:.6f} | {row['peak_mb']:.0f}"
        lines.append(f"| trained {name.replace('_', ' ')} | {cells} |")
    reconstruct = large["reconstruct"]
    speed = f"{reconstruct['wall_seconds']:.0f} s in all, {reconstruct['mb_per_second']:.0f} MB/s"
    lines.append(f"| `ae reconstruct` | {speed} |  | {reconstruct['peak_mb']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=6)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--png", type=Path)
    options = parser.parse_args()
    targets = {name: value.absolute() for name, value in (("json", options.json), ("png", options.png)) if value}
    if not MNIST.is_file():
        print(f"{MNIST} is not there: measuring generated images of the same shape", file=sys.stderr)
    folder = tempfile.mkdtemp()
    try:
        os.chdir(folder)
        cost, large = linear_cost(), larger_than_memory(options.gigabytes)
    finally:
        shutil.rmtree(folder)
    if "json" in targets:
        content = {"machine": machine(), "linear_cost": cost, "larger_than_memory": large}
        targets["json"].write_text(json.dumps(content, indent=2) + "\n")
    if "png" in targets:
        picture(cost, targets["png"])
    print(markdown(cost, large))


if __name__ == "__main__":
    main()
