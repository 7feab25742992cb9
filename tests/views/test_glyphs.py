"""File names in letters that the usual font lacks: drawn with a font that has them, or escaped and said."""

from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from aecli.views import glyphs
from aecli.views.glyphs import complete_glyphs
from aecli.views.plots import save

NAME = "\u4e2d\u6587"


def square() -> object:
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (900, 700), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


def make_font(path: str, letters: str, name: str) -> None:
    """Write a font that has a full square for each of these letters, and nothing else."""
    names = [".notdef", *(f"u{ord(letter):04x}" for letter in letters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): f"u{ord(letter):04x}" for letter in letters})
    builder.setupGlyf({glyph: TTGlyphPen(None).glyph() if glyph == ".notdef" else square() for glyph in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": name, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


@pytest.fixture(autouse=True)
def fonts(monkeypatch):
    """Only the fonts that come with matplotlib, whatever is installed here, and those that a test adds."""
    manager = font_manager.fontManager
    ours = str(Path(font_manager.__file__).parent)
    monkeypatch.setattr(manager, "ttflist", [e for e in manager.ttflist if e.fname.startswith(ours)])
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    for cached in (glyphs._installed, glyphs._fonts_with):
        cached.cache_clear()
    yield manager
    for cached in (glyphs._installed, glyphs._fonts_with):
        cached.cache_clear()


def figure_of(text: str) -> Figure:
    figure = Figure(figsize=(4, 1))
    figure.text(0.1, 0.3, text, fontsize=20)
    return figure


def ink(path: str) -> float:
    return float((np.asarray(Image.open(path).convert("L")) < 128).mean())


def test_letters_are_drawn_with_an_installed_font_that_has_them(fonts, recwarn):
    make_font("chinese.ttf", NAME, "Chinese")
    fonts.addfont("chinese.ttf")
    figure = figure_of(NAME)
    assert save(figure, Path("a.png")) is None
    assert figure.texts[0].get_text() == NAME
    assert ink("a.png") > 0.02  # two full squares
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_letters_of_several_fonts_stand_together(fonts):
    for i, letter in enumerate(NAME):
        make_font(f"{i}.ttf", letter, f"Font {i}")
        fonts.addfont(f"{i}.ttf")
    assert complete_glyphs(figure_of(f"a {NAME}")) is None


@pytest.mark.parametrize("name", [NAME, "\U0001f9e0", "a\u3042b", "\u0928\u092e"])
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_letters_that_no_font_has_are_escaped_and_said(name, suffix, recwarn):
    figure = figure_of(name)
    note = save(figure, Path(f"a.{suffix}"))
    assert "no installed font has the letters" in note
    assert figure.texts[0].get_text().isascii()
    assert "\\" in figure.texts[0].get_text()
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


@pytest.mark.parametrize("name", ["plain", "Zürich", "Ωμέγα", "Москва", "x → y"])
def test_other_names_stay_as_they_are(name):
    figure = figure_of(name)
    assert complete_glyphs(figure) is None
    assert figure.texts[0].get_text() == name


def test_a_command_says_it_once(ae, run, digits):
    Path("p").mkdir()
    for i in range(4):
        Image.fromarray((digits[i] * (255 // digits.max())).astype(np.uint8)).save(f"p/{NAME}{i}.png")
    result = ae("reconstruct", "p")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("no installed font has the letters") == 1
    result = ae("plot", "--images", "p", "--quiet")
    assert result.stderr == ""
