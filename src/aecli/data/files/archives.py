"""Arrays inside .gz and .npz files: unpacked once into the cache, in pieces, and opened there.

The key of the cache is the hash of the packed file: it holds wherever the file lies and whatever its date says,
and hashing takes a fraction of unpacking.
"""

import errno
import gzip
import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import IO

from aecli.core.errors import DataError, did_you_mean, one_line, unreadable
from aecli.core.files import written_whole
from aecli.data.files import cache
from aecli.data.files.arrays import HEAD_BYTES, NUMBERS, ArrayFile, Header, is_idx, open_idx, open_npy, read_header
from aecli.data.files.manifest import display_name

PIECE = 2**20

_BOMB_BYTES, _BOMB_RATIO = 2**30, 100
"""A file that grows by more than the ratio, beyond so many bytes, is taken for a bomb: images pack 2 to 20 times."""

_MEMBERS = 1000
DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)
"""What gzip and zipfile raise for files that are damaged, encrypted or packed in ways they do not know."""

Opener = Callable[[], AbstractContextManager[IO[bytes] | gzip.GzipFile]]


def open_gzip(path: Path, kinds: str = NUMBERS) -> ArrayFile:
    """Open an IDX or .npy file packed by gzip."""
    return _unpacked(path, "", lambda: gzip.open(path, "rb"), path.stat().st_size, kinds)


def open_npz(path: Path, key: str | None = None, kinds: str = NUMBERS) -> ArrayFile:
    """Open an array of an .npz: that of this key, or the only one, or the only one of several axes but for labels."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            info = _member(path, archive, members, key)
    except DAMAGE as error:
        raise damaged(path, error) from error
    name = info.filename.removesuffix(".npy")
    file = _unpacked(path, info.filename, lambda: _OpenMember(path, info), info.compress_size, kinds)
    alone = len(members) == 1
    return file if alone else replace(file, notes=(f"{path}: reading the array '{display_name(name)}'",))


def array_name(path: Path, key: str | None = None) -> str:
    """Return the name of the array that `open_npz` opens."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _member(path, archive, _members(archive), key).filename.removesuffix(".npy")
    except DAMAGE as error:
        raise damaged(path, error) from error


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except DAMAGE as error:
        raise damaged(path, error) from error


_LABEL_WORDS = {
    "images": ("labels", "label", "targets"), "image": ("label", "labels"), "imgs": ("labels",), "img": ("label",),
    "data": ("labels", "label", "targets", "target"), "x": ("y", "labels", "label"), "features": ("labels", "targets"),
    "pixels": ("labels", "label"), "inputs": ("labels", "targets"), "samples": ("labels", "targets"),
}  # fmt: skip
"""Word in the name of images -> the words that stand for it in the usual names of their labels."""


def label_names(name: str) -> list[str]:
    """Return what the labels of images of this name are usually called: y_train for x_train, labels for images."""
    words = re.split(r"([_.-])", name)
    found = [
        "".join([*words[:i], label, *words[i + 1 :]])
        for i, word in enumerate(words)
        for label in _LABEL_WORDS.get(word.lower(), ())
    ]
    found += [f"{y}{name[1:]}" for y in "yY" if name[:1] in ("x", "X")]
    found += [f"{name[:-1]}{y}" for y in "yY" if name[-1:] in ("x", "X")]
    found += [label.upper() for label in found if name.isupper()] + [label.title() for label in found if name.istitle()]
    return [label for label in dict.fromkeys(found) if label != name]


class _OpenMember:
    """A member of a zip archive, opened for reading with its archive."""

    def __init__(self, path: Path, info: zipfile.ZipInfo) -> None:
        self._archive, self._info = zipfile.ZipFile(path), info

    def __enter__(self) -> IO[bytes]:
        return self._archive.open(self._info)

    def __exit__(self, *_: object) -> None:
        self._archive.close()


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    arrays = [info for info in archive.infolist() if info.filename.endswith(".npy")][:_MEMBERS]
    return {info.filename.removesuffix(".npy"): info for info in arrays}


def _member(
    path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], key: str | None
) -> zipfile.ZipInfo:
    if not members:
        raise DataError(f"{path}: holds no arrays: save the images with numpy.savez")
    if key is not None:
        if key not in members:
            known = did_you_mean(key, members) or f": it has {_list(members)}"
            raise DataError(f"{path}: no array '{display_name(key)}'{known}")
        return members[key]
    if len(members) == 1:
        return next(iter(members.values()))
    several = [name for name, info in members.items() if _axes(path, archive, info) > 1]
    labels = {label for name in several for label in label_names(name)}
    images = [name for name in several if name not in labels]
    if len(images) == 1:
        return members[images[0]]
    example = f"{path}:{display_name(next(iter(members)))}"
    raise DataError(f"{path}: holds several arrays, {_list(members)}: name one, such as {example}")


def _axes(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    try:
        with archive.open(info) as stream:
            return len(read_header(path, stream.read(HEAD_BYTES)).shape)
    except DataError:
        return 0


def _list(members: dict[str, zipfile.ZipInfo]) -> str:
    names = [display_name(name) for name in list(members)[:12]]
    return ", ".join(names) + (", ..." if len(members) > 12 else "")


def _unpacked(path: Path, member: str, opened: Opener, packed_size: int, kinds: str) -> ArrayFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(b"\0" + member.encode("utf-8", "surrogateescape"))
    try:
        with opened() as stream:
            head = stream.read(HEAD_BYTES)
        if not head:
            raise DataError(f"{path}: holds nothing: get the file again")
        header = read_header(path, head, kinds)
        _refuse_bomb(path, header, packed_size)
    except DAMAGE as error:
        raise damaged(path, error) from error
    entry = cache.cached(
        digest.hexdigest(),
        str(path),
        header.file_size,
        lambda folder: _unpack(path, opened, header, folder / "array"),
        lambda folder: (folder / "array").stat().st_size == header.file_size,
    )
    content = entry.path / "array"
    return replace(open_idx(path, content) if is_idx(head) else open_npy(path, content, kinds), lease=entry)


def _unpack(path: Path, opened: Opener, header: Header, output: Path) -> None:
    """Write the unpacked file: as many bytes as its header says, neither fewer nor more."""
    left = header.file_size
    with written_whole(output) as temporary, temporary.open("wb") as file:
        for piece in _pieces(path, opened):
            left -= len(piece)
            if left < 0:
                raise DataError(f"{path}: what is packed in it goes on after its last image: get the file again")
            file.write(piece)
    if left:
        raise DataError(f"{path}: what is packed in it ends before its last image: get the file again")


def _pieces(path: Path, opened: Opener) -> Iterator[bytes]:
    try:
        with opened() as stream:
            while piece := stream.read(PIECE):
                yield piece
    except DAMAGE as error:
        raise damaged(path, error) from error


def _refuse_bomb(path: Path, header: Header, packed_size: int) -> None:
    refuse_growth(path, header.file_size, packed_size)


def refuse_growth(path: Path, size: int, packed_size: int) -> None:
    """Raise DataError where so many bytes in a file are said to unpack to so many more that it must be a bomb."""
    if size > _BOMB_BYTES and size > _BOMB_RATIO * max(1, packed_size):
        raise DataError(
            f"{path}: {packed_size:,} bytes say that they unpack to {size / 1e9:.3g} GB, which looks like a zip bomb: "
            f"unpack it yourself if you trust it"
        )


def damaged(path: Path, error: Exception) -> Exception:
    """Return what the user is told of a packed file that cannot be unpacked."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return unreadable(path, error)
    if "ncrypt" in str(error) or "password" in str(error):
        return DataError(f"{path}: is encrypted: unpack it and give what is in it")
    return DataError(f"{path}: is damaged ({one_line(error)[:120]}): get the file again")
