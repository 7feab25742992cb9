"""The main road as real processes, in an empty folder, on the real digits."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import DIGITS

AE = [sys.executable, "-m", "aecli.cli.main"]


def ae(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AE, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    folder = tmp_path_factory.mktemp("road")
    os.chdir(folder)
    steps = [
        ("train", "--set", "training.epochs=60"),
        ("reconstruct", str(DIGITS)),
        ("evaluate", str(DIGITS), "--json"),
        ("plot", "--worst", "5"),
        ("runs",),
    ]
    return folder, {step[0]: ae(*step) for step in steps}


def test_every_step_ends_well(road):
    assert {name: done.returncode for name, done in road[1].items()} == dict.fromkeys(road[1], 0)


def test_nothing_of_tensorflow_reaches_the_user(road):
    for done in road[1].values():
        for word in ("tensorflow:", "oneDNN", "XLA", "cuda", "Warning", "I0000", "WARNING"):
            assert word not in done.stderr + done.stdout


def test_the_reconstructions_are_better_than_the_mean_image_by_far(road):
    folder, _ = road
    images, restored = np.load(DIGITS) / 255, np.load(folder / "digits_reconstructed.npy") / 255
    mean_image_error = ((images - images.mean(axis=0)) ** 2).mean()
    assert ((images - restored) ** 2).mean() < 0.25 * mean_image_error


def test_a_table_piped_to_a_file_is_not_wrapped(road):
    lines = road[1]["train"].stdout.splitlines()
    assert len(lines) == 10
    assert "validation" in lines[-2]
    assert lines[-1].startswith("On the validation images")


def test_a_reader_that_leaves_early_is_no_error(road):
    folder, _ = road
    done = subprocess.run(
        f"{sys.executable} -m aecli.cli.main config schema | head -c 10",
        shell=True,
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_a_training_and_says_what_is_kept(tmp_path):
    arguments = [*AE, "train", "--set", "training.epochs=1000000", "--run", "stopped"]
    # A job in the background of a script inherits an ignored SIGINT; a terminal's does not.
    restore = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, cwd=tmp_path, preexec_fn=restore)
    history = []
    assert process.stderr is not None
    for line in process.stderr:
        history.append(line)
        if line.startswith("epoch 1/"):
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 130
    assert "stopped: stopped keeps a checkpoint; go on with: ae train --resume --run stopped" in rest
    assert "Traceback" not in rest
    assert (Path(tmp_path) / "stopped" / "failure.json").is_file()
    assert len((Path(tmp_path) / "stopped" / "history.csv").read_text().splitlines()) > 1


def test_ctrl_c_stops_a_reconstruction_and_leaves_nothing_half_written(run):
    with Path("large.npy").open("wb") as file:  # sparse: seconds of work in no space
        header = {"descr": "|u1", "fortran_order": False, "shape": (10_000_000, 8, 8)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 640_000_000)
    restore = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen([*AE, "reconstruct", "large.npy"], stderr=subprocess.PIPE, text=True, preexec_fn=restore)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("large.npy: 10,000,000 images"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 130
    assert "Traceback" not in rest
    assert {path.name for path in Path().iterdir()} == {"large.npy", "runs"}
