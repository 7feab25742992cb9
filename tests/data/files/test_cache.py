"""A cache in which others have been: what is missing or odd is made anew, once, and goes with `ae cache clear`."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core import files
from aecli.core.files import write_text
from aecli.core.locks import locked, refuse_locked
from aecli.data.files import cache
from aecli.data.files import open as opening
from aecli.data.files.open import open_source


@pytest.fixture(autouse=True)
def _pictures() -> None:
    Path("p").mkdir()
    for i in range(3):
        Image.new("L", (8, 8), 10 + i).save(f"p/{i}.png")
    np.savez("a.npz", np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4))


def values(source: str) -> list[int]:
    file = open_source(Path(source))
    return [int(image.max()) for image in file.read(0, len(file))]


def replaced_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("?")


def replaced_by_a_link(path: Path) -> None:
    elsewhere = Path("elsewhere").absolute()
    elsewhere.mkdir(exist_ok=True)
    shutil.rmtree(path)
    path.symlink_to(elsewhere)


def emptied(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def each_file(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(entry: Path) -> None:
        for file in entry.iterdir():
            if file.name != "lock":
                change(file)

    return damage


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no lock": lambda entry: (entry / "lock").unlink(),
    "a folder as the lock": lambda entry: folder_instead(entry / "lock"),
    "nothing but the lock": each_file(Path.unlink),
    "files of nothing": each_file(lambda file: file.write_bytes(b"")),
    "files cut short": each_file(lambda file: os.truncate(file, file.stat().st_size - 1)),
    "files of other bytes": each_file(lambda file: file.write_bytes(b"\0\xff" * 99)),
    "folders instead of files": each_file(folder_instead),
    "an empty folder": emptied,
    "a file": replaced_by_a_file,
    "a link": replaced_by_a_link,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("source", ["p", "a.npz"])
def test_a_damaged_entry_is_made_anew_once(source, damage, monkeypatch):
    before = values(source)
    for entry in cache.cache_folder().iterdir():
        damage(entry)
    decoded: list[int] = []
    write = opening.write_decoded
    monkeypatch.setattr(opening, "write_decoded", lambda *a, **k: decoded.append(1) or write(*a, **k))
    assert values(source) == before
    assert values(source) == before
    assert len(decoded) <= 1
    assert not list(cache.cache_folder().glob(".*"))
    assert not Path("elsewhere").exists() or not list(Path("elsewhere").iterdir())


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_cleared(damage):
    values("p")
    for entry in cache.cache_folder().iterdir():
        damage(entry)
    assert cache.clear_cache()[1] == 0
    assert not list(cache.cache_folder().iterdir())


def test_every_command_goes_on_without_the_locks(ae):
    assert ae("check", "p").exit_code == 0
    for lock in cache.cache_folder().rglob("lock"):
        lock.unlink()
    assert ae("check", "p").exit_code == 0
    assert len(cache.sizes()) == 2


def test_what_cannot_be_put_into_its_place_ends_with_one_line(monkeypatch):
    monkeypatch.setattr(cache.Path, "rename", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(cache.AeError, match=r"p: what was decoded of it is damaged in the cache .*: end what uses it"):
        values("p")


# -- network file systems ------------------------------------------------------------------------


@pytest.fixture
def nfs(monkeypatch):
    """Lock files as Linux does it on NFS: alone only what is open for writing, shared what is open for reading."""
    lock = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        wanted = (os.O_WRONLY, os.O_RDWR) if operation & fcntl.LOCK_EX else (os.O_RDONLY, os.O_RDWR)
        if access not in wanted:
            raise OSError(9, "Bad file descriptor")
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.usefixtures("nfs")
def test_the_cache_is_used_and_cleared_on_nfs():
    held = open_source(Path("p"))
    assert cache.clear_cache()[1] == 1
    del held
    assert cache.clear_cache()[1] == 0
    assert not list(cache.cache_folder().iterdir())


@pytest.mark.usefixtures("nfs")
def test_what_a_killed_process_left_is_swept_on_nfs():
    left = Path(".a-0123abcd.txt")
    left.touch()
    write_text(Path("a.txt"), "new")
    assert not left.exists()
    assert files.whole_name(left.name) == "a.txt"


@pytest.mark.usefixtures("nfs")
def test_a_folder_is_locked_on_nfs():
    with locked(Path("lock")), pytest.raises(cache.AeError, match="is being trained by process"):
        refuse_locked(Path("lock"))
    refuse_locked(Path("lock"))
