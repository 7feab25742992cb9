"""Many pictures as one array: looked at, decoded on all cores or elsewhere, written in pieces, with their manifest."""

import contextlib
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError, unreadable
from aecli.core.npy import NpyWriter
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.files.frames import UNREADABLE, Frames, frames_of
from aecli.data.files.listing import Listing
from aecli.data.files.manifest import Manifest, display_name, endpoint_hash
from aecli.data.files.options import DecodeOptions, WhichFrames
from aecli.data.files.pictures import DecodeTarget, PictureInfo, decode, inspect
from aecli.data.format import bits_of
from aecli.data.shares import HERE, Fault, Spread, in_shares

_DEFAULT_SIZE = (64, 64)

_OWN_SIZE_PIXELS = 2**16
"""Pictures that share one size keep it up to so many pixels, 256 x 256: beyond, a dense network would be huge."""

T = TypeVar("T")


@dataclass(frozen=True)
class PictureStats:
    """What pictures say of themselves: how many of every (height, width) and kind, `top` the largest deep value."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    transparent: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    top: int = 0

    def to_json(self) -> str:
        """Return it as JSON."""
        sizes = [[*size, count] for size, count in self.sizes.items()]
        return json.dumps([sizes, self.kinds, self.transparent, self.unreadable, self.top])

    @classmethod
    def from_json(cls, text: str) -> "PictureStats":
        """Return what `to_json` wrote."""
        sizes, kinds, transparent, unreadable, top = json.loads(text)
        counted = Counter({(height, width): count for height, width, count in sizes})
        return cls(counted, Counter(kinds), transparent, unreadable, int(top))

    def without(self, lost: Sequence[PictureInfo]) -> "PictureStats":
        """Return it as if these had not been among them."""
        return replace(
            self,
            sizes=self.sizes - Counter(info.size for info in lost),
            kinds=self.kinds - Counter(info.kind for info in lost),
            transparent=self.transparent - sum(info.transparent for info in lost),
        )


class OtherTarget(Exception):  # noqa: N818  # nothing is wrong
    """Pictures that could not be decoded would have decided what all become: it is to be chosen anew, from `survey`."""

    def __init__(self, survey: PictureStats) -> None:
        super().__init__("the target is another without the pictures that are left out")
        self.survey = survey


def expand(listing: Listing, which: WhichFrames, spread: Spread = HERE) -> Listing:
    """Return a listing with a name for every picture of the files that hold several, or for the first of each."""
    names: list[str] = []
    frames: dict[str, tuple[str, int]] = {}
    files = pictures = copies = 0
    with _unwarned():
        for share in in_shares(listing.names, lambda name: (listing.path(name), 0), _frames_of, spread):
            for name, found in share.each():
                if not isinstance(found, Frames):
                    _refuse(listing, name, found, strict=False)
                    names.append(name)
                    frames[name] = name, UNREADABLE
                    continue
                files, pictures = files + (len(found.numbers) > 1), pictures + len(found.numbers) - 1
                copies += found.copies
                for number in _wanted(found, which):
                    row = _row_name(listing, name, number)
                    names.append(row)
                    if number:
                        frames[row] = name, number
    return replace(listing, names=names, frames=frames, which=which, stacks=(files, pictures + files), copies=copies)


def _wanted(found: Frames, which: WhichFrames) -> tuple[int, ...]:
    if which == "first":
        return found.numbers[:1]
    # One more where the file breaks off: it cannot be read, and so it is named.
    return found.numbers if found.fault is None else (*found.numbers, found.numbers[-1] + found.copies + 1)


def _row_name(listing: Listing, name: str, number: int) -> str:
    row = f"{name}#{number}" if number else name
    while number and os.path.lexists(listing.path(row)):  # a file of that very name
        row += "#"
    return row


def _frames_of(path: str, _: int) -> Frames:
    return frames_of(path)


def survey_pictures(
    listing: Listing, *, strict: bool = False, on_progress: ProgressCallback = no_progress, spread: Spread = HERE
) -> PictureStats:
    """Read the headers of all pictures. Raises DataError where not one can be read, with `strict` at the first."""
    survey, transparent, top = PictureStats(), 0, 0
    with _unwarned():
        for share in in_shares(listing.names, listing.locate, inspect, spread):
            for name, info in share.each():
                if isinstance(info, PictureInfo):
                    survey.sizes[info.size] += 1
                    survey.kinds[info.kind] += 1
                    transparent, top = transparent + info.transparent, max(top, info.top)
                else:
                    _refuse(listing, name, info, strict)
                    survey.unreadable[name] = info.reason
            on_progress("looking at pictures", survey.sizes.total() + len(survey.unreadable), len(listing))
    if not survey.sizes:
        _none_left(listing, survey.unreadable)
    return replace(survey, transparent=transparent, top=top)


def choose_target(survey: PictureStats, decoding: DecodeOptions) -> DecodeTarget:
    """Return what to decode to: as asked, or where nothing is asked from what the pictures are."""
    size = decoding.size
    if size is None:
        size_of_all = next(iter(survey.sizes))
        size = size_of_all if len(survey.sizes) == 1 and prod(size_of_all) <= _OWN_SIZE_PIXELS else _DEFAULT_SIZE
    grey = decoding.color == "grey" or (decoding.color == "auto" and not survey.kinds["rgb"])
    keeps_depth = grey and set(survey.kinds) == {"deep grey"}
    if keeps_depth:
        return DecodeTarget(size, decoding.fit, 1, "uint16")
    return DecodeTarget(size, decoding.fit, 1 if grey else 3, "uint8", bits_of(survey.top) if survey.top else 16)


def write_decoded(
    listing: Listing,
    survey: PictureStats,
    target: DecodeTarget,
    output: Path,
    finish: Callable[[Manifest], T],
    *,
    decoding: DecodeOptions | None = None,
    strict: bool = False,
    on_progress: ProgressCallback = no_progress,
    spread: Spread = HERE,
) -> T:
    """Decode pictures into an .npy file in their order; return what `finish` does.

    The array is (N, *target.shape). A file that cannot be read is left out, or with `strict` is a DataError. The
    memory taken does not grow with the number of pictures. `finish` gets the manifest when all is written, before
    the file appears under its name: what belongs beside it is there first. With `decoding`, from which the target was
    chosen, OtherTarget is raised where it is another one without the pictures that are left out.
    """
    with _unwarned():
        return _write(listing, survey, target, output, finish, decoding, strict, on_progress, spread)


def _write(
    listing: Listing,
    survey: PictureStats,
    target: DecodeTarget,
    output: Path,
    finish: Callable[[Manifest], T],
    decoding: DecodeOptions | None,
    strict: bool,
    on_progress: ProgressCallback,
    spread: Spread,
) -> T:
    unreadable = dict(survey.unreadable)
    wanted = [name for name in listing.names if name not in unreadable] if unreadable else listing.names
    written: list[str] = []
    lost: list[PictureInfo] = []
    first = last = np.zeros(0, target.dtype)
    decoded = partial(_decoded, target)
    with NpyWriter(output, (len(wanted), *target.shape), target.dtype) as writer:
        for share in in_shares(wanted, listing.locate, decoded, spread, target.bytes):
            for position, fault in share.faults.items():
                name = share.names[position]
                _refuse(listing, name, fault, strict)
                unreadable[name] = fault.reason
                lost += _seen_before(listing, name)
            if len(share.values):
                first, last = first if written else share.values[0], share.values[-1]
                written += share.read()
                writer.write(share.values)
            on_progress("decoding pictures", len(written) + len(unreadable), len(listing))
        if not written:
            _none_left(listing, unreadable)
        survey = replace(survey.without(lost), unreadable=unreadable)
        if decoding is not None and choose_target(survey, decoding) != target:
            raise OtherTarget(survey)
        writer.end_after(len(written))
        writer.sync()
        return finish(_manifest(listing, survey, target, written, endpoint_hash(first, last), unreadable))


def _decoded(target: DecodeTarget, path: str, number: int) -> NDArray[Any]:
    return decode(path, target, number)


def _seen_before(listing: Listing, name: str) -> list[PictureInfo]:
    """Return what the survey has counted for a picture that then could not be decoded."""
    try:
        return [inspect(*listing.locate(name))]
    except MemoryError:
        raise
    except Exception:  # decoders raise errors of every kind on damaged files
        return []


def _manifest(
    listing: Listing,
    survey: PictureStats,
    target: DecodeTarget,
    written: list[str],
    endpoints: str,
    unreadable: dict[str, str],
) -> Manifest:
    by_area = sorted(survey.sizes, key=lambda size: (prod(size), size))
    return Manifest(
        source=(listing.source,),
        shape=(len(written), *target.shape),
        dtype=np.dtype(target.dtype).str,
        endpoint_hash=endpoints,
        files=tuple(written),
        size=target.size,
        fit=target.fit,
        color="grey" if target.channels == 1 else "rgb",
        sizes=(len(by_area), by_area[0], by_area[-1]),
        transparent=survey.transparent,
        depth_reduced=0 if target.dtype == "uint16" else survey.kinds["deep grey"],
        depth=target.bits,
        frames=listing.which,
        stacks=listing.stacks,
        copies=listing.copies,
        skipped=(*listing.unreadable, *unreadable.items()),
        ignored=listing.ignored,
    )


def _refuse(listing: Listing, name: str, fault: Fault, strict: bool) -> None:
    if fault.failure is not None:
        raise unreadable(display_name(listing.path(name)), fault.failure) from fault.failure
    if strict:
        path = listing.path(name)
        raise DataError(f"{display_name(path)}: {fault.reason}: mend or remove it, or leave out --strict")


def _none_left(listing: Listing, unreadable: dict[str, str]) -> None:
    unreadable = {**dict(listing.unreadable), **unreadable}
    if not unreadable:
        passed = ", ".join(f"{number:,} {display_name(kind)}" for kind, number in listing.ignored[:5])
        content = f"found {passed}" if passed else "it is empty"
        raise DataError(
            f"{listing.source}: holds no pictures ({content}): "
            f"give a folder of PNG, JPEG, BMP, TIFF, WebP, GIF or AVIF, or name a file"
        )
    name, reason = next(iter(unreadable.items()))
    said, files = f"its one picture cannot be read, {display_name(name)}", "the file"
    if len(unreadable) > 1:
        said = f"none of its {len(unreadable):,} pictures can be read, the first is {display_name(name)}"
        files = "the files"
    raise DataError(f"{listing.source}: {said} ({reason}): check {files}")


@contextlib.contextmanager
def _unwarned() -> Iterator[None]:
    """Keep Pillow's warnings of odd files to ourselves: what cannot be read is reported, the rest is fine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
