"""Measure what the commands cost: seconds and peak memory of whole processes.

    python scripts/bench_commands.py [--repeat 5]

Uses MNIST from ../shared/data where it is there, else generated images of that shape. Prints a
Markdown table; the median of the repeats stands in it.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
MNIST = ROOT.parent / "shared" / "data" / "mnist_train.npy"
AE = [sys.executable, "-m", "aecli.cli.main"]


def measure(arguments: list[str], expected: int = 0) -> tuple[float, float]:
    """Run `ae` once; return its seconds and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen([*AE, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    if code != expected:
        raise SystemExit(f"ae {' '.join(arguments)} ended with {code}, expected {expected}")
    return seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def write_images() -> None:
    """Write 10,000, 60,000 and 240,000 images here."""
    if MNIST.is_file():
        images = np.load(MNIST, mmap_mode="r")
    else:
        print(f"{MNIST} is not there: measuring generated images of the same shape", file=sys.stderr)
        images = np.random.default_rng(0).integers(0, 256, (60_000, 28, 28)).astype(np.uint8)
    np.save("10k.npy", images[:10_000])
    np.save("60k.npy", images)
    np.save("240k.npy", np.concatenate([images] * 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # In a process of its own: a child's peak memory begins with what its parent held.
        process = multiprocessing.get_context("spawn").Process(target=write_images)
        process.start()
        process.join()
        measure(["train", "--data", "10k.npy", "--config", "relu", "--set", "training.epochs=1"])
        Path("wrong.yaml").write_text("model: {activaton: relu}\n")
        rows = [
            ("ae --help", ["--help"], 0),
            ("a config error", ["train", "--config", "wrong.yaml"], 1),
            ("ae reconstruct, 10,000 images", ["reconstruct", "10k.npy", "--overwrite"], 0),
            ("ae reconstruct, 60,000 images", ["reconstruct", "60k.npy", "--overwrite"], 0),
            ("ae reconstruct, 240,000 images", ["reconstruct", "240k.npy", "--overwrite"], 0),
            ("ae encode, 10,000 images", ["encode", "10k.npy", "--overwrite"], 0),
            ("ae evaluate, 10,000 images", ["evaluate", "10k.npy"], 0),
            ("ae plot", ["plot"], 0),
        ]
        print("| command | seconds | peak MB |\n| --- | --- | --- |")
        for name, arguments, expected in rows:
            measure(arguments, expected)  # once to warm the disk cache
            taken = [measure(arguments, expected) for _ in range(repeat)]
            seconds, memory = (statistics.median(values) for values in zip(*taken, strict=True))
            print(f"| {name} | {seconds:.2f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
