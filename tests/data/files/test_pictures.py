"""Picture files: what they become, and what cannot be read."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from aecli.core.errors import DataError
from aecli.data.dataset import open_images
from aecli.data.files.decode import PictureStats, choose_target, survey_pictures, write_decoded
from aecli.data.files.listing import list_folder
from aecli.data.files.open import open_source
from aecli.data.files.options import DecodeOptions
from aecli.data.files.pictures import DecodeTarget, decode, inspect

RNG = np.random.default_rng(0)
RED, GREEN, BLUE = (220, 30, 40), (20, 200, 60), (10, 40, 230)


def halves(width: int, height: int, left=RED, right=BLUE) -> Image.Image:
    """A picture whose halves have a colour each."""
    image = Image.new("RGB", (width, height), left)
    image.paste(right, (width // 2, 0, width, height))
    return image


def opened(folder: str = "p", **asked) -> np.ndarray:
    file = open_source(Path(folder), DecodeOptions(**asked))
    return file.read(0, len(file))


def save(name: str, image: Image.Image, **options) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "mode", "color", "expected"),
    [
        ("a.png", "RGB", RED, RED), ("a.png", "L", 77, 77), ("a.png", "1", 1, 255), ("a.bmp", "RGB", RED, RED),
        ("a.tif", "RGB", RED, RED), ("a.tif", "CMYK", (0, 0, 0, 0), (255, 255, 255)), ("a.gif", "L", 9, 9),
        ("a.png", "RGBA", (*RED, 255), RED), ("a.png", "RGBA", (*RED, 0), (255, 255, 255)),
        ("a.png", "LA", (0, 0), 255), ("a.png", "LA", (40, 255), 40), ("a.webp", "RGB", RED, RED),
        ("a.png", "RGBA", (0, 0, 0, 51), (204, 204, 204)), ("a.ppm", "RGB", RED, RED), ("a.pgm", "L", 5, 5),
        ("a.jpg", "RGB", RED, RED), ("a.jpg", "L", 200, 200), ("a.png", "I;16", 60_000, 60_000),
        ("a.tiff", "I;16", 60_000, 60_000), ("a.pgm", "I;16", 60_000, 60_000),
    ],
)  # fmt: skip
def test_every_format_and_mode_gives_the_pixels_that_one_sees(name, mode, color, expected):
    lossless = {"lossless": True} if name.endswith("webp") else {}
    save(f"p/{name}", Image.new(mode, (12, 10), color), **lossless)
    pixels = opened()[0]
    assert pixels.shape[:2] == (10, 12)
    assert pixels.ndim == (3 if isinstance(expected, tuple) else 2)
    tolerance = 3 if name.endswith("jpg") else 0
    np.testing.assert_allclose(pixels.astype(int), np.broadcast_to(expected, pixels.shape), atol=tolerance)


@pytest.mark.parametrize("palette", ["grey", "colour", "transparent"])
def test_a_palette_is_seen_through(palette):
    image = halves(8, 4, (10, 10, 10), (90, 90, 90) if palette == "grey" else GREEN).quantize(4)
    options = {"transparency": image.getpixel((0, 0))} if palette == "transparent" else {}
    save("p/a.png", image, **options)
    pixels = opened()[0]
    assert pixels.ndim == (2 if palette == "grey" else 3)
    left = 255 if palette == "transparent" else 10
    right = 90 if palette == "grey" else GREEN
    np.testing.assert_array_equal(pixels[:, :4], np.broadcast_to(left, pixels[:, :4].shape))
    np.testing.assert_array_equal(pixels[:, 4:], np.broadcast_to(right, pixels[:, 4:].shape))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_as_exif_says(suffix, orientation, fit):
    image = Image.new("RGB", (40, 24), RED)
    image.paste(BLUE, (0, 0, 20, 12))
    image.paste(GREEN, (20, 12, 40, 24))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    path = save(f"p/a.{suffix}", image, exif=exif, **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")).astype(int)
    assert inspect(str(path)).size == upright.shape[:2]
    found = decode(str(path), DecodeTarget(upright.shape[:2], fit, 3, "uint8")).astype(int)
    np.testing.assert_allclose(found, upright, atol=4)


def test_the_longer_side_is_cropped_padded_or_stretched():
    save("p/a.png", halves(40, 20))
    crop, pad, stretch = (opened(size=(8, 8), fit=fit)[0].astype(int) for fit in ("crop", "pad", "stretch"))
    for pixels in (crop, stretch):
        np.testing.assert_allclose(pixels[:, 0], np.broadcast_to(RED, (8, 3)), atol=8)
        np.testing.assert_allclose(pixels[:, -1], np.broadcast_to(BLUE, (8, 3)), atol=8)
    assert not pad[:2].any()
    assert not pad[-2:].any()
    np.testing.assert_allclose(pad[2:6, 0], np.broadcast_to(RED, (4, 3)), atol=8)


def test_the_middle_is_kept_by_a_crop():
    image = Image.new("L", (30, 10), 0)
    image.paste(200, (10, 0, 20, 10))
    save("p/a.png", image)
    np.testing.assert_array_equal(opened(size=(10, 10))[0], np.full((10, 10), 200))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_scaling_down_averages(suffix):
    noise = RNG.integers(0, 256, (600, 800)).astype(np.uint8)
    save(f"p/a.{suffix}", Image.fromarray(noise))
    small = opened(size=(6, 8))[0]
    np.testing.assert_allclose(small, noise.reshape(6, 100, 8, 100).mean(axis=(1, 3)), atol=8)


def test_pictures_of_16_bits_keep_their_values():
    values = RNG.integers(0, 65_536, (7, 9)).astype(np.uint16)
    save("p/a.png", Image.fromarray(values))
    np.testing.assert_array_equal(opened()[0], values)
    save("p/b.png", Image.new("L", (9, 7), 3))
    both = opened()
    assert both.dtype == np.uint8
    np.testing.assert_array_equal(both[0], np.rint(values / 257))


def test_a_small_size_that_all_share_is_kept_and_else_it_is_64():
    save("p/a.png", halves(31, 17))
    save("p/b.png", halves(31, 17))
    assert opened().shape == (2, 17, 31, 3)
    save("p/c.png", halves(17, 31))
    assert opened().shape == (3, 64, 64, 3)
    save("q/large.png", halves(300, 300))
    assert opened("q").shape == (1, 64, 64, 3)


def test_colour_is_kept_where_any_picture_has_some():
    grey = PictureStats(kinds={"grey": 3, "deep grey": 1}, sizes={(5, 5): 4})
    assert choose_target(PictureStats(grey.sizes, _counter(grey=3)), DecodeOptions()).channels == 1
    assert choose_target(PictureStats(grey.sizes, _counter(grey=3, rgb=1)), DecodeOptions()).channels == 3
    assert choose_target(PictureStats(grey.sizes, _counter(rgb=1)), DecodeOptions(color="grey")).channels == 1
    deep = _counter(**{"deep grey": 2})
    assert choose_target(PictureStats(grey.sizes, deep), DecodeOptions()).dtype == "uint16"
    assert choose_target(PictureStats(grey.sizes, deep), DecodeOptions(color="rgb")).dtype == "uint8"


def _counter(**counts):
    from collections import Counter

    return Counter(counts)


def test_a_folder_is_read_in_a_stable_order_with_what_is_in_it():
    for name in ("b/2.png", "b/10.png", "a.JPG", "c/d/e.gif"):
        save(f"p/{name}", Image.new("L", (4, 4)))
    Path("p/.hidden.png").write_bytes(b"")
    Path("p/notes.txt").write_text("x")
    Path("p/run").mkdir()
    for name in ("config.yaml", "environment.json", "x.png"):
        Path(f"p/run/{name}").write_text("x")
    Path("p/loop").symlink_to("..")
    Path("p/self").symlink_to("self")
    Path("p/again").symlink_to("b")
    os.mkfifo("p/pipe.png")
    listing = list_folder(Path("p"))
    assert len({os.path.realpath(listing.path(name)) for name in listing.names}) == len(listing.names)
    names = sorted(os.path.realpath(listing.path(name)) for name in listing.names)
    expected = ("a.JPG", "b/10.png", "b/2.png", "c/d/e.gif", "pipe.png")
    assert names == sorted(os.path.realpath(f"p/{name}") for name in expected)
    assert list(listing.names) == sorted(listing.names)
    assert dict(listing.ignored)["hidden"] >= 1
    assert dict(listing.ignored)[".txt"] == 1
    found = open_images(Path("p"))
    assert len(found) == 4
    assert "pipe.png (is not a regular file)" in str(found)


ODD = ["a b.png", "new\nline.png", "\udcff\udc80.png", "$x_1$.png", "emoji \U0001f600.png", "-x.png"]


def test_any_name_that_the_system_allows():
    for name in ODD:
        save("p/x.png", Image.new("L", (4, 4), 9))
        os.rename("p/x.png", os.path.join("p", name))
    images = open_images(Path("p"))
    assert sorted(images.names) == sorted(ODD)
    str(images).encode()  # nothing in a note that a terminal could not show


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def unreadable_pictures() -> dict[str, bytes]:
    save("good.jpg", Image.fromarray(RNG.integers(0, 256, (40, 40, 3)).astype(np.uint8)))
    good = Path("good.jpg").read_bytes()
    whole = zlib.compress(b"\0" * 41 * 40)
    return {
        "empty.png": b"",
        "text.png": b"hello",
        "cut.jpg": good[: len(good) // 2],
        "header only.jpg": good[:30],
        "bomb.png": png(60_000, 60_000, zlib.compress(b"\0" * 10**6)),
        "too large.png": png(2**31 - 1, 2**31 - 1),
        "no pixels.png": png(0, 5),
        "no data.png": png(40, 40),
        "cut data.png": png(40, 40, whole[:-12]),
        "pickle.gif": b"\x80\x04cos\nsystem\n.",
        "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "float.tif": b"",
    }


def test_what_cannot_be_read_is_left_out_and_listed():
    Path("p").mkdir()
    faults = unreadable_pictures()
    for name, content in faults.items():
        Path(f"p/{name}").write_bytes(content)
    Image.new("F", (4, 4), 0.5).save("p/float.tif")
    save("p/z.png", Image.new("L", (40, 40), 7))
    images = open_images(Path("p"))
    assert images.names == ("z.png",)
    note = next(line for line in str(images).splitlines() if "could not be read" in line)
    assert f"{len(faults)} files could not be read" in note
    for name in faults:
        with pytest.raises(DataError, match="mend or remove it"):
            survey_and_write([name], strict=True)
    Path("p/z.png").unlink()
    with pytest.raises(DataError, match=rf"^p: none of its {len(faults)} pictures can be read, the first is "):
        open_images(Path("p"))


def cut(name: str, image: Image.Image, **options) -> None:
    """Save half of a picture: what it says of itself can be read, its pixels cannot."""
    path = save(name, image, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noisy(*shape: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, shape).astype(np.uint8))


@pytest.mark.parametrize("asked", [{}, {"size": (28, 28)}, {"color": "grey"}])
def test_a_picture_that_is_left_out_decides_nothing_of_the_others(asked, ae):
    digits = [RNG.integers(0, 256, (28, 28)).astype(np.uint8) for _ in range(5)]
    for i, pixels in enumerate(digits):
        save(f"p/{i}.png", Image.fromarray(pixels))
    cut("p/photo.jpg", noisy(90, 120, 3))
    cut("p/scan.png", noisy(200, 100, 4))
    for _ in range(2):
        found = open_images(Path("p"), decoding=DecodeOptions(**asked))
        np.testing.assert_array_equal(found.file.read(0, 5), digits)
        assert "5 pictures, all 28 x 28, grey" in str(found)
        assert "alpha" not in str(found)
        assert "2 files could not be read and are left out: photo.jpg (" in str(found)
    assert ae("import", "p", "-o", "a.npy").exit_code == 0
    np.testing.assert_array_equal(np.load("a.npy"), digits)


def test_a_picture_that_is_left_out_takes_no_bits_from_the_others():
    deep = [RNG.integers(0, 65_536, (9, 9)).astype(np.uint16) for _ in range(3)]
    for i, pixels in enumerate(deep):
        save(f"p/{i}.png", Image.fromarray(pixels))
    cut("p/a.png", noisy(9, 9))
    np.testing.assert_array_equal(opened(), deep)


@pytest.mark.parametrize("bits", [1, 8, 10, 12, 14, 16])
def test_values_that_use_few_of_their_16_bits_are_scaled_by_those_they_use(bits):
    top = 2**bits - 1
    values = RNG.integers(0, top + 1, (2, 9, 9)).astype(np.uint16)
    values[0, 0, 0] = top
    for i in range(2):
        save(f"p/{i}.png", Image.fromarray(values[i]))
    save("p/z.png", noisy(9, 9))
    found = open_images(Path("p"))
    np.testing.assert_allclose(found.file.read(0, 2), values * (255 / top), atol=0.5)
    used = "" if bits == 16 else f", whose values fit {bits} bit{'s' if bits > 1 else ''},"
    assert f"2 of 16 bits{used} brought to 8" in str(found)
    assert opened(color="rgb")[0, 0, 0].tolist() == [255, 255, 255]


def survey_and_write(names: list[str], strict: bool) -> None:
    from aecli.data.files.listing import Listing

    listing = Listing("p", Path("p"), names)
    survey = survey_pictures(listing, strict=strict)
    write_decoded(listing, survey, choose_target(survey, DecodeOptions()), Path("out.npy"), print, strict=strict)


@pytest.mark.parametrize("content", [{}, {"a.csv": b""}, {".a.png": b""}])
def test_a_folder_without_pictures_is_refused(content):
    Path("p").mkdir()
    for name, data in content.items():
        Path("p", name).write_bytes(data)
    with pytest.raises(DataError, match=r"^p: holds no pictures"):
        open_images(Path("p"))


def test_a_list_names_pictures_relative_to_itself(tmp_path):
    save("far/a.png", Image.new("L", (4, 4), 1))
    save("b c.png", Image.new("L", (4, 4), 2))
    Path("far/list.txt").write_text(f"# mine\n\na.png\n{tmp_path / 'b c.png'}\nmissing.png\r\na.png\n")
    images = open_images(Path("far/list.txt"))
    assert [int(image.max() * 255 + 0.5) for image in images.format.to_contract(images.file.read(0, 9**5 and 3))] == [
        1,
        2,
        1,
    ]
    assert "missing.png (no such file)" in str(images)


@pytest.mark.parametrize(("content", "message"), [(b"\0\1\2", "not a text file"), (b"# none\n", "names no files")])
def test_a_list_of_nothing_is_refused(content, message):
    Path("list.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_images(Path("list.txt"))


def test_one_picture_is_a_source_too():
    assert len(open_images(save("a.png", halves(8, 8)))) == 1
