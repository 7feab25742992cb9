"""Fuzz the readers and the config: whatever the bytes, an AeError of one line or a result, and never another error.

    python scripts/fuzz.py --minutes 3 [--only npy]

Valid files are damaged by hypothesis (bytes flipped, cut, repeated, numbers replaced by extreme ones) and configs are
made by a grammar; each input goes through the same door as a user's. A failing input is shrunk and printed.
"""

import argparse
import gzip
import io
import os
import shutil
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.hostile import apng_bytes, png_bytes, tiff_bytes, zipped
from tests.hostile import npy_bytes as npy

ROOT = Path(__file__).parents[1]

EXAMPLES = 200
SLOW_SECONDS = 10.0

Edit = tuple[str, float, Any]


@dataclass(frozen=True)
class Target:
    """Inputs, and what to do with one: anything but an AeError that it raises is a finding."""

    inputs: st.SearchStrategy[Any]
    use: Callable[[Any], object]


# -- inputs ---------------------------------------------------------------------------------------

EXTREMES = [0, 1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]
WORDS = [b"-1", b"1e999", b"nan", b"[" * 99, b"{" * 99, b"(" * 99, b"\0", b"\xff\xfe", b"..", b"None", b"|O", b"<f8"]
CODES = ["<I", ">I", "<Q", "<H"]
NUMBERS = [b"0", b"-1", b"1e308", b"9" * 40, b"true", b'"x"']
SCALARS = [
    "relu", "auto", "null", "true", "1e-3", ".nan", "-.inf", "0x10", "1_0", "2026-01-01", "!!int 3", "*a", "&a 1", "''",
    "|", ">-", "@", "`", "%", "---", "...", "? a", "{name: elu, alpha: 2}",
]  # fmt: skip
OWN_FILES = (
    "config.yaml", "environment.json", "metrics.json", "history.csv", "health.csv", "encoder.onnx", "decoder.onnx",
    "baselines.npz", "split.npz", "sampler.npz", "held_out.npz",
)  # fmt: skip

_PLACE = st.floats(0, 1, exclude_max=True)
EDITS: st.SearchStrategy[Edit] = st.one_of(
    st.tuples(st.just("flip"), _PLACE, st.integers(0, 7)),
    st.tuples(st.just("set"), _PLACE, st.integers(0, 255)),
    st.tuples(st.just("cut"), _PLACE, st.none()),
    st.tuples(st.just("drop"), _PLACE, st.integers(1, 64)),
    st.tuples(st.just("repeat"), _PLACE, st.integers(1, 64)),
    st.tuples(st.just("insert"), _PLACE, st.one_of(st.sampled_from(WORDS), st.binary(max_size=16))),
    st.tuples(st.just("number"), _PLACE, st.tuples(st.sampled_from(EXTREMES), st.sampled_from(CODES))),
    st.tuples(st.just("digits"), _PLACE, st.sampled_from(NUMBERS)),
)  # fmt: skip


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """Return the content with damage done to it."""
    data = bytearray(content)
    for kind, share, value in edits:
        place = int(share * len(data))
        if not data:
            break
        if kind == "flip":
            data[place] ^= 1 << value
        elif kind == "set":
            data[place] = value
        elif kind == "cut":
            del data[place:]
        elif kind == "drop":
            del data[place : place + value]
        elif kind == "repeat":
            data[place:place] = data[place : place + value] * 3
        elif kind == "insert":
            data[place:place] = value
        elif kind == "number":
            number, code = value
            size = struct.calcsize(code)
            data[place : place + size] = struct.pack(code, number & (256**size - 1))
        else:
            _replace_digits(data, place, value)
    return bytes(data)


def _replace_digits(data: bytearray, place: int, value: bytes) -> None:
    digits = b"0123456789."
    start = next((i for i in range(place, len(data)) if data[i] in digits), len(data))
    stop = next((i for i in range(start, len(data)) if data[i] not in digits), len(data))
    data[start:stop] = value


def damaged(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Return valid contents with a few edits."""
    return st.builds(edited, st.sampled_from(seeds), st.lists(EDITS, min_size=1, max_size=5))


def yaml_texts() -> st.SearchStrategy[str]:
    """Return texts that are nearly configs."""
    from aecli.runs.config import Config

    sections = {name: list(type(getattr(Config(), name)).model_fields) for name in Config.model_fields}
    keys = st.sampled_from(
        [*sections, *(key for inner in sections.values() for key in inner), "<<", "name", "x", "1", "~"]
    )
    scalars = st.one_of(
        st.sampled_from(SCALARS),
        st.integers().map(str), st.floats().map(str), st.text(max_size=8),
    )  # fmt: skip
    values = st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
            st.lists(st.tuples(keys, inner).map(": ".join), max_size=3).map(lambda items: f"{{{', '.join(items)}}}"),
        ),
        max_leaves=8,
    )  # fmt: skip
    lines = st.tuples(st.sampled_from(["", "  ", "    ", "- ", "\t"]), keys, values).map(
        lambda p: f"{p[0]}{p[1]}: {p[2]}"
    )
    return st.lists(lines, max_size=8).map("\n".join)


def overrides() -> st.SearchStrategy[str]:
    """Return texts for --set."""
    from aecli.runs.config import Config

    keys = [f"{s}.{k}" for s in Config.model_fields for k in type(getattr(Config(), s)).model_fields]
    values = st.one_of(
        st.text(max_size=20), st.integers().map(str), st.sampled_from(["[1,2]", "{name: elu}", "elu", "[[", "&a"])
    )
    return st.tuples(st.one_of(st.sampled_from(keys), st.text(max_size=12)), values).map("=".join)


# -- targets --------------------------------------------------------------------------------------


def pictures() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
    kinds = (
        ("PNG", "RGB"),
        ("JPEG", "RGB"),
        ("BMP", "RGB"),
        ("GIF", "P"),
        ("WEBP", "RGB"),
        ("PPM", "RGB"),
        ("AVIF", "RGB"),
        ("JPEG2000", "RGB"),
    )
    return [saved(Image.fromarray(pixels).convert(mode), kind) for kind, mode in kinds]


def stacks() -> list[bytes]:
    """Files of several pictures: TIFF of every kind, animations; and PNG whose bits are read in a way of our own."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3)).astype(np.uint8)
    pages = [Image.fromarray(page) for page in pixels]
    grey = [page.convert("L") for page in pages]
    deep = [Image.fromarray(np.asarray(page).astype(np.uint16) * 257) for page in grey]
    tiffs = [
        saved(first, "TIFF", save_all=True, append_images=others, compression=packing)
        for first, *others in (pages, grey, deep, [page.convert("P") for page in pages])
        for packing in (None, "tiff_lzw", "tiff_adobe_deflate")
    ]
    moving = [saved(pages[0], kind, save_all=True, append_images=pages[1:]) for kind in ("GIF", "PNG", "WEBP")]
    wide = png_bytes(5, 12, zlib.compress(np.random.default_rng(0).bytes(12 * 21)), kind=(16, 4))
    return [*tiffs, *moving, tiff_bytes({}, {256: 4}, {254: 1}), apng_bytes(3), wide]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tarred(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a/x.png")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def hdf5(images: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("images", data=images, compression="gzip")
    return buffer.getvalue()


def matlab(images: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, {"images": images}, do_compression=True)
    return buffer.getvalue()


def use_images(name: str) -> Callable[[bytes], object]:
    from aecli.data.dataset import open_images

    def use(content: bytes) -> object:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)
        source = open_images(Path(name) if "/" not in name else Path(name).parent)
        return [images.sum() for _, images in source.chunks()] if len(source) < 10_000 else None

    return use


def use_run(file: str, folder: Path) -> Callable[[bytes], object]:
    from aecli.runs.model import load_model
    from aecli.runs.run import Run
    from aecli.runs.uses.sampling.kept import read_sampler
    from aecli.runs.uses.scoring.held_out import read_held_out
    from aecli.views.report.page import render
    from aecli.views.report.run_page import run_page

    original = (folder / file).read_bytes()

    def use(content: bytes) -> None:
        run = Run(folder)
        (folder / file).write_bytes(content)
        try:
            if file.endswith(".onnx"):
                model = load_model(run)
                model.reconstruct(np.zeros((3, *model.image_shape), np.float32))
            elif file == "sampler.npz":
                kept = read_sampler(run, load_model(run))
                assert kept is None or len(kept.sampler.draw(3, 0)) == 3
            elif file == "held_out.npz":
                held_out = read_held_out(run)
                assert held_out is None or len(held_out) >= 1
            elif file.endswith(".npz"):
                assert run.baselines.components.size + len(run.split.train)
            else:
                render(run_page(run))
        finally:
            (folder / file).write_bytes(original)

    return use


def use_config(text: str) -> object:
    from aecli.runs.config_file import load_config, to_yaml

    Path("c.yaml").write_text(text, encoding="utf-8", errors="replace")
    return to_yaml(load_config(Path("c.yaml")).config)


def use_override(text: str) -> object:
    from aecli.runs.config_file import load_config
    from aecli.studies.config import parse_values

    parse_values([text], "--vary")
    return load_config(None, [text])


def targets(run: Path) -> dict[str, Target]:
    """Return what is fuzzed."""
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8)).astype(np.uint8)
    arrays = [
        npy(images),
        npy(images / 255),
        npy(np.asfortranarray(images)),
        npy(np.array([{}] * 3), allow_pickle=True),
    ]
    idx = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape) + images.tobytes()
    archives = [*(zipped(("a.npy", c)) for c in arrays), zipped(("a.npy", arrays[0]), packing=zipfile.ZIP_STORED)]
    config = (ROOT / "configs" / "prelu.yaml").read_bytes()
    found = {
        "npy": Target(damaged(*arrays), use_images("a.npy")),
        "idx": Target(damaged(idx), use_images("a-idx3-ubyte")),
        "gz": Target(damaged(*(gzip.compress(c, mtime=0) for c in (idx, *arrays))), use_images("a.gz")),
        "gz of damaged": Target(damaged(idx, *arrays).map(lambda c: gzip.compress(c, mtime=0)), use_images("a.gz")),
        "npz": Target(damaged(*archives), use_images("a.npz")),
        "npz of damaged": Target(damaged(*arrays).map(lambda c: zipped(("a.npy", c))), use_images("a.npz")),
        "pictures": Target(damaged(*pictures()), use_images("p/a.png")),
        "stacks": Target(damaged(*stacks()), use_images("p/a.tif")),
        "zip": Target(damaged(*(zipped(("a/x.png", c), ("b.txt", c)) for c in pictures())), use_images("a.zip")),
        "zip of damaged": Target(damaged(*pictures()).map(lambda c: zipped(("a.png", c))), use_images("a.zip")),
        "tar": Target(damaged(tarred(pictures()[0])), use_images("a.tar")),
        "tgz": Target(damaged(tarred(pictures()[0])).map(lambda c: gzip.compress(c, mtime=0)), use_images("a.tgz")),
        "h5": Target(damaged(hdf5(images)), use_images("a.h5")),
        "mat": Target(damaged(matlab(images)), use_images("a.mat")),
        "table": Target(damaged(b'file,label\n"a.png",x\nb.png,y\n' * 9), use_images("t.csv")),
        "list": Target(damaged(b"a.png\n# c\n../x.png\n" * 9), use_images("l.txt")),
        "config": Target(yaml_texts(), use_config),
        "config, damaged": Target(damaged(config).map(lambda c: c.decode("utf-8", "replace")), use_config),
        "--set": Target(overrides(), use_override),
    }  # fmt: skip
    for file in sorted(path.name for path in run.iterdir()):
        if file in OWN_FILES:
            found[f"run: {file}"] = Target(damaged((run / file).read_bytes()), use_run(file, run))
    return found  # fmt: skip


# -- running --------------------------------------------------------------------------------------


def fuzz(name: str, target: Target, tried: Counter[str], slowest: dict[str, float]) -> str | None:
    """Try EXAMPLES inputs; return the traceback of the smallest that fails."""
    from aecli.core.errors import AeError, ConfigError

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(target.inputs)
    def attempt(content: Any) -> None:
        tried[name] += 1
        began = time.perf_counter()
        try:
            target.use(content)
        except AeError as error:
            for line in error.problems if isinstance(error, ConfigError) else [str(error)]:
                assert ": " in line, f"no place or cure: {line!r}"
        took = time.perf_counter() - began
        slowest[name] = max(slowest.get(name, 0.0), took)
        assert took < SLOW_SECONDS, f"{took:.1f} s"

    try:
        attempt()
    except BaseException:
        return traceback.format_exc()
    return None


def small_run(folder: Path) -> Path:
    """Train a tiny run to damage, with a sampler."""
    from aecli.runs.config_file import load_config
    from aecli.runs.model import load_model
    from aecli.runs.uses.sampling.fitting import fit_sampler
    from aecli.runs.uses.sampling.kept import keep_sampler
    from aecli.training.trainer import train

    sets = ["model.latent_dim=3", "model.hidden=[5]", "training.epochs=2"]
    run = train(load_config(None, sets).config, folder)
    keep_sampler(run, fit_sampler(run, load_model(run), 2))
    return run.path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="when to stop  [default: 3]")
    parser.add_argument("--only", default="", help="fuzz what has this in its name")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    end, start = time.monotonic() + 60 * options.minutes, Path.cwd()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        os.chdir(folder)
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/cache", "AE_CACHE_GB": "0.02", "OMP_NUM_THREADS": "1"}
        wanted = {n: t for n, t in targets(small_run(Path("run").absolute())).items() if options.only in n}
        tried: Counter[str] = Counter()
        slowest: dict[str, float] = {}
        findings: dict[str, str] = {}
        while len(findings) < len(wanted) and time.monotonic() < end:
            for name in [name for name in wanted if name not in findings]:
                if (found := fuzz(name, wanted[name], tried, slowest)) is not None:
                    findings[name] = found
                    print(f"== {name} ==\n{found}", flush=True)
                if time.monotonic() > end:
                    break
            shutil.rmtree("cache", ignore_errors=True)
        os.chdir(start)
    for name in wanted:
        print(f"{name:24} {tried[name]:9,} inputs, the slowest {slowest.get(name, 0.0):.2f} s")
    print(f"{tried.total():,} inputs, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
