"""Kill trainings with SIGKILL at random instants, resume them until they are done, and compare the weights.

    python scripts/soak.py [--trainings 200] [--kills 3] [--seed 0] [--keep FOLDER]

Each training is a small network with dropout and early stopping on the digits, with one of 5 seeds. For each seed it
is trained once without a stop. Then it is killed at instants drawn at random out of its whole life, reading and writing
included, and given again with --resume until it ends by itself. Prints one line a training, and at the end how many
ended with the SHA-256 of the uninterrupted weights. The exit code is 0 when all did.

Processes are forks of one that has imported TensorFlow and computed nothing: so the instants fall into training and
writing, and not into seconds of imports.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OPTIONS = ["--config=soak.yaml", "--resume", "--quiet", "--threads=1", "--device=cpu"]
SEEDS = 5
PRELOADED = ["aecli.cli.train", "aecli.training", "aecli.nn.fit", "aecli.nn.export", "matplotlib.backends.backend_agg"]
CONFIG = """\
model: {hidden: [24], latent_dim: 8, dropout: 0.2}
training: {epochs: 12, batch_size: 16, learning_rate: 0.003, early_stopping: {patience: 3}, checkpoint_seconds: 0}
"""


def train(folder: Path, seed: int) -> Any:
    """Start `ae train --resume` in a process of its own."""
    process = multiprocessing.Process(target=_command, args=(folder, seed))
    process.start()
    return process


def _command(folder: Path, seed: int) -> None:
    from aecli.cli.main import main

    sys.argv = ["ae", "train", *OPTIONS, f"--set=training.seed={seed}", f"--run={folder}"]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    main()


def killed_and_resumed(folder: Path, seed: int, seconds: float, kills: int, rng: random.Random) -> tuple[int, int]:
    """Train until it ends by itself, killed so many times before; return how often it was killed, and the exit code."""
    done = 0
    while True:
        process = train(folder, seed)
        if done < kills:
            process.join(rng.uniform(0, seconds))
        else:
            process.join()
        if process.exitcode is not None:
            return done, process.exitcode
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        done += 1


def whole(folder: Path, seed: int) -> tuple[str, float]:
    """Train without a stop; return the hash of the weights and the seconds it took."""
    started = time.perf_counter()
    train(folder, seed).join()
    weights = weights_of(folder)
    if weights is None:
        raise SystemExit(f"{folder}: a training without a stop did not end well")
    return weights, time.perf_counter() - started


def weights_of(folder: Path) -> str | None:
    """Return the hash of a complete run's weights, None for any other."""
    try:
        return str(json.loads((folder / "metrics.json").read_text())["weights_sha256"])
    except (OSError, ValueError, KeyError):
        return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="soak-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Path("soak.yaml").write_text(CONFIG)
    os.environ["OMP_NUM_THREADS"] = "1"
    multiprocessing.set_start_method("forkserver")
    multiprocessing.set_forkserver_preload(PRELOADED)
    train(Path("first"), 0).join()  # the import of all that is preloaded is not a training's
    uninterrupted = [whole(Path(f"whole-{seed}"), seed) for seed in range(min(SEEDS, options.trainings))]
    identical = kills = 0
    for number in range(options.trainings):
        rng, parts = random.Random(f"{options.seed} {number}"), Path(f"parts-{number}")
        expected, seconds = uninterrupted[number % SEEDS]
        killed, code = killed_and_resumed(parts, number % SEEDS, seconds, options.kills, rng)
        kills += killed
        same = weights_of(parts) == expected
        identical += same
        print(f"{number}: killed {killed} times, {'identical' if same else f'DIFFERENT, exit code {code}'}", flush=True)
        if same:
            shutil.rmtree(parts)
    print(f"{identical} of {options.trainings} trainings, killed {kills} times, ended with the uninterrupted weights")
    return 0 if identical == options.trainings else 1


if __name__ == "__main__":
    sys.exit(main())
