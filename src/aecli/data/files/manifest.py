"""The manifest of decoded images: a JSON file that maps each row to its file, and says what was done."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from aecli.core.errors import escaped, is_io_failure, one_line, unreadable
from aecli.core.files import write_text
from aecli.data.files.arrays import ArrayFile

_VERSION = 1

_Size = tuple[int, int]
"""Height and width."""

_NAMED = 3
"""Files named in a note; the manifest lists all."""


_KEYS = {"endpoint_hash": "ends", "depth_reduced": "deep", "ignored": "passed_over"}
"""Fields of a manifest that its file has other names for."""


@dataclass(frozen=True)
class Manifest:
    """What images were made of.

    `files` names the file of every row, None where a row of the array is the row of `source`. `endpoint_hash` is the
    hash of the first and the last row: a manifest beside another array is none of it. `sizes` are the number of
    different sizes found, the smallest and the largest (height, width); `transparent` and `depth_reduced` count
    pictures with an alpha channel, and of 16 bits that became 8, of which `depth` were used. `stacks` counts the files
    that hold several pictures, and these, of which `frames` were taken; `copies` are thumbnails and such in them.
    `skipped` are the files that could not be read, and why; `ignored` counts what is no picture by suffix. `labels` are
    names of classes, in the order of their numbers.
    """

    source: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    endpoint_hash: str
    files: tuple[str, ...] | None
    size: _Size | None = None
    fit: str | None = None
    color: str | None = None
    sizes: tuple[int, _Size, _Size] | None = None
    transparent: int = 0
    depth_reduced: int = 0
    depth: int = 16
    frames: str | None = None
    stacks: tuple[int, int] = (0, 0)
    copies: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, int], ...] = ()
    classes: tuple[str, ...] | None = None
    shuffled_by: int | None = None
    key: str | None = None

    def write(self, path: Path) -> None:
        """Write the manifest whole."""
        content = {_KEYS.get(name, name): value for name, value in asdict(self).items()}
        # Names that are not UTF-8 become escapes of JSON, and come back from them.
        write_text(path, json.dumps({"ae_manifest": _VERSION, **content}, indent=1) + "\n")

    def belongs_to(self, file: ArrayFile) -> bool:
        """Whether this is the manifest of that array."""
        return (
            self.shape == file.shape
            and self.dtype == file.dtype.str
            and self.endpoint_hash == _read_endpoint_hash(file)
        )

    def notes(self, path: object, keys: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Return what the user should know, a line each.

        `keys` say how to change the `size` and the `color`, given where the user has chosen no size.
        """
        notes = []
        if self.size is not None and self.sizes is not None:
            notes.append(f"{path}: {self._sizes(self.size, *self.sizes, keys)}, {self._colors(keys)}")
        if self.stacks[0] or self.copies:
            notes.append(f"{path}: {self._stacks(keys)}")
        if self.skipped:
            single = len(self.skipped) == 1
            which = ", ".join(f"{display_name(name)} ({reason})" for name, reason in self.skipped[:_NAMED])
            more = ", ..." if len(self.skipped) > _NAMED else ""
            what = (
                "1 file could not be read and is"
                if single
                else f"{len(self.skipped):,} files could not be read and are"
            )
            notes.append(f"{path}: {what} left out: {which}{more}")
        if self.ignored:
            total = sum(count for _, count in self.ignored)
            kinds = ", ".join(f"{count:,} {display_name(kind)}" for kind, count in self.ignored[:8])
            notes.append(
                f"{path}: passed over {total:,} that {'is no picture' if total == 1 else 'are no pictures'}: {kinds}"
            )
        return tuple(notes)

    def _sizes(self, size: _Size, count: int, smallest: _Size, largest: _Size, keys: Mapping[str, str] | None) -> str:
        height, width = size
        pictures = f"{self.shape[0]:,} picture{'s' if self.shape[0] != 1 else ''}"
        if count == 1 and smallest == size:
            return f"{pictures}, all {height} x {width}"
        sizes = f"of {smallest[0]} x {smallest[1]}"
        if count > 1:
            sizes = f"of {count:,} sizes, {smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]}"
        done = {"crop": "scaled and cropped to", "pad": "scaled and padded to", "stretch": "stretched to"}[
            str(self.fit)
        ]
        change = f" ({keys['size']})" if keys else ""
        return f"{pictures} {sizes} (height x width), {done} {height} x {width}{change}"

    def _stacks(self, keys: Mapping[str, str] | None) -> str:
        files, pictures = self.stacks
        parts = []
        if files:
            number = f"{files:,} file{'s hold' if files > 1 else ' holds'} {pictures:,} pictures"
            taken = "each is an image" if self.frames != "first" else "the first of each file is taken"
            parts.append(f"{number}, {taken}" + (f" ({keys['frames']})" if keys else ""))
        if self.copies:
            parts.append(f"passed over {self.copies:,} reduced copies and masks in files")
        return ", ".join(parts)

    def _colors(self, keys: Mapping[str, str] | None) -> str:
        kind = {"rgb": "in colour", "grey": "grey"}[str(self.color)]
        parts = [f"{kind}, 16 bits" if self.dtype[-1] == "2" else kind]
        if keys:
            parts[0] += f" ({keys['color']})"
        if self.transparent:
            parts.append(f"{self.transparent:,} with an alpha channel laid over white")
        if self.depth_reduced:
            used = "" if self.depth == 16 else f", whose values fit {self.depth} bit{'s' if self.depth > 1 else ''},"
            parts.append(f"{self.depth_reduced:,} of 16 bits{used} brought to 8")
        return ", ".join(parts)


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None where the file is none, ReadError where the disk fails."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("ae_manifest") != _VERSION:
            return None
        keys = {f.name: _KEYS.get(f.name, f.name) for f in fields(Manifest)}
        manifest = Manifest(**{name: _tuples(content[key]) for name, key in keys.items() if key in content})
        return manifest if _sound(manifest) else None
    except OSError as error:
        if is_io_failure(error):
            raise unreadable(path, error) from error
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _read_endpoint_hash(file: ArrayFile) -> str:
    """Return the hash of the first and the last row of an array."""
    last = len(file) - 1
    return endpoint_hash(file.read(0, 1), file.read(last, last + 1))


def endpoint_hash(first: Any, last: Any) -> str:
    """Return the hash of two rows."""
    return hashlib.sha256(first.tobytes() + last.tobytes()).hexdigest()[:16]


def display_name(name: str) -> str:
    """Return a name for the middle of a line: control characters and bytes that are no UTF-8 escaped, not too long."""
    text = escaped(name)
    return text if len(text) <= 80 else f"{text[:38]}...{text[-38:]}"


def error_reason(error: BaseException) -> str:
    """Return why a file could not be read, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)[:100]


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _sound(manifest: Manifest) -> bool:
    def all_text(values: Any) -> bool:
        return isinstance(values, tuple) and all(isinstance(value, str) for value in values)

    rows: Sequence[str] | None = manifest.files
    return (
        isinstance(manifest.shape, tuple)
        and (rows is None or (all_text(rows) and len(rows) == manifest.shape[0]))
        and (manifest.classes is None or all_text(manifest.classes))
    )
