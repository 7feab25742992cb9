"""Files appear whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from aecli.core import files, npy
from aecli.core.errors import AeError
from aecli.core.files import refuse_output, write_text, written_whole
from aecli.core.npy import NpyWriter


def test_a_failed_write_leaves_the_old_file_and_nothing_else():
    Path("a.txt").write_text("old")

    def fail():
        with written_whole(Path("a.txt")) as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert Path("a.txt").read_text() == "old"
    assert [p.name for p in Path().iterdir()] == ["a.txt"]


def test_a_written_file_replaces_the_old_one():
    Path("a.txt").write_text("old")
    write_text(Path("a.txt"), "new")
    assert Path("a.txt").read_text() == "new"


@pytest.mark.parametrize("locks", [1, 0])
def test_a_file_that_another_process_sweeps_away_before_it_is_locked_is_written_under_another_name(locks, monkeypatch):
    """As when several processes begin at the same instant to write the same file."""
    swept = []

    def swept_first(descriptor):
        if not swept:
            [path] = Path().iterdir()
            swept.append(path)
            if locks:  # the other has it locked, and will remove it
                raise BlockingIOError
            path.unlink()

    monkeypatch.setattr(files, "lock_alone", swept_first)
    write_text(Path("a.txt"), "new")
    assert Path("a.txt").read_text() == "new"
    assert len(swept) == 1
    assert [path for path in Path().iterdir() if path not in swept] == [Path("a.txt")]


@pytest.mark.parametrize("written_back", [1, 50, npy.WRITTEN_BACK])
def test_npy_in_pieces_is_npy(written_back, monkeypatch):
    monkeypatch.setattr(npy, "WRITTEN_BACK", written_back)
    array = np.arange(60, dtype=">u2").reshape(10, 3, 2)
    with NpyWriter(Path("a.npy"), array.shape, array.dtype.str) as writer:
        writer.write(array[:7])
        writer.write(array[7:])
    np.testing.assert_array_equal(np.load("a.npy"), array)


def test_npy_that_fails_in_the_middle_is_not_there():
    def fail():
        with NpyWriter(Path("a.npy"), (3, 2), "<f4") as writer:
            writer.write(np.zeros((1, 2)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(Path().iterdir()) == []


def test_a_full_disk_is_one_line():
    def fill():
        with written_whole(Path("a.txt")), Path("/dev/full").open("w") as full:
            full.write("x" * 10_000)

    with pytest.raises(AeError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        fill()


@pytest.mark.parametrize(
    ("path", "message"),
    [("here.txt", "exists already"), ("nowhere/a.txt", "does not exist: create it"), (".", "is a folder")],
)
def test_an_output_that_cannot_be_written_is_refused_before_work(path, message):
    Path("here.txt").touch()
    with pytest.raises(AeError, match=message):
        refuse_output(Path(path), overwrite=False)


def test_overwriting_is_allowed_when_asked():
    Path("here.txt").touch()
    refuse_output(Path("here.txt"), overwrite=True)
