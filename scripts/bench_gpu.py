"""Measure trainings on a GPU beside the machine's own cores, in at most ten minutes.

    python scripts/bench_gpu.py [--images FILE.npy] [--minutes 10] [--device gpu:0] [--json FILE.json]

It prints, with the card's name:

- runs a minute of a study (784-64-784, four activations, 16 runs of 5 epochs on 20,000 images) with 1, 2, 4 and 8
  workers on the GPU, and with a worker on every core of the machine;
- epochs a second of the configs relu, deep and conv in float32 and in mixed precision, and the GPU's memory meanwhile;
- whether two runs of one seed have the same weights, and what `ae verify` says of one.

What the time does not suffice for is left out, and said. `--device cpu` tries the script itself.
"""

import argparse
import csv
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from bench import MNIST, machine

AE = (sys.executable, "-m", "aecli")
IMAGES, RUNS, STUDY_EPOCHS = 20_000, 16, 5
STUDY = (
    "--activations=relu,prelu,tanh,silu", "--seeds=4", f"--set=training.epochs={STUDY_EPOCHS}",
    "--set=model.latent_dim=64", "--set=training.batch_size=256", "--quiet",
)  # fmt: skip
CONFIGS, PRECISIONS, EPOCHS = ("relu", "deep", "conv"), ("float32", "mixed"), 12


class Clock:
    """The minutes that are left; the longest step so far says whether another one fits."""

    def __init__(self, minutes: float) -> None:
        self._end, self._longest = time.monotonic() + 60 * minutes, 20.0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time the block as a step."""
        started = time.monotonic()
        yield
        self._longest = max(self._longest, time.monotonic() - started)

    def suffices(self, what: str) -> bool:
        """Whether there is time for another step; say what is left out where there is none."""
        enough = time.monotonic() + self._longest < self._end
        if not enough:
            print(f"left out for want of time: {what}", flush=True)
        return enough


def memory_of_gpus() -> int | None:
    """Return the megabytes in use on all GPUs, None where nobody can say."""
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return sum(map(int, said.split()))


@contextmanager
def watching_memory() -> Iterator[list[int]]:
    """Collect the megabytes in use on all GPUs, twice a second, while the block runs."""
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while (used := memory_of_gpus()) is not None and not done.wait(0.5):
            seen.append(used)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def ae(*words: str) -> str:
    """Run a command of ae; return its standard output. Its errors go to the terminal, and end this script."""
    return subprocess.run([*AE, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def study(folder: Path, images: Path, device: str, workers: int | None) -> dict[str, Any]:
    """Run the study with so many workers; return its runs a minute and the memory that the GPUs had in use."""
    given = [] if workers is None else [f"--workers={workers}"]
    started = time.perf_counter()
    with watching_memory() as memory:
        ae("compare", str(images), *STUDY, f"--device={device}", *given, f"--output={folder}")
    rows = [*csv.DictReader((folder / "results.csv").read_text().splitlines())]
    complete = sum(row["state"] == "complete" for row in rows)
    minutes = (time.perf_counter() - started) / 60
    return {"device": device, "workers": workers, "complete": complete, "of": RUNS,
            "runs_a_minute": complete / minutes, "gpu_mb": max(memory, default=None)}  # fmt: skip


def training(folder: Path, images: Path, device: str, config: str, precision: str) -> dict[str, Any]:
    """Train a config; return its epochs a second without the first, and the memory that the GPUs had in use."""
    with watching_memory() as memory:
        ae("train", f"--config={config}", f"--data={images}", f"--run={folder}", f"--device={device}", "--quiet",
           f"--set=training.epochs={EPOCHS}", f"--set=training.precision={precision}")  # fmt: skip
    epochs = [float(row["seconds"]) for row in csv.DictReader((folder / "history.csv").read_text().splitlines())]
    devices = json.loads((folder / "environment.json").read_text())["machine"]["devices"]
    return {"config": config, "precision": precision, "epochs_a_second": 1 / float(np.median(epochs[1:])),
            "devices": devices, "gpu_mb": max(memory, default=None)}  # fmt: skip


def weights_hash(run: Path) -> str:
    """Return the hash of a run's weights."""
    return str(json.loads((run / "metrics.json").read_text())["weights_sha256"])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of one shape as a Markdown table."""
    cells = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=MNIST)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--device", default="gpu:0")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    clock, folder = Clock(asked.minutes), Path(tempfile.mkdtemp())
    studies: list[dict[str, Any]] = []
    trainings: list[dict[str, Any]] = []
    repeated: dict[str, Any] = {}

    def train(configs: Sequence[str]) -> None:
        for config, precision in itertools.product(configs, PRECISIONS):
            if clock.suffices(f"{config} in {precision}"):
                with clock.step():
                    run = folder / f"{config}-{precision}"
                    trainings.append(training(run, images, asked.device, config, precision))
                    print(trainings[-1], flush=True)

    try:
        real = (
            np.load(asked.images)
            if asked.images.is_file()
            else np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28))
        )
        images = folder / "images.npy"
        np.save(images, real[:IMAGES].astype(np.uint8))
        train(CONFIGS[:1])
        if clock.suffices("relu a second time"):
            with clock.step():
                training(folder / "again", images, asked.device, "relu", "float32")
                hashes = {weights_hash(folder / name) for name in ("relu-float32", "again")}
                repeated["two runs of one seed have the same weights"] = len(hashes) == 1
        if clock.suffices("ae verify"):
            with clock.step():
                said = subprocess.run([*AE, "verify", str(folder / "again"), f"--device={asked.device}", "--quiet"],
                                      stdout=subprocess.PIPE, text=True)  # fmt: skip
                repeated["ae verify"] = said.stdout.strip()
        print(repeated, flush=True)
        for device, workers in [(asked.device, 4), ("cpu", None), *((asked.device, count) for count in (1, 2, 8))]:
            if clock.suffices(f"a study with {workers or 'all'} workers on {device}"):
                with clock.step():
                    studies.append(study(folder / f"{device}-{workers}", images, device, workers))
                    print(studies[-1], flush=True)
        train(CONFIGS[1:])
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"{' '.join(error.cmd[2:4])} ended with {error.returncode}; what it says stands above"
        ) from None
    finally:
        shutil.rmtree(folder)
    result = {"machine": machine(), "studies": studies, "trainings": trainings, "repeated": repeated}
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n")
    for rows in (studies, trainings):
        if rows:
            print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
