"""A folder is locked by one process, on shared file systems too: locks.c has what they answer."""

import errno
import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from aecli.core import locks
from aecli.core.errors import LockedError, RunError, WriteError
from aecli.core.locks import lock_problem, locked, refuse_locked

LOCK = Path("run/.lock")


@pytest.fixture(autouse=True)
def _folder() -> None:
    LOCK.parent.mkdir()


TWICE = """
from pathlib import Path
from aecli.core.errors import AeError
from aecli.core.locks import locked
def take(inside):
    try:
        with locked(Path("run/.lock"), note=lambda text: print("note:", text)):
            inside()
    except AeError as error:
        print(f"{type(error).__name__}: {error}")
take(lambda: take(lambda: print("both")))
"""


def test_a_second_one_is_refused_with_the_first_ones_process():
    with locked(LOCK), pytest.raises(LockedError, match=rf"^run: is being trained by process {os.getpid()} since 20"):
        refuse_locked(LOCK)
    assert not LOCK.exists()
    refuse_locked(LOCK)


def test_a_process_of_another_machine_is_named_with_it():
    with LOCK.open("w") as held:
        held.write("17 2026-11-28 04:18:38 node7\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(LockedError, match="trained by process 17 on node7 since 2026-11-28 04:18:38: wait"),
            locked(LOCK),
        ):
            pass
    with locked(LOCK):
        assert LOCK.read_text().split()[0::3] == [str(os.getpid()), socket.gethostname()]


@pytest.mark.parametrize("words", ["", "17", "\0\xff"])
def test_a_lock_file_of_nonsense_names_nobody(words):
    with LOCK.open("w") as held:
        held.write(words)
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="by another process: "):
            refuse_locked(LOCK)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_where_nothing_can_be_locked_one_line_says_so(shared, number):
    done = shared(TWICE, FLOCK_ERROR=str(number))
    first, second, last = done.stdout.splitlines()
    assert first == second
    assert last == "both"  # nothing is refused there, which is what the line says
    assert first.startswith(f"note: run: its file system has no locks ({os.strerror(number)}): a second ae ")
    assert "give another --run" in first
    assert not LOCK.exists()


def test_nfs_locks_what_can_be_written(shared):
    done = shared(TWICE, FLOCK_NFS="1")
    assert done.stdout.startswith("LockedError: run: is being trained by process "), done.stdout + done.stderr


@pytest.mark.parametrize("call", ["open", "flock", "fstat", "ftruncate"])
def test_a_lock_file_that_is_gone_is_made_anew(shared, call):
    done = shared(TWICE, STALE=f"{call}:2")
    assert done.stdout.startswith("LockedError: run: is being trained by process "), done.stdout + done.stderr
    assert not LOCK.exists()


def test_a_lock_file_that_is_gone_for_good_is_one_line(shared):
    done = shared(TWICE, STALE="open:1000")
    assert done.stdout == (
        "RunError: run/.lock: is gone each time that it is to be locked (Stale file handle): give another --run\n"
    )


def test_looking_at_a_lock_file_that_is_gone_refuses_nothing(shared):
    LOCK.touch()
    code = "from pathlib import Path; from aecli.core.locks import refuse_locked; refuse_locked(Path('run/.lock'))"
    for stale in ("open:9", "flock:9"):
        assert shared(code, STALE=stale).returncode == 0


def answering(number: int) -> Callable[[int, int], None]:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    return flock


def test_an_error_that_is_not_a_lack_of_locks_is_one(monkeypatch):
    monkeypatch.setattr(fcntl, "flock", answering(errno.EIO))
    with (
        pytest.raises(WriteError, match=r"^run: cannot be written \(Input/output error\): give another --run"),
        locked(LOCK),
    ):
        pass


def test_a_lock_file_that_others_remove_each_time_is_one_line(monkeypatch):
    flock = fcntl.flock

    def removed(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        LOCK.unlink()

    monkeypatch.setattr(fcntl, "flock", removed)
    with pytest.raises(RunError, match="is gone each time"), locked(LOCK):
        pass


def test_a_folder_is_tried_with_two_descriptors(monkeypatch):
    assert lock_problem(LOCK.parent) is None
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    assert lock_problem(LOCK.parent) == "a second lock was given beside the first"
    monkeypatch.setattr(fcntl, "flock", answering(errno.ENOSYS))
    assert lock_problem(LOCK.parent) == "Function not implemented"
    assert list(LOCK.parent.iterdir()) == []
    with pytest.raises(OSError, match="No such file"):
        lock_problem(Path("nowhere"))


def test_a_training_says_once_that_its_file_system_has_no_locks(shared):
    sets = ["training.epochs=1", "model.latent_dim=2", "model.family=dense", "training.batch_size=512"]
    command = ["train", "--run", "here", *(f"--set={key}" for key in sets)]
    done = shared(f"from aecli.cli.main import cli; cli({command})", FLOCK_ERROR=str(errno.ENOSYS))
    assert done.returncode == 0, done.stderr
    [said] = [line for line in done.stderr.splitlines() if "locks" in line]
    assert said.startswith("here: its file system has no locks (Function not implemented): ")


def test_a_lock_that_a_full_disk_leaves_unsigned_is_given_back(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(locks, "_sign", full)
    with pytest.raises(WriteError, match=r"cannot be written \(No space left on device\)"), locked(tmp_path / "a"):
        pass
    assert not (tmp_path / "a").exists()
    monkeypatch.undo()
    with locked(tmp_path / "a"):
        assert (tmp_path / "a").exists()
