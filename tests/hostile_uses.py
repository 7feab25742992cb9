"""Bad and hostile input to what uses a run: ae score, probe, compress, decompress and sample."""

import gzip
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from aecli.runs.model import weights_sha256
from aecli.runs.run import Run
from aecli.runs.uses.codec.aez import AezHeader, header_bytes
from aecli.runs.uses.codec.integers import pack
from aecli.runs.uses.codec.steps import Steps
from tests.hostile import (
    IMAGES,
    Build,
    Case,
    Evil,
    cut,
    idx_bytes,
    npy_bytes,
    on_images,
    png_bytes,
    put,
    remove,
    shaped,
    zipped,
)

HALF = np.arange(20) % 2
"""Labels of IMAGES."""

GOOD = npy_bytes(HALF)


def beside_images(*builds: Build) -> Build:
    """Make all of these, and images beside them."""

    def build(run: Run) -> None:
        np.save("a.npy", IMAGES)
        for each in builds:
            each(run)

    return build


def _pictures(_: Run) -> None:
    Path("p").mkdir()
    for i, image in enumerate(IMAGES[:4]):
        Image.fromarray(image).save(f"p/{i}.png")


NO_FILES: dict[str, Build] = {
    "a pipe": lambda _: os.mkfifo("l.csv"),
    "a folder": lambda _: os.mkdir("l.csv"),
    "a device": lambda _: os.symlink("/dev/zero", "l.csv"),
    "a link to itself": lambda _: os.symlink("l.csv", "l.csv"),
}


def labels() -> Iterator[Case]:
    """Files of labels that a probe is given: damaged ones, of another length, and such as hold none."""
    idx, text, words = idx_bytes(HALF.astype("u1")), "not a text of labels", "whole numbers or words"
    large = np.where(HALF, np.uint64(2**64 - 1), np.uint64(0))
    rows = {
        "too few": ("l.npy", npy_bytes(HALF[:5]), "holds 5 labels, and a.npy 20 images"),
        "too many": ("l.npy", npy_bytes(np.arange(21)), "holds 21 labels, and a.npy 20 images"),
        "empty": ("l.npy", b"", "empty"),
        "cut in the header": ("l.npy", GOOD[:30], "damaged"),
        "cut in the data": ("l.npy", GOOD[:-3], "ends before its last"),
        "objects": ("l.npy", npy_bytes(np.array([Evil()] * 20), allow_pickle=True), "Python objects"),
        "a pickle": ("l.npy", pickle.dumps(Evil()), "not an .npy file"),
        "images": ("l.npy", npy_bytes(IMAGES), words),
        "NaN": ("l.npy", npy_bytes(np.where(HALF, np.nan, 0)), words),
        "beyond 64 bits": ("l.npy", npy_bytes(np.where(HALF, 1e300, 0)), words),
        "beyond signed 64 bits": ("l.npy", npy_bytes(large), words),
        "words of 10^7 letters": ("l.npy", shaped("(20,)", "<U10000000") + bytes(99), "ends before its last"),
        "packed, and cut": ("l.gz", gzip.compress(idx, mtime=0)[:12], "damaged"),
        "packed noise": ("l.gz", b"\x1f\x8b" + bytes(99), "damaged"),
        "packed, with more than said": ("l.gz", gzip.compress(idx + b"x", mtime=0), "goes on after"),
        "idx that is cut": ("l-idx1-ubyte", idx[:-1], "ends before its last"),
        "a table without labels": ("l.csv", b"a,b\n" + b"1,2\n" * 20, "has no column label"),
        "a table with a hole": ("l.csv", b"label,n\n" + b"a,1\n" * 19 + b" ,1\n", "line 21 has no label"),
        "a ragged table": ("l.csv", b"label,n\n" + b"a,1\n" * 9 + b"b\n", "line 11 has another number of cells"),
        "a table of names, without any": ("l.csv", b"file,label\n" + b"a,1\n" * 20, "have no names"),
        "a table with an open quote": ("l.csv", b'label\n"a\n' + b"b\n" * 19, "holds 1 labels"),
        "a table of one line of 300 KB": ("l.csv", b"x" * 300_000, text),
        "a table of NUL": ("l.csv", b"label\n" + b"\0\n" * 20, text),
        "a table of noise": ("l.csv", bytes(range(256)) * 9, text),
        "a table of UTF-16": ("l.csv", ("label\n" + "a\nb\n" * 10).encode("utf-16"), text),
        "a text of nothing": ("l.txt", b"", "holds 0 labels"),
        "a word of 2,000 letters": ("l.txt", b"a\n" * 19 + b"b" * 2000, "line 20 has too long a label"),
        "an .npz": ("l.npz", zipped(("a.npy", GOOD)), "no labels are read from such a file"),
    }  # fmt: skip
    for about, (name, content, says) in rows.items():
        command = ("probe", "a.npy", "--labels", name)
        yield Case(f"probe: labels {about}", beside_images(put(name, content)), command, says, name)
    command = ("probe", "a.npy", "--labels", "l.csv")
    for about, make in NO_FILES.items():
        yield Case(f"probe: labels that are {about}", beside_images(make), command, "no regular file", "l.csv")
    yield Case("probe: labels that are not there", beside_images(), command, "no such file", "l.csv")
    for about, (text, says) in {
        "two labels": ("0.png,a\n1.png,b\n0.png,b\n", "has two labels for 0.png"),
        "no label": ("0.png,a\n1.png,b\n2.png,b\n", "has no label of 1 images, the first is 3.png"),
    }.items():

        def build(run: Run, text: str = text) -> None:
            _pictures(run)
            Path("l.csv").write_text(f"file,label\n{text}")

        yield Case(f"probe: {about} of a picture", build, ("probe", "p", "--labels", "l.csv"), says, "l.csv")


def probing() -> Iterator[Case]:
    build = beside_images(
        put("l.npy", GOOD), put("one.npy", npy_bytes(HALF * 0)), put("t.npy", npy_bytes(IMAGES[:, :5]))
    )

    def case(about: str, says: str, names: str, *options: str) -> Case:
        labels = () if "--labels" in options else ("--labels", "l.npy")
        return Case(f"probe: {about}", build, ("probe", "a.npy", *labels, *options), says, names)

    yield case("one class", "every training image is of class '0'", "a.npy", "--labels", "one.npy")
    yield case("no test images", "there are no test images", "--test-labels", "--test-labels", "l.npy")
    yield case(
        "more labels than there are", "training images, --labels-per-class 99 asks", "a.npy", "--labels-per-class", "99"
    )
    yield case("test images of another size", "expects images", "t.npy", "--test", "t.npy")
    yield case("test images without labels", "has no labels", "a.npy", "--test", "a.npy")
    yield case("predictions in place of labels", "is the input", "l.npy", "--predictions", "l.npy", "--overwrite")
    yield case("predictions nowhere", "does not exist", "no/p.csv", "--predictions", "no/p.csv")
    yield case("predictions in a folder", "is a folder", "runs", "--predictions", "runs")


def scoring() -> Iterator[Case]:
    nan = IMAGES.astype("f4")
    nan[3, 4, 4] = np.nan
    build = beside_images(
        put("cut.npy", npy_bytes(IMAGES)[:-1]), put("small.npy", npy_bytes(IMAGES[:, :5])), put("nan.npy", npy_bytes(nan)),
        put("p/a.png", png_bytes(8, 8)), put("few.npy", npy_bytes(IMAGES[:3])), put("labelled.npy", npy_bytes(IMAGES)),
        put("labelled_labels.npy", npy_bytes(HALF[:3])),
    )  # fmt: skip

    def case(about: str, says: str, names: str, *options: str, images: str = "a.npy") -> Case:
        return Case(f"score: {about}", build, ("score", images, *options), says, names)

    yield case("labels of another length", "expected 20 labels", "labelled_labels.npy", images="labelled.npy")
    yield case("held-out images that are cut", "ends before its last image", "cut.npy", "--held-out", "cut.npy")
    yield case("held-out images of another size", "expects images", "small.npy", "--held-out", "small.npy")
    yield case("held-out images of NaN", "NaN or infinite", "nan.npy", "--held-out", "nan.npy")
    yield case("held-out images that are not there", "no such file", "no.npy", "--held-out", "no.npy")
    yield case("held-out pictures of nothing", "its one picture cannot be read", "p", "--held-out", "p")
    yield case(
        "too few held-out images", "of 3 held-out images no rate below 0.25", "--false-alarms", "--held-out", "few.npy"
    )
    yield case("a metric of none", "unknown metric", "--by", "--by", "\x1b[31m")
    yield case("a class of none", "leave it out, or put labels there", "--normal", "--normal", "\x1b[31m")
    yield case("maps of no array", "is written as .npy", "m.png", "--maps", "m.png")
    yield case("maps nowhere", "does not exist", "no/m.npy", "--maps", "no/m.npy")
    yield case("maps in place of the images", "is the input", "a.npy", "--maps", "a.npy", "--overwrite")


def compressing() -> Iterator[Case]:
    build = beside_images(put("small.npy", npy_bytes(IMAGES[:, :5])), put("cut.npy", npy_bytes(IMAGES)[:-1]))

    def case(about: str, says: str, names: str, *command: str) -> Case:
        return Case(f"{command[0]}: {about}", build, command, says, names)

    yield case("images of another size", "expects images", "small.npy", "compress", "small.npy")
    yield case("images that are cut", "ends before its last image", "cut.npy", "compress", "cut.npy")
    yield case("too few bytes", "takes .* each: give more", "--bytes", "compress", "a.npy", "--bytes", "0.1")
    yield case("an array for an output", "is written as .aez", "b.npy", "compress", "a.npy", "-o", "b.npy")
    yield case("an output nowhere", "does not exist", "no/b.aez", "compress", "a.npy", "-o", "no/b.aez")
    yield case("images", "is not a file of ae compress", "a.npy", "decompress", "a.npy")
    yield case("the output of another format", "is written as .npy", "b.png", "decompress", "a.npy", "-o", "b.png")
    yield case("a picture for an output", "is written as .npy", "s.png", "sample", "-o", "s.png")
    yield case("an output nowhere", "does not exist", "no/s.npy", "sample", "-o", "no/s.npy")


_MODEL = ("encoder.onnx", "decoder.onnx", "environment.json", "baselines.npz")
READ = {
    ("score", "images.npy"): _MODEL,
    ("probe", "images.npy", "--labels", "l.npy"): _MODEL,
    ("compress", "images.npy"): (*_MODEL, "config.yaml"),
    ("decompress", "x.aez"): _MODEL[:-1],
    ("sample", "--components", "1"): (*_MODEL, "config.yaml", "split.npz"),
}
"""A use of a run -> the files of it that it reads."""


def of_damaged_runs() -> Iterator[Case]:
    """Every use of a run of which one file is damaged."""
    says = "damaged|missing|not UTF-8|not valid YAML|no such file|another run"
    for command, files in READ.items():
        for file in files:
            damages = {"missing": remove(file), "cut": cut(file)}
            for about, damage in damages.items():
                build = on_images(beside_images(put("l.npy", GOOD), _compressed, damage))
                yield Case(
                    f"{command[0]}: {file} is {about}", build, (*command, "--run", "runs/small"), says, "runs/small"
                )


def _compressed(run: Run) -> None:
    """What the images of the run take in a file."""
    header = AezHeader(bytes.fromhex(weights_sha256(run)), 3, 8, Steps(0.1, np.zeros(8, np.int8)))
    Path("x.aez").write_bytes(header_bytes(header) + pack(np.zeros((3, 8), np.int64)))


def uses() -> list[Case]:
    """Return every case of the uses of a run that needs no more than a moment and a little memory."""
    return [*labels(), *probing(), *scoring(), *compressing(), *of_damaged_runs()]
