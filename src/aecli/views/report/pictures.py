"""The same images as several models reconstruct them: the best, the median and the worst cases."""

import base64
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import RunError
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.files.manifest import display_name
from aecli.data.format import Images
from aecli.runs.baselines import Baselines
from aecli.runs.metrics import PerImage, mse
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.inputs import reopen_images

_CASES = 3
"""Images shown of each kind: best, median, worst."""

_LONGEST_SIDE = 112
"""Pixels of an image in the page; larger ones are shrunk, a page is not an archive."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Reconstructed:
    """What one model makes of the shown images, and its mse on each; a baseline does not count when they are chosen."""

    name: str
    images: Images
    errors: PerImage
    baseline: bool = False


@dataclass(frozen=True)
class Gallery:
    """The shown images, rows `numbers` of a source, in `groups` of (name, how many); `files` name them if known."""

    groups: tuple[tuple[str, int], ...]
    numbers: tuple[int, ...]
    originals: Images
    rows: tuple[Reconstructed, ...]
    about: str
    files: tuple[str | None, ...] = ()

    @property
    def titles(self) -> list[str]:
        """The file of every image, or where that is not known its row."""
        files = self.files or (None,) * len(self.numbers)
        return [
            display_name(file) if file else f"row {number}" for number, file in zip(self.numbers, files, strict=True)
        ]

    @property
    def error_maps(self) -> list[NDArray[np.float32]]:
        """The |difference| of every row's images to the originals, (n, H, W) each."""
        return [np.abs(row.images - self.originals).mean(axis=3) for row in self.rows]

    @property
    def brightest(self) -> float:
        """The largest value of the error maps: one scale for all."""
        return max(1e-6, *(float(values.max()) for values in self.error_maps))


@dataclass(frozen=True)
class Reconstructor:
    """A name and what reconstructs."""

    name: str
    reconstruct: Callable[[Images], Images]
    baseline: bool = False


@dataclass(frozen=True)
class Part:
    """The images that a run was tested on: a file, and the rows of it or None for all."""

    source: ImageDataset
    rows: Rows | None
    name: str

    @property
    def numbers(self) -> Rows:
        """The rows as numbers."""
        return np.arange(len(self.source)) if self.rows is None else self.rows


def _tested_on(run: Run) -> Part:
    """Return a run's test images, or its validation images where it has no test.

    RunError where the file is gone or no longer the one of the training.
    """
    test, rows = run.environment.get("test"), None
    fields = test or run.environment["data"]
    name = "test"
    if not test:
        split = run.split
        rows, name = (split.test, "test") if len(split.test) else (split.validation, "validation")
    return Part(reopen_images(run, fields, "put it back and run ae report again", name_only=True), rows, name)


def gallery_of(runs: Sequence[tuple[str, Run]], every_length: bool = False) -> Gallery:
    """Return the gallery of several runs on the test images that all of them share, PCA of the first one below.

    With `every_length` PCA of every code length of theirs, the longest first. Raises RunError where their images cannot
    be read.
    """
    first = runs[0][1]
    part = _tested_on(first)
    rows = part.numbers
    models = []
    baselines: dict[int, Baselines] = {}
    for name, run in runs:
        if run.image_format != first.image_format:
            continue  # it sees the images in other units or another shape
        if part.rows is not None:
            rows = np.intersect1d(rows, _tested_rows(run, part.name))
        models.append(Reconstructor(name, load_model(run).reconstruct))
        if every_length or not baselines:
            baselines.setdefault(len(run.baselines.components), run.baselines)
    if not len(rows):
        raise RunError(f"{part.source.file.name}: the variants share no {part.name} image")
    for length, codes in sorted(baselines.items(), reverse=True):
        models.append(Reconstructor(f"PCA-{length}", codes.reconstruct_pca, baseline=True))
    return gallery(models, part.source, rows, f"{part.source.file.name}, {len(rows):,} {part.name} images")


def _tested_rows(run: Run, part: str) -> Rows:
    """Return the rows of a run's split that belong to a part."""
    return run.split.test if part == "test" else run.split.validation


def gallery(models: Sequence[Reconstructor], source: ImageDataset, rows: Rows, about: str) -> Gallery:
    """Choose images by their mean error over the models, and reconstruct them by every one."""
    judges = [model.reconstruct for model in models if not model.baseline]

    def mean_error(images: Images) -> PerImage:
        return np.asarray(np.mean([mse(images, reconstruct(images)) for reconstruct in judges], axis=0), np.float64)

    errors = np.concatenate([*source.map(mean_error, rows)])
    groups = chosen(errors)
    numbers = rows[[i for _, positions in groups for i in positions]]
    originals = source.format.to_contract(source.file.take(numbers))
    return Gallery(
        tuple((name, len(positions)) for name, positions in groups),
        tuple(int(number) for number in numbers),
        originals,
        tuple(_reconstructed(model, originals) for model in models),
        about,
        tuple(source.name(int(number)) for number in numbers),
    )


def _reconstructed(model: Reconstructor, originals: Images) -> Reconstructed:
    images = model.reconstruct(originals)
    return Reconstructed(model.name, images, mse(originals, images), model.baseline)


def chosen(errors: PerImage, cases: int = _CASES) -> list[tuple[str, list[int]]]:
    """Return the positions of the best, the median and the worst images, none twice."""
    order = [int(i) for i in np.argsort(errors, kind="stable")]
    count = min(cases, max(1, len(order) // 3))
    middle = (len(order) - count) // 2
    wanted = {"best": order[:count], "worst": order[-count:], "median": order[middle : middle + count]}
    seen: set[int] = set()
    for name, positions in wanted.items():
        wanted[name] = [i for i in positions if i not in seen]
        seen |= set(positions)
    return [(name, wanted[name]) for name in ("best", "median", "worst") if wanted[name]]


def image_uri(image: NDArray[np.float32]) -> str:
    """Return an image (H, W, C) in [0, 1] as a data URI; as in the plots, two channels are shown by their mean."""
    shown = image[:, :, :3] if image.shape[2] >= 3 else image.mean(axis=2, keepdims=True)
    return _uri(np.rint(np.clip(_shrunk(shown), 0, 1) * 255).astype(np.uint8))


def error_uri(values: NDArray[np.float32], brightest: float) -> str:
    """Return an error map (H, W) as a data URI, black for 0 and pale yellow for the brightest."""
    from aecli.views.canvas import MAGMA

    shrunk = _shrunk(values[:, :, None])[:, :, 0]
    return _uri(np.asarray(MAGMA(np.clip(shrunk / brightest, 0, 1), bytes=True))[:, :, :3])


def _shrunk(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the image with every few pixels averaged, where it is larger than the page shows."""
    factor = ceil(max(image.shape[:2]) / _LONGEST_SIDE)
    if factor == 1:
        return image
    height, width = (max(1, side // factor) for side in image.shape[:2])
    cut = image[: height * factor, : width * factor]
    if min(image.shape[:2]) < factor:
        return cut
    return np.asarray(cut.reshape(height, factor, width, factor, -1).mean(axis=(1, 3)), np.float32)


def _uri(pixels: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def png(pixels: Pixels) -> bytes:
    """Return uint8 pixels (H, W, 1) or (H, W, 3) as a PNG file (W3C, Portable Network Graphics, third edition)."""
    height, width, channels = pixels.shape
    # Every line begins with its filter, 0 for none.
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
