"""Pixels against a truth of the test's own: written by tifffile, OpenCV or byte by byte, read by the program."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from aecli.core.errors import DataError
from aecli.data.dataset import open_images
from aecli.data.files.open import open_source
from aecli.data.files.options import DecodeOptions
from aecli.data.files.pictures import DecodeTarget, decode, inspect

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 20, 34


def noise(channels: int, bits: int = 8) -> np.ndarray:
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    return RNG.integers(0, 2**bits, shape).astype(f"u{bits // 8}")


def planes(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, -1, 0)


def over_white(array: np.ndarray, white: int = 255) -> np.ndarray:
    alpha = array[..., -1:] / white
    return (array[..., :-1] * alpha + white * (1 - alpha)).squeeze()


def from_inks(array: np.ndarray) -> np.ndarray:
    """RGB of CMYK as every simple reader has it: what neither the ink nor the black takes away."""
    return (255.0 - array[..., :3]) * (255.0 - array[..., 3:]) / 255


def from_ycc(array: np.ndarray) -> np.ndarray:
    """JFIF 1.02: RGB of YCbCr with full range."""
    y, cb, cr = np.moveaxis(array.astype(float), -1, 0) - np.array([0, 128, 128])[:, None, None]
    return np.clip(np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1), 0, 255)


COLORS = (RNG.integers(0, 256, (3, 256)) * 257).astype("u2")
UNASSOCIATED = {"extrasamples": ["unassalpha"]}
SEPARATE = {"planarconfig": "separate"}


def kinds() -> dict[str, tuple[np.ndarray, dict, np.ndarray]]:
    """Name -> what is written, how, and what is to be seen."""
    grey, grey16, index = noise(1), noise(1, 16), noise(1)
    rgb, rgba, cmyk, la = noise(3), noise(4), noise(4), noise(2)
    rgb16, rgba16, cmyk16 = noise(3, 16), noise(4, 16), noise(4, 16)
    ycc = RNG.integers(90, 160, (HEIGHT, WIDTH, 3)).astype("u1")
    palette = np.moveaxis(COLORS >> 8, 0, -1)[index]
    black = {"photometric": "minisblack"}
    return {
        "grey": (grey, black, grey),
        "grey, white is 0": (grey, {"photometric": "miniswhite"}, 255 - grey),
        "grey of 16 bits": (grey16, black, grey16),
        "grey and alpha": (la, {**black, **UNASSOCIATED, "planarconfig": "contig"}, over_white(la)),
        "palette": (index, {"photometric": "palette", "colormap": COLORS}, palette),
        "palette of 8 bits": (index, {"photometric": "palette", "colormap": COLORS >> 8}, palette),
        "rgb": (rgb, {"photometric": "rgb"}, rgb),
        "rgba": (rgba, {"photometric": "rgb", **UNASSOCIATED}, over_white(rgba)),
        "rgb and a band": (rgba, {"photometric": "rgb", "extrasamples": ["unspecified"]}, rgba[..., :3]),
        "cmyk": (cmyk, {"photometric": "separated", "extrasamples": []}, from_inks(cmyk)),
        "ycbcr": (ycc, {"photometric": "ycbcr", "subsampling": (1, 1)}, from_ycc(ycc)),
        "rgb of 16 bits": (rgb16, {"photometric": "rgb"}, rgb16 >> 8),
        "rgba of 16 bits": (rgba16, {"photometric": "rgb", **UNASSOCIATED}, over_white(rgba16 >> 8)),
        "cmyk of 16 bits": (cmyk16, {"photometric": "separated", "extrasamples": []}, from_inks(cmyk16 >> 8)),
        "planes of rgb": (planes(rgb), {"photometric": "rgb", **SEPARATE}, rgb),
        "planes of rgba": (planes(rgba), {"photometric": "rgb", **SEPARATE, **UNASSOCIATED}, over_white(rgba)),
        "planes of cmyk": (planes(cmyk), {"photometric": "separated", **SEPARATE}, from_inks(cmyk)),
        "planes of rgb of 16 bits": (planes(rgb16), {"photometric": "rgb", **SEPARATE}, rgb16 >> 8),
        "planes of rgba of 16 bits": (
            planes(rgba16), {"photometric": "rgb", **SEPARATE, **UNASSOCIATED}, over_white(rgba16 >> 8),
        ),
    }  # fmt: skip


KINDS = kinds()
LAYOUTS: dict[str, dict] = {
    "plain": {}, "strips": {"rowsperstrip": 3}, "tiles": {"tile": (16, 16)}, "deflate": {"compression": "zlib"},
    "deflate, tiles": {"compression": "zlib", "tile": (16, 16)},
}  # fmt: skip


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """TIFF 6.0, tag 274: where row 0 and column 0 of what is stored belong."""
    turned = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.swapaxes(0, 1), 6: pixels[::-1].swapaxes(0, 1),
        7: pixels[::-1, ::-1].swapaxes(0, 1), 8: pixels[:, ::-1].swapaxes(0, 1),
    }  # fmt: skip
    return turned[orientation]


def read(path: str, expected: np.ndarray) -> np.ndarray:
    channels = 3 if expected.ndim == 3 else 1
    dtype = "uint16" if expected.dtype == np.uint16 else "uint8"
    return decode(path, DecodeTarget(expected.shape[:2], "stretch", channels, dtype)).astype(float)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_is_seen_as_it_was_written_however_it_lies(kind, layout, order):
    array, options, seen = KINDS[kind]
    if "16 bits" in kind and seen.dtype == np.uint16 and "grey" not in kind:
        seen = seen.astype(np.uint8)
    for orientation in range(1, 9):
        turn = [(274, 3, 1, orientation, True)]
        tifffile.imwrite("a.tif", array, byteorder=order, metadata=None, extratags=turn, **options, **LAYOUTS[layout])
        expected = upright(seen, orientation)
        assert inspect("a.tif").size == expected.shape[:2]
        # Of half a step where alpha or inks are rounded, of two where a chroma is.
        np.testing.assert_allclose(read("a.tif", expected), expected, atol=2 if kind == "ycbcr" else 1)


@pytest.mark.parametrize(("white", "order"), [(True, "<"), (False, "<"), (False, ">")])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_grey_of_16_bits_has_its_black_where_the_file_says(white, order, layout):
    array = noise(1, 16)
    photometric = "miniswhite" if white else "minisblack"
    tifffile.imwrite("a.tif", array, byteorder=order, photometric=photometric, **LAYOUTS[layout])
    found = open_images(Path("a.tif"))
    np.testing.assert_array_equal(found.file.read(0, 1)[0], 65_535 - array if white else array)


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4"])
def test_signed_values_are_refused_for_what_they_are(dtype, compression):
    array = np.arange(-60, 60).reshape(10, 12).astype(dtype)
    tifffile.imwrite("a.tif", array, photometric="minisblack", compression=compression)
    with pytest.raises(DataError, match=r"a\.tif \(TIFF of \d+-bit signed integers, .* save it as \.npy\)"):
        open_source(Path("a.tif"))


@pytest.mark.parametrize("config", ["separate", "contig"])
@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("bands", [2, 5])
def test_bands_that_are_no_colours_are_not_left_out_silently(config, compression, bands):
    shape = (bands, 8, 9) if config == "separate" else (8, 9, bands)
    tifffile.imwrite(
        "a.tif", RNG.integers(0, 256, shape).astype("u1"), photometric="minisblack", planarconfig=config,
        extrasamples=["unspecified"] * (bands - 1), compression=compression, metadata=None,
    )  # fmt: skip
    with pytest.raises(DataError, match=r"of \d+ channels, .*save it as \.npy|bands that are no colours|not a picture"):
        open_source(Path("a.tif"))


def test_lab_is_seen_in_its_colours():
    rgb = np.array([[[128, 128, 128], [200, 60, 60], [60, 160, 80], [60, 80, 190]]] * 4, np.uint8)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    stored = np.stack([np.rint(lab[..., 0] * 2.55), *np.moveaxis(np.rint(lab[..., 1:]), -1, 0)], -1)
    tifffile.imwrite("a.tif", stored.astype(np.int16).astype(np.uint8), photometric="cielab", metadata=None)
    # OpenCV's white is D65, that of the file D50: the same colours but for their last shade.
    np.testing.assert_allclose(open_source(Path("a.tif")).read(0, 1)[0].astype(int), rgb, atol=26)


def tiff(tags: list[tuple[int, int, int]], data: bytes) -> bytes:
    """A little-endian TIFF of one page whose tags (tag, type, value) all fit their entries."""
    tags = sorted([*tags, (273, 4, 8 + 2 + 12 * (len(tags) + 2) + 4), (279, 4, len(data))])
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def page(width: int, height: int, bits: int, photometric: int, more: list[tuple[int, int, int]] = []) -> list:  # noqa: B006
    return [
        (256, 3, width),
        (257, 3, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (278, 3, height),
        *more,
    ]


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("reversed_bits", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_few_bits_black_or_white_first_and_in_either_order(bits, reversed_bits, white):
    values = RNG.integers(0, 2**bits, (6, 16))
    text = "".join(f"{v:0{bits}b}" for v in values.ravel())
    data = int(text, 2).to_bytes(6 * 16 * bits // 8, "big")
    if reversed_bits:
        data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    Path("a.tif").write_bytes(tiff(page(16, 6, bits, 0 if white else 1, [(266, 3, 1 + reversed_bits)]), data))
    expected = values * 255 // (2**bits - 1)
    np.testing.assert_array_equal(open_source(Path("a.tif")).read(0, 1)[0], 255 - expected if white else expected)


def test_chroma_of_fewer_pixels_uncompressed():
    luma = np.full((4, 8), 120, np.uint8)
    luma[:, 4:] = 200
    blocks = b"".join(
        bytes([*luma[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel(), 128, 128]) for i in (0, 1) for j in range(4)
    )
    more = [(277, 3, 3), (530, 3, 2 | 2 << 16)]
    content = tiff(page(8, 4, 8, 6, more), blocks).replace(
        struct.pack("<HHI", 530, 3, 1), struct.pack("<HHI", 530, 3, 2)
    )
    Path("a.tif").write_bytes(content)
    pixels = open_source(Path("a.tif"), DecodeOptions(color="rgb")).read(0, 1)[0].astype(int)
    np.testing.assert_allclose(pixels, np.repeat(luma[..., None], 3, axis=2), atol=1)


# -- PNG ------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(bits: int, color: int, rows: list[bytes], width: int, *, transparent: bytes = b"") -> bytes:
    """A PNG byte by byte: ISO/IEC 15948, no filter, no interlace."""
    head = struct.pack(">IIBBBBB", width, len(rows), bits, color, 0, 0, 0)
    extra = chunk(b"tRNS", transparent) if transparent else b""
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def big(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def test_grey_of_16_bits_with_alpha_keeps_its_bits_and_is_laid_over_white():
    grey = RNG.integers(0, 65_536, (9, 12))
    alpha = RNG.integers(0, 65_536, (9, 12))
    alpha[0], alpha[1] = 0, 65_535
    rows = [big(*np.stack([g, a], -1).ravel().tolist()) for g, a in zip(grey, alpha, strict=True)]
    Path("p").mkdir()
    Path("p/a.png").write_bytes(png(16, 4, rows, 12))
    found = open_images(Path("p"))
    expected = grey * (alpha / 65_535) + 65_535 * (1 - alpha / 65_535)
    assert found.file.dtype == np.uint16
    np.testing.assert_allclose(found.file.read(0, 1)[0].astype(float), expected, atol=0.51)
    assert "grey, 16 bits" in str(found)
    assert "1 with an alpha channel laid over white" in str(found)
    cv2.imwrite("p/b.png", noise(1)[:9, :12])
    both = open_source(Path("p"))
    assert (both.dtype, both.shape) == (np.uint8, (2, 9, 12))
    np.testing.assert_allclose(both.read(0, 1)[0].astype(float), expected / 257, atol=0.51)


def test_interlaced_and_filtered_pictures_of_16_bits_with_alpha():
    from PIL import Image  # packs the bytes of the four channels, whatever they mean

    parts = RNG.integers(0, 256, (13, 11, 4)).astype(np.uint8)
    Image.fromarray(parts).save("rgba.png")
    content = Path("rgba.png").read_bytes()
    head = content[16:24] + b"\x10\4" + content[26:29]
    Path("a.png").write_bytes(content[:8] + chunk(b"IHDR", head) + content[33:])
    wide = parts.astype(float) @ np.array([[256, 0], [1, 0], [0, 256], [0, 1]])
    np.testing.assert_allclose(open_source(Path("a.png")).read(0, 1)[0], over_white(wide, 65_535), atol=0.51)
    assert cv2.imread("a.png", cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_a_transparent_value_of_16_bits_is_white():
    values = np.array([[0, 4660, 4661, 52], [65_535, 300, 4660, 1]])
    Path("a.png").write_bytes(png(16, 0, [big(*row.tolist()) for row in values], 4, transparent=big(4660)))
    found = open_source(Path("a.png"))
    np.testing.assert_array_equal(found.read(0, 1)[0], np.where(values == 4660, 65_535, values))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_value_of_few_bits_is_white(bits):
    values = np.arange(32).reshape(2, 16) % 2**bits
    text = ["".join(f"{v:0{bits}b}" for v in row) for row in values]
    rows = [int(line, 2).to_bytes(2 * bits, "big") for line in text]
    Path("a.png").write_bytes(png(bits, 0, rows, 16, transparent=big(1)))
    expected = np.where(values == 1, 255, values * 255 // (2**bits - 1))
    np.testing.assert_array_equal(open_source(Path("a.png")).read(0, 1)[0], expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_is_white(bits):
    scale = 257 if bits == 16 else 1
    colors = np.array([[[1, 2, 3], [1, 2, 4], [200, 100, 50]]]) * scale
    row = b"".join(struct.pack(">H" if bits == 16 else "B", v) for v in colors.ravel().tolist())
    Path("a.png").write_bytes(png(bits, 2, [row], 3, transparent=big(*colors[0, 0].tolist())))
    expected = np.array([[[255, 255, 255], [1, 2, 4], [200, 100, 50]]])
    np.testing.assert_array_equal(open_source(Path("a.png")).read(0, 1)[0], expected)
