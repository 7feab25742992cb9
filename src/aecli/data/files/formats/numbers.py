"""Numbers as text, such as numpy.savetxt writes them, given where images or paths are expected: what to do."""

import re
from collections.abc import Sequence
from pathlib import Path

_CELLS = re.compile(r"(?:[\s,;\[\]()]|\.{3})+")
_LABELS = ("label", "labels", "class", "target", "y")


def numbers_cure(path: Path, lines: Sequence[str]) -> str | None:
    """Return what a text file of numbers is, and the cure, by its first lines; None where it is no such file."""
    text = [line for line in lines if line.strip() and not line.lstrip().startswith("#")][:3]
    header = len(text) > 1 and not _is_numbers(text[0]) and _is_numbers(text[1]) and _columns(text[1]) > 2
    rows = text[1:] if header else text
    if not rows or not all(map(_is_numbers, rows)):
        return None
    if rows[0].lstrip().startswith(("[", "(")):
        return "holds an array as it is printed, not paths of pictures: save it with numpy.save"
    options = _delimiter(rows[0]) + (", skiprows=1" if header else "")
    pixels = "[:, 1:]" if header and text[0].split(",")[0].strip().strip('"').lower() in _LABELS else ""
    name = path.name.removesuffix(".gz")
    saved = f"numpy.save('{Path(name).stem}.npy', numpy.loadtxt('{path.name}'{options}){pixels})"
    return f"holds numbers, not paths of pictures: save them as .npy: {saved}"


def _is_numbers(line: str) -> bool:
    try:
        return [float(cell.strip("\"'")) for cell in _CELLS.split(line) if cell] != []
    except ValueError:
        return False


def _columns(line: str) -> int:
    return len([cell for cell in _CELLS.split(line) if cell])


def _delimiter(line: str) -> str:
    found = next((mark for mark in (",", ";") if mark in line), None)
    return f", delimiter='{found}'" if found else ""
