"""Letters that the usual font lacks: drawn with another font that is installed, or escaped."""

from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

_MOST_FONTS = 3
"""Fonts taken beside the usual one."""

_LONGEST = 18
"""Characters of a line with escapes: a caption has little room."""


def complete_glyphs(figure: Figure) -> str | None:
    """Give the texts of a figure fonts that have all their letters; return a note where some had to be escaped."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and not text.get_text().isascii()]
    escaped: set[str] = set()
    for text in texts:
        missing = _missing(text.get_text(), [font_manager.findfont(text.get_fontproperties())])
        if not missing:
            continue
        fonts = _fonts_with("".join(sorted(missing)))
        text.set_fontfamily([*text.get_fontfamily(), *(name for name, _ in fonts)])
        missing = _missing("".join(missing), [path for _, path in fonts])
        escaped |= missing
        text.set_text("\n".join(_escaped(line, missing) for line in text.get_text().split("\n")))
    if not escaped:
        return None
    return (
        f"no installed font has the letters {''.join(sorted(escaped))[:20]}: they are drawn as escapes: "
        f"install one, such as Noto Sans CJK or Noto Emoji"
    )


def _missing(text: Iterable[str], fonts: Iterable[str]) -> set[str]:
    """Return the characters that none of these font files has."""
    missing = {letter for letter in text if letter.isprintable()}
    for font in fonts:
        missing = {letter for letter in missing if not _opened(font).get_char_index(ord(letter))}
    return missing


@cache
def _opened(path: str) -> FT2Font:
    return FT2Font(path)


@cache
def _fonts_with(letters: str) -> tuple[tuple[str, str], ...]:
    """Return names and files of installed fonts that together have most of these letters, the best first."""
    chosen: list[tuple[str, str]] = []
    missing = set(letters)
    while missing and len(chosen) < _MOST_FONTS:
        counts = {font: len(missing) - len(_missing(missing, [font[1]])) for font in _installed()}
        best = max(counts, key=lambda font: counts[font], default=None)
        if best is None or not counts[best]:
            break
        chosen.append(best)
        missing = _missing(missing, [best[1]])
    return tuple(chosen)


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    """Return the names and files of the fonts that can be drawn with, upright and of usual weight first."""
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    # What was installed after matplotlib listed the fonts it does not know.
    for path in font_manager.findSystemFonts():
        if path not in known:
            with suppress(Exception):  # a damaged font, of whatever kind
                manager.addfont(path)
    entries = sorted(manager.ttflist, key=lambda entry: (entry.style != "normal", entry.weight not in (400, "normal")))
    fonts = {entry.name: entry.fname for entry in reversed(entries)}
    return tuple((name, path) for name, path in fonts.items() if _has_letters(name, path))


def _has_letters(name: str, path: str) -> bool:
    """Whether a font has outlines of letters: not pictures, as some of emoji, nor a box for every letter there is."""
    try:
        return bool(_opened(path).scalable) and "LastResort" not in name.replace(" ", "")
    except Exception:  # a damaged font, of whatever kind
        return False


def _escaped(line: str, letters: set[str]) -> str:
    if not letters & set(line):
        return line
    text = "".join(c.encode("unicode_escape").decode() if c in letters else c for c in line)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
