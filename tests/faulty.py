"""A disk that fails at every call in turn, and a clock that jumps: what `ae` does then, as lines of JSON.

    LD_PRELOAD=faulty.so python -m tests.faulty train | "train once" | resume | write | read | clock

`faulty.so`, made of faulty.c, stands between Python and the C library. Works in the current folder, which is empty.
"""

import ctypes
import errno
import hashlib
import json
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from PIL import Image

from aecli.cli.main import cli
from aecli.core.errors import AeError
from aecli.core.files import packaged
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.studies.executors.executor import study_trainer
from aecli.training.checkpoints import read_checkpoint
from aecli.training.trainer import Trainer

WRITES, READS = 1, 2
FOREVER = 10**9
DAY = 24 * 3600

Found = Iterator[dict[str, Any]]


def failing(
    work: Callable[[], Any], at: int, *, times: int = FOREVER, error: int = errno.ENOSPC, kind: int = WRITES
) -> tuple[Any, int]:
    """Do some work in which calls on files here fail from number `at` on; return its result and how many there were."""
    library = ctypes.CDLL(None)
    library.faulty_end.restype = ctypes.c_long
    library.faulty_begin(bytes(Path.cwd()), kind, ctypes.c_long(at), ctypes.c_long(times), error)
    try:
        result = work()
    finally:
        calls = library.faulty_end()
    return result, calls


def in_turn(work: Callable[[], Any], before: Callable[[], None], **how: Any) -> Iterator[tuple[int, Any]]:
    """Do it again and again, with one call after the other the first to fail; yield its number and the result."""
    at = 0
    while True:
        before()
        result, calls = failing(work, at, **how)
        if calls <= at:
            return
        yield at, result
        at += 1


# -- training ------------------------------------------------------------------------------------

KEYS = ("model.latent_dim=4", "training.epochs=1", "training.batch_size=512", "training.optimizer=sgd")
CONFIG = load_config(None, (*KEYS, "model.dropout=0.2", "training.checkpoint_seconds=0")).config
TRAINER = study_trainer()
RUN = Path("run")


def trained(**options: Any) -> str:
    """Train a run; return what went wrong, nothing where nothing did."""
    try:
        TRAINER.train(CONFIG, RUN, **options)
    except AeError as error:
        return str(error)
    return ""


def looked_at(said: str, expected: str) -> dict[str, Any]:
    """Return what was left of a run, and whether it ends with the weights expected when it goes on."""
    for file in Run(RUN).checkpoint_files:
        read_checkpoint(file)  # raises where one is torn
    return {
        "said": said,
        "state": Run(RUN).state,
        "failed": Run(RUN).failure_file.is_file() and json.loads(Run(RUN).failure_file.read_text())["state"],
        "hidden": [str(path) for path in RUN.rglob(".*")],
        "again": trained(resume=True),
        "identical": Run(RUN).metrics["weights_sha256"] == expected,
    }


def train(error: int, times: int) -> Found:
    """A training whose disk fails at one of its calls that write, from then on or once."""
    expected = TRAINER.train(CONFIG, Path("whole")).metrics["weights_sha256"]

    def before() -> None:
        shutil.rmtree(RUN, ignore_errors=True)

    for at, said in in_turn(trained, before, times=times, error=error):
        yield {"at": at, **looked_at(said, expected)}


def resume() -> Found:
    """A training that goes on from its checkpoint, whose disk fails from one of its calls that read on."""
    expected = TRAINER.train(CONFIG, Path("whole")).metrics["weights_sha256"]
    _, calls = failing(trained, FOREVER)
    shutil.rmtree(RUN)
    failing(trained, calls // 2)
    RUN.rename("stopped")

    def before() -> None:
        shutil.rmtree(RUN, ignore_errors=True)
        shutil.copytree("stopped", RUN)

    for at, said in in_turn(lambda: trained(resume=True), before, kind=READS, error=errno.EIO):
        yield {"at": at, **looked_at(said, expected)}


# -- commands ------------------------------------------------------------------------------------

TINY = ("--set=training.epochs=1", "--set=model.latent_dim=4")
COMMANDS = {
    "reconstruct": ("reconstruct", "many.npy", "--run=run", "--output=out/a.npy"),
    "reconstruct pictures": ("reconstruct", "pictures", "--run=run", "--output=out/a.npy"),
    "encode": ("encode", "many.npy", "--run=run", "--output=out/a.npy"),
    "decode": ("decode", "latents.npy", "--run=run", "--output=out/a.npy"),
    "evaluate": ("evaluate", "many.npy", "--run=run", "--per-image=out/a.csv"),
    "score": ("score", "many.npy", "--run=run", "--false-alarms=0.1", "--output=out/a.csv", "--maps=out/a.npy"),
    "probe": ("probe", "few.npy", "--run=run", "--predictions=out/a.csv"),
    "compress": ("compress", "few.npy", "--run=run", "--output=out/a.aez"),
    "decompress": ("decompress", "few.aez", "--run=run", "--output=out/a.npy"),
    "sample": ("sample", "--count=9", "--components=1", "--run=run", "--output=out/a.npy"),
    "import": ("import", "many.npy", "--output=out/a.npy"),
    "import pictures": ("import", "pictures", "--output=out/a.npy"),
    "check": ("check", "many.npy", "--sheet=out/a.png"),
    "plot": ("plot", "--run=run", "--output=out/a.png"),
    "plot as pdf": ("plot", "history", "--run=run", "--output=out/a.pdf"),
    "report": ("report", "run", "--output=out/a.html"),
    "config init": ("config", "init", "--output=out/a.yaml"),
    "compare": ("compare", "many.npy", "--activations=relu,linear", "--seeds=1", "--output=out/study", *TINY),
}
"""The runs of the study are there, so `ae compare` writes all but those."""


def prepare() -> None:
    """Make what the commands read."""
    images = np.load(packaged("data/digits.npy"))[:300]
    np.save("many.npy", images)
    np.save("latents.npy", np.zeros((300, 4), np.float32))
    np.save("few.npy", images[:20])
    np.save("few_labels.npy", np.arange(20) % 2)
    for i, image in enumerate(images[:6]):
        path = Path("pictures") / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype(np.uint8)).save(path)
    invoked("train", "--data=many.npy", "--run=run", *TINY)
    invoked("compress", "few.npy", "--run=run")
    invoked(*COMMANDS["compare"])
    Path("out/study").rename("study")


def invoked(*command: str) -> None:
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.stderr


def afresh() -> None:
    """Leave nothing of a former command but a complete study."""
    for folder in ("out", "cache"):
        shutil.rmtree(folder, ignore_errors=True)
    Run(RUN).sampler_file.unlink(missing_ok=True)
    shutil.copytree("study", "out/study")


def contents() -> dict[str, str]:
    """Return the hash of every file that a command has written."""
    paths = [path for path in Path("out").rglob("*") if path.is_file() and "study" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def commands(kind: int, error: int) -> Found:
    """Every command, whose disk fails from one of its calls that write, or read, on."""
    prepare()
    for name, command in COMMANDS.items():
        afresh()
        invoked(*command)
        whole = contents()
        for at, result in in_turn(lambda c=command: CliRunner().invoke(cli, c), afresh, kind=kind, error=error):
            ours = result.exception is None or isinstance(result.exception, SystemExit)
            yield {
                "command": name,
                "at": at,
                "code": result.exit_code if ours else "".join(traceback.format_exception(*result.exc_info)[-4:]),
                "lines": [line for line in result.output.splitlines() if line.startswith(("ae: ", "error"))],
                "hidden": [str(path) for folder in ("out", "cache", "run") for path in Path(folder).rglob(".*")],
                "torn": [path for path, digest in contents().items() if whole.get(path) != digest],
            }


# -- the clock -----------------------------------------------------------------------------------


def set_clock(seconds: int, by: int = 0) -> None:
    """Let the clock of the day be so many seconds off, and `by` more after every look at it."""
    ctypes.CDLL(None).faulty_clock(ctypes.c_longlong(seconds), ctypes.c_longlong(by))


def clock() -> Found:
    """A training and what is done with it while the clock jumps by weeks with every look, and one in 1970."""
    prepare()
    whole = Trainer()
    expected = whole.train(CONFIG, Path("whole")).metrics["weights_sha256"]
    for days in (-20, 20):
        shutil.rmtree(RUN)
        set_clock(0, days * DAY)
        run = whole.train(CONFIG, RUN)
        for name in ("reconstruct", "reconstruct pictures", "import pictures", "plot", "report", "compare"):
            afresh()
            invoked(*COMMANDS[name])
        set_clock(0)
        yield {"identical": run.metrics["weights_sha256"] == expected, "seconds": run.metrics["seconds"]}
    shutil.rmtree(RUN)
    set_clock(-56 * 365 * DAY)
    said = trained()
    set_clock(0)
    yield looked_at(said, expected)


def main() -> None:
    found = {
        "train": lambda: train(errno.ENOSPC, FOREVER),
        "train once": lambda: train(errno.EIO, 1),
        "resume": resume,
        "write": lambda: commands(WRITES, errno.ENOSPC),
        "read": lambda: commands(READS, errno.EIO),
        "clock": clock,
    }
    for each in found[sys.argv[1]]():
        print(json.dumps(each), flush=True)


if __name__ == "__main__":
    main()
