"""Bad and hostile input: how each file is made, the command it goes to, and a word of the line it must end with."""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from aecli.runs.run import Run

Build = Callable[[Run], object]


@dataclass(frozen=True)
class Case:
    """`build` makes the input in the working directory, or damages the run there; `says` is searched in the line.

    `names` is what the line must begin with after "ae: ".
    """

    about: str
    build: Build
    command: tuple[str, ...]
    says: str
    names: str


class Evil:
    """Unpickling one makes the folder "pwned"."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("pwned",)


IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8)).astype(np.uint8)


def npy_bytes(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def header(text: str, version: bytes = b"\1\0") -> bytes:
    """An .npy file's start with any text as its header."""
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text) + 1)
    return b"\x93NUMPY" + version + length + text.encode("latin-1") + b"\n"


def shaped(shape: str, dtype: str = "|u1") -> bytes:
    return header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}")


def idx_bytes(array: Any, code: int = 8) -> bytes:
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def zipped(*members: tuple[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def zip_bomb(start: bytes, zeros: int, member: str = "a.npy") -> bytes:
    """A zip of one member that begins so and goes on with zeros, made without ever holding them."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(member, "w", force_zip64=True) as f,
    ):
        f.write(start)
        for _ in range(zeros >> 20):
            f.write(bytes(2**20))
    return buffer.getvalue()


def png_bytes(
    width: int,
    height: int,
    data: bytes = b"",
    *,
    crc: int | None = None,
    first: bytes = b"IHDR",
    kind: tuple[int, int] = (8, 0),
) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content) if crc is None else crc
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    about = struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(first, about) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff_bytes(*pages: Mapping[int, int], data: bytes = bytes(64), following: int = 0) -> bytes:
    """A little-endian TIFF of grey pages of 8 x 8 that share their pixels; a page says what tags it has others of."""
    usual = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: len(data)}
    content, start = b"", 8 + len(data)
    for number, page in enumerate(pages, 1):
        tags = sorted({**usual, **page}.items())
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in tags)
        place = start + len(content) + 4
        content += struct.pack("<I", place if number < len(pages) else following)
    return b"II*\0" + struct.pack("<I", start) + data + content


def apng_bytes(frames: int) -> bytes:
    """A PNG that says it is an animation of so many frames, and holds one."""
    chunk = b"acTL" + struct.pack(">II", frames, 0)
    whole = png_bytes(40, 40, zlib.compress(b"\0" * 41 * 40))
    return whole[:33] + struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[33:]


# -- arrays of images -----------------------------------------------------------------------------


def put(name: str, content: bytes) -> Build:
    def build(_: Run) -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return build


def _array_files() -> Mapping[str, tuple[str, bytes, str]]:
    good = npy_bytes(IMAGES)
    data = good.index(b"\n") + 1
    nan, infinite = np.zeros((70_000, 8, 8), "f4"), np.zeros((2000, 8, 8), "f8")
    nan[35_123, 4, 4], infinite[1234, 0, 0] = np.nan, -np.inf
    evil = npy_bytes(np.array([Evil()] * 3), allow_pickle=True)
    idx, packed = idx_bytes(IMAGES), gzip.compress(idx_bytes(IMAGES), mtime=0)
    archive = zipped(("a.npy", good))
    central = archive.index(b"PK\1\2")
    ones = "'descr': '|u1', 'fortran_order': False"
    return {
        "npy: empty": ("bad.npy", b"", "empty"),
        "npy: text": ("bad.npy", b"these are my images", "not an .npy file"),
        "npy: html of a failed download": ("bad.npy", b"<!doctype html><title>404</title>", "not an .npy file"),
        "npy: cut in the magic": ("bad.npy", good[:3], "not an .npy file"),
        "npy: cut after the magic": ("bad.npy", good[:6], "damaged"),
        "npy: cut in the version": ("bad.npy", good[:7], "damaged"),
        "npy: cut in the header's length": ("bad.npy", good[:9], "damaged"),
        "npy: cut in the header": ("bad.npy", good[:50], "damaged"),
        "npy: cut after the header": ("bad.npy", good[:data], "ends before its last image"),
        "npy: cut in the data": ("bad.npy", good[: data + 77], "ends before its last image"),
        "npy: one byte short": ("bad.npy", good[:-1], "ends before its last image"),
        "npy: version 9": ("bad.npy", good[:6] + b"\x09\0" + good[8:], "damaged"),
        "npy: a header of 4 GB": ("bad.npy", good[:6] + b"\2\0\xff\xff\xff\xff" + good[10:], "damaged"),
        "npy: a header of 60,000 brackets": ("bad.npy", header("[" * 60_000), "damaged"),
        "npy: a header of 9,000 brackets": ("bad.npy", header("(" * 9000), "damaged"),
        "npy: a header that is code": ("bad.npy", header("__import__('os').mkdir('pwned')"), "damaged"),
        "npy: a header that is no dictionary": ("bad.npy", header("[1, 2]"), "damaged"),
        "npy: a header with NUL bytes": ("bad.npy", header("\0" * 100), "damaged"),
        "npy: no shape in the header": ("bad.npy", header(f"{{{ones}}}") + bytes(99), "damaged"),
        "npy: a key too many in the header": ("bad.npy", header(f"{{{ones}, 'shape': (1,), 'x': 1}}"), "damaged"),
        "npy: an order that is none": ("bad.npy", header("{'descr': '|u1', 'fortran_order': 2, 'shape': (1,)}"), "dam"),
        "npy: 10^12 images": ("bad.npy", shaped("(1000000000000, 8, 8)") + bytes(999), "ends before its last image"),
        "npy: a shape beyond 64 bits": ("bad.npy", shaped("(18446744073709551617, 8, 8)"), "damaged|ends before"),
        "npy: a product beyond 64 bits": ("bad.npy", shaped("(4294967296, 4294967296, 2)"), "damaged|ends before"),
        "npy: a product that wraps to 0": ("bad.npy", shaped("(4294967296, 4294967296)") + b"x", "damaged|ends before"),
        "npy: a product that wraps to 64": ("bad.npy", shaped("(4611686018427387905, 64)") + bytes(64), "dam|ends"),
        "npy: a negative shape": ("bad.npy", shaped("(-20, 8, 8)") + bytes(1280), "damaged|ends before"),
        "npy: two negative axes": ("bad.npy", shaped("(20, -8, -8)") + bytes(1280), "damaged|ends before"),
        "npy: a shape of floats": ("bad.npy", shaped("(20.0, 8, 8)") + bytes(1280), "damaged"),
        "npy: a shape of a thousand axes": ("bad.npy", shaped("(" + "1," * 1000 + ")") + b"x", "damaged"),
        "npy: an unknown dtype": ("bad.npy", good.replace(b"'|u1'", b"'|q9'"), "damaged"),
        "npy: a dtype of 2 GB": ("bad.npy", shaped("(3,)", "|V2000000000"), "damaged|ends before|records"),
        "npy: objects": ("bad.npy", evil, "Python objects"),
        "npy: objects under another dtype's name": ("bad.npy", evil.replace(b"'|O'", b"'O8'"), "Python objects"),
        "npy: a bare pickle": ("bad.npy", pickle.dumps(Evil()), "not an .npy file"),
        "npy: complex numbers": ("bad.npy", npy_bytes(IMAGES.astype(complex)), "complex numbers"),
        "npy: text values": ("bad.npy", npy_bytes(np.array(["a", "b"])), "found text"),
        "npy: records": ("bad.npy", npy_bytes(np.zeros(3, [("a", "f4")])), "records"),
        "npy: dates": ("bad.npy", npy_bytes(np.zeros(3, "M8[s]")), "datetime64"),
        "npy: a single number": ("bad.npy", npy_bytes(np.array(3)), "a single number"),
        "npy: no images": ("bad.npy", npy_bytes(IMAGES[:0]), "holds 0 images"),
        "npy: images without pixels": ("bad.npy", npy_bytes(np.zeros((3, 0, 8), "u1")), "no values|0 images"),
        "npy: five axes": ("bad.npy", npy_bytes(IMAGES[None, None]), "the run expects images"),
        "npy: images of another size": ("bad.npy", npy_bytes(IMAGES[:, :5]), "the run expects images of 8 x 8 x 1"),
        "npy: NaN in the middle of 18 MB": ("bad.npy", npy_bytes(nan), "1 value is NaN or infinite.*35123"),
        "npy: an infinity": ("bad.npy", npy_bytes(infinite), "NaN or infinite.*1234"),
        "npy: extremes too far apart": ("bad.npy", npy_bytes(np.array([[-1.7e308] * 64, [1.7e308] * 64])), "far"),
        "npy: masks for a run on 0 to 255": ("bad.npy", npy_bytes(IMAGES // 128), r"units of \[0, 1\].*images \* 255"),
        "npy: values of three classes": ("bad.npy", npy_bytes(IMAGES // 100), "the run was trained on"),
        "npy: images along the last axis": ("bad.npy", npy_bytes(IMAGES.transpose(1, 2, 0)), "the run expects images"),
        "npz: empty": ("bad.npz", b"", "damaged"),
        "npz: an npy by content": ("bad.npz", good, "damaged"),
        "npz: cut in the first header": ("bad.npz", archive[:20], "damaged"),
        "npz: cut in the data": ("bad.npz", archive[: central // 2], "damaged"),
        "npz: cut before the directory": ("bad.npz", archive[:central], "damaged"),
        "npz: cut in the directory": ("bad.npz", archive[: central + 20], "damaged"),
        "npz: cut in the end record": ("bad.npz", archive[:-5], "damaged"),
        "npz: its start is missing": ("bad.npz", archive[20:], "damaged"),
        "npz: a wrong sum": (
            "bad.npz",
            zipped(("a.npy", good), packing=zipfile.ZIP_STORED).replace(IMAGES.tobytes()[:9], b"\0" * 9, 1),
            "damaged",
        ),
        "npz: no members": ("bad.npz", zipped(), "no arrays"),
        "npz: no array among them": ("bad.npz", zipped(("a.txt", b"x")), "no arrays"),
        "npz: objects": ("bad.npz", zipped(("a.npy", evil)), "Python objects"),
        "npz: a bare pickle": ("bad.npz", zipped(("a.npy", pickle.dumps(Evil()))), "neither"),
        "npz: cut inside": ("bad.npz", zipped(("a.npy", good[:-3])), "ends before its last image"),
        "npz: more inside than said": ("bad.npz", zipped(("a.npy", good + b"more")), "goes on after"),
        "npz: a negative shape": ("bad.npz", zipped(("a.npy", shaped("(-9, -9)"))), "damaged"),
        "npz: a name that climbs": ("bad.npz", zipped(("../../pwned.npy", evil)), "Python objects"),
        "npz: an absolute name": ("bad.npz", zipped(("/tmp/pwned.npy", evil)), "Python objects"),
        "npz: 5,000 arrays": ("bad.npz", zipped(*((f"{i}.npy", good[:data]) for i in range(5000))), "several arrays"),
        "gz: empty": ("bad.gz", b"", "holds nothing|damaged"),
        "gz: text": ("bad.gz", b"hello", "damaged"),
        "gz: cut in the header": ("bad.gz", packed[:8], "damaged"),
        "gz: cut in the data": ("bad.gz", packed[: len(packed) // 2], "damaged"),
        "gz: without its checksum": ("bad.gz", packed[:-8], "damaged"),
        "gz: a wrong sum": ("bad.gz", packed[:-8] + bytes(4) + packed[-4:], "damaged"),
        "gz: of nothing": ("bad.gz", gzip.compress(b""), "holds nothing"),
        "gz: of gzip": ("bad.gz", gzip.compress(packed), "neither"),
        "gz: of text": ("bad.gz", gzip.compress(b"hello, images"), "neither"),
        "gz: of a pickle": ("bad.gz", gzip.compress(pickle.dumps(Evil())), "neither"),
        "gz: of objects": ("bad.gz", gzip.compress(evil), "Python objects"),
        "gz: cut inside": ("bad.gz", gzip.compress(idx[:-1]), "ends before its last image"),
        "gz: more inside than said": ("bad.gz", gzip.compress(idx + b"x"), "goes on after"),
        "idx: empty": ("bad-idx3-ubyte", b"", "empty"),
        "idx: cut in the magic": ("bad-idx3-ubyte", idx[:3], "not an IDX file"),
        "idx: cut after the magic": ("bad-idx3-ubyte", idx[:4], "ends in its header"),
        "idx: cut in the shape": ("bad-idx3-ubyte", idx[:11], "ends in its header"),
        "idx: cut after the shape": ("bad-idx3-ubyte", idx[:16], "ends before its last image"),
        "idx: one byte short": ("bad-idx3-ubyte", idx[:-1], "ends before its last image"),
        "idx: one byte more": ("bad-idx3-ubyte", idx + b"x", "goes on after"),
        "idx: an unknown type": ("bad-idx3-ubyte", b"\0\0\7" + idx[3:], "not an IDX file"),
        "idx: no axes": ("bad-idx3-ubyte", b"\0\0\10\0" + idx[4:], "not an IDX file"),
        "idx: 200 axes": ("bad-idx3-ubyte", b"\0\0\10\310" + idx[4:], "not an IDX file"),
        "idx: 10^18 bytes": ("bad-idx3-ubyte", b"\0\0\10\3" + struct.pack(">3I", 2**31, 2**15, 2**15), "ends before"),
        "idx: no images": ("bad-idx3-ubyte", idx_bytes(IMAGES[:0]), "holds 0 images"),
        "idx: NaN": ("bad-idx3", idx_bytes(nan[35_000:35_200].astype(">f4"), 0x0D), "NaN"),
        "idx: labels in place of images": ("bad-idx1-ubyte", idx_bytes(IMAGES[:, 0, 0]), "the run expects images"),
    }


def others() -> Iterator[Case]:
    """Files that hold images in another way, and such as hold none."""
    numbers = "\n".join(" ".join(map(str, row)) for row in IMAGES.reshape(20, -1)).encode()
    lying = bytearray(zipped(("a.png", bytes(9999))))
    struct.pack_into("<I", lying, lying.index(b"PK\1\2") + 24, 2**31 - 1)
    heic, dicom = b"\0\0\0\x18ftypheic", bytes(128) + b"DICM"
    rows = {
        "numbers as text": ("bad.txt", numbers, "holds numbers, not paths of pictures: save them as .npy"),
        "numbers as a table": ("bad.csv", numbers.replace(b" ", b","), "holds numbers, not paths.*delimiter"),
        "packed numbers": ("bad.txt.gz", gzip.compress(numbers), "holds numbers"),
        "a table without paths": ("bad.csv", b"id,label\nx,cat\n", "no column has paths of pictures"),
        "a pickle by its suffix": ("bad.pkl", pickle.dumps(Evil()), "a pickle, which could run code"),
        "a pickle by its content": ("bad.data", pickle.dumps(Evil()), "a pickle, which could run code"),
        "PyTorch's": ("bad.pt", zipped(("a/data.pkl", pickle.dumps(Evil()))), "PyTorch's own format"),
        "JSON": ("bad.json", b"[[1, 2]]", "is JSON"),
        "a film": ("bad.mp4", b"\0\0\0\x18ftypisom", "is a film"),
        "HEIC": ("bad.heic", heic, "HEIC: pip install pillow-heif"),
        "HEIC called JPEG": ("bad.jpg", heic, "HEIC: pip install pillow-heif"),
        "DICOM": ("bad.dcm", dicom, "DICOM: save the pixel_array"),
        "DICOM called PNG": ("bad.png", dicom, "DICOM: save the pixel_array"),
        "SVG": ("bad.svg", b"<svg/>", "SVG: a drawing"),
        "a camera's raw": ("bad.nef", b"II*\0" + bytes(99), "a camera's raw file"),
        "a page for a picture": ("bad.jpg", b"<!doctype html>", "a web page"),
        "a pointer of Git LFS": ("bad.png", b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        "AVIF, cut": ("bad.avif", b"\0\0\0\x1cftypavif", "a damaged AVIF"),
        "JPEG 2000, cut": ("bad.jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "its one picture cannot be read"),
        "zip: empty": ("bad.zip", b"", "damaged"),
        "zip: noise": ("bad.zip", bytes(range(256)), "damaged"),
        "zip: a bomb": ("bad.zip", bytes(lying), "looks like a zip bomb"),
        "zip: no pictures": ("bad.zip", zipped(("a.txt", b"x")), "holds no pictures"),
        "zip: a pickle called a picture": ("bad.zip", zipped(("a.png", pickle.dumps(Evil()))), "a pickle, which could"),
        "zip: a name that climbs": ("bad.zip", zipped(("../../pwned.png", b"x")), "its one picture cannot be read"),
        "tar: noise": ("bad.tar", bytes(range(256)) * 9, "damaged"),
        "tar: packed noise": ("bad.tgz", b"\x1f\x8b" + bytes(99), "damaged"),
        "h5: noise": ("bad.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "cannot be read"),
        "mat: noise": ("bad.mat", bytes(range(256)) * 9, "cannot be read"),
    }
    for about, (name, content, says) in rows.items():
        yield Case(about, put(name, content), ("encode", name), says, name)
    yield Case("a pattern of nothing", lambda _: None, ("encode", "no/*.png"), "no file matches", "no/*.png")
    yield Case("a key of no file", lambda _: None, ("encode", "bad.npz:x"), "no such file", "bad.npz")


def arrays() -> Iterator[Case]:
    commands = {"cut in the data": "train", "objects": "reconstruct", "text": "evaluate", "a wrong sum": "import"}
    options = {"train": ("train", "--data"), "import": ("import", "--quiet", "--output", "out.npy")}
    for about, (name, content, says) in _array_files().items():
        command = commands.get(about.partition(": ")[2], "encode")
        # A training makes the paths of its data absolute.
        names = "" if command == "train" else name
        yield Case(about, put(name, content), (*options.get(command, (command,)), name), says, names)


# -- paths ----------------------------------------------------------------------------------------


def _loop(_: Run) -> None:
    Path("loop").symlink_to("loop")
    Path("loop.npy").symlink_to("loop.npy")


def _odd_names(_: Run) -> None:
    Path("p").mkdir()
    for name in (b"a b.png", b"new\nline.png", b"\xff\x80.png", b"-x.png", b"$(touch pwned).png"):
        Path("p", os.fsdecode(name)).write_bytes(b"not a picture")


def _circle(_: Run) -> None:
    Path("p/inner").mkdir(parents=True)
    Path("p/inner/up").symlink_to("..")
    Path("p/inner/gone.png").symlink_to("nowhere.png")
    Path("p/inner/self.png").symlink_to("self.png")


def paths() -> Iterator[Case]:
    good = npy_bytes(IMAGES)

    def case(about: str, build: Build, says: str, name: str, *command: str, names: str | None = None) -> Case:
        return Case(f"path: {about}", build, (*(command or ("encode",)), name), says, names or name)

    yield case("missing", lambda _: None, "no such file", "bad.npy")
    yield case("one letter off", put("images.npy", good), "did you mean 'images.npy'", "image.npy")
    yield case("a link to itself", _loop, "cannot be read|no such file", "loop.npy")
    yield case("a folder that links to itself", _loop, "cannot be read|no such file", "loop")
    yield case("a pipe", lambda _: os.mkfifo("bad.npy"), "not a regular file", "bad.npy")
    yield case("a device", lambda _: Path("bad.npy").symlink_to("/dev/zero"), "not a regular file", "bad.npy")
    yield case("a device as a config", lambda _: None, "no such file", "/dev/zero", "config", "show", "--config")
    yield case("an empty folder", lambda _: Path("bad").mkdir(), "holds no pictures", "bad")
    yield case("an unknown suffix", put("bad.exe", b"MZ"), "unknown suffix", "bad.exe")
    yield case("5,000 letters", lambda _: None, "cannot be read|too long", "a" * 5000 + ".npy", names="a" * 40)
    yield case("a newline", lambda _: None, "no such file", "new\nline.npy", names="new line.npy")
    yield case("not UTF-8", lambda _: None, "not UTF-8", os.fsdecode(b"bad\xff.npy"), names="'bad")
    yield case("a terminal's escape", lambda _: None, "no such file", "\x1b[31mbad.npy", names="\\x1b[31mbad.npy")
    yield case("a folder of bad odd names", _odd_names, "none of its 5 pictures can be read", "p")
    yield case("a folder of links in circles", _circle, "none of its 2 pictures can be read", "p")
    yield case("a list of missing files", put("l.txt", b"../../x.png\n/no/y.png\n"), "none of its 2", "l.txt")
    yield case("a list of binary", put("l.txt", bytes(99)), "not a text file", "l.txt")
    yield case("a list of nothing", put("l.txt", b"# none\n\n"), "names no files", "l.txt")
    yield case("a list of one line of 200 KB", put("l.txt", b"x" * 200_000), "not a text file", "l.txt")
    yield case("a list of itself", put("l.txt", b"l.txt\n"), "its one picture cannot be read", "l.txt")
    yield case("a list of broken UTF-16", put("l.txt", b"\xff\xfe\0\xd8a"), "not a text file", "l.txt")
    yield case("a list of UTF-32", put("l.txt", "a.png".encode("utf-32")), "not a text file", "l.txt")
    yield case("a list of half a URL", put("l.txt", b"file://[\n"), "its one picture cannot be read", "l.txt")
    yield case("a list of a pipe", _pipe_in_list, "not a regular file", "l.txt")
    yield case("an output that exists", _two_files, "exists already", "b.npy", "encode", "a.npy", "-o")
    yield case("an output nowhere", lambda _: None, "does not exist", "no/b.npy", "encode", "bad.npy", "-o")
    yield case("an output that climbs", lambda _: None, "does not exist", "../no/b.npy", "encode", "bad.npy", "-o")


def _two_files(_: Run) -> None:
    for name in ("a.npy", "b.npy"):
        np.save(name, IMAGES)


def _pipe_in_list(_: Run) -> None:
    os.mkfifo("pipe.png")
    Path("l.txt").write_text("pipe.png\n")


# -- pictures -------------------------------------------------------------------------------------


def _pictures() -> Mapping[str, bytes]:
    whole = zlib.compress(b"\0" * 41 * 40)
    noise = zlib.compress(np.random.default_rng(0).bytes(41 * 40))
    jpeg = _jpeg()
    return {
        "empty.png": b"",
        "text.png": b"hello",
        "only the signature.png": png_bytes(40, 40)[:8],
        "cut in the first chunk.png": png_bytes(40, 40, whole)[:20],
        "cut in the data.png": png_bytes(40, 40, noise)[:900],
        "no data.png": png_bytes(40, 40),
        "less data than said.png": png_bytes(40, 40, whole[:-12]),
        "wrong checksums.png": png_bytes(40, 40, whole, crc=7),
        "no header.png": png_bytes(40, 40, whole, first=b"tEXt"),
        "data that is not packed.png": png_bytes(40, 40, b"\xff" * 99),
        "no pixels.png": png_bytes(0, 5),
        "more pixels than 32 bits.png": png_bytes(2**31 - 1, 2**31 - 1),
        "a chunk longer than the file.png": png_bytes(40, 40, whole).replace(b"IDAT", b"IDAT", 1)[:33] + b"\x7f" * 30,
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "the header alone.jpg": jpeg[:30],
        "a pickle.gif": pickle.dumps(Evil()),
        "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(pwned) (w) file\n",
        "a tiff of 10^9 tags.tif": b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 400,
        "a tiff whose directory is itself.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "a tiff of signed values.tif": tiff_bytes({339: 2}),
        "a tiff of 5 bands that are no colours.tif": tiff_bytes({277: 5, 338: 0}, data=bytes(320)),
        "a tiff of no pixels.tif": tiff_bytes({256: 0}),
        "a tiff of 2,000 pages of 144 million pixels.tif": tiff_bytes(*[{256: 60_000, 257: 2400}] * 2000),
        "a tiff of a strip of 4 GB.tif": tiff_bytes({279: 2**32 - 1}),
        "a tiff of a strip beyond its end.tif": tiff_bytes({273: 2**31}),
        "a tiff that begins beyond its end.tif": b"II*\0\xff\xff\xff\xff",
        "a bigtiff of 10^9 tags.tif": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 10**9) + bytes(99),
        "a bigtiff that begins at 2^64.tif": b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(99),
        "an animation of 2^31 frames.png": apng_bytes(2**31 - 1),
        "a bmp of negative size.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, -9, -(2**31), 1, 24, *[0] * 6),
        "webp that is riff.webp": b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff",
        "pnm of 10^18 pixels.ppm": b"P6 1000000000 1000000000 255\n",
    }  # fmt: skip


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def pictures() -> Iterator[Case]:
    for name, content in _pictures().items():
        yield Case(
            f"picture: {name}", put(f"p/{name}", content), ("encode", "p"), "its one picture cannot be read", "p"
        )
    strict = ("import", "--strict", "--size", "8", "--output", "out.npy", "p")
    yield Case("picture: broken, and --strict", put("p/a.png", b"x"), strict, "mend or remove it", "p/a.png")


def labels() -> Iterator[Case]:
    contents = {
        "negative": (npy_bytes(-np.ones(20, int)), "number the classes from 0"),
        "fractions": (npy_bytes(np.full(20, 0.5)), "whole numbers or words"),
        "too few": (npy_bytes(np.zeros(19, int)), "expected 20 labels"),
        "soft": (npy_bytes(np.full((20, 2), 0.5)), "whole numbers or words"),
        "objects": (npy_bytes(np.array([Evil()] * 20), allow_pickle=True), "Python objects"),
        "words of 10^9 letters": (shaped("(20,)", "<U1000000000") + bytes(99), "ends before its last|damaged"),
    }
    for about, (content, says) in contents.items():

        def build(_: Run, content: bytes = content) -> None:
            Path("a.npy").write_bytes(npy_bytes(IMAGES))
            Path("a_labels.npy").write_bytes(content)

        yield Case(f"labels: {about}", build, ("import", "a.npy", "-o", "b.npy"), says, "a_labels.npy")


# -- latents --------------------------------------------------------------------------------------


def latents() -> Iterator[Case]:
    nan = np.zeros((50_000, 8), "f4")
    nan[31_000, 3] = np.nan
    contents = {
        "of another length": (npy_bytes(np.zeros((5, 7), "f4")), r"expects latents \(N, 8\)"),
        "of one axis": (npy_bytes(np.zeros(8, "f4")), r"expects latents \(N, 8\)"),
        "images": (npy_bytes(IMAGES), r"expects latents \(N, 8\)"),
        "none": (npy_bytes(np.zeros((0, 8), "f4")), "holds 0 images"),
        "NaN in the middle": (npy_bytes(nan), "NaN or infinite.*31000"),
        "beyond float32": (npy_bytes(np.full((2, 8), 1e300)), "beyond the range of float32"),
        "objects": (npy_bytes(np.array([Evil()] * 3), allow_pickle=True), "Python objects"),
        "cut": (npy_bytes(np.zeros((5, 8), "f4"))[:-1], "ends before its last"),
        "10^12": (shaped("(1000000000000, 8)", "<f4") + bytes(99), "ends before its last"),
    }
    for about, (content, says) in contents.items():
        yield Case(f"latents: {about}", put("bad.npy", content), ("decode", "bad.npy"), says, "bad.npy")
    yield Case("latents: pictures", put("p/a.png", b"x"), ("decode", "p"), "expected an .npy of latents", "p")


# -- configs --------------------------------------------------------------------------------------


def _alias_bomb() -> str:
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    return "a0: &a0 [lol]\n" + "\n".join(levels) + "\n"


def _merge_bomb() -> str:
    levels = [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 10)]
    return "a0: &a0 {x: 1}\n" + "\n".join(levels) + "\n"


def configs() -> Iterator[Case]:
    texts: dict[str, tuple[bytes | str, str]] = {
        "an alias bomb": (_alias_bomb(), "anchors and aliases are not used"),
        "a merge bomb": (_merge_bomb(), "anchors and aliases are not used"),
        "a merge key": ("training: {<<: {epochs: 3}}", "merge keys are not used"),
        "1,500 brackets": ("model: " + "[" * 1500, "nested deeper"),
        "1,500 brackets, closed": ("model: " + "[" * 1500 + "]" * 1500, "nested deeper"),
        "1,500 braces": ("{a: " * 1500 + "1" + "}" * 1500, "nested deeper"),
        "1,500 dashes": ("- " * 1500 + "x", "nested deeper"),
        "1,500 indents": ("\n".join(" " * i + "a:" for i in range(400)), "nested deeper"),
        "1,500 question marks": ("? " * 1500, "nested deeper"),
        "300 KB of a comment": ("#" * 300_000, "larger than 256 KB"),
        "300 KB of keys": ("\n".join(f"k{i}: 1" for i in range(30_000)), "larger than 256 KB"),
        "250 KB of one word": ("training: {optimizer: " + "x" * 250_000 + "}", "unknown optimizer"),
        "250 KB of digits": ("training: {epochs: " + "9" * 250_000 + "}", "expected int"),
        "an object": ("!!python/object/apply:os.mkdir [pwned]", "expected keys and values"),
        "an object in a value": ("data: {train: !!python/name:os.mkdir x}", "tag"),
        "binary": ("data: {train: !!binary aGVsbG8=}", "tag"),
        "a key twice": ("training: {epochs: 3, epochs: 4}", "duplicate key"),
        "an unknown key": ("trainin: {epochs: 3}", "unknown key"),
        "a list": ("[1, 2, 3]", "expected"),
        "a word": ("hello", "expected"),
        "two documents": ("training: {epochs: 1}\n---\ntraining: {epochs: 2}\n", "not valid YAML"),
        "a tab": ("training:\n\tepochs: 3\n", "not valid YAML"),
        "an open quote": ("data: {train: 'images.npy}\n", "not valid YAML"),
        "a list as a key": ("? [a, b]\n: 1\n", "a list or mapping as a key"),
        "an unknown directive": ("%YAML 9.9\n---\ntraining: {epochs: 3}\n", "not valid YAML"),
        "NUL bytes": (b"training: {epochs: 3}\0\0\0", "not valid YAML|not UTF-8"),
        "Latin-1": ("data: {train: ümläut.npy}".encode("latin-1"), "not UTF-8"),
        "UTF-16": ("training: {epochs: 3}".encode("utf-16"), "not UTF-8"),
        "binary noise": (bytes(range(256)) * 9, "not UTF-8"),
        "NaN": ("training: {learning_rate: .nan}", "expected a finite number|expected a number"),
        "infinity": ("training: {learning_rate: .inf}", "expected a finite number|expected a number"),
        "negative epochs": ("training: {epochs: -1}", "expected a number >"),
        "a code of 10^12": ("model: {latent_dim: 1000000000000}", "expected a number <="),
        "a layer of 10^12": ("model: {hidden: [1000000000000]}", "expected a number <="),
        "a seed of 300 digits": ("training: {seed: 1" + "0" * 299 + "}", "expected"),
        "a file that is a mapping": ("data: {train: {a: 1}}", "expected a path"),
    }
    for about, (text, says) in texts.items():
        content = text.encode() if isinstance(text, str) else text
        yield Case(f"config: {about}", put("bad.yaml", content), ("config", "show", "-c", "bad.yaml"), says, "bad.yaml")
    yield Case(
        "config: a folder", lambda _: Path("bad.yaml").mkdir(), ("train", "-c", "bad.yaml"), "is a folder", "bad"
    )
    for about, value in {
        "brackets": "[" * 1500,
        "an alias bomb": "[&a 1, *a]",
        "an object": "!!python/name:os x",
    }.items():
        key = "model.hidden"
        yield Case(f"--set: {about}", lambda _: None, ("config", "show", "-s", f"{key}={value}"), "", f"--set {key}")


# -- runs -----------------------------------------------------------------------------------------

DATA = "images.npy"


def on_images(damage: Callable[[Run], object]) -> Build:
    """Damage the run, and put good images beside it."""

    def build(run: Run) -> None:
        np.save(DATA, IMAGES)
        damage(run)

    return build


def cut(name: str, share: float = 0.5) -> Callable[[Run], object]:
    def damage(run: Run) -> None:
        path = run.path / name
        os.truncate(path, int(path.stat().st_size * share))

    return damage


def replace(name: str, content: bytes) -> Callable[[Run], object]:
    return lambda run: (run.path / name).write_bytes(content)


def remove(name: str) -> Callable[[Run], object]:
    return lambda run: (run.path / name).unlink()


def edit(name: str, *keys: str, value: Any) -> Callable[[Run], object]:
    """Set one value of a JSON file of the run."""

    def damage(run: Run) -> None:
        content = json.loads((run.path / name).read_text())
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        (run.path / name).write_text(json.dumps(content))

    return damage


def save(name: str, **arrays: Any) -> Callable[[Run], object]:
    return lambda run: np.savez(run.path / name, **arrays)


def link(name: str, target: str) -> Callable[[Run], object]:
    def damage(run: Run) -> None:
        (run.path / name).unlink()
        (run.path / name).symlink_to(target)

    return damage


def _swap(run: Run) -> None:
    encoder, decoder = run.encoder_file.read_bytes(), run.decoder_file.read_bytes()
    run.encoder_file.write_bytes(decoder)
    run.decoder_file.write_bytes(encoder)


def _plots_elsewhere(run: Run) -> None:
    import shutil

    shutil.rmtree(run.plots_folder)
    Path("elsewhere").mkdir()
    run.plots_folder.symlink_to(Path("elsewhere").absolute())


USES = {
    "config.yaml": "report", "environment.json": "encode", "split.npz": "plot", "history.csv": "plot history",
    "health.csv": "plot health", "encoder.onnx": "encode", "decoder.onnx": "reconstruct", "baselines.npz": "evaluate",
    "metrics.json": "report",
}  # fmt: skip
"""File of a run -> a command that reads it."""


def use(name: str) -> tuple[str, ...]:
    command = USES[name].split()
    if command[0] == "report":
        return ("report", "runs/small")
    return (*command, *(() if command[0] == "plot" else (DATA,)), "--run", "runs/small")


def kept_files(evil: bytes) -> Iterator[Case]:
    """Damaged files of what a run keeps for its uses."""
    yield from _kept_file("sampler.npz", ("sample", "--run", "runs/small"), "ae sample fits it", evil)
    score = ("score", DATA, "--run", "runs/small")
    yield from _kept_file("held_out.npz", score, "ae evaluate --keep makes it", evil)


def _kept_file(file: str, command: tuple[str, ...], cure: str, evil: bytes) -> Iterator[Case]:
    huge, kind = shaped("(1000000000000,)", "<f8"), npy_bytes(np.frombuffer(b"mixture", "u1"))
    contents = {
        "is empty": b"", "is noise": bytes(range(256)) * 9, "is a pickle": pickle.dumps(Evil()),
        "holds a pickle": zipped(("weights_sha256.npy", evil), packing=0),
        "holds 10^12 values": zipped(("weights_sha256.npy", huge), packing=0),
        "is packed": zipped(("weights_sha256.npy", kind)), "lacks arrays": zipped(("kind.npy", kind), packing=0),
        "is cut": zipped(("kind.npy", kind), packing=0)[:-30],
    }  # fmt: skip
    for about, content in contents.items():
        says = f"damaged .*: remove it, and {cure} again"
        build = on_images(replace(file, content))
        yield Case(f"run: {file} {about}", build, command, says, f"runs/small/{file}")
    for about, target in {"is a link to itself": file, "is a device": "/dev/zero"}.items():
        yield Case(
            f"run: {file} {about}",
            on_images(partial(_link_kept, file, target)),
            command,
            "cannot be read|damaged",
            f"runs/small/{file}",
        )


def _link_kept(file: str, target: str, run: Run) -> None:
    (run.path / file).unlink(missing_ok=True)
    (run.path / file).symlink_to(target)


def runs() -> Iterator[Case]:
    def case(about: str, name: str, damage: Callable[[Run], object], says: str = "damaged", names: str = "") -> Case:
        where = names or f"runs/small/{name}"
        return Case(f"run: {about}", on_images(damage), use(name), says, where)

    whole = "runs/small"
    for name in USES:
        incomplete = name in ("metrics.json", "config.yaml")
        yield case(
            f"{name} is missing", name, remove(name), "missing|incomplete|neither a study", whole if incomplete else ""
        )
        if name != "config.yaml":  # the report shows it as it is
            yield case(f"{name} is empty", name, cut(name, 0), "damaged|holds no epochs")
            yield case(f"{name} is cut", name, cut(name))
        yield case(f"{name} is noise", name, replace(name, bytes(range(256)) * 9), "damaged|not UTF-8")
        yield case(f"{name} is a link to itself", name, link(name, name), "", whole if incomplete else "")
        yield case(f"{name} is a device", name, link(name, "/dev/zero"), "", whole)
    environment, metrics, data = "environment.json", "metrics.json", ("data", "format")
    yield case("a dtype of objects", environment, edit(environment, *data, "dtype", value="O"))
    yield case("a dtype of 2 GB", environment, edit(environment, *data, "dtype", value="V2000000000"))
    yield case("a value range of nothing", environment, edit(environment, *data, "value_range", value=[1, 1]))
    yield case("a value range of NaN", environment, edit(environment, *data, "value_range", value=[0, float("nan")]))
    yield case("a value range of text", environment, edit(environment, *data, "value_range", value=["a", "b"]))
    yield case("another image shape", environment, edit(environment, *data, "image_shape", value=[9, 9, 1]))
    yield case("a shape of 10^12", environment, edit(environment, *data, "image_shape", value=[10**6, 10**6, 1]))
    yield case("a negative shape", environment, edit(environment, *data, "image_shape", value=[-8, -8, 1]))
    yield case("a shape of four", environment, edit(environment, *data, "image_shape", value=[8, 8, 1, 1]))
    for about, asked in {"unknown": {"fit": "x"}, "of 10^18 pixels": {"size": [10**9, 10**9]}, "a list": [1]}.items():
        yield case(f"a decoding {about}", environment, edit(environment, "data", "decoding", value=asked))
    yield case("no format", environment, edit(environment, "data", value={}))
    yield case("a list for an object", environment, replace(environment, b"[1, 2]"))
    yield case("100,000 brackets", environment, replace(environment, b"[" * 100_000))
    yield case("a number of 10^5 digits", environment, replace(environment, b'{"data": ' + b"9" * 100_000 + b"}"))
    yield case("metrics of nothing", metrics, replace(metrics, b"{}"))
    yield case("metrics of text", metrics, edit(metrics, "splits", value={"train": {"model": {"mse": "<script>"}}}))
    yield case("metrics of lists", metrics, edit(metrics, "splits", value=[1, 2]))
    yield case("epochs of text", metrics, edit(metrics, "best_epoch", value="<b>"))
    yield case("history of text", "history.csv", replace("history.csv", b"epoch,loss\n1,x\n"))
    yield case("history of other columns", "history.csv", replace("history.csv", b"a,b\n1,2\n"))
    yield case("health of text", "health.csv", replace("health.csv", b"epoch,layer\nx,y\n"))
    evil = npy_bytes(np.array([Evil()] * 3), allow_pickle=True)
    for name, keys in {"baselines.npz": ("mean", "components"), "split.npz": ("train", "validation")}.items():
        a, b = (f"{key}.npy" for key in keys)
        huge = shaped("(1000000000000,)", "<i8" if name == "split.npz" else "<f4")
        yield case(f"{name} with a pickle", name, replace(name, zipped((a, evil), (b, evil))))
        yield case(f"{name} that is a pickle", name, replace(name, pickle.dumps(Evil())))
        yield case(f"{name} of 10^12 values", name, replace(name, zipped((a, huge), (b, huge))))
        yield case(f"{name} without its arrays", name, save(name, other=np.zeros(3)))
        yield case(f"{name} of text", name, save(name, **{key: np.array(["x"]) for key in keys}))
        yield case(f"{name} of float64", name, save(name, **{key: np.zeros((8, 8, 1)) for key in keys}))
    mean, wide = np.zeros((8, 8, 1), "f4"), np.zeros((3, 99), "f4")
    yield case("baselines of another size", "baselines.npz", save("baselines.npz", mean=mean, components=wide))
    yield case("components of one axis", "baselines.npz", save("baselines.npz", mean=mean, components=mean.ravel()))
    whole = {"mean": mean, "components": np.zeros((3, 64), "f4")}
    best = {"best_name": np.frombuffer(b"PCA", "u1"), "best_scale": np.ones(3, "f4")}
    for about, arrays in {
        "a name that is no UTF-8": {"best_name": np.array([255, 254], "u1")},
        "a name of text": {"best_name": np.array(["PCA"])},
        "a scale of float64": {"best_scale": np.ones(3)},
        "a scale of another length": {"best_scale": np.ones(4, "f4")},
        "a scale of one number": {"best_scale": np.ones((), "f4"), "best_directions": np.ones(64, "f4")},
        "a scale of two axes": {"best_scale": np.ones((1, 3), "f4"), "best_directions": np.ones((1, 3, 64), "f4")},
        "directions of another size": {"best_directions": np.ones((3, 99), "f4")},
        "directions of integers": {"best_directions": np.ones((3, 64), "i4")},
    }.items():
        build = save("baselines.npz", **{**whole, **best, **arrays})
        yield case(f"a best linear code with {about}", "baselines.npz", build)
    build = save("baselines.npz", **whole, best_name=best["best_name"])
    yield case("a best linear code without a scale", "baselines.npz", build)
    rows = np.arange(5)
    yield case("rows beyond the file", "split.npz", save("split.npz", train=rows + 10**9, validation=rows))
    yield case("negative rows", "split.npz", save("split.npz", train=-rows - 1, validation=rows))
    yield case("rows of no row", "split.npz", save("split.npz", train=rows, validation=rows[:0]))
    yield from kept_files(evil)
    together = "do not belong together|another program"
    yield case("halves swapped", "encoder.onnx", _swap, "another program")
    yield case("plots linked elsewhere", "split.npz", _plots_elsewhere, "is a link", "runs/small/plots")
    yield case("the data file is a pipe", "split.npz", _pipe_data, "has changed since", "/")
    for about, model in graphs().items():
        yield case(
            f"onnx: {about}",
            "encoder.onnx",
            replace("encoder.onnx", model),
            f"damaged|{together}|not one of",
            "runs/small",
        )
    yield Case("run: no such run", lambda _: None, ("report", "runs/smal"), "did you mean 'small'", "runs/smal")
    yield Case("run: a folder of other files", put("r/x.txt", b""), ("plot", "--run", "r"), "not a run's folder", "r")
    yield Case("run: a file", put("r", b""), ("plot", "--run", "r"), "no such run|is a file", "r")


def _pipe_data(run: Run) -> None:
    os.mkfifo("pipe.npy")
    edit("environment.json", "data", "file", value=str(Path("pipe.npy").absolute()))(run)


# -- ONNX -----------------------------------------------------------------------------------------


def graph(*nodes: Any, tensors: Any = (), output: tuple[Any, ...] = ("N", 8), opsets: Any = ()) -> bytes:
    """A model that takes the run's images and says that it gives latents."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 8, 8, 1])
    codes = helper.make_tensor_value_info("latents", TensorProto.FLOAT, list(output))
    made = helper.make_graph(list(nodes), "g", [images], [codes], list(tensors))
    return bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17), *opsets]).SerializeToString())


def external(location: str, dims: tuple[int, ...] = (64, 8)) -> Any:
    """Weights that lie in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "2048")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def dense(weights: Any) -> bytes:
    flat = helper.make_node("Flatten", ["images"], ["x"])
    return graph(flat, helper.make_node("MatMul", ["x", "w"], ["latents"]), tensors=[weights])


def graphs() -> Mapping[str, bytes]:
    node = helper.make_node
    weights = numpy_helper.from_array(np.ones((64, 8), "f4"), "w")
    lying = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(10**6, 10**6), raw_data=bytes(64))
    attribute = node("Constant", [], ["w"], value=external("../../../../../../etc/passwd"))
    big = numpy_helper.from_array(np.array([10**6, 10**6], "i8"), "w")
    whole = dense(weights)
    return {
        "cut in its first field": whole[:3],
        "cut in the middle": whole[: len(whole) // 2],
        "one byte short": whole[:-1],
        "data outside the run": dense(external("../../images.npy")),
        "data at an absolute path": dense(external("/etc/passwd")),
        "data in a device": dense(external("/dev/zero")),
        "data inside the run": dense(external("model.keras")),
        "data outside, in a node": graph(
            node("Flatten", ["images"], ["x"]), attribute, node("MatMul", ["x", "w"], ["latents"])
        ),
        "weights of 10^12": dense(lying),
        "an operator of a library": graph(
            node("Evil", ["images"], ["latents"], domain="evil"), opsets=[helper.make_opsetid("evil", 1)]
        ),
        "10^12 values from nothing": graph(node("ConstantOfShape", ["w"], ["latents"]), tensors=[big]),
        "an endless loop": _endless(),
        "no nodes": graph(),
        "other names": whole.replace(b"images", b"pixels"),
        "codes of another length": dense(numpy_helper.from_array(np.ones((64, 5), "f4"), "w")),
    }


def _endless() -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8])
    keep, one = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("keep", "on"))
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["keep"], ["on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body", [count, keep, x], [one, helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8])],
    )  # fmt: skip
    yes = numpy_helper.from_array(np.array(True), "yes")
    weights = numpy_helper.from_array(np.ones((64, 8), "f4"), "w")
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["code"]),
        helper.make_node("Loop", ["", "yes", "code"], ["latents"], body=body),
    ]
    return graph(*nodes, tensors=[yes, weights])


onnx.checker.check_model(onnx.load_from_string(_endless()))


def compressed() -> Iterator[Case]:
    """What is no file of `ae compress`; damaged ones of the run are in runs/test_codec.py."""
    start = b"\x89AEZ\r\n\x1a\n"
    contents = {
        "is empty": (b"", "is not a file of ae compress"), "is noise": (bytes(range(256)) * 9, "is not a file"),
        "is a pickle": (pickle.dumps(Evil()), "is not a file of ae compress"),
        "is of another version": (start + b"\2" + bytes(80), "version 2 of the format, this ae reads version 1"),
        "is cut": (start + b"\1\0", "ends within its header"),
        "has a wrong checksum": (start + b"\1\0" + bytes(80), "a checksum is wrong"),
    }  # fmt: skip
    for about, (content, says) in contents.items():
        yield Case(f"aez: {about}", put("x.aez", content), ("decompress", "x.aez"), says, "x.aez")
    for about, build in {"is a pipe": lambda _: os.mkfifo("x.aez"), "is a folder": lambda _: os.mkdir("x.aez")}.items():
        yield Case(f"aez: {about}", build, ("decompress", "x.aez"), "is no regular file", "x.aez")
    yield Case("aez: is not there", lambda _: None, ("decompress", "x.aez"), "no such file", "x.aez")


def cases() -> list[Case]:
    """Return every case that needs no more than a moment and a little memory."""
    return [*arrays(), *others(), *paths(), *pictures(), *labels(), *latents(), *compressed(), *configs(), *runs()]
