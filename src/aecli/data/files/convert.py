"""Importing: any source of images as one .npy, with its labels and its manifest beside it."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError, DataError
from aecli.core.files import refuse_output
from aecli.core.npy import NpyWriter
from aecli.core.progress import ProgressCallback, no_progress
from aecli.core.rng import derive
from aecli.data.files.arrays import ArrayFile
from aecli.data.files.decode import OtherTarget, choose_target, expand, survey_pictures, write_decoded
from aecli.data.files.labels import Labels, NoLabels, labels_beside
from aecli.data.files.listing import Listing
from aecli.data.files.manifest import Manifest, display_name, endpoint_hash, read_manifest
from aecli.data.files.open import list_pictures, open_source
from aecli.data.files.options import DecodeOptions
from aecli.data.shares import HERE, Spread

_OPTIONS = MappingProxyType(
    {"size": "--size and --fit change it", "color": "--grey and --rgb change it", "frames": "--frames changes it"}
)

_PIECE_BYTES = 8 * 2**20

_NOT_ASKED = NoLabels("none were asked for")

_Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ConvertOptions:
    """What is taken of the sources: in an order drawn by a seed or in their own, so many at most; or these `rows`.

    With `strict` a picture that cannot be read is an error, otherwise it is left out. Without `labels` none are looked
    for.
    """

    decoding: DecodeOptions = field(default_factory=DecodeOptions)
    limit: int | None = None
    shuffle: int | None = None
    strict: bool = False
    labels: bool = True
    rows: _Rows | None = None

    def choose(self, count: int) -> _Rows:
        """Return the positions that are taken, in their order."""
        order = np.arange(count) if self.rows is None else self.rows
        if self.shuffle is not None:
            order = np.random.default_rng(derive(self.shuffle, "import")).permutation(order)
        return order[: self.limit]


@dataclass(frozen=True)
class ConvertResult:
    """What was written; `labels` is None where the sources have none, `notes` what the user should know."""

    images: Path
    manifest_file: Path
    labels: Path | None
    manifest: Manifest
    notes: tuple[str, ...]


Finish = Callable[[Manifest, Labels | NoLabels], ConvertResult]
"""Writes what belongs beside the images, when they are written and before they appear."""


def output_files(output: Path) -> tuple[Path, Path, Path]:
    """Return the files that an import writes: the images, their manifest, their labels."""
    return output, output.with_suffix(".json"), output.with_name(f"{output.stem}_labels.npy")


def import_images(
    sources: Sequence[Path],
    output: Path,
    wanted: ConvertOptions,
    *,
    overwrite: bool = False,
    on_progress: ProgressCallback = no_progress,
    spread: Spread = HERE,
) -> ConvertResult:
    """Write the images of sources into one .npy, beside it <name>.json, and <name>_labels.npy where there are labels.

    All sources are pictures, or all are arrays of one shape and dtype. Labels are int64 (N,): the numbers of the
    folders that hold the pictures, or what lies beside an array. The .npy appears last: once it is there, all is.
    Pictures are decoded where `spread` says.
    """
    images, manifest_file, labels_file = output_files(output)
    refuse_output(images, overwrite, *sources, suffix=".npy")
    replaced = overwrite or _cut_short(output, sources)
    refuse_output(manifest_file, replaced, *sources)
    refuse_output(labels_file, replaced, *sources)
    listings = [list_pictures(path) for path in sources]
    pictures = [listing for listing in listings if listing is not None]
    if pictures and len(pictures) < len(sources):
        array = next(path for path, listing in zip(sources, listings, strict=True) if listing is None)
        raise DataError(f"{array}: is an array, {pictures[0].source} has pictures: import them one after the other")

    def finish(manifest: Manifest, found: Labels | NoLabels) -> ConvertResult:
        labels = found if isinstance(found, Labels) else None
        if labels is None and labels_file.exists():
            raise AeError(
                f"{labels_file}: is of other images, these have no labels: remove it or give another --output"
            )
        manifest = replace(
            manifest,
            source=tuple(map(str, sources)),
            classes=labels.classes if labels else None,
            shuffled_by=wanted.shuffle,
            key=wanted.decoding.key,
        )
        manifest.write(manifest_file)
        if labels is not None:
            with NpyWriter(labels_file, labels.values.shape, "<i8") as writer:
                writer.write(labels.values)
                writer.sync()
                # Former images must not be found beside the labels of these; these come in a moment.
                images.unlink(missing_ok=True)
        notes = manifest.notes(images, _OPTIONS if wanted.decoding.size is None else None)
        if isinstance(found, NoLabels) and wanted.labels:
            notes += (f"{images}: no labels: {found.reason}",)
        return ConvertResult(images, manifest_file, labels_file if labels else None, manifest, notes)

    if pictures:
        return _import_pictures(sources, pictures, wanted, images, finish, on_progress, spread)
    return _import_arrays(sources, wanted, images, finish, on_progress)


def _cut_short(output: Path, sources: Sequence[Path]) -> bool:
    """Whether an import of the same sources was killed between the manifest, which comes first, and the images."""
    images, manifest_file, _ = output_files(output)
    manifest = None if images.exists() else read_manifest(manifest_file)
    return manifest is not None and manifest.source == tuple(map(str, sources))


def _import_pictures(
    sources: Sequence[Path],
    listings: Sequence[Listing],
    wanted: ConvertOptions,
    output: Path,
    finish: Finish,
    on_progress: ProgressCallback,
    spread: Spread,
) -> ConvertResult:
    listing = listings[0] if len(listings) == 1 else _joined(listings)
    class_of_file = _class_by_folder(listing) if len(listings) == 1 else _class_by_source(sources)
    if listing.labels is not None:
        class_of_file = listing.labels.get
    if wanted.shuffle is None:
        listing = replace(listing, names=listing.names[: wanted.limit])
    listing = expand(listing, wanted.decoding.frames, spread)
    frames = listing.frames

    def class_of(name: str) -> str | None:
        return class_of_file(frames.get(name, (name, 0))[0])

    listing = replace(listing, names=[listing.names[i] for i in wanted.choose(len(listing))])
    survey = survey_pictures(listing, strict=wanted.strict, on_progress=on_progress, spread=spread)

    def with_labels(manifest: Manifest) -> ConvertResult:
        return finish(manifest, _labels_of(manifest.files or (), class_of) if wanted.labels else _NOT_ASKED)

    while True:
        target = choose_target(survey, wanted.decoding)
        try:
            return write_decoded(
                listing,
                survey,
                target,
                output,
                with_labels,
                decoding=wanted.decoding,
                strict=wanted.strict,
                on_progress=on_progress,
                spread=spread,
            )
        except OtherTarget as other:
            survey = other.survey


def _joined(listings: Sequence[Listing]) -> Listing:
    """Return the pictures of several sources one after the other, each named as from here."""
    ignored: Counter[str] = Counter()
    for listing in listings:
        ignored.update(dict(listing.ignored))
    return Listing(
        f"{listings[0].source} and {len(listings) - 1:,} more",
        Path(),
        [os.path.normpath(listing.path(name)) for listing in listings for name in listing.names],
        tuple(ignored.most_common()),
        tuple((listing.path(name), reason) for listing in listings for name, reason in listing.unreadable),
    )


def _class_by_folder(listing: Listing) -> Callable[[str], str | None]:
    """Return what gives the class of a picture: its folder in the one that holds all of them, None for that itself."""
    paths = {name: os.path.dirname(os.path.abspath(os.path.join(listing.root, name))) for name in listing.names}
    root = os.path.commonpath(set(paths.values()))

    def class_of(name: str) -> str | None:
        inner = os.path.relpath(paths[name], root)
        return None if inner == os.curdir else inner.split(os.sep)[0]

    return class_of


def _class_by_source(sources: Sequence[Path]) -> Callable[[str], str | None]:
    """Return what gives the name of the folder, of several given, that holds a picture."""
    folders = {os.path.join(os.path.abspath(path), ""): os.path.abspath(path) for path in sources if path.is_dir()}

    def class_of(name: str) -> str | None:
        path = os.path.abspath(name)
        return next((os.path.basename(label) for folder, label in folders.items() if path.startswith(folder)), None)

    return class_of


def _labels_of(files: Sequence[str], class_of: Callable[[str], str | None]) -> Labels | NoLabels:
    """Return the labels by folder, or why there are none."""
    named = [class_of(name) for name in files]
    classes = sorted({name for name in named if name is not None}, key=os.fsencode)
    outside = [file for file, name in zip(files, named, strict=True) if name is None]
    if classes and outside:
        which = f"{len(outside):,} picture{' lies' if len(outside) == 1 else 's lie'} beside the folders"
        return NoLabels(f"{which}, the first is {display_name(outside[0])}: move what has no class elsewhere")
    if len(classes) < 2:
        return NoLabels("all pictures lie in one folder, and labels are the folders of classes")
    numbers = {name: i for i, name in enumerate(classes)}
    return Labels(np.array([numbers[name] for name in named if name is not None], np.int64), tuple(classes))


def _import_arrays(
    sources: Sequence[Path], wanted: ConvertOptions, output: Path, finish: Finish, on_progress: ProgressCallback
) -> ConvertResult:
    files = [open_source(path, wanted.decoding) for path in sources]
    first = files[0]
    for file in files[1:]:
        if file.shape[1:] != first.shape[1:] or file.dtype.newbyteorder("=") != first.dtype.newbyteorder("="):
            raise DataError(
                f"{file.path}: holds {file.dtype.name} of shape {list(file.shape[1:])}, {first.path} "
                f"{first.dtype.name} of {list(first.shape[1:])}: import them one after the other"
            )
    rows = wanted.choose(sum(map(len, files)))
    labels = _labels_beside_all(files, rows, wanted.decoding.key) if wanted.labels else _NOT_ASKED
    # A row has a name of its own where its number no longer says which it was.
    moved = len(files) > 1 or wanted.shuffle is not None or wanted.rows is not None
    names = _row_names(files, rows) if moved else None
    shape, dtype = (len(rows), *first.shape[1:]), first.dtype.newbyteorder("=")
    ends_so_far: list[NDArray[Any]] = []
    with NpyWriter(output, shape, dtype.str) as writer:
        for done, piece in _pieces(files, rows):
            native = piece.astype(dtype, copy=False)
            writer.write(native)
            ends_so_far = [ends_so_far[0] if ends_so_far else native[:1], native[-1:]]
            on_progress("copying images", done, len(rows))
        writer.sync()
        manifest = Manifest((), shape, dtype.str, endpoint_hash(ends_so_far[0], ends_so_far[-1]), names)
        return finish(manifest, labels)


def _labels_beside_all(files: Sequence[ArrayFile], rows: _Rows, key: str | None) -> Labels | NoLabels:
    """Return the labels of these rows, or why a file has none."""
    known: list[Labels] = []
    for file in files:
        labels = labels_beside(file, key)
        if isinstance(labels, NoLabels):
            return labels
        known.append(labels)
    classes = _all_classes([labels.classes for labels in known])
    number = {name: i for i, name in enumerate(classes)}
    # Words are numbered anew where the files have not the same.
    values = [np.array([number[name] for name in labels.classes])[labels.values] for labels in known]
    return Labels(np.concatenate(values)[rows], classes)


def _all_classes(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the classes of all files: the longest list where the others are its beginning, else all names in order."""
    longest = max(lists, key=len)
    if all(longest[: len(names)] == names for names in lists):
        return longest
    return tuple(sorted({name for names in lists for name in names}))


def _row_names(files: Sequence[ArrayFile], rows: _Rows) -> tuple[str, ...]:
    starts = np.cumsum([0, *map(len, files)])
    which = np.searchsorted(starts, rows, side="right") - 1
    return tuple(f"{files[i].name}[{row - starts[i]}]" for i, row in zip(which, rows, strict=True))


def _pieces(files: Sequence[ArrayFile], rows: _Rows) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield these rows of the files one after the other, in pieces, and how many have come."""
    shape, dtype = files[0].shape[1:], files[0].dtype
    starts = np.cumsum([0, *map(len, files)])
    step = max(1, _PIECE_BYTES // (prod(shape) * dtype.itemsize))
    for begin in range(0, len(rows), step):
        part = rows[begin : begin + step]
        piece = np.empty((len(part), *shape), dtype)
        which = np.searchsorted(starts, part, side="right") - 1
        for i in np.unique(which):
            piece[which == i] = files[i].take(part[which == i] - starts[i])
        yield begin + len(part), piece
