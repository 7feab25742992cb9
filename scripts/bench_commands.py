"""Measure what the commands cost: seconds and peak memory of whole processes.

    python scripts/bench_commands.py [--repeat 5] [--large GB]

Uses MNIST from ../shared/data where it is there, else generated images of that shape. Prints a
Markdown table with the medians of the repeats, in which all rows take turns. One row is not `ae`: the
script that reconstructs with Keras what `ae reconstruct` does, without measuring or drawing anything.
`ae import` gets 800 JPEG of 500 x 375, made of the photos in ../shared/data where they are there.
`--large` also reconstructs a file of so many gigabytes, once.
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

from bench_scale import in_its_own_process

ROOT = Path(__file__).parents[1]
MNIST = ROOT.parent / "shared" / "data" / "mnist_train.npy"
PHOTOS = ROOT.parent / "shared" / "data" / "photos"
AE = [sys.executable, "-m", "aecli.cli.main"]
KERAS_SCRIPT = """
import sys, keras, numpy as np
model, images, output = sys.argv[1:]
np.save(output, keras.models.load_model(model).predict(np.load(images)[..., None].astype("float32") / 255))
"""
PICTURES = 800
IMPORT = f"ae import, {PICTURES} JPEG of 500 x 375 to 64 x 64"
OURS, THEIRS = "ae reconstruct, 60,000 images", "Keras load_model, predict, np.save, 60,000 images"


def measure(command: list[str], expected: int = 0) -> tuple[float, float]:
    """Run a command once; return its seconds and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    if code != expected:
        raise SystemExit(f"{' '.join(command)} ended with {code}, expected {expected}")
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


def write_pictures() -> None:
    """Write the JPEG files here, in `jpeg`: photos scaled to 500 x 375, or else smooth noise."""
    from PIL import Image

    Path("jpeg").mkdir()
    photos = sorted(PHOTOS.glob("*.jpg")) if PHOTOS.is_dir() else []
    noise = np.random.default_rng(0).integers(0, 256, (PICTURES, 12, 16, 3)).astype(np.uint8)
    for i in range(PICTURES):
        image = Image.open(photos[i % len(photos)]).convert("RGB") if photos else Image.fromarray(noise[i])
        image.resize((500, 375), Image.Resampling.BICUBIC).save(f"jpeg/{i:03}.jpg", quality=85)


def commands() -> dict[str, tuple[list[str], int]]:
    """Return the rows: a command line and how it must end."""
    keras = [sys.executable, "-c", KERAS_SCRIPT, "runs/relu/model.keras", "60k.npy", "keras.npy"]
    return {
        "ae --help": ([*AE, "--help"], 0),
        "a config error": ([*AE, "train", "--config", "wrong.yaml"], 1),
        "ae reconstruct, 10,000 images": ([*AE, "reconstruct", "10k.npy", "--overwrite"], 0),
        OURS: ([*AE, "reconstruct", "60k.npy", "--overwrite"], 0),
        THEIRS: (keras, 0),
        "ae reconstruct, 240,000 images": ([*AE, "reconstruct", "240k.npy", "--overwrite"], 0),
        "ae encode, 10,000 images": ([*AE, "encode", "10k.npy", "--overwrite"], 0),
        "ae evaluate, 10,000 images": ([*AE, "evaluate", "10k.npy"], 0),
        "ae plot": ([*AE, "plot"], 0),
        IMPORT: ([*AE, "import", "jpeg", "--size", "64", "--overwrite"], 0),
    }


def reconstruct_large(gigabytes: float) -> None:
    """Print the speed and the peak memory of `ae reconstruct` on a file of this size."""
    in_its_own_process(int(gigabytes * 1e9 / 784), "large.npy")
    seconds, memory = measure([*AE, "reconstruct", "large.npy"])
    print(f"\nae reconstruct, {gigabytes:g} GB: {1000 * gigabytes / seconds:.0f} MB/s, peak {memory:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--large", type=float, metavar="GB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # In a process of its own: a child's peak memory begins with what its parent held.
        for write in (write_images, write_pictures):
            process = multiprocessing.get_context("spawn").Process(target=write)
            process.start()
            process.join()
        measure([*AE, "train", "--data", "10k.npy", "--config", "relu", "--set", "training.epochs=1"])
        Path("wrong.yaml").write_text("model: {activaton: relu}\n")
        # The first round only warms the disk cache.
        rounds = [{name: measure(*row) for name, row in commands().items()} for _ in range(options.repeat + 1)][1:]
        medians = {name: [statistics.median(r[name][i] for r in rounds) for i in (0, 1)] for name in commands()}
        print("| command | seconds | peak MB |\n| --- | --- | --- |")
        for name, (seconds, memory) in medians.items():
            print(f"| {name} | {seconds:.2f} | {memory:.0f} |")
        print(f"\n{OURS}: {medians[OURS][0] / medians[THEIRS][0]:.2f} of the Keras script's time")
        print(f"{IMPORT}: {PICTURES / medians[IMPORT][0]:.0f} pictures a second, start-up included")
        if options.large:
            reconstruct_large(options.large)


if __name__ == "__main__":
    main()
