"""Why a picture could not be read, in true words: what its file is, and what to do."""

import os
import stat
from pathlib import Path

from aecli.data.files.formats.kinds import HEAD, kind_by_content, kind_by_suffix, kind_named
from aecli.data.files.formats.tiff_tags import read_tiff_tags
from aecli.data.files.manifest import error_reason


def refuse_kind(path: str) -> None:
    """Raise ValueError with the cure where a picture is of a kind that is not read, by its suffix."""
    kind = kind_by_suffix(os.path.splitext(path)[1])
    if kind is not None and not kind.is_read:
        raise ValueError(str(kind))


def unread_reason(path: str, error: BaseException) -> str:
    """Return why a picture could not be read, in a few words: better ones than the decoder's, where there are."""
    if isinstance(error, OSError) and error.errno is not None:
        return error_reason(error)
    try:
        return _of_tiff(path) or error_reason(error)
    except OSError:
        return error_reason(error)


def what_it_is(path: str) -> str:
    """Return what a file is that no decoder of pictures takes for one of its own."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    name = kind_by_content(head)
    if name is None:
        return "not a picture" if head.isascii() else "not a picture, or damaged"
    kind = kind_named(name)
    if kind is not None and not kind.is_read:
        return str(kind)
    if name == "TIFF":
        return "a damaged TIFF, or pixels laid out as they are not read: save it anew"
    if name in ("AVIF", "JPEG 2000") and not _has_decoder(name):
        return f"{name}, which this Pillow was built without: pip install --upgrade pillow"
    return f"a damaged {name}: get it again"


def _has_decoder(name: str) -> bool:
    from PIL import features

    return bool(features.check({"AVIF": "avif", "JPEG 2000": "jpg_2000"}[name]))


def _of_tiff(path: str) -> str | None:
    """Return what a TIFF holds where it is of an unusual kind, None for any other file."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    with Path(path).open("rb") as file:
        tags = read_tiff_tags(file)
    if tags is None or tags.is_usual:
        return None
    if tags.has_usual_numbers:
        return f"{tags}, damaged or of a packing that this Pillow does not know: save it unpacked"
    return f"{tags}, is not read: save it as .npy"
