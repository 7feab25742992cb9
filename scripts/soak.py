"""Kill commands with SIGKILL at random instants, give them again until they are done, and compare what they made.

    python scripts/soak.py [--only train|compare|parts|dask|import|reconstruct] [--count N] [--seed 0]
                           [--kills 3] [--minutes N] [--keep FOLDER]

Every command runs once without a stop. Then, so many times, it is killed at instants drawn at random out of its whole
life, reading and writing included, and given again until it ends by itself.

- train: a small network with dropout and early stopping on the digits, with one of 5 seeds, resumed with --resume.
  The weights must have the SHA-256 of the uninterrupted ones.
- compare: a study of two activations and three seeds by two workers; the parent is killed, or a worker, or both. The
  results must be those of the uninterrupted study, no complete run trained again, no process left.
- parts: the same study in two parts at once, one worker each; a part is killed, or its worker with it, and some of them
  are begun again. Then the command without a part: results and weights must be those of the uninterrupted study.
- dask: the same study on a Dask cluster of two workers, started anew for every study; the client is killed, and the
  command given again, or a worker. The weights must be those that the worker processes of `ae` itself give.
- import, reconstruct: a folder of pictures made into a file. After every kill each file must be absent or whole, at
  the end the files must be those of the command that never stopped. --overwrite is given once the file is there.

Nothing may be left behind that a command writes for a while only. Prints one line for each that was killed, and at
the end the totals as a line of JSON. The exit code is 0 when all came out the same.

Processes are forks of one that has imported everything and computed nothing, so that the instants fall into work, and
not into seconds of imports; those of compare and of parts, which start their workers themselves, are fresh. Runs on
Linux.
"""

import argparse
import csv
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

COUNTS = {"import": 100, "reconstruct": 100, "compare": 20, "parts": 7, "dask": 15, "train": 200}
SEEDS = 5
DASK_SEEDS = "--seeds=10"
"""More runs for those on a cluster, which takes its time to start."""
PICTURES = 600
COMMON = ["aecli.cli.main", "matplotlib.backends.backend_agg"]
PRELOADED = {
    "train": [
        "aecli.cli.commands.train",
        "aecli.training.trainer",
        "aecli.training.loop",
        "aecli.training.export.onnx_writer",
    ],
    "compare": [],
    "parts": [],
    "dask": [],
    "import": ["aecli.cli.commands.import", "aecli.data.files.convert", "aecli.cli.terminal"],
    "reconstruct": [
        "aecli.cli.commands.reconstruct",
        "aecli.runs.uses.evaluate",
        "aecli.views.plots",
        "aecli.data.files.open",
        "aecli.cli.terminal",
    ],
}
CONFIG = """\
model: {hidden: [24], latent_dim: 8, dropout: 0.2}
training: {epochs: 12, batch_size: 16, learning_rate: 0.003, early_stopping: {patience: 3}, checkpoint_seconds: 0}
study: {vary: {model.activation: [relu, linear]}, seeds: 3}
"""

Trial = Callable[[int, random.Random], tuple[int, str]]
"""Does it once: how often it was killed, and what was wrong at the end, nothing when nothing was."""


def started(arguments: list[str], folder: Path = Path()) -> Any:
    """Start `ae` in a folder, in a process of its own."""
    process = multiprocessing.Process(target=_command, args=(arguments, folder.absolute()))
    process.start()
    return process


def _command(arguments: list[str], folder: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.chdir(folder)
    sys.argv = ["ae", *arguments, "--quiet", "--threads=1"]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from aecli.cli.main import main

    main()


def killed_and_repeated(
    start: Callable[[], Any], seconds: float, kills: int, rng: random.Random, after: Callable[[], None] = lambda: None
) -> tuple[int, int]:
    """Start it until it ends by itself, killed so many times before; return how often it was killed, and the exit code.

    `after` is called after every kill.
    """
    done = 0
    while True:
        process = start()
        process.join(rng.uniform(0, seconds) if done < kills else None)
        if process.exitcode is not None:
            return done, process.exitcode
        process.kill()
        process.join()
        done += 1
        after()


def whole(arguments: list[str], folder: Path = Path()) -> float:
    """Run `ae` without a stop; return the seconds it took."""
    begun = time.perf_counter()
    process = started(arguments, folder)
    process.join()
    if process.exitcode:
        raise SystemExit(f"ae {' '.join(arguments)}: without a stop it ended with the exit code {process.exitcode}")
    return time.perf_counter() - begun


# -- train ---------------------------------------------------------------------------------------


def train(kills: int) -> Trial:
    """Return the trial of `ae train --resume`."""

    def arguments(folder: Path, seed: int) -> list[str]:
        options = ["--config=soak.yaml", "--resume", "--device=cpu", f"--set=training.seed={seed}"]
        return ["train", *options, f"--run={folder}"]

    whole(arguments(Path("first"), 0))  # the import of all that is preloaded is not a training's
    seconds = [whole(arguments(Path(f"whole-{seed}"), seed)) for seed in range(SEEDS)]
    expected = [weights_of(Path(f"whole-{seed}")) for seed in range(SEEDS)]

    def trial(number: int, rng: random.Random) -> tuple[int, str]:
        folder, seed = Path(f"train-{number}"), number % SEEDS
        killed, code = killed_and_repeated(lambda: started(arguments(folder, seed)), seconds[seed], kills, rng)
        if code or weights_of(folder) != expected[seed]:
            return killed, f"other weights, exit code {code}"
        return killed, _hidden(folder)

    return trial


def weights_of(folder: Path) -> str | None:
    """Return the hash of a complete run's weights, None for any other."""
    try:
        return str(json.loads((folder / "metrics.json").read_text())["weights_sha256"])
    except (OSError, ValueError, KeyError):
        return None


def _hidden(folder: Path) -> str:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))
    return f"left behind: {', '.join(names)}" if names else ""


# -- import and reconstruct ----------------------------------------------------------------------


def imported(kills: int) -> Trial:
    """Return the trial of `ae import`."""
    make_pictures(Path("pictures"))
    return _written(["import", "../pictures", "--size=32"], kills)


def reconstructed(kills: int) -> Trial:
    """Return the trial of `ae reconstruct`, with a cache of its own each time."""
    make_pictures(Path("pictures"))
    whole(["train", "--config=soak.yaml", "--data=pictures", "--set=data.size=32", "--run=run"])
    return _written(["reconstruct", "../pictures", "--run=../run"], kills)


def _written(arguments: list[str], kills: int) -> Trial:
    name, made = arguments[0], [*arguments, "--output=out.npy"]
    for warming in ("first", "whole"):
        Path(f"{name}-{warming}").mkdir()
        seconds = whole(made, Path(f"{name}-{warming}"))
    expected = _contents(Path(f"{name}-whole"))

    def trial(number: int, rng: random.Random) -> tuple[int, str]:
        folder, torn = Path(f"{name}-{number}"), []
        folder.mkdir()

        def start() -> Any:
            return started([*made, *(["--overwrite"] if (folder / "out.npy").exists() else [])], folder)

        def look() -> None:
            there = _contents(folder)
            torn.extend(path for path in expected if there.get(path, expected[path]) != expected[path])

        killed, code = killed_and_repeated(start, seconds, kills, rng, look)
        there = _contents(folder)
        if torn or code or there != expected:
            odd = sorted(path for path in {*there, *expected} if there.get(path) != expected.get(path))
            return killed, f"torn: {torn}, exit code {code}, at the end missing, left or other: {odd}"
        return killed, ""

    return trial


def _contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file in a folder; folders have none."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


def make_pictures(folder: Path) -> None:
    """Save digits as pictures of several sizes in two folders, the classes."""
    import numpy as np
    from PIL import Image

    from aecli.core.files import packaged

    if folder.exists():
        return
    for i, digit in enumerate(np.load(packaged("data/digits.npy"))[:PICTURES]):
        path = folder / "ab"[i % 2] / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digit * (255 / digit.max())).astype("uint8")).resize((40 + i % 3, 40)).save(path)


# -- compare -------------------------------------------------------------------------------------


def compared(kills: int) -> Trial:
    """Return the trial of `ae compare`."""

    def start(folder: Path) -> Any:
        return start_study(folder, "--workers=2")

    seconds = whole_study(start)
    expected = results_of(Path("study-whole"))

    def trial(number: int, rng: random.Random) -> tuple[int, str]:
        folder, killed, complete, one_worker_killed = Path(f"study-{number}"), 0, {}, False
        process = start(folder)
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, seconds) if killed < kills else None)
            if process.returncode is not None:
                break
            complete = states_of(folder) | complete
            # A run that has lost two workers of one command counts as failed, and so it should.
            whom = rng.choice(["parent", "both"] if one_worker_killed else ["parent", "worker", "both"])
            if whom != "parent":
                one_worker_killed = _kill_a_worker(process.pid, rng) or one_worker_killed
            if whom != "worker":
                process.kill()
                process.wait()
                process, one_worker_killed = start(folder), False
            killed += 1
        again = [str(path) for path, state in complete.items() if states_of(folder).get(path) != state]
        alive = left_running(folder)
        if process.returncode or results_of(folder) != expected or again or alive:
            return killed, f"exit code {process.returncode}, trained again: {again}, still running: {alive}"
        return killed, _hidden(folder)

    return trial


def start_study(folder: Path, *more: str) -> Any:
    """Start `ae compare` in a session of its own."""
    options = ["--config=soak.yaml", *more, "--quiet", f"--output={folder}"]
    return subprocess.Popen(
        [sys.executable, "-m", "aecli.cli.main", "compare", *options],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SOAK": str(folder)},
        start_new_session=True,
    )


def whole_study(start: Callable[[Path], Any]) -> float:
    """Train a study without a stop, for the second time; return the seconds it took."""
    for warming in ("first", "whole"):
        begun = time.perf_counter()
        if start(Path(f"study-{warming}")).wait():
            raise SystemExit("ae compare: without a stop it did not end well")
    return time.perf_counter() - begun


def parted(kills: int) -> Trial:
    """Return the trial of `ae compare --part`."""
    seconds = whole_study(lambda folder: start_study(folder, "--workers=1"))
    expected = results_of(Path("study-whole")), hashes_of(Path("study-whole"))

    def trial(number: int, rng: random.Random) -> tuple[int, str]:
        folder, killed, complete = Path(f"parts-{number}"), 0, {}
        parts = {part: start_study(folder, "--workers=1", f"--part={part}/2") for part in (1, 2)}
        while killed < kills:
            time.sleep(rng.uniform(0, seconds / 2))
            training = [part for part, process in parts.items() if process.poll() is None]
            if not training:
                break
            complete = states_of(folder) | complete
            part = rng.choice(training)
            # Its worker either dies with it, or keeps a checkpoint while another command may wait for it.
            (os.killpg if rng.random() < 0.5 else os.kill)(parts[part].pid, signal.SIGKILL)
            parts[part].wait()
            killed += 1
            if rng.random() < 0.7:
                parts[part] = start_study(folder, "--workers=1", f"--part={part}/2")
        for process in parts.values():
            process.wait()
        complete = states_of(folder) | complete
        code = start_study(folder, "--workers=1").wait()
        again = [str(path) for path, state in complete.items() if states_of(folder).get(path) != state]
        alive, same = left_running(folder), (results_of(folder), hashes_of(folder)) == expected
        if code or again or alive or not same:
            return killed, f"exit code {code}, same: {same}, trained again: {again}, still running: {alive}"
        return killed, _hidden(folder)


def on_dask(kills: int) -> Trial:
    """Return the trial of `ae compare --scheduler`."""
    begun = time.perf_counter()
    if start_study(Path("dask-whole"), "--workers=2", DASK_SEEDS).wait():
        raise SystemExit("ae compare: without a stop it did not end well")
    seconds, expected = time.perf_counter() - begun, hashes_of(Path("dask-whole"))

    def trial(number: int, rng: random.Random) -> tuple[int, str]:
        from distributed import LocalCluster

        folder, killed, worker_killed = Path(f"dask-{number}"), Counter[str](), False
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
            where = f"--scheduler={cluster.scheduler_address}"
            process = start_study(folder, where, DASK_SEEDS)
            while True:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0, seconds / 2) if killed.total() < kills else None)
                if process.returncode is not None:
                    break
                # A run that has lost two workers of one command counts as failed, and so it should.
                whom = "client" if worker_killed else rng.choice(["client", "worker"])
                if whom == "worker":
                    os.kill(_a_worker(cluster, rng), signal.SIGKILL)
                    worker_killed = True
                else:
                    process.kill()
                    process.wait()
                    process, worker_killed = start_study(folder, where, DASK_SEEDS), False
                killed[whom] += 1
        ended = ", ".join(f"{count} of the {whom}" for whom, count in sorted(killed.items())) or "none"
        if process.returncode or hashes_of(folder) != expected:
            return killed.total(), f"exit code {process.returncode}, other weights or runs (kills: {ended})"
        print(f"dask {number}: kills: {ended}")
        return killed.total(), _hidden(folder)

    return trial


def hashes_of(folder: Path) -> dict[str, str | None]:
    """Return the hash of the weights of every run of a study."""
    return {str(run.relative_to(folder)): weights_of(run) for run in folder.glob("runs/*/*")}


def _a_worker(cluster: Any, rng: random.Random) -> int:
    """Return the process of one of the workers."""
    return int(rng.choice([nanny.pid for nanny in cluster.workers.values() if nanny.pid]))


def results_of(folder: Path) -> list[dict[str, str]]:
    """Return what a study knows of its runs, without the seconds they took."""
    try:
        with (folder / "results.csv").open(newline="") as file:
            return [{**row, "seconds": ""} for row in csv.DictReader(file)]
    except OSError:
        return []


def states_of(folder: Path) -> dict[Path, Any]:
    """Return the metrics.json of every complete run of a study, and when it was written."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("runs/*/*/metrics.json")}


def _kill_a_worker(parent: int, rng: random.Random) -> bool:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    if workers:
        os.kill(int(rng.choice(workers)), signal.SIGKILL)
    return bool(workers)


def left_running(folder: Path) -> list[int]:
    """Return the processes of a study that have not ended ten seconds after it."""
    for _ in range(100):
        found, mark = [], f"SOAK={folder}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        if not found:
            break
        time.sleep(0.1)
    return found


TRIALS = {
    "import": imported,
    "reconstruct": reconstructed,
    "compare": compared,
    "parts": parted,
    "dask": on_dask,
    "train": train,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=TRIALS)
    parser.add_argument("--count", type=int, help=f"default: {COUNTS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing more after so many")
    parser.add_argument("--keep", type=Path, help="work in this folder, which must be new; default: a temporary one")
    options = parser.parse_args()
    kinds = [options.only] if options.only else list(TRIALS)
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="soak-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Path("soak.yaml").write_text(CONFIG)
    os.environ["OMP_NUM_THREADS"] = "1"
    multiprocessing.set_start_method("forkserver")
    multiprocessing.set_forkserver_preload([*COMMON, *(name for kind in kinds for name in PRELOADED[kind])])
    end, totals = time.monotonic() + 60 * options.minutes, {}
    for kind in kinds:
        trial = TRIALS[kind](options.kills)
        totals[kind] = {"done": 0, "identical": 0, "kills": 0}
        for number in range(options.count or COUNTS[kind]):
            if time.monotonic() > end:
                break
            killed, problem = trial(number, random.Random(f"{options.seed} {kind} {number}"))
            totals[kind]["done"] += 1
            totals[kind]["identical"] += not problem
            totals[kind]["kills"] += killed
            print(f"{kind} {number}: killed {killed} times, {problem or 'identical'}", flush=True)
            if not problem:
                shutil.rmtree(next(Path().glob(f"{'study' if kind == 'compare' else kind}-{number}")))
    print(json.dumps({"seed": options.seed, **totals}))
    return 0 if all(each["done"] == each["identical"] for each in totals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
