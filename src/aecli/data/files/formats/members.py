"""Pictures in a .zip or .tar: unpacked into the cache under numbers, so that no name inside is ever a path."""

import bz2
import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from aecli.core.errors import DataError
from aecli.core.files import write_text
from aecli.data.files import cache
from aecli.data.files.archives import DAMAGE, PIECE, damaged, refuse_growth
from aecli.data.files.listing import Listing
from aecli.data.files.pictures import SUFFIXES

_ZIP = (".zip",)
_TAR = MappingProxyType({".tar": "", ".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2", ".tbz2": "bz2", ".tbz": "bz2"})
_UNREAD_TAR = (".tar.xz", ".txz", ".tar.zst", ".tar.lzma")
ARCHIVE_SUFFIXES = (*_ZIP, *_TAR, *_UNREAD_TAR)

_LARGEST_MEMBER, _LARGEST_READ = 2**30, 2**24
"""Bytes of one picture, and of anything that the reader of tar asks for at once: a header may ask for all there is."""

_HEADER = 512
"""Bytes of a tar that a file takes at least: files of nothing are many too."""

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_INDEX = "index.json"


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def is_archive(path: Path) -> bool:
    """Whether a file is an archive of pictures, by its name."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def list_archive(path: Path) -> Listing:
    """Return the pictures in an archive, unpacked; a folder around all of them is no part of their names."""
    if path.name.lower().endswith(_UNREAD_TAR):
        raise DataError(f"{path}: is packed in a way whose memory has no bound: unpack it and give the folder")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = 0 if _tar_packing(path) is not None else _zip_size(path)
    entry = cache.cached(f"{digest}-pictures", str(path), size, lambda folder: _unpack(path, folder), _is_whole)
    try:
        index = json.loads((entry.path / _INDEX).read_text(encoding="utf-8"))
        files = {str(name): str(file) for name, file in index["files"]}
        ignored = tuple((str(kind), int(count)) for kind, count in index["ignored"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: what was unpacked of it is damaged: run ae cache clear, and this again") from error
    names = sorted(files, key=os.fsencode)
    return Listing(str(path), entry.path, names, ignored, files=files, digest=digest, lease=entry)


def _is_whole(folder: Path) -> bool:
    """Whether every picture that was unpacked into a folder of the cache is still there."""
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    return all((folder / str(file)).is_file() for _, file in index["files"])


def _unpack(path: Path, folder: Path) -> None:
    files: dict[str, str] = {}
    ignored: Counter[str] = Counter()
    total, packed = 0, path.stat().st_size
    try:
        for member in _members(path):
            suffix = os.path.splitext(member.name)[1].lower()
            total += member.size + len(member.name) + _HEADER
            refuse_growth(path, total, packed)
            if _is_hidden(member.name) or suffix not in SUFFIXES:
                ignored["hidden" if _is_hidden(member.name) else suffix or "without a suffix"] += 1
                continue
            number = f"{len(files):08}{suffix}"
            files[member.name] = number
            _write(path, member, folder / number)
    except (*DAMAGE, tarfile.TarError) as error:
        raise damaged(path, error) from error
    around = _common_folder(list(files))
    index = [(name[len(around) :], file) for name, file in files.items()]
    if not files and ignored[".npy"]:
        raise DataError(f"{path}: holds arrays, not pictures: give it the suffix .npz, or unpack it")
    write_text(folder / _INDEX, json.dumps({"files": index, "ignored": ignored.most_common()}))


def _write(path: Path, member: _Member, output: Path) -> None:
    """Write a member, no more of it than it said it would be."""
    if member.size > _LARGEST_MEMBER:
        output.write_bytes(b"")  # a picture that is empty is named among those that cannot be read
        return
    left = member.size
    with member.open() as stream, output.open("wb") as file:
        while piece := stream.read(min(PIECE, left + 1)):
            left -= len(piece)
            if left < 0:
                raise DataError(f"{path}: a picture in it is longer than it says: get the file again")
            file.write(piece)


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return parts[-1].startswith(".") or "__MACOSX" in parts


def _common_folder(names: list[str]) -> str:
    """Return the folders that all names begin with."""
    if len(names) < 2:
        return ""
    folders = [name.split("/")[:-1] for name in names]
    pairs = zip(min(folders), max(folders), strict=False)
    common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return "".join(f"{folder}/" for folder in common)


def _members(path: Path) -> Iterator[_Member]:
    """Yield the regular files in an archive, in its order."""
    if _tar_packing(path) is not None:
        yield from _tar_members(path)
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield _Member(info.filename, info.file_size, lambda info=info: archive.open(_known(info)))  # type: ignore[misc]


def _known(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    if info.compress_type not in _PACKINGS:
        raise NotImplementedError("packed in an unusual way")
    return info


def _zip_size(path: Path) -> int:
    """Return the bytes that the pictures in a zip say they unpack to."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [i for i in archive.infolist() if os.path.splitext(i.filename)[1].lower() in SUFFIXES]
    except DAMAGE as error:
        raise damaged(path, error) from error
    size = sum(info.file_size for info in infos)
    refuse_growth(path, size, path.stat().st_size)
    return size


def _tar_packing(path: Path) -> str | None:
    """Return how a tar is packed, "" for not at all, None for no tar."""
    name = path.name.lower()
    return next((packing for suffix, packing in _TAR.items() if name.endswith(suffix)), None)


def _tar_members(path: Path) -> Iterator[_Member]:
    with _opened_tar(path) as tar:
        while (info := tar.next()) is not None:
            if info.isreg() and not info.issparse():
                yield _Member(info.name, info.size, lambda info=info: _extracted(tar, info))  # type: ignore[misc]
            tar.members = []  # type: ignore[attr-defined]  # which it would keep for ever


def read_tar(path: Path, wanted: re.Pattern[str], largest: int) -> Iterator[tuple[str, bytes]]:
    """Yield the first group of the pattern and the content of each file of a tar whose name fits it."""
    for member in _tar_members(path):
        match = wanted.fullmatch(member.name)
        if match is not None and member.size <= largest:
            with member.open() as stream:
                yield match[1], b"".join(iter(lambda stream=stream: stream.read(PIECE), b""))  # type: ignore[misc]


def _extracted(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(info)
    if stream is None:
        raise OSError("a member without content")
    return stream


@contextmanager
def _opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    openers: dict[str, Callable[[], Any]] = {
        "": lambda: path.open("rb"),
        "gz": lambda: gzip.GzipFile(path),
        "bz2": lambda: bz2.BZ2File(path),
    }
    with openers[_tar_packing(path) or ""]() as stream, tarfile.open(fileobj=_Bounded(stream), mode="r:") as tar:
        yield tar


class _Bounded(io.RawIOBase):
    """A stream that gives no more at once than _LARGEST_READ."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError("a header that is too long")
        content: bytes = self._stream.read(size)
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
