"""What docs/clusters.md says of schedulers, tried with stand-ins for them."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aecli.runs.run import Run
from aecli.studies.parts.status import study_status
from aecli.studies.study import Study
from tests.conftest import ROOT
from tests.studies.parts.test_parts import checkpoints, hashes_of, rows_of, wait_until

PAGE = (ROOT / "docs" / "clusters.md").read_text()
SCRIPT = re.search(r"^```bash\n(#!/bin/bash\n.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[1]
CONFIG = """\
model: {hidden: [], latent_dim: 4}
training: {epochs: 3, batch_size: 64}
study: {vary: {model.activation: [relu, linear]}, seeds: 2}
"""


@pytest.fixture
def programs(tmp_path):
    """Put programs on the path of commands; returns the environment to give to them."""

    def made(**scripts):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}

    return made


AE = f'exec {shlex.quote(sys.executable)} -m aecli "$@"'


@pytest.fixture
def prepared(digits):
    np.save("images.npy", digits[:600])
    Path("study.yaml").write_text(CONFIG)
    Path("parts.sh").write_text(SCRIPT)


def test_the_script_has_eight_lines_and_leaves_its_signals_to_ae():
    lines = SCRIPT.splitlines()
    assert len(lines) == 8
    for option in ("--array=1-16", "--requeue", "--signal=B:TERM@90"):
        assert any(line.startswith("#SBATCH ") and option in line.split() for line in lines)
    assert lines[-1].startswith("exec ae compare ")


@pytest.mark.long
def test_the_script_as_an_array_gives_the_study_of_one_command(prepared, programs):
    environment = programs(
        ae=AE, sbatch=f'exec {shlex.quote(sys.executable)} {ROOT / "tests/studies/parts/sbatch.py"} "$@"'
    )
    done = subprocess.run(["sbatch", "parts.sh"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "\n".join(path.read_text() for path in Path().glob("slurm-*.out"))
    assert len(list(Path().glob("slurm-71_*.out"))) == 16
    assert study_status(Study(Path("study"))).counts["complete"] == 4
    summed_up = SCRIPT.splitlines()[-1].removeprefix("exec ").partition(" --part")[0]
    environment |= {"OMP_NUM_THREADS": "2"}  # of which each of the two workers has one
    done = subprocess.run(["sh", "-c", summed_up], env=environment, capture_output=True, text=True, check=True)
    assert "4 of 4 runs are there already" in done.stderr
    assert "threads:" not in done.stderr
    subprocess.run(["sh", "-c", f"{summed_up}-whole"], env=environment, capture_output=True, check=True)
    assert rows_of("study") == rows_of("study-whole")
    assert hashes_of("study") == hashes_of("study-whole")


@pytest.mark.long
def test_the_signal_to_the_shell_of_a_job_has_ae_keep_a_checkpoint(prepared, programs):
    Path("study.yaml").write_text(CONFIG.replace("epochs: 3", "epochs: 1000000, checkpoint_seconds: 0"))
    job = {"SLURM_ARRAY_TASK_ID": "16", "SLURM_CPUS_PER_TASK": "1"}
    shell = subprocess.Popen(["bash", "parts.sh"], env={**programs(ae=AE), **job}, stderr=subprocess.PIPE, text=True)
    wait_until(checkpoints, shell)
    shell.send_signal(signal.SIGTERM)
    _, said = shell.communicate(timeout=300)
    assert shell.returncode == 143
    assert said.endswith("stopped: study keeps what was trained; the same command goes on from there\n")
    run = Run(Path("study/runs/linear/1"))
    assert (run.state, len(run.checkpoint_files) > 0) == ("interrupted", True)


def of_page(start):
    """The line of the page's examples that has a word in it."""
    [line] = [line.strip() for line in PAGE.splitlines() if line.startswith(f"    {start}")]
    return line


def parts_in(text):
    return sorted(re.findall(r"--part (\d+/\d+)", text), key=lambda part: int(part.partition("/")[0]))


@pytest.mark.parametrize("line", [of_page("seq"), of_page("for i in")], ids=["xargs", "ssh"])
def test_a_line_of_the_page_starts_every_part(line, programs):
    # A program that stands for ae writes down how it was called; one for ssh does on this machine what it is told.
    environment = programs(ae='echo "$@" >>"$CALLS"; touch called-$$', ssh='shift; exec sh -c "$*"')
    environment |= {"CALLS": str(Path("calls").absolute())}
    subprocess.run(["bash", "-c", line], env=environment, check=True)
    for _ in range(200):
        if len(list(Path().glob("called-*"))) == 4:
            break
        time.sleep(0.05)
    assert parts_in(Path("calls").read_text()) == ["1/4", "2/4", "3/4", "4/4"]


def test_the_command_of_the_page_for_kubernetes_counts_from_one(programs):
    environment, told = programs(ae='echo "$@"'), ""
    shell, option, command = re.fullmatch(r'command: \[(\w+), (-c), "(.*)"\]', of_page("command: ")).groups()
    for index in range(16):
        environment["JOB_COMPLETION_INDEX"] = str(index)
        told += subprocess.run(
            [shell, option, command], env=environment, capture_output=True, text=True, check=True
        ).stdout
    assert parts_in(told) == [f"{number}/16" for number in range(1, 17)]
