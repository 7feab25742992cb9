"""Lists of pictures, as editors, shells and other systems write them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core.errors import DataError
from aecli.data.files.listing import read_list
from aecli.data.files.open import open_source

NAMES = ("p/a.png", "p/b c.png", "ü.png")


@pytest.fixture(autouse=True)
def _pictures() -> None:
    Path("p").mkdir()
    for value, name in enumerate(NAMES):
        Image.fromarray(np.full((5, 4), 10 * value, np.uint8)).save(name)


def values(text: str | bytes, encoding: str = "utf-8") -> list[int]:
    """The grey value of every picture that a list names."""
    Path("list.txt").write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    file = open_source(Path("list.txt"))
    return [int(image[0, 0]) for image in file.read(0, len(file))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "  \n", "\t\r\n", "\xa0\n"])
def test_a_list_is_read_in_every_coding_with_every_end_of_line(encoding, end):
    assert values("".join(name + end for name in NAMES), encoding) == [0, 10, 20]


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_of_either_order_keeps_its_first_picture(mark):
    text = "\n".join(NAMES)
    assert values(mark + text.encode("utf-16-le" if mark == b"\xff\xfe" else "utf-16-be")) == [0, 10, 20]


@pytest.mark.parametrize(
    "line",
    [
        r"p\b c.png", r".\p\b c.png", '"p/b c.png"', "'p/b c.png'", '"p\\b c.png"', "./p/b c.png", "p//b c.png",
        "{here}/p/b c.png", "file://{here}/p/b%20c.png", "~/p/b c.png", "'~/p/b c.png'", r"~\p\b c.png", "{here}/./p/../p/b c.png",
    ],
)  # fmt: skip
def test_a_path_is_understood_as_other_programs_write_it(line, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert values(f"p/a.png\n{line.format(here=tmp_path)}\n") == [0, 10]


def test_a_name_that_is_there_is_taken_as_it_stands():
    for name, value in ((r"p\a.png", 50), ("'q'.png", 60), ("~.png", 70), ("'~.png'.png", 80)):
        Image.fromarray(np.full((5, 4), value, np.uint8)).save(name)
    assert values("p\\a.png\n'q'.png\n~.png\n'~.png'.png\n") == [50, 60, 70, 80]


def test_the_same_list_names_its_rows_the_same_however_it_is_written():
    Path("a.txt").write_text("p/a.png\n")
    Path("b.txt").write_text("./p//a.png\r\n")
    assert read_list(Path("a.txt")).names == read_list(Path("b.txt")).names == ["p/a.png"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\0\xd8\0\xd8", b"\xff\xfea", "a.png\n".encode("utf-32"), b"a\0b", b"\xff\xfe"]
)
def test_what_is_no_text_is_refused(content):
    Path("list.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"not a text file|names no files"):
        read_list(Path("list.txt"))


@pytest.mark.parametrize("line", ["file://[", "~nobody/a.png", "'", "''", '"', "file://", "~", "\\"])
def test_a_line_that_means_nothing_is_a_picture_that_is_missing(line):
    assert values(f"p/a.png\n{line}\n") == [0]
