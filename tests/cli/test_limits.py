"""A command that trains says first what limits it below the machine; nothing where nothing does."""

import os

import pytest

from aecli.core.system import cgroups
from aecli.training.engines.engine import DEFAULT_ENGINE
from tests.conftest import Ae

LIMIT = "1 of 64 cores: SLURM_CPUS_PER_TASK"


@pytest.fixture(autouse=True)
def _large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 cores with nothing that limits it; no images are there to be trained on."""
    for name in (*os.environ,):
        if name.startswith("SLURM_") or name == "OMP_NUM_THREADS":
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**30}[name])
    for name in ("cpu_limits", "memory_limits"):
        monkeypatch.setattr(cgroups, name, lambda root: [])


COMMANDS = (["train", "--data", "none.npy"], ["compare", "none.npy", "--seeds", "2"])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_limit_is_said_once_and_not_when_quiet(ae: Ae, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    done = ae(*command)
    assert done.exit_code == 1
    assert done.stderr.splitlines().count(LIMIT) == 1
    assert done.stderr.splitlines()[0] == LIMIT
    assert "SLURM" not in done.stdout
    assert "SLURM" not in ae(*command, "--quiet").stderr


def test_threads_that_the_user_asks_for_are_no_news(ae: Ae, monkeypatch: pytest.MonkeyPatch) -> None:
    command = COMMANDS[0]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert ae(*command).stderr.startswith("3 of 64 cores: OMP_NUM_THREADS\n")
    assert "cores" not in ae(*command, "--threads", "3").stderr


def test_a_study_says_how_many_workers_the_memory_has_room_for(ae: Ae, monkeypatch: pytest.MonkeyPatch) -> None:
    command = COMMANDS[1]
    megabytes = 5 * DEFAULT_ENGINE.memory // 2**20 + 1
    monkeypatch.setenv("SLURM_MEM_PER_NODE", str(megabytes))
    said = ae(*command).stderr.splitlines()[0]
    assert said.startswith(
        "4.5 GB of 4,398 GB of memory: SLURM_MEM_PER_NODE; 5 of 64 workers: 4.5 GB, about 0.9 GB each"
    )
    assert "workers" not in ae(*command, "--workers", "1").stderr
