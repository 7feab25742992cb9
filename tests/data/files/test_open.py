"""IDX, packed arrays and the cache: opened like any .npy, and one line where that cannot be."""

import functools
import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core.errors import AeError, DataError
from aecli.data.dataset import open_images
from aecli.data.files import cache
from aecli.data.files.open import open_source, source_name
from tests.hostile import npy_bytes as npy
from tests.hostile import zipped

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5)).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def whole(path: str) -> np.ndarray:
    file = open_source(Path(path))
    return file.read(0, len(file))


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", ">i4", ">f4", ">f8"])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "a.idx3-ubyte", "a.idx", "unnamed", "a-idx3-ubyte.gz"])
def test_idx_of_every_type_under_its_usual_names(name, dtype):
    array = (IMAGES // 2).astype(dtype)
    Path(name).write_bytes(gzip.compress(idx(array)) if name.endswith("gz") else idx(array))
    np.testing.assert_array_equal(whole(name), array)
    np.testing.assert_array_equal(open_source(Path(name)).take(np.array([7, 2])), array[[7, 2]])


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_packed_npy_is_the_npy(order):
    array = np.asarray(IMAGES.astype(">f4"), order=order)
    Path("a.npy.gz").write_bytes(gzip.compress(npy(array)))
    np.savez_compressed("b.npz", array)
    np.savez("c.npz", images=array, labels=np.arange(20))
    for name in ("a.npy.gz", "b.npz", "c.npz"):
        np.testing.assert_array_equal(whole(name), array)
    assert open_source(Path("c.npz")).notes == ("c.npz: reading the array 'images'",)


def test_of_several_arrays_one_is_named():
    np.savez("a.npz", x_train=IMAGES, x_test=IMAGES[:3])
    with pytest.raises(DataError, match=r"holds several arrays, x_train, x_test: name one, such as a.npz:x_train"):
        open_source(Path("a.npz"))


class _Evil:
    def __reduce__(self):
        return (os.mkdir, ("pwned",))


def encrypted() -> bytes:
    content = bytearray(zipped(("a.npy", npy(IMAGES)), packing=zipfile.ZIP_STORED))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def npy_header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@functools.cache
def broken() -> dict[str, tuple[str, bytes, str]]:
    good, packed, archive = idx(IMAGES), gzip.compress(idx(IMAGES)), zipped(("a.npy", npy(IMAGES)))
    evil = npy(np.array([_Evil()] * 3), allow_pickle=True)
    huge = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**15, 2**15)
    return {
        "idx, empty": ("a-idx3-ubyte", b"", "is empty"),
        "idx, cut in the magic": ("a-idx3-ubyte", good[:3], "not an IDX file"),
        "idx, cut in the header": ("a-idx3-ubyte", good[:11], "ends in its header"),
        "idx, no data": ("a-idx3-ubyte", good[:16], "ends before its last image"),
        "idx, one byte short": ("a-idx3-ubyte", good[:-1], "ends before its last image"),
        "idx, one byte more": ("a-idx3-ubyte", good + b"x", "goes on after its last image"),
        "idx, unknown type": ("a-idx3-ubyte", b"\0\0\7" + good[3:], "not an IDX file"),
        "idx, 10^18 bytes": ("a-idx3-ubyte", huge, "ends before its last image"),
        "idx, no images": ("a-idx3-ubyte", idx(IMAGES[:0]), "holds 0 images"),
        "idx, labels": ("a-idx1-ubyte", idx(IMAGES[:, 0, 0]), "expected images as"),
        "gzip, empty": ("a.gz", b"", "holds nothing|damaged"),
        "gzip, of nothing": ("a.gz", gzip.compress(b""), "holds nothing"),
        "gzip, text": ("a.gz", b"hello", "damaged"),
        "gzip, cut in its header": ("a.gz", packed[:8], "damaged"),
        "gzip, cut in its data": ("a.gz", packed[: len(packed) // 2], "damaged"),
        "gzip, without its checksum": ("a.gz", packed[:-8], "damaged"),
        "gzip, wrong checksum": ("a.gz", packed[:-8] + b"\0\0\0\0" + packed[-4:], "damaged"),
        "gzip, of text": ("a.gz", gzip.compress(b"hello, images"), "neither an .npy nor an IDX"),
        "gzip, short inside": ("a.gz", gzip.compress(good[:-1]), "ends before its last image"),
        "gzip, long inside": ("a.gz", gzip.compress(good + b"x"), "goes on after its last image"),
        "gzip, endless inside": ("a.gz", gzip.compress(good + bytes(10**8), 1), "goes on after its last image"),
        "gzip, says 10^18 bytes": ("a.gz", gzip.compress(huge + bytes(10**6)), "looks like a zip bomb"),
        "gzip, a pickle": ("a.gz", gzip.compress(pickle.dumps(_Evil())), "neither"),
        "gzip, objects": ("a.gz", gzip.compress(evil), "Python objects"),
        "npz, empty": ("a.npz", b"", "damaged"),
        "npz, an npy": ("a.npz", npy(IMAGES), "damaged"),
        "npz, cut": ("a.npz", archive[:-30], "damaged"),
        "npz, start missing": ("a.npz", archive[20:], "damaged"),
        "npz, no member": ("a.npz", zipped(), "holds no arrays"),
        "npz, no array": ("a.npz", zipped(("a.txt", b"x")), "holds no arrays"),
        "npz, a member that is none": ("a.npz", zipped(("a.npy", b"hello")), "neither"),
        "npz, objects": ("a.npz", zipped(("a.npy", evil)), "Python objects"),
        "npz, a pickle": ("a.npz", zipped(("a.npy", pickle.dumps(_Evil()))), "neither"),
        "npz, encrypted": ("a.npz", encrypted(), "encrypted"),
        "npz, short inside": ("a.npz", zipped(("a.npy", npy(IMAGES)[:-3])), "ends before its last image"),
        "npz, says 10^12 images": ("a.npz", zipped(("a.npy", npy_header((10**12, 9)) + bytes(99))), "zip bomb"),
        "npz, negative shape": ("a.npz", zipped(("a.npy", npy_header((9, -9)))), "damaged"),
        "npz, header of 10 MB": ("a.npz", zipped(("a.npy", b"\x93NUMPY\2\0" + struct.pack("<I", 10**7) + b" " * 10**7)), "damaged"),
        "npz, a name that climbs": ("a.npz", zipped(("../../up.npy", evil)), "Python objects"),
    }  # fmt: skip


@pytest.mark.parametrize("fault", broken())
def test_a_broken_file_is_one_line_and_leaves_nothing(fault):
    name, content, message = broken()[fault]
    Path(name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        open_images(Path(name))
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)
    assert not Path("pwned").exists()
    assert not [path for path in cache.cache_folder().glob("*") if path.name.startswith(".")]


def test_a_packed_bomb_with_an_honest_header_is_refused():
    with gzip.open("bomb.gz", "wb") as file:
        file.write(npy_header((2**31,)) + bytes(2**20))
    with pytest.raises(DataError, match="looks like a zip bomb"):
        open_source(Path("bomb.gz"))


def save_pictures(count: int, folder: str = "p") -> None:
    Path(folder).mkdir(exist_ok=True)
    for i in range(count):
        Image.new("L", (8, 8), 10 + i).save(f"{folder}/{i:03}.png")


def test_what_is_decoded_once_is_opened_again_until_it_changes():
    save_pictures(3)
    first, again = open_source(Path("p")), open_source(Path("p").absolute())
    assert first.content == again.content
    assert first.path == Path("p")
    Image.new("L", (8, 8), 99).save("p/001.png")
    changed = open_source(Path("p"))
    assert [int(changed.read(i, i + 1).max()) for i in range(3)] == [10, 99, 12]
    Path("p/002.png").unlink()
    assert len(open_source(Path("p"))) == 2


def test_a_packed_file_is_found_by_its_content():
    for name in ("a.gz", "b.gz"):
        Path(name).write_bytes(gzip.compress(idx(IMAGES), mtime=0))
    assert open_source(Path("a.gz")).content == open_source(Path("b.gz")).content


def test_what_is_used_least_goes_but_nothing_that_is_in_use(monkeypatch):
    monkeypatch.setenv("AE_CACHE_GB", "0")
    save_pictures(2, "p")
    save_pictures(3, "q")
    held = open_source(Path("p"))
    open_source(Path("q"))
    save_pictures(4, "r")
    open_source(Path("r"))
    assert len(held.read(0, 2)) == 2
    assert len(list(cache.cache_folder().glob("*/images.npy"))) <= 2
    assert cache.clear_cache()[1] >= 1
    assert len(held.read(0, 2)) == 2
    del held
    assert cache.clear_cache()[1] == 0
    assert not list(cache.cache_folder().iterdir())


@pytest.mark.parametrize("value", ["many", "-1", "nan"])
def test_a_limit_that_is_none_is_named(monkeypatch, value):
    monkeypatch.setenv("AE_CACHE_GB", value)
    save_pictures(1)
    with pytest.raises(AeError, match="AE_CACHE_GB: expected a number of gigabytes"):
        open_source(Path("p"))


def test_a_cache_that_cannot_be_made_is_named(monkeypatch):
    Path("file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("file").absolute()))
    save_pictures(1)
    with pytest.raises(AeError, match=r"the cache .* cannot be written"):
        open_source(Path("p"))


def test_processes_that_decode_the_same_all_get_it_whole():
    save_pictures(150)
    code = (
        "from aecli.data.files.open import open_source; from pathlib import Path\n"
        "f = open_source(Path('p')); print(f.fingerprint(), f.content)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(said) == 1
    assert said == {f"{(f := open_source(Path('p'))).fingerprint()} {f.content}\n"}


def test_what_a_killed_process_left_goes_with_the_next():
    save_pictures(2)
    open_source(Path("p"))
    left = cache.cache_folder() / ".abc-123"
    left.mkdir()
    (left / "lock").touch()
    save_pictures(3)
    open_source(Path("p"))
    assert not left.exists()


@pytest.mark.parametrize(
    ("path", "name"),
    [("a.npy", "a"), ("a.npy.gz", "a"), ("t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte"), ("v1.0", "v1.0")],
)
def test_a_source_lends_its_name(path, name):
    Path("v1.0").mkdir()
    assert source_name(Path(path)) == name
    os.chdir("v1.0")
    assert source_name(Path(".")) == "v1.0"


@pytest.mark.parametrize("asked", [{"size": (9, 9)}, {"color": "rgb"}])
def test_an_array_is_not_brought_to_a_size(asked):
    from aecli.data.files.options import DecodeOptions

    np.save("a.npy", IMAGES)
    with pytest.raises(DataError, match="only pictures"):
        open_source(Path("a.npy"), DecodeOptions(**asked))
    assert len(open_source(Path("a.npy"), DecodeOptions(size=(6, 5), color="grey"))) == 20
