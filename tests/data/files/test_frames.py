"""Files that hold several pictures: every page and frame is an image, whatever the container, and nothing else is."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from aecli.core.errors import DataError
from aecli.data.dataset import open_images
from aecli.data.files.open import open_source
from aecli.data.files.options import DecodeOptions

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 256, (7, 12, 15)).astype(np.uint8)
DEEP = RNG.integers(0, 65_536, (7, 12, 15)).astype(np.uint16)
COLOR = RNG.integers(0, 256, (5, 12, 15, 3)).astype(np.uint8)


def rows(path: str, **asked) -> np.ndarray:
    file = open_source(Path(path), DecodeOptions(**asked))
    return file.read(0, len(file))


STACKS = {
    "pages": (STACK, {}),
    "big-endian": (STACK, {"byteorder": ">"}),
    "BigTIFF": (STACK, {"bigtiff": True}),
    "deflate": (STACK, {"compression": "zlib"}),
    "tiles": (STACK, {"tile": (16, 16)}),
    "16 bits": (DEEP, {}),
    "16 bits, big-endian, deflate": (DEEP, {"byteorder": ">", "compression": "zlib"}),
    "ImageJ": (STACK, {"imagej": True}),
    "ImageJ, 16 bits": (DEEP, {"imagej": True}),
    "OME": (STACK, {"ome": True}),
    "OME, planes over time": (DEEP, {"ome": True, "metadata": {"axes": "TYX"}}),
    "colour": (COLOR, {"photometric": "rgb"}),
    "colour in planes": (np.moveaxis(COLOR, -1, 1), {"photometric": "rgb", "planarconfig": "separate"}),
}


@pytest.mark.parametrize("kind", STACKS)
def test_every_page_of_a_tiff_is_an_image(kind):
    array, options = STACKS[kind]
    options = {"photometric": "minisblack", **options}
    tifffile.imwrite("a.tif", array, **options)
    expected = COLOR if "colour" in kind else array
    np.testing.assert_array_equal(rows("a.tif"), expected)
    np.testing.assert_array_equal(rows("a.tif", frames="first"), expected[:1])
    images = open_images(Path("a.tif"))
    assert images.names == ("a.tif", *(f"a.tif#{i}" for i in range(1, len(expected))))
    assert f"1 file holds {len(expected)} pictures, each is an image (data.frames changes it)" in str(images)
    assert "the first of each file is taken" in str(open_images(Path("a.tif"), decoding=DecodeOptions(frames="first")))


@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_every_frame_of_an_animation_is_an_image(name, grey):
    # Each a few colours, so that a palette holds them; the frames differ in every pixel.
    steps = (
        np.arange(40, dtype=np.uint8)[:, None, None] * 6 + (np.indices((10, 12)).sum(axis=0) % 2).astype(np.uint8) * 3
    )
    frames = steps if grey else np.stack([steps, 255 - steps, steps // 2], axis=-1)
    first, *others = [Image.fromarray(frame) for frame in frames]
    options = {"lossless": True} if name == "a.webp" else {}
    first.save(name, save_all=True, append_images=others, duration=40, **options)
    expected = frames[..., None].repeat(3, axis=-1) if grey and name == "a.webp" else frames
    np.testing.assert_array_equal(rows(name), expected)
    np.testing.assert_array_equal(rows(name, frames="first"), expected[:1])


def test_frames_are_seen_as_they_are_played_and_the_order_of_asking_is_no_matter():
    frames = np.zeros((6, 16, 16, 4), np.uint8)
    for i in range(6):
        frames[i, : 2 * i + 2, :, i % 3], frames[i, : 2 * i + 2, :, 3] = 200, 255
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save("a.png", save_all=True, append_images=others)
    white = np.where(frames[..., 3:] == 255, frames[..., :3], 255)
    np.testing.assert_array_equal(rows("a.png"), white)
    from aecli.data.files.pictures import DecodeTarget, decode

    for i in (3, 1, 5, 0, 4):
        np.testing.assert_array_equal(decode("a.png", DecodeTarget((16, 16), "crop", 3, "uint8"), i), white[i])


def test_thumbnails_levels_of_a_pyramid_and_masks_are_no_images():
    with tifffile.TiffWriter("a.tif") as file:
        for page in STACK[:3]:
            file.write(page, photometric="minisblack", metadata=None, subifds=1)
            file.write(page[::2, ::2], photometric="minisblack", metadata=None, subfiletype=1)
        file.write(STACK[3, ::3, ::3], photometric="minisblack", metadata=None, subfiletype=1)
        file.write(STACK[4] > 128, photometric="minisblack", metadata=None, subfiletype=4)
        file.write(STACK[5], photometric="minisblack", metadata=None, subfiletype=2)
    np.testing.assert_array_equal(rows("a.tif"), STACK[[0, 1, 2, 5]])
    images = open_images(Path("a.tif"))
    assert images.names == ("a.tif", "a.tif#1", "a.tif#2", "a.tif#5")
    assert "passed over 2 reduced copies and masks in files" in str(images)


def test_a_thumbnail_that_comes_first_is_none_either():
    with tifffile.TiffWriter("a.tif") as file:
        file.write(STACK[0, ::2, ::2], photometric="minisblack", metadata=None, subfiletype=1)
        file.write(STACK[0], photometric="minisblack", metadata=None)
    np.testing.assert_array_equal(rows("a.tif"), STACK[:1])
    assert open_images(Path("a.tif")).names == ("a.tif#1",)


def test_stacks_lie_among_pictures_in_order_and_keep_their_pages_apart():
    Path("p").mkdir()
    tifffile.imwrite("p/b.tif", STACK[:3], photometric="minisblack")
    for name, page in (("a.png", STACK[5]), ("c.png", STACK[6])):
        Image.fromarray(page).save(f"p/{name}")
    images = open_images(Path("p"))
    assert images.names == ("a.png", "b.tif", "b.tif#1", "b.tif#2", "c.png")
    np.testing.assert_array_equal(rows("p"), STACK[[5, 0, 1, 2, 6]])
    # A file by the name of a page is another picture.
    Image.fromarray(STACK[4]).save("p/d.png")
    Path("p/d.png").rename("p/b.tif#1")
    Path("l.txt").write_text("p/b.tif\np/b.tif#1\n")
    np.testing.assert_array_equal(rows("l.txt"), STACK[[0, 1, 2, 4]])


def test_pages_of_other_sizes_and_modes_are_brought_to_one():
    with tifffile.TiffWriter("a.tif") as file:
        file.write(STACK[0], photometric="minisblack", metadata=None)
        file.write(COLOR[0, :8, :10], photometric="rgb", metadata=None)
        file.write(DEEP[0].astype(np.float64), photometric="minisblack", metadata=None)
    images = open_images(Path("a.tif"))
    assert images.file.shape == (2, 64, 64, 3)
    assert "a.tif#2 (" in str(images)


def test_import_takes_pages_by_the_same_rule(ae):
    Path("p/x").mkdir(parents=True)
    Path("p/y").mkdir()
    tifffile.imwrite("p/x/a.tif", STACK[:4], photometric="minisblack")
    Image.fromarray(STACK[6]).save("p/y/b.png")
    assert ae("import", "p", "-o", "a.npy").exit_code == 0
    np.testing.assert_array_equal(np.load("a.npy"), STACK[[0, 1, 2, 3, 6]])
    assert json.loads(Path("a.json").read_text())["files"] == [
        "x/a.tif",
        *(f"x/a.tif#{i}" for i in (1, 2, 3)),
        "y/b.png",
    ]
    assert np.load("a_labels.npy").tolist() == [0, 0, 0, 0, 1]
    result = ae("import", "p", "-o", "b.npy", "--frames", "first")
    np.testing.assert_array_equal(np.load("b.npy"), STACK[[0, 6]])
    assert "1 file holds 4 pictures, the first of each file is taken (--frames changes it)" in result.stderr
    assert ae("import", "p", "-o", "c.npy", "--limit", "3").exit_code == 0
    np.testing.assert_array_equal(np.load("c.npy"), STACK[:3])
    assert ae("import", "p", "-o", "d.npy", "--shuffle", "1").exit_code == 0
    named = dict(zip(json.loads(Path("a.json").read_text())["files"], np.load("a.npy"), strict=True))
    for name, image in zip(json.loads(Path("d.json").read_text())["files"], np.load("d.npy"), strict=True):
        np.testing.assert_array_equal(image, named[name])


def test_a_stack_is_trained_on_and_measured_page_by_page(ae, digits):
    pages = (digits[:60].astype(float) * (255 / digits.max())).astype(np.uint8)
    tifffile.imwrite("a.tif", pages, photometric="minisblack")
    sets = ["--set", "training.epochs=1", "--set", "model.latent_dim=3", "--set", "model.hidden=[5]"]
    result = ae("train", "--data", "a.tif", *sets)
    assert result.exit_code == 0, result.output
    assert "60 images of" in result.stderr
    assert ae("evaluate", "a.tif", "--per-image", "each.csv").exit_code == 0
    assert [line.split(",")[1] for line in Path("each.csv").read_text().splitlines()[1:4]] == [
        "a.tif",
        "a.tif#1",
        "a.tif#2",
    ]
    assert ae("plot").exit_code == 0


def test_the_choice_is_no_part_of_what_a_run_is_but_its_images_are():
    from aecli.runs.config_file import load_config
    from aecli.runs.content import decoding_of
    from aecli.runs.provenance import run_fingerprint

    fields = {"data": {"sha256": "x"}, "test": None}
    configs = [load_config(None, sets).config for sets in ([], ["data.frames=first"])]
    assert configs[1].data.decoding.frames == "first"
    assert len({run_fingerprint(config, fields) for config in configs}) == 1
    assert decoding_of({"decoding": {"fit": "crop"}}).frames == "first"
    with pytest.raises(ValueError, match="unknown"):
        decoding_of({"decoding": {"frames": "some"}})


# -- what a file says of itself -------------------------------------------------------------------


def pages_in(path: str) -> list[int]:
    """Where the directories of a little-endian TIFF begin."""
    content, found = Path(path).read_bytes(), []
    (offset,) = struct.unpack_from("<I", content, 4)
    while offset:
        found.append(offset)
        (count,) = struct.unpack_from("<H", content, offset)
        (offset,) = struct.unpack_from("<I", content, offset + 2 + 12 * count)
    return found


def relinked(offset: int, target: int) -> bytes:
    """The stack with the directory there followed by another."""
    content = bytearray(Path("a.tif").read_bytes())
    (count,) = struct.unpack_from("<H", content, offset)
    struct.pack_into("<I", content, offset + 2 + 12 * count, target)
    return bytes(content)


def test_pages_in_a_circle_and_beyond_the_end_are_read_once_and_told():
    tifffile.imwrite("a.tif", STACK[:3], photometric="minisblack", metadata=None)
    first, second, third = pages_in("a.tif")
    for target, reason in ((first, "go in a circle"), (third, "go in a circle"), (2**31, "ends before its last page")):
        Path("b.tif").write_bytes(relinked(third, target))
        np.testing.assert_array_equal(rows("b.tif"), STACK[:3])
        assert reason in str(open_images(Path("b.tif")))
        assert "b.tif#3 (" in str(open_images(Path("b.tif")))
    Path("c.tif").write_bytes(Path("a.tif").read_bytes()[: second + 4])
    assert len(rows("c.tif")) == 1
    assert "ends before its last page" in str(open_images(Path("c.tif")))


def test_a_stack_that_claims_more_than_its_bytes_can_hold_is_refused():
    tifffile.imwrite("a.tif", STACK[:1], photometric="minisblack", metadata=None)
    content, (page,) = Path("a.tif").read_bytes(), pages_in("a.tif")
    (count,) = struct.unpack_from("<H", content, page)
    directory = bytearray(content[page : page + 2 + 12 * count])
    for entry in range(count):
        tag, kind = struct.unpack_from("<HH", directory, 2 + 12 * entry)
        if tag in (256, 257):
            struct.pack_into("<H" if kind == 3 else "<I", directory, 2 + 12 * entry + 8, 12_000)
    out, start = bytearray(content), len(content)
    struct.pack_into("<I", out, 4, start)
    step = len(directory) + 4
    for i in range(50):
        out += directory + struct.pack("<I", start + (i + 1) * step if i < 49 else 0)
    Path("b.tif").write_bytes(out)
    with pytest.raises(DataError, match="says that it holds 7,200 million pixels"):
        open_source(Path("b.tif"))


@pytest.mark.parametrize("frames", [10**6, 2**31 - 1])
def test_an_animation_that_claims_more_than_its_bytes_can_hold_is_refused(frames):
    first, *others = [Image.fromarray(page) for page in STACK]
    first.save("a.png", save_all=True, append_images=others)
    content = Path("a.png").read_bytes()
    place = content.index(b"acTL")
    body = b"acTL" + struct.pack(">II", frames, 0)
    Path("a.png").write_bytes(content[:place] + body + struct.pack(">I", zlib.crc32(body)) + content[place + 16 :])
    with pytest.raises(DataError, match=r"says that it holds .* pictures|invalid"):
        open_source(Path("a.png"))


def test_stacks_written_with_one_directory_for_all_pages_are_not_taken_for_one_image():
    tifffile.imwrite("a.tif", STACK, photometric="minisblack", truncate=True)
    tifffile.imwrite("b.tif", STACK, imagej=True)
    content, (first, *_) = Path("b.tif").read_bytes(), pages_in("b.tif")
    Path("a2.tif").write_bytes(content)
    (count,) = struct.unpack_from("<H", content, first)
    cut = bytearray(content)
    struct.pack_into("<I", cut, first + 2 + 12 * count, 0)
    Path("b.tif").write_bytes(cut)
    for name in ("a.tif", "b.tif"):
        with pytest.raises(DataError, match=r"says that it holds 7 images, but has a directory of one"):
            open_source(Path(name))


def test_a_bigtiff_that_pillow_cannot_read_is_no_damaged_picture():
    tifffile.imwrite("a.tif", STACK, photometric="minisblack", bigtiff=True, byteorder=">")
    with pytest.raises(DataError, match="a BigTIFF whose high bytes come first"):
        open_source(Path("a.tif"))
