"""A machine that fails: no memory, no room on the disk, no right to write, a disk that cannot be read."""

import contextlib
import gzip
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import RunError, WriteError
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.training.progress import NullProgress
from aecli.training.trainer import train
from tests.conftest import DIGITS, SMALL, python
from tests.hostile import IMAGES, graph, header, idx_bytes, npy_bytes, png_bytes, shaped, zip_bomb, zipped

RUN_AE = "import sys; from aecli.cli.main import main; sys.argv[0] = 'ae'; main()"
ZEROS = 200 * 2**20
BRIEF_SETS = [f"--set={key}" for key in SMALL]


# -- memory ---------------------------------------------------------------------------------------


def sparse(path: str, size: int, start: bytes = b"") -> None:
    """A file that says it is large, and takes no room."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(size)


def _greedy_runs(run: Path) -> dict[str, tuple[str, ...]]:
    """Copies of a run, each with one file that asks for far more memory than it should get; their commands."""
    stored = {"mean.npy": npy_bytes(np.zeros((8, 8, 1), "f4")), "components.npy": shaped("(1000000000000, 64)", "<f4")}
    bomb = zip_bomb(
        header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({ZEROS // 256}, 64)}}"), ZEROS, "components.npy"
    )
    files: dict[str, tuple[str, bytes | int, tuple[str, ...]]] = {
        "environment.json of 1 GB": ("environment.json", 2**30, ("encode", "a.npy", "--run")),
        "metrics.json of 1 GB": ("metrics.json", 2**30, ("report",)),
        "history.csv of 1 GB": ("history.csv", 2**30, ("plot", "history", "--run")),
        "encoder.onnx of 4 GB": ("encoder.onnx", 2**32, ("encode", "a.npy", "--run")),
        "encoder.onnx of zeros": ("encoder.onnx", 2**30, ("encode", "a.npy", "--run")),
        "baselines.npz with a zip bomb": ("baselines.npz", bomb, ("evaluate", "a.npy", "--run")),
        "baselines.npz of 10^12": ("baselines.npz", zipped(*stored.items(), packing=0), ("evaluate", "a.npy", "--run")),
        "split.npz of 4 GB": ("split.npz", 2**32, ("plot", "--run")),
    }  # fmt: skip
    commands = {}
    for i, (about, (name, content, command)) in enumerate(files.items()):
        folder = Path(f"greedy/{i}")
        shutil.copytree(run, folder)
        (folder / name).unlink()
        sparse(str(folder / name), content) if isinstance(content, int) else (folder / name).write_bytes(content)
        commands[about] = (*command, str(folder))
    return commands


def _greedy_sources() -> dict[str, tuple[str, ...]]:
    small = npy_bytes(IMAGES)
    contents: dict[str, bytes | int] = {
        "more.npz": zip_bomb(small, ZEROS),
        "lies.npz": zip_bomb(shaped("(1000000000000, 8, 8)"), 2**20),
        "header.npz": zip_bomb(b"\x93NUMPY\2\0\xff\xff\xff\x7f", ZEROS),
        "more.gz": gzip.compress(idx_bytes(IMAGES) + bytes(ZEROS), 1),
        "lies.gz": gzip.compress(shaped("(1000000000000, 8, 8)") + bytes(2**20)),
        "lies.npy": shaped("(1000000000000, 8, 8)") + bytes(999),
        "endless.txt": 2**30,
        "bomb.png": png_bytes(60_000, 60_000, gzip.compress(bytes(2**20))),
        "long.png": png_bytes(2**31 - 1, 1, b"x"),
        "huge.png": 2**31,
    }
    for name, content in contents.items():
        sparse(name, content) if isinstance(content, int) else Path(name).write_bytes(content)
    sparse("huge.yaml", 2**32)
    commands = {name: ("encode", name, "--run", "runs/small") for name in contents}
    words = shaped(f"({len(IMAGES)},)", "<U10000000")
    for name, start in {"labels.csv": b"label\n", "labels.npy": words}.items():
        sparse(name, len(words) + len(IMAGES) * 4 * 10**7, start)
        commands[name] = ("probe", "a.npy", "--labels", name, "--run", "runs/small")
    return {**commands, "huge.yaml": ("config", "show", "--config", "huge.yaml")}


MEASURED = """
import json, resource, sys
from click.testing import CliRunner
from aecli.cli.main import cli
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
for about, command in json.loads(sys.argv[1]).items():
    result = CliRunner().invoke(cli, command)
    own = isinstance(result.exception, SystemExit)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps([about, own, result.exit_code, result.stderr, peak]))
"""


def test_what_asks_for_much_memory_gets_little(run):
    np.save("a.npy", IMAGES)
    commands = {"nothing wrong": ("encode", "a.npy"), **_greedy_sources(), **_greedy_runs(run.path)}
    done = python(MEASURED, json.dumps(commands))
    assert done.returncode == 0, done.stderr[-2000:]
    (_, _, code, _, usual), *found = [json.loads(line) for line in done.stdout.splitlines()]
    assert code == 0
    assert len(found) == len(commands) - 1
    for about, own, code, stderr, peak in found:
        assert own, (about, stderr)
        assert code == 1, about
        assert stderr.splitlines()[-1].startswith("ae: "), about
        assert peak < usual + 150, f"{about} took {peak} MB, usual are {usual}"


def limited(command: list[str], limit: int, what: int = resource.RLIMIT_AS) -> subprocess.CompletedProcess[str]:
    """Run a command of `ae` as a process with a limit on its resources."""
    return subprocess.run(
        [sys.executable, "-c", RUN_AE, *command],
        capture_output=True, text=True, check=False, preexec_fn=lambda: resource.setrlimit(what, (limit, limit)),
    )  # fmt: skip


@pytest.mark.parametrize("megabytes", [700, 2000])
def test_too_little_memory_for_tensorflow_is_one_line(megabytes):
    done = limited(["train", "--quiet", "--set", "training.epochs=1"], megabytes * 2**20)
    assert done.returncode == 1, done.stderr[-2000:]
    assert done.stderr == (
        "ae: memory: there is not enough for this: free some, raise the limit (ulimit -v), or give smaller images\n"
    )
    assert not Path("runs").exists()


@pytest.mark.long
def test_too_little_memory_for_the_workers_ends_a_study_and_counts_no_run_as_failed():
    command = ["compare", "--quiet", "--seeds=1", "--activations=relu", "--workers=1", "--output=study", *BRIEF_SETS]
    done = limited(command, 2000 * 2**20)
    assert done.returncode == 1
    assert done.stderr == (
        "ae: memory: there is not enough for the workers: give fewer --workers, free some, or raise the limit "
        "(ulimit -v); the same command goes on with what is not finished\n"
    )
    assert "failed" not in Path("study/results.csv").read_text()
    assert limited(command, resource.RLIM_INFINITY).returncode == 0


# -- disk -----------------------------------------------------------------------------------------


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def require_refusal(result, *, code: int = 1) -> str:
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("ae: ")]
    assert len(lines) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == lines[0]
    return lines[0]


COMMANDS = {
    "reconstruct": ("reconstruct", "many.npy", "--output", "disk/a.npy"),
    "encode": ("encode", "many.npy", "--output", "disk/a.npy"),
    "decode": ("decode", "latents.npy", "--output", "disk/a.npy"),
    "sample": ("sample", "--count", "5000", "--components", "1", "--output", "disk/a.npy"),
    "score": ("score", "many.npy", "--output", "disk/a.csv", "--maps", "disk/a.npy"),
    "probe": ("probe", "few.npy", "--predictions", "disk/a.csv"),
    "compress": ("compress", "few.npy", "--output", "disk/a.aez"),
    "decompress": ("decompress", "few.aez", "--output", "disk/a.npy"),
    "evaluate": ("evaluate", "many.npy", "--per-image", "disk/a.csv"),
    "import": ("import", "many.npy", "--output", "disk/a.npy"),
    "plot": ("plot", "errors", "--output", "disk/a.png"),
    "plot as pdf": ("plot", "history", "--output", "disk/a.pdf"),
    "report": ("report", "runs/small", "--output", "disk/a.html"),
    "config init": ("config", "init", "--output", "disk/a.yaml"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_leaves_the_output_complete_or_absent(command, ae, run, disk, digits):
    np.save("many.npy", np.concatenate([digits] * 4))
    np.save("latents.npy", np.zeros((5000, 8), np.float32))
    np.save("few.npy", digits[:600])
    np.save("few_labels.npy", np.arange(600) % 2)
    if command == "decompress":
        assert ae("compress", "few.npy").exit_code == 0
    whole, asked = Path("whole"), COMMANDS[command]
    whole.mkdir()
    assert ae(*(part.replace("disk/", "whole/") for part in asked)).exit_code == 0
    sizes = iter((4096, 2 * 4096, 4 * 4096, 16 * 4096, 10**8))
    refused = 0
    for size in sizes:
        place = disk(size)
        (place / "mine").write_bytes(b"x" * 4096)  # what was there is there afterwards
        result = ae(*asked)
        assert (place / "mine").stat().st_size == 4096
        if result.exit_code == 0:
            break
        assert re.search(r"disk/a[\w.]*: cannot be written \(No space left on device\)", require_refusal(result))
        # Of several files the first ones may have had room: they are whole then.
        for name in left(place) - {"mine"}:
            assert (place / name).read_bytes() == (whole / name).read_bytes(), name
        refused += 1
    assert result.exit_code == 0
    assert left(place) == left(whole) | {"mine"}
    assert refused


def test_the_way_on_is_not_that_of_a_former_run(ae, disk):
    """What could not be overwritten has another config."""
    place = disk(10**8)
    run = ["train", "--quiet", "--run=disk/run", *BRIEF_SETS]
    assert ae(*run).exit_code == 0
    (place / "run" / "metrics.json").unlink()
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    assert "go on with" not in require_refusal(ae(*run, "--overwrite", "--set=training.seed=9"))
    assert "go on with: ae train --resume --run disk/run" in require_refusal(ae(*run, "--overwrite"))


def test_a_training_on_a_full_disk_is_no_complete_run(ae, disk):
    sets = [part for key in SMALL for part in ("--set", key)]
    for pages in (1, 4, 12, 30, 10_000):
        place = disk(4096 * pages)
        result = ae("train", "--quiet", "--run", "disk/run", *sets)
        run = Run(place / "run")
        if result.exit_code == 0:
            break
        assert "cannot be written (No space left on device)" in require_refusal(result)
        assert run.state != "complete"
        assert not [name for name in left(place) if Path(name).name.startswith(".")]
        again = ae("encode", DIGITS, "--run", "disk/run")
        assert "the run is" in require_refusal(again) or "no such run" in again.stderr
    assert pages > 12
    assert result.exit_code == 0
    assert ae("encode", DIGITS, "--run", "disk/run", "--output", "a.npy").exit_code == 0


class Removing(NullProgress):
    """Removes the folder of a training in the middle of it."""

    def epoch(self, record, epochs):
        shutil.rmtree("runs/gone")


def test_a_run_whose_folder_vanishes_is_one_line():
    config = load_config(None, (*SMALL, "training.checkpoint_seconds=0")).config
    # Which of its files meets the missing folder first depends on the clock: the tables are written once a second.
    gone = r"runs/gone/(checkpoint-.*npz|history\.csv|health\.csv): cannot be written \(No such file or directory\)"
    with pytest.raises(WriteError, match=gone):
        train(config, Path("runs/gone"), progress=Removing())
    assert not Path("runs/gone").exists()


@pytest.mark.long
def test_a_study_on_a_full_disk_counts_no_run_as_failed_and_goes_on_with_room(ae, disk):
    place = disk(4096 * 20)
    command = ["compare", "--activations=relu,linear", "--seeds=1", "--workers=2", "--quiet", "--output=disk/study"]
    command += BRIEF_SETS
    line = require_refusal(ae(*command))
    assert "cannot be written (No space left on device)" in line
    assert not [file for file in place.rglob("failure.json") if json.loads(file.read_text())["state"] == "failed"]
    subprocess.run(["mount", "-o", "remount,size=100m", place], check=True)
    assert ae(*command).exit_code == 0
    assert "failed" not in (place / "study" / "results.csv").read_text()


def test_a_limit_on_the_size_of_files_is_one_line(run, digits):
    np.save("many.npy", np.concatenate([digits] * 9))
    done = limited(["encode", "many.npy", "--output", "a.npy"], 100_000, resource.RLIMIT_FSIZE)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("ae: a.npy: cannot be written (File too large)")
    assert not [path for path in Path().iterdir() if path.name.startswith(("a.", ".a"))]


@pytest.mark.parametrize("command", ["encode", "plot", "report", "train"])
def test_a_disk_that_cannot_be_written(command, ae, run, disk):
    place = disk(10**8)
    shutil.copytree(run.path, place / "run")
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    before = left(place)
    commands = {
        "encode": ("encode", DIGITS, "--run", "disk/run", "--output", "disk/a.npy"),
        "plot": ("plot", "history", "--run", "disk/run"),
        "report": ("report", "disk/run"),
        "train": ("train", "--run", "disk/run", "--overwrite", "--set", "training.epochs=1"),
    }
    line = require_refusal(ae(*commands[command]))
    assert "cannot be written" in line
    assert left(place) == before
    if command == "encode":
        assert ae("encode", DIGITS, "--run", "disk/run", "--output", "a.npy").exit_code == 0


@pytest.mark.parametrize("name", ["images.npy", "images.npz", "images.gz", "images-idx3-ubyte", "list.txt", "bad.yaml"])
def test_a_disk_that_cannot_be_read(name, ae, run):
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs /proc/self/mem, whose first byte is an input/output error")
    Path(name).symlink_to("/proc/self/mem")
    command = ("config", "show", "--config") if name.endswith("yaml") else ("encode",)
    line = require_refusal(ae(*command, name))
    assert line.startswith(f"ae: {name}: ")
    # The reader of zip archives takes it for a damaged one.
    assert "Input/output error" in line or (name.endswith("npz") and "is damaged" in line)


@pytest.mark.parametrize("command", ["probe", "score", "import"])
@pytest.mark.parametrize("name", ["a_labels.npy", "labels.npy"])
def test_labels_beside_images_that_cannot_be_read(name, command, ae, run):
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs /proc/self/mem, whose first byte is an input/output error")
    images = "a.npy" if name.startswith("a_") else "images.npy"
    np.save(images, IMAGES)
    Path(name).symlink_to("/proc/self/mem")
    line = require_refusal(ae(command, images, *(("-o", "b.npy") if command == "import" else ())))
    assert line.startswith(f"ae: {name}: cannot be read (Input/output error)")


@pytest.mark.parametrize("arguments", [["--help"], ["config", "schema"], ["runs", "--json"]], ids=" ".join)
def test_a_standard_output_that_is_full_is_one_line(arguments, run):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", RUN_AE, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "ae: standard output: cannot be written (No space left on device): see where it goes\n"


def broken_pipe() -> int:
    """Return the end to write to of a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    return write


BRIEFLY = ["train", "--run=a", "--set=training.epochs=2"]
MESSAGES = {
    "full": (BRIEFLY, lambda: os.open("/dev/full", os.O_WRONLY)),
    "left": (BRIEFLY, broken_pipe),
    "study": (["compare", "--seeds=1", "--activations=relu", "--set=training.epochs=2"], broken_pipe),
}


@pytest.mark.parametrize("case", ["full", "left", pytest.param("study", marks=pytest.mark.long)])
def test_messages_that_nobody_can_read_do_not_end_the_work(case):
    """A log on a full disk, a terminal that was closed: the result is worth more."""
    command, opened = MESSAGES[case]
    stderr = opened()
    done = subprocess.run(
        [sys.executable, "-c", RUN_AE, *command], stdout=subprocess.PIPE, stderr=stderr, text=True, check=False
    )
    os.close(stderr)
    assert done.returncode == 0
    assert "PCA-16" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        BRIEFLY,
        pytest.param(["compare", "--seeds=2", "--activations=relu", *BRIEF_SETS], marks=pytest.mark.long),
    ],
    ids=lambda command: command[0],
)
def test_a_terminal_that_is_closed_ends_nothing(command):
    """Its progress bar is drawn again and again, its notes come in between."""
    terminal, stderr = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_AE, *command], stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    os.close(stderr)
    os.read(terminal, 1)
    os.close(terminal)
    said, _ = process.communicate()
    assert process.returncode == 0
    assert "PCA-" in said


def test_what_the_system_refuses_is_one_line(ae):
    """To root nothing is refused, so this one is a loop of links where a folder should be."""
    Path("loop").symlink_to("loop")
    for command in (
        ["train", "--run=loop/run"],
        ["compare", "--output=loop/s"],
        ["encode", str(DIGITS), "--run=loop/run"],
    ):
        assert require_refusal(ae(*command)).startswith("ae: loop"), command


def test_a_process_without_standard_input_and_error_works():
    """The next files opened would take their numbers, and what native libraries print would go into one of them."""
    closed = ["sh", "-c", 'exec "$@" <&- 2>&-', "sh"]
    done = subprocess.run(
        [*closed, sys.executable, "-c", RUN_AE, *BRIEFLY], stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0
    assert "PCA-16" in done.stdout


def test_a_reader_that_leaves_is_no_error():
    write = broken_pipe()
    done = subprocess.run(
        [sys.executable, "-c", RUN_AE, "config", "schema"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert done.stderr == ""


# -- killed ---------------------------------------------------------------------------------------

WRITES = """
import sys, time
from pathlib import Path
from aecli.core.files import written_whole
with written_whole(Path("a.npy")) as temporary:
    temporary.write_bytes(b"half")
    print("half", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def writing() -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing a.npy."""
    with subprocess.Popen([sys.executable, "-c", WRITES], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        try:
            yield process
        finally:
            process.kill()


def test_what_a_killed_process_left_goes_with_the_next_write_but_not_what_is_being_written(ae, run):
    with writing() as process:
        assert ae("encode", DIGITS, "--output", "a.npy").exit_code == 0
        assert len(list(Path().glob(".a-*.npy"))) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    Path(".a-mine.npy").touch()
    assert ae("encode", DIGITS, "--output", "a.npy", "--overwrite").exit_code == 0
    assert [path.name for path in Path().glob(".*")] == [".a-mine.npy"]


def test_a_model_that_would_need_too_much_memory_is_refused_in_one_line(ae, run):
    from onnx import helper, numpy_helper

    # Small weights, whose product would be 64 million values an image.
    node = helper.make_node
    wide, narrow = (numpy_helper.from_array(np.ones(s, "f4"), n) for n, s in (("w", (1, 10**6)), ("v", (10**6, 8))))
    nodes = [
        node("Reshape", ["images", "s"], ["x"]),
        node("MatMul", ["x", "w"], ["y"]),
        node("MatMul", ["y", "v"], ["latents"]),
    ]
    rows = numpy_helper.from_array(np.array([-1, 1]), "s")
    run.encoder_file.write_bytes(graph(*nodes, tensors=[wide, narrow, rows]))
    np.save("a.npy", np.concatenate([IMAGES] * 200))
    done = limited(["encode", "a.npy"], 4 * 2**30)
    assert done.returncode == 1, done.stderr[-500:]
    assert done.stderr.splitlines()[-1].startswith("ae: runs/small/encoder.onnx: is damaged (it reshapes across")


def test_a_model_that_cannot_be_computed_is_one_line(run):
    with pytest.raises(
        RunError, match=r"runs/small: cannot be computed \(.*\): free some memory, or train the run again$"
    ):
        load_model(run).encode(np.zeros((2, 3, 3, 1), np.float32))
