"""What is no usual picture: read where there is a decoder, counted and named with the cure where there is none."""

import shutil
import struct
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from aecli.core.errors import DataError
from aecli.data.dataset import open_images
from aecli.data.files.open import open_source

GREY, FLOAT, SIGNED, PLAIN, CCITT, WEBP = 1, 3, 2, 1, 4, 50001


def tiff(
    bits: int, *, kind: int = 1, packing: int = PLAIN, color: int = GREY, samples: int = 1, side: int = 8
) -> bytes:
    """A TIFF of these tags, Adobe's TIFF 6.0, whose pixels are all 0."""
    data = bytes(side * ((side * bits * samples + 7) // 8))
    tags = [(256, 3, side), (257, 3, side), (258, 3, bits), (259, 3, packing), (262, 3, color), (273, 4, 134),
            (277, 3, samples), (278, 3, side), (279, 4, len(data)), (339, 3, kind)]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, type_, 1, value) for tag, type_, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4) + data


ODD_TIFFS = {
    "float16": (tiff(16, kind=FLOAT), "TIFF of 16-bit floats, grey, is not read: save it as .npy"),
    "float64": (tiff(64, kind=FLOAT), "TIFF of 64-bit floats, grey, is not read"),
    "float RGB": (tiff(32, kind=FLOAT, color=2, samples=3), "TIFF of 32-bit floats, RGB, is not read"),
    "10 bits": (tiff(10), "TIFF of 10-bit integers, grey, is not read"),
    "14 bits": (tiff(14), "TIFF of 14-bit integers, grey"),
    "24 bits": (tiff(24), "TIFF of 24-bit integers"),
    "uint32 RGB": (tiff(32, color=2, samples=3), "TIFF of 32-bit integers, RGB"),
    "int64": (tiff(64, kind=SIGNED), "TIFF of 64-bit signed integers"),
    "complex": (tiff(64, kind=6), "TIFF of 64-bit complex numbers"),
    "five channels": (tiff(8, samples=5), "TIFF of 8-bit integers, grey of 5 channels"),
    "CIELab": (tiff(8, color=9, samples=3), "ICCLab"),
    "a mosaic": (tiff(16, color=32803), "the raw mosaic of a camera"),
    "JPEG 2000 in it": (tiff(8, packing=33003), "packed as JPEG 2000"),
    "WebP in it": (tiff(8, packing=WEBP, color=2, samples=3), "packed as WebP, damaged or of a packing that this Pillow"),
    "JPEG XL in it": (tiff(8, packing=50002), "packed as JPEG XL"),
    "an unknown packing": (tiff(8, packing=22610), "packed as number 22610"),
    "its samples elsewhere": (tiff(8, kind=SIGNED, color=2, samples=3).replace(
        struct.pack("<HHII", 258, 3, 1, 8), struct.pack("<HHII", 258, 3, 3, 134)), "signed integers|-bit"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_TIFFS)
def test_a_tiff_that_is_not_read_is_called_what_it_is(name):
    content, says = ODD_TIFFS[name]
    Path("a.tif").write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        open_images(Path("a.tif"))
    assert str(caught.value).startswith("a.tif: its one picture cannot be read, a.tif (")
    assert "not a picture" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_usual_tiff_that_is_cut_is_damaged():
    Path("a.tif").write_bytes(tiff(8)[:60])
    with pytest.raises(
        DataError, match=r"damaged TIFF|its directories are longer than the file|ends before its last page"
    ):
        open_images(Path("a.tif"))


NOT_READ = {
    "a.heic": (b"\0\0\0\x18ftypheic", r"HEIC: pip install pillow-heif"),
    "a.jxl": (b"\xff\x0a", r"JPEG XL: pip install pillow-jxl-plugin"),
    "a.dcm": (bytes(128) + b"DICM", "DICOM: save the pixel_array of pydicom"),
    "a.nef": (tiff(8), "a camera's raw file: develop it"),
    "a.svg": (b"<svg/>", "SVG: a drawing: render it"),
    "a.exr": (b"\x76\x2f\x31\x01", "OpenEXR: save it as .npy"),
    "a.psd": (b"8BPS", "Photoshop's own format: convert it"),
    "a.svs": (tiff(8), "a microscope's own format: export it"),
    "phone.jpg": (b"\0\0\0\x18ftypheic", r"HEIC: pip install pillow-heif"),
    "scan.png": (bytes(128) + b"DICM", "DICOM: save"),
    "drawing.png": (b"<?xml version='1.0'?>\n<svg>", "SVG: a drawing"),
    "lost.jpg": (b"<!DOCTYPE html><html>", "a web page: the download failed, get it again"),
    "lfs.png": (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS: get the file with git lfs pull"),
    "array.png": (b"\x93NUMPY\1\0", "an .npy array: give it the suffix .npy"),
    "book.png": (b"%PDF-1.7", "PDF: render its pages"),
    "cut.png": (b"\x89PNG\r\n\x1a\n", "a damaged PNG: get it again"),
    "cut.avif": (b"\0\0\0\x1cftypavif\0\0\0\0", "a damaged AVIF"),
    "words.png": (b"hello", r"\(not a picture\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_READ)
def test_a_picture_of_a_kind_that_is_not_read_counts_and_is_named_with_the_cure(name):
    content, says = NOT_READ[name]
    plugin = {"pillow-heif": "pillow_heif", "pillow-jxl-plugin": "pillow_jxl"}.get(says.rpartition(" ")[2])
    if plugin and find_spec(plugin):
        pytest.skip(f"{plugin} is installed")
    Path("p").mkdir()
    Path("p", name).write_bytes(content)
    for path in (Path("p"), Path("p", name)):
        with pytest.raises(DataError, match=says):
            open_images(path)
    Image.new("L", (8, 8)).save("p/z.png")
    note = next(line for line in str(open_images(Path("p"))).splitlines() if "could not be read" in line)
    assert "1 file could not be read and is left out" in note
    assert name in note


def test_what_is_no_picture_at_all_is_passed_over_still():
    Path("p").mkdir()
    Path("p/notes.md").write_text("x")
    Image.new("L", (8, 8)).save("p/z.png")
    assert "passed over 1 that is no picture: 1 .md" in str(open_images(Path("p")))


@pytest.mark.parametrize(
    ("suffix", "options", "apart"),
    [("jp2", [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000], 1), ("avif", [cv2.IMWRITE_AVIF_QUALITY, 100], 2)],
)
def test_avif_and_jpeg_2000_are_read(suffix, options, apart):
    y, x = np.mgrid[:96, :128]
    pixels = np.dstack([x, y * 2, x + y]).astype(np.uint8)
    Path("p").mkdir()
    assert cv2.imwrite(f"p/a.{suffix}", pixels[..., ::-1], options)
    file = open_source(Path("p"))
    np.testing.assert_allclose(file.read(0, 1)[0].astype(int), pixels, atol=apart)


def test_avif_stands_as_it_was_taken():
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = np.zeros((24, 16), np.uint8)
    upright[:8, :8] = 255
    Path("p").mkdir()
    # Orientation 6: row 0 of what is stored is the right side.
    Image.fromarray(np.rot90(upright)).convert("RGB").save("p/a.avif", quality=100, exif=exif)
    pixels = open_source(Path("p")).read(0, 1)[0].astype(int)
    assert pixels.shape == (24, 16, 3)
    np.testing.assert_allclose(pixels[..., 0], upright, atol=40)


def test_an_animated_png_is_a_picture():
    Path("p").mkdir()
    Image.new("L", (8, 8), 3).save("p/a.png")
    shutil.move("p/a.png", "p/a.apng")
    assert len(open_images(Path("p"))) == 1


def test_a_folder_that_cannot_be_listed_is_not_called_empty():
    from aecli.data.files.decode import survey_pictures
    from aecli.data.files.listing import Listing

    with pytest.raises(DataError, match=r"^p: its one picture cannot be read, inner \(Permission denied\)"):
        survey_pictures(Listing("p", Path("p"), [], unreadable=(("inner", "Permission denied"),)))
