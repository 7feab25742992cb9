"""Numbers as text, and other files that hold images in a way that is not read: what they are, and the cure."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core.errors import DataError
from aecli.data.dataset import open_images
from aecli.data.files.open import open_source
from tests.hostile import npy_bytes, zipped

ROWS = np.random.default_rng(0).integers(0, 256, (20, 64))


def save_csv(name: str, header: str = "", **options: str) -> None:
    np.savetxt(name, ROWS, header=header, comments="", **options)


@pytest.mark.parametrize(
    ("name", "options", "cure"),
    [
        ("a.txt", {}, "numpy.save('a.npy', numpy.loadtxt('a.txt'))"),
        ("a.txt", {"fmt": "%d"}, "numpy.save('a.npy', numpy.loadtxt('a.txt'))"),
        ("a.csv", {"delimiter": ","}, "numpy.save('a.npy', numpy.loadtxt('a.csv', delimiter=','))"),
        ("a.csv", {"delimiter": ";"}, "numpy.save('a.npy', numpy.loadtxt('a.csv', delimiter=';'))"),
        ("a.tsv", {"delimiter": "\t"}, "numpy.save('a.npy', numpy.loadtxt('a.tsv'))"),
        ("a.dat", {}, "numpy.save('a.npy', numpy.loadtxt('a.dat'))"),
        ("a.csv", {"delimiter": ",", "header": ",".join(["label", *(f"pixel{i}" for i in range(63))])},
         "numpy.save('a.npy', numpy.loadtxt('a.csv', delimiter=',', skiprows=1)[:, 1:])"),
        ("a.csv", {"delimiter": ",", "header": ",".join(f"pixel{i}" for i in range(64))},
         "numpy.save('a.npy', numpy.loadtxt('a.csv', delimiter=',', skiprows=1))"),
    ],
)  # fmt: skip
def test_the_cure_for_numbers_as_text_makes_images_of_them(name, options, cure):
    save_csv(name, **options)
    with pytest.raises(DataError) as caught:
        open_images(Path(name))
    assert str(caught.value) == f"{name}: holds numbers, not paths of pictures: save them as .npy: {cure}"
    exec(cure, {"numpy": np})
    assert open_source(Path("a.npy")).shape == (20, 63 if "[:, 1:]" in cure else 64)


def test_packed_numbers_too():
    np.savetxt("a.txt.gz", ROWS)
    with pytest.raises(DataError, match=r"holds numbers.*loadtxt.'a.txt.gz'"):
        open_images(Path("a.txt.gz"))


def test_one_number_a_line_and_a_printed_array():
    np.savetxt("a.txt", ROWS[:, :1])
    with pytest.raises(DataError, match="holds numbers"):
        open_images(Path("a.txt"))
    Path("b.txt").write_text(str(ROWS))
    with pytest.raises(DataError, match="holds an array as it is printed"):
        open_images(Path("b.txt"))


def test_a_file_may_be_called_like_a_number():
    Image.new("L", (4, 4)).save("1984", "PNG")
    Path("list.txt").write_text("1984\n")
    assert len(open_images(Path("list.txt"))) == 1


OTHERS = {
    "a.pkl": (pickle.dumps([1]), "is a pickle, which could run code: save the images with numpy.save"),
    "a.pt": (b"x", "is PyTorch's own format: save"),
    "a.parquet": (b"PAR1", "is a table: save"),
    "a.json": (b"[[1]]", "is JSON: save"),
    "a.raw": (bytes(99), r"is raw numbers: save numpy.fromfile\(FILE, DTYPE\)"),
    "a.rar": (b"Rar!", "is RAR: unpack it"),
    "a.mp4": (b"\0\0\0\x18ftypisom", "is a film: save its frames"),
    "a.pdf": (b"%PDF-1.7", "is PDF: render its pages"),
    "a.foo": (b"\xff\xd8\xff\xe0", "begins like JPEG: give it the suffix of its kind"),
    "a": (b"\x89PNG\r\n\x1a\n", "begins like PNG"),
    "a.data": (npy_bytes(ROWS), "is an .npy array: give it the suffix .npy"),
    "a.archive": (zipped(("a.png", b"x")), "is a zip archive: give it the suffix .zip"),
    "a.packed": (gzip.compress(b"x"), "is packed by gzip"),
    "a.exe": (b"MZ", "unknown suffix '.exe'"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_is_called_what_it_is(name):
    content, says = OTHERS[name]
    Path(name).write_bytes(content)
    with pytest.raises(DataError, match=f"^{name}: {says}"):
        open_images(Path(name))
