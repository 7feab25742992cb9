"""Every kind of source that the documentation names gives the images that were put into it."""

import bz2
import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from aecli.core.errors import AeError, DataError
from aecli.data.dataset import open_images
from aecli.data.files import cache
from aecli.data.files.convert import ConvertOptions, import_images
from aecli.data.files.open import is_there, open_source, source_name
from tests.conftest import DIGITS
from tests.hostile import idx_bytes, zipped

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 6)).astype(np.uint8)
NAMES = [f"{'cat' if i % 2 else 'dog'}/{i:02}.png" for i in range(12)]
IN_ORDER = [i for _, i in sorted(zip(NAMES, range(12), strict=True))]


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def members(around: str = "") -> list[tuple[str, bytes]]:
    return [(around + name, png(image)) for name, image in zip(NAMES, IMAGES, strict=True)]


def tarred(*found: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in found:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def save_pictures() -> None:
    for name, content in members("p/"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def stored(path: str) -> np.ndarray:
    file = open_source(Path(path))
    return file.read(0, len(file))


SOURCES = {
    "p": save_pictures,
    "list.txt": lambda: (save_pictures(), Path("list.txt").write_text("".join(f"p/{name}\n" for name in NAMES))),
    "list.lst": lambda: (save_pictures(), Path("list.lst").write_text("".join(f"p/{name} {name[:3]}\n" for name in NAMES))),
    "list.csv": lambda: (save_pictures(), Path("list.csv").write_text("file,label\n" + "".join(f"p/{n},{n[:3]}\n" for n in NAMES))),
    "list.tsv": lambda: (save_pictures(), Path("list.tsv").write_text("".join(f"{n[:3]}\tp/{n}\n" for n in NAMES))),
    "p/*/*.png": save_pictures,
    "p/**/*.png": save_pictures,
    "p/*": save_pictures,
    "a.zip": lambda: Path("a.zip").write_bytes(zipped(*members("photos/"))),
    "b.zip": lambda: Path("b.zip").write_bytes(zipped(*members(), packing=zipfile.ZIP_STORED)),
    "a.tar": lambda: Path("a.tar").write_bytes(tarred(*members("photos/"))),
    "a.tar.gz": lambda: Path("a.tar.gz").write_bytes(gzip.compress(tarred(*members()))),
    "a.tgz": lambda: Path("a.tgz").write_bytes(gzip.compress(tarred(*members()))),
    "a.tar.bz2": lambda: Path("a.tar.bz2").write_bytes(bz2.compress(tarred(*members()))),
    "a.npy": lambda: np.save("a.npy", IMAGES),
    "a.npz": lambda: np.savez("a.npz", IMAGES),
    "b.npz:x_test": lambda: np.savez("b.npz", x_train=IMAGES[:2], x_test=IMAGES),
    "a-idx3-ubyte": lambda: Path("a-idx3-ubyte").write_bytes(idx_bytes(IMAGES)),
    "a-idx3-ubyte.gz": lambda: Path("a-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(IMAGES))),
    "a.h5": lambda: save_h5("a.h5", images=IMAGES),
    "b.h5:train/images": lambda: save_h5("b.h5", **{"train/images": IMAGES, "test/images": IMAGES[:2]}),
    "c.hdf5": lambda: save_h5("c.hdf5", images=IMAGES, labels=np.arange(12)),
    "a.mat": lambda: savemat("a.mat", {"X": IMAGES, "y": np.arange(12)}),
    "b.mat:X": lambda: savemat("b.mat", {"X": IMAGES, "Z": IMAGES[:2]}, do_compression=True),
    "c.mat": lambda: save_h5("c.mat", offset=512, X=IMAGES.T),
}  # fmt: skip


def save_h5(name: str, offset: int = 0, **arrays: np.ndarray) -> None:
    """HDF5, or with an offset what MATLAB writes from version 7.3 on, whose axes are the other way round."""
    with h5py.File(name, "w", userblock_size=offset) as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, compression="gzip" if array.ndim > 1 else None)


@pytest.mark.parametrize("path", SOURCES)
def test_every_kind_of_source_gives_its_images(path):
    SOURCES[path]()
    by_name = path.startswith(("p", "a.zip", "b.zip", "a.t"))
    np.testing.assert_array_equal(stored(path), IMAGES[IN_ORDER] if by_name else IMAGES)
    assert is_there(Path(path))
    assert is_there(Path(path).absolute())
    assert str(open_images(Path(path))).splitlines()[-1].startswith(f"{path}: 12 images of 8 x 6 x 1")


@pytest.mark.parametrize("path", ["a.zip", "list.csv", "list.tsv", "list.lst", "p"])
def test_labels_come_with_the_pictures(path):
    SOURCES[path]()
    result = import_images([Path(path)], Path("out.npy"), ConvertOptions())
    assert result.manifest.classes == ("cat", "dog")
    names = result.manifest.files
    np.testing.assert_array_equal(np.load("out_labels.npy"), [int("dog" in name) for name in names])


@pytest.mark.parametrize(
    ("line", "path", "label"),
    [
        ("a b.png", "a b.png", None), ("a.png cat", "a.png", "cat"), ("a b.png\tcat", "a b.png", "cat"),
        ("a.png,7", "a.png", "7"), ('"a, b.png",cat', "a, b.png", "cat"), ("a,b.png", "a,b.png", None),
        ("x/y.jpeg;dog", "x/y.jpeg", "dog"), ("odd", "odd", None), ("a.png the cat", "a.png the cat", None),
    ],
)  # fmt: skip
def test_a_line_of_a_list_is_a_path_and_perhaps_a_label(line, path, label):
    from aecli.data.files.formats.rows import split_line

    assert split_line(line) == (path, label)


def test_a_table_of_many_columns_with_a_byte_order_mark():
    save_pictures()
    rows = "".join(f'{i},"p/{name}",x,{name[:3]}\r\n' for i, name in enumerate(NAMES))
    Path("t.csv").write_bytes("\ufeffid,image,note,class\r\n".encode() + rows.encode())
    np.testing.assert_array_equal(stored("t.csv"), IMAGES)
    assert import_images([Path("t.csv")], Path("out.npy"), ConvertOptions()).manifest.classes == ("cat", "dog")


def test_a_run_finds_what_it_was_trained_on_again(ae):
    save_h5("d.h5", **{"train/x": np.load(DIGITS)[:60], "test/x": np.load(DIGITS)[:3]})
    sets = ("--set", "training.epochs=1", "--set", "model.latent_dim=2")
    assert ae("train", "--data", "d.h5:train/x", *sets).exit_code == 0
    assert ae("plot").exit_code == 0
    assert ae("encode", "d.h5:test/x").stdout.endswith("d_latents.npy\n")


# -- data sets of Keras ---------------------------------------------------------------------------


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    (tmp_path / "keras/datasets").mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras/datasets"


def test_mnist_lies_where_keras_has_put_it(keras_home):
    np.savez(keras_home / "mnist.npz", x_train=IMAGES, x_test=IMAGES[:2], y_train=np.arange(12), y_test=np.arange(2))
    np.testing.assert_array_equal(stored("mnist"), IMAGES)
    assert source_name(Path("mnist")) == "mnist"
    result = import_images([Path("mnist")], Path("out.npy"), ConvertOptions())
    np.testing.assert_array_equal(np.load(result.labels), np.arange(12))


def test_fashion_mnist_too(keras_home):
    (keras_home / "fashion-mnist").mkdir()
    (keras_home / "fashion-mnist/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(IMAGES)))
    np.testing.assert_array_equal(stored("fashion_mnist"), IMAGES)


def batch(number: int) -> tuple[np.ndarray, bytes]:
    """A batch of CIFAR-10 as Python 2 pickled it: a dictionary whose long string is an array's buffer."""
    rows = np.random.default_rng(number).integers(0, 256, (10_000, 3072)).astype(np.uint8)
    head = b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\n"
    return rows, head + b"T" + struct.pack("<I", rows.size) + rows.tobytes() + b"q\x03tbu."


@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_is_read_without_loading_its_pickles(keras_home, packed):
    batches = [batch(number) for number in range(1, 6)]
    found = [(f"cifar-10-batches-py/data_batch_{i + 1}", content) for i, (_, content) in enumerate(batches)]
    if packed:
        (keras_home / "cifar-10-batches-py.tar.gz").write_bytes(gzip.compress(tarred(*found), 0))
    else:
        (keras_home / "cifar-10-batches-py").mkdir()
        for name, content in found:
            (keras_home / name).write_bytes(content)
    file = open_source(Path("cifar10"))
    assert file.shape == (50_000, 32, 32, 3)
    rows = batches[3][0][[17]].reshape(3, 32, 32).transpose(1, 2, 0)
    np.testing.assert_array_equal(file.read(30_017, 30_018)[0], rows)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_a_set_that_keras_has_not_downloaded_is_named_with_the_download(keras_home, name):
    with pytest.raises(DataError, match=rf"^{name}: Keras has not downloaded it to .*keras.datasets.{name}.load_data"):
        open_source(Path(name))


def test_a_file_of_the_users_wins_over_a_set_of_keras(keras_home):
    save_pictures()
    os.rename("p", "mnist")
    np.testing.assert_array_equal(stored("mnist"), IMAGES[IN_ORDER])


# -- what is wrong --------------------------------------------------------------------------------


def gzip_bomb(zeros: int) -> bytes:
    """A .tar.gz whose one header says that its extension is as long as all that follows."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, zeros
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(zeros), 9)


def lying_zip(size: int) -> bytes:
    """A zip whose one picture is said to be so long."""
    content = bytearray(zipped(("a.png", bytes(9999))))
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 24, size)
    return bytes(content)


def evil_h5(name: str, kind: str) -> None:
    Path("outside.bin").write_bytes(bytes(4096))
    save_h5("other.h5", images=IMAGES)
    with h5py.File(name, "w") as file:
        if kind == "external link":
            file["images"] = h5py.ExternalLink("other.h5", "images")
        elif kind == "soft link":
            file["images"] = h5py.SoftLink("/elsewhere")
        elif kind == "external data":
            file.create_dataset("images", (4, 8, 8), "u1", external=[("outside.bin", 0, 256)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((12, 8, 6), "u1")
            layout[:] = h5py.VirtualSource("other.h5", "images", (12, 8, 6))
            file.create_virtual_dataset("images", layout)
        elif kind == "fill values":
            file.create_dataset("images", (10**9, 64, 64), "u1", chunks=(1, 64, 64))
        elif kind == "text":
            file["images"] = "hello"
        elif kind == "group":
            file.create_group("images")["x"] = IMAGES


def wrong() -> dict[str, tuple[str, object, str]]:
    def put(content: bytes):
        return lambda name: Path(name).write_bytes(content)

    good = zipped(*members())
    h5 = {
        kind: ("a.h5:images", lambda name, kind=kind: evil_h5("a.h5", kind), says)
        for kind, says in {
            "external link": "is a link", "soft link": "is a link", "external data": "lies in other files",
            "virtual": "lies in other files", "fill values": "looks like a zip bomb", "text": "expected real numbers",
            "group": "is no array: x|is no array: images/x",
        }.items()
    }  # fmt: skip
    return {
        **{f"h5, {kind}": row for kind, row in h5.items()},
        "h5, another name": ("a.h5:imagse", lambda name: save_h5("a.h5", images=IMAGES), "did you mean 'images'"),
        "h5, several": ("a.h5", lambda name: save_h5("a.h5", a=IMAGES, b=IMAGES), "several arrays, a, b: name one, such as a.h5:a"),
        "h5, noise": ("a.h5", put(b"\x89HDF\r\n\x1a\n" + bytes(99)), "cannot be read"),
        "h5, empty": ("a.h5", put(b""), "cannot be read"),
        "mat, noise": ("a.mat", put(bytes(range(256)) * 9), "cannot be read"),
        "mat, text": ("a.mat:t", lambda name: savemat("a.mat", {"t": "hello"}), "holds a char|found text"),
        "mat, cells": ("a.mat:c", lambda name: savemat("a.mat", {"c": np.array([1, "a"], object)}), "holds a cell"),
        "mat, another name": ("a.mat:x", lambda name: savemat("a.mat", {"X": IMAGES, "y": 1}), "no array 'x'"),
        "zip, empty": ("a.zip", put(b""), "damaged"),
        "zip, cut": ("a.zip", put(good[: len(good) // 2]), "damaged"),
        "zip, of nothing": ("a.zip", put(zipped()), "holds no pictures"),
        "zip, of text": ("a.zip", put(zipped(("a.txt", b"x"))), "holds no pictures .found 1 .txt"),
        "zip, of arrays": ("a.zip", put(zipped(("a.npy", b"x"))), "give it the suffix .npz"),
        "zip, of broken pictures": ("a.zip", put(zipped(("a.png", b"x"))), "its one picture cannot be read, a.png"),
        "zip, packed by LZMA": ("a.zip", put(zipped(*members(), packing=zipfile.ZIP_LZMA)), "packed in an unusual way"),
        "zip, a bomb": ("a.zip", put(lying_zip(2**31 - 1)), "looks like a zip bomb"),
        "tar, empty": ("a.tar", put(b""), "damaged"),
        "tar, cut": ("a.tar", put(tarred(*members())[:700]), "damaged"),
        "tar, noise": ("a.tar", put(bytes(range(256)) * 9), "damaged"),
        "tar, cut in its packing": ("a.tar.gz", put(gzip.compress(tarred(*members()))[:200]), "damaged"),
        "tar, a header without end": ("a.tar.gz", lambda name: Path(name).write_bytes(gzip_bomb(64 << 20)), "damaged"),
        "tar, by xz": ("a.tar.xz", put(b"x"), "unpack it and give the folder"),
        "csv, without paths": ("a.csv", put(b"id,label\nx1,cat\n"), "no column has paths of pictures"),
        "csv, of binary": ("a.csv", put(b"a.png,1\nb\0.png,2\n"), "not a table"),
        "pattern, of nothing": ("none/*.png", lambda name: None, "no file matches: check the pattern"),
        "pattern, of arrays": ("*.npy", lambda name: [np.save(f"{i}.npy", IMAGES) for i in range(2)], "matches no pictures, but 2 .npy"),
        "key, no file": ("none.npz:x", lambda name: None, "no such file"),
    }  # fmt: skip


@pytest.mark.parametrize("fault", wrong())
def test_what_is_wrong_with_them_is_one_line_and_leaves_nothing(fault):
    path, build, says = wrong()[fault]
    build(path)
    with pytest.raises(AeError, match=says) as caught:
        open_source(Path(path))
    assert str(caught.value).startswith(path.partition(":")[0])
    assert "\n" not in str(caught.value)
    assert not [entry for entry in cache.cache_folder().glob("*") if entry.name.startswith(".")]


@pytest.mark.parametrize("name", ["../../up.png", "/tmp/absolute.png", "a/../../b.png", "x\\up.png"])
@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_a_name_inside_an_archive_is_never_a_path(name, suffix, tmp_path):
    archive = zipped if suffix == "zip" else tarred
    Path(f"a.{suffix}").write_bytes(archive((name, png(IMAGES[0])), ("b.png", png(IMAGES[1]))))
    assert len(stored(f"a.{suffix}")) == 2
    assert {path.name for path in tmp_path.rglob("*")} == {f"a.{suffix}"}
    assert not Path("../up.png").exists()
    assert not Path("/tmp/absolute.png").exists()
    assert {p.name for p in cache.cache_folder().rglob("*.png")} == {"00000000.png", "00000001.png"}


def test_links_in_a_tar_are_not_followed():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind, name in ((tarfile.SYMTYPE, "s.png"), (tarfile.LNKTYPE, "h.png"), (tarfile.CHRTYPE, "d.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("a.png")
        info.size = len(content := png(IMAGES[0]))
        archive.addfile(info, io.BytesIO(content))
    Path("a.tar").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(stored("a.tar"), IMAGES[:1])
