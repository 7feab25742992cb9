"""What the user may name as images: which kind a path is, and how it is opened."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from aecli.core.errors import DataError, did_you_mean, is_disk_failure, unreadable
from aecli.core.files import write_text
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.axes import arranged
from aecli.data.files import cache
from aecli.data.files.archives import open_gzip, open_npz
from aecli.data.files.arrays import HEAD_BYTES, ArrayFile, is_idx, open_idx, open_npy
from aecli.data.files.decode import OtherTarget, PictureStats, choose_target, expand, survey_pictures, write_decoded
from aecli.data.files.formats.cifar import open_cifar
from aecli.data.files.formats.hdf5 import open_hdf5, open_mat
from aecli.data.files.formats.kinds import kind_by_content, kind_by_suffix, kind_named, plugin_formats
from aecli.data.files.formats.locations import CIFAR10, file_part, locate
from aecli.data.files.formats.members import is_archive, list_archive
from aecli.data.files.formats.patterns import fixed_part, is_pattern, list_pattern
from aecli.data.files.listing import Listing, list_folder, read_list, read_table, refuse_numbers
from aecli.data.files.manifest import Manifest, read_manifest
from aecli.data.files.options import DecodeOptions
from aecli.data.files.pictures import SUFFIXES

_KINDS = (
    "a folder, .zip or .tar of pictures, a picture, a .txt or .csv list of pictures, "
    ".npy, .npz, .h5, .mat or IDX (.gz too)"
)

_DECODER = 2
"""Version of the decoder: another one does not take what this one has cached."""

_CONFIG_KEYS = MappingProxyType(
    {"size": "data.size and data.fit change it", "color": "data.color changes it", "frames": "data.frames changes it"}
)
"""What to say after the size and the colours that were chosen."""

_ARRAYS: Mapping[str, Callable[[Path, DecodeOptions], ArrayFile]] = MappingProxyType(
    {
        ".npy": lambda path, _: open_npy(path),
        ".npz": lambda path, decoding: open_npz(path, decoding.key),
        ".gz": lambda path, _: open_gzip(path),
        ".h5": lambda path, decoding: open_hdf5(path, decoding.key),
        ".hdf5": lambda path, decoding: open_hdf5(path, decoding.key),
        ".hdf": lambda path, decoding: open_hdf5(path, decoding.key),
        ".mat": lambda path, decoding: open_mat(path, decoding.key),
    }
)
"""Suffix -> reader of an array. IDX files are known by how they begin."""

_PACKED = (".npz", ".gz", ".h5", ".hdf5", ".hdf", ".mat", "")
"""Suffixes of arrays that are unpacked into the cache; the last is of a folder."""

_LISTS = (".txt", ".lst")
_TABLES = (".csv", ".tsv")


def open_source(
    path: Path, decoding: DecodeOptions | None = None, on_progress: ProgressCallback = no_progress
) -> ArrayFile:
    """Open images or latents as an array: an array file as it is, pictures decoded into the cache.

    `decoding` says what pictures become; an array must be so already. Raises DataError, and ReadError.
    """
    decoding = decoding or DecodeOptions()
    try:
        pictures = list_pictures(path)
        if pictures is not None:
            if decoding.axes is not None:
                raise DataError(f"{path}: holds pictures, whose axes are known: leave out axes {decoding.axes}")
            return _decoded(path, pictures, decoding, on_progress)
        location = locate(path)
        key = location.key or decoding.key
        file = open_array(location.file, replace(decoding, key=key))
        file = file if location.file == path else replace(file, path=path)
        file = arranged(file, decoding.axes)
    except OSError as error:
        raise unreadable(path, error) from error
    _refuse_decoding(file, decoding)
    return file


def source_name(path: Path) -> str:
    """Return the name of a source as the start of other names: "photos" for photos/, "a" for a.npy and a.npy.gz."""
    if path.is_dir():
        return path.resolve().name or "images"
    if is_pattern(path):
        return fixed_part(path).resolve().name or "images"
    return Path(file_part(path).name.removesuffix(".gz")).stem


def holds_pictures(path: Path) -> bool:
    """Whether a path is one of pictures, so that they can take any shape; raises DataError where it is nothing."""
    require_source(path)
    file = locate(path)
    if file.key is not None:
        return False
    suffix = file.file.suffix.lower()
    return path.is_dir() or is_pattern(path) or is_archive(path) or suffix in (*SUFFIXES, *_LISTS, *_TABLES)


def opens_at_once(path: Path) -> bool:
    """Whether a path is of an array that needs no unpacking; raises DataError where it is nothing."""
    return not holds_pictures(path) and locate(path).file.suffix.lower() not in _PACKED


def list_pictures(path: Path) -> Listing | None:
    """Return the pictures that a folder, a list or a picture file holds, None where the path is one of an array."""
    if not holds_pictures(path):
        return None
    if path.is_dir():
        return list_folder(path)
    if is_pattern(path):
        return list_pattern(path)
    if is_archive(path):
        return list_archive(path)
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return read_table(path)
    return read_list(path) if suffix in _LISTS else Listing(str(path), path.parent, [path.name])


def is_there(path: Path) -> bool:
    """Whether a path leads to something, whatever it is; of a pattern that is not known."""
    try:
        file = locate(path).file
        return is_pattern(file) or file.exists()
    except (DataError, OSError):
        return False


def require_source(path: Path) -> None:
    """Raise DataError or ReadError unless a path is a folder or a file that can be opened; nothing of it is read."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{str(path)!a}: the name is not UTF-8: rename the file") from error
    path = locate(path).file
    if is_pattern(path):
        return
    try:
        exists, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
    except OSError as error:
        if is_disk_failure(error):
            raise unreadable(path, error) from error
        raise DataError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    if is_folder:
        return
    if not exists:
        here = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"{path}: no such file{did_you_mean(path.name, here) or ': check the path'}")
    if not is_file:
        raise DataError(f"{path}: is not a regular file: give {_KINDS}")


def open_array(path: Path, decoding: DecodeOptions) -> ArrayFile:
    """Open a file of an array by its suffix, or as IDX where it begins like one."""
    if decoding.key == CIFAR10 and (path.is_dir() or path.name.startswith("cifar-10")):
        return open_cifar(path)
    reader = _ARRAYS.get(path.suffix.lower())
    if reader is not None:
        return reader(path, decoding)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if is_idx(head) or "idx" in path.name.lower():
        return open_idx(path)
    if path.suffix.lower() in (".dat", ".asc"):
        refuse_numbers(path)
    content = kind_by_content(head)
    kind = kind_by_suffix(path.suffix) or kind_named(content)
    if kind is not None:
        raise DataError(f"{path}: is {kind}")
    if content is not None:
        raise DataError(f"{path}: begins like {content}: give it the suffix of its kind")
    raise DataError(f"{path}: unknown suffix '{path.suffix}': give {_KINDS}")


def _decoded(path: Path, pictures: Listing, decoding: DecodeOptions, on_progress: ProgressCallback) -> ArrayFile:
    # The key is what is decoded to, not what was asked: a run on the pictures of its training finds those again.
    listed = f"{_DECODER} {' '.join(plugin_formats())} {decoding.frames} {pictures.key()}"
    survey = _surveyed(path, pictures, decoding, listed, on_progress)
    while True:
        try:
            entry = _decoded_as(path, pictures, survey, decoding, listed, on_progress)
            break
        except OtherTarget as other:
            survey = other.survey
            cache.cached(_readable(listed), str(path), 0, _keeping(survey), _is_survey)
    file, manifest = open_npy(path, entry.path / "images.npy"), read_manifest(entry.path / "manifest.json")
    if manifest is None:
        raise DataError(f"{path}: what was decoded of it has just gone from the cache: run the command again")
    notes = manifest.notes(path, _CONFIG_KEYS if decoding.size is None else None)
    return replace(file, notes=notes, manifest=entry.path / "manifest.json", lease=entry)


def _decoded_as(
    path: Path,
    pictures: Listing,
    survey: PictureStats,
    decoding: DecodeOptions,
    listed: str,
    on_progress: ProgressCallback,
) -> cache.Entry:
    """Return the entry of pictures as the survey decides; raises OtherTarget where too few of them can be decoded."""
    target = choose_target(survey, decoding)
    key = hashlib.sha256(f"{listed} {target}".encode()).hexdigest()

    def make(folder: Path) -> None:
        def finish(manifest: Manifest) -> None:
            manifest.write(folder / "manifest.json")

        write_decoded(
            expand(pictures, decoding.frames),
            survey,
            target,
            folder / "images.npy",
            finish,
            decoding=decoding,
            on_progress=on_progress,
        )

    def is_sound(folder: Path) -> bool:
        manifest = read_manifest(folder / "manifest.json")
        return manifest is not None and manifest.belongs_to(open_npy(path, folder / "images.npy"))

    return cache.cached(key, str(path), survey.sizes.total() * target.bytes, make, is_sound)


def _readable(listed: str) -> str:
    """Return the key of what is known of pictures once some of them could not be decoded."""
    return hashlib.sha256(f"{listed} readable".encode()).hexdigest()


def _keeping(survey: PictureStats) -> Callable[[Path], None]:
    return lambda folder: write_text(folder / "survey.json", survey.to_json())


def _surveyed(
    path: Path, pictures: Listing, decoding: DecodeOptions, listed: str, on_progress: ProgressCallback
) -> PictureStats:
    def make(folder: Path) -> None:
        _keeping(survey_pictures(expand(pictures, decoding.frames), on_progress=on_progress))(folder)

    kept = cache.find(_readable(listed))
    if kept is not None and _is_survey(kept.path):
        return _read_survey(kept.path)
    key = hashlib.sha256(listed.encode()).hexdigest()
    return _read_survey(cache.cached(key, str(path), 0, make, _is_survey).path)


def _read_survey(folder: Path) -> PictureStats:
    return PictureStats.from_json((folder / "survey.json").read_text(encoding="utf-8"))


def _is_survey(folder: Path) -> bool:
    """Whether a folder of the cache holds what is known of pictures."""
    try:
        _read_survey(folder)
    except (FileNotFoundError, ValueError, TypeError):
        return False
    return True


def manifest_of(file: ArrayFile) -> Manifest | None:
    """Return the manifest of an array: of what was decoded, or the one that ae import wrote beside it."""
    manifest = read_manifest(file.manifest or file.path.with_suffix(".json"))
    return manifest if manifest is not None and manifest.belongs_to(file) else None


def _refuse_decoding(file: ArrayFile, decoding: DecodeOptions) -> None:
    """Raise DataError where an array is not what pictures would be decoded to."""
    size = file.shape[1:3] if len(file.shape) > 2 else None
    if decoding.size is not None and size is not None and size != decoding.size:
        wanted = " x ".join(map(str, decoding.size))
        raise DataError(
            f"{file.path}: its images are {size[0]} x {size[1]}, only pictures are brought to a size ({wanted}): "
            f"leave the size out"
        )
    channels = file.shape[3] if len(file.shape) == 4 else 1
    if (decoding.color == "grey" and channels > 1) or (decoding.color == "rgb" and channels != 3):
        raise DataError(
            f"{file.path}: its images have {channels} channel{'s' if channels > 1 else ''}, "
            f"only pictures are made {decoding.color}: leave the colour out"
        )
