"""Values in other units than a run's: refused where that is certain, told where it is likely, passed where it is not."""

from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import DataError
from aecli.data.dataset import open_images_like
from aecli.data.format import ImageFormat

RNG = np.random.default_rng(0)
UNIT = RNG.integers(0, 256, (30, 8, 8)) / 255
UNIT[0, 0, :2] = 0, 1
MASKS = (UNIT > 0.5).astype(np.uint8)
DEEP = np.rint(UNIT * 65_535).astype(np.uint16)


def trained(dtype: str, low: float, high: float) -> ImageFormat:
    return ImageFormat(dtype, (8, 8), (8, 8, 1), (low, high))


def like(images: np.ndarray, form: ImageFormat):
    np.save("a.npy", images)
    return open_images_like(Path("a.npy"), form)


REFUSED = {
    "[0, 1] on [-1, 1]": (UNIT, ("<f4", -1, 1), "images * 2 - 1"),
    "[-1, 1] on [0, 1]": (UNIT * 2 - 1, ("<f4", 0, 1), "images * 0.5 + 0.5"),
    "[0, 1] on [0, 255]": (UNIT, ("<f8", 0, 255), "images * 255"),
    "[-1, 1] on [0, 255]": (UNIT * 2 - 1, ("<f8", 0, 255), "images * 127.5 + 127.5"),
    "[0, 255] on [0, 1]": (UNIT * 255, ("<f4", 0, 1), "far outside"),
    "[0, 255] on [-1, 1]": (UNIT * 255, ("<f4", -1, 1), "far outside"),
    "masks on uint8": (MASKS, ("|u1", 0, 255), "images * 255"),
    "three classes on uint8": (MASKS + MASKS, ("|u1", 0, 255), "trained on"),
    "[0, 1] on a thousand": (UNIT, ("<f4", 0, 1000), "images * 1000"),
    "8 bits on 16": (np.rint(UNIT * 255).astype(np.uint16), ("<u2", 0, 65_535), "images * 257"),
    "16 bits on 12": (DEEP, ("<u2", 0, 4095), "far outside"),
    "masks on 16 bits": (MASKS.astype(np.uint16), ("<u2", 0, 65_535), "images * 65535"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_units_are_refused_where_they_are_certain(name):
    images, form, cure = REFUSED[name]
    with pytest.raises(DataError, match=r"^a\.npy: values from ") as caught:
        like(images, trained(*form))
    assert cure in str(caught.value)
    assert "\n" not in str(caught.value)


TOLD = {
    "bright [0, 1] on [-1, 1]": (0.2 + 0.7 * UNIT, ("<f4", -1, 1), "seem to be in units of [0, 1]"),
    "12 bits on 16": (DEEP // 16, ("<u2", 0, 65_535), "seem to be in units of [0, 4095]"),
    "ten classes on uint8": ((UNIT * 9).astype(np.uint8), ("|u1", 0, 255), "seem to be in units of"),
    "standardised on uint8": ((UNIT - 0.4) / 0.2, ("|u1", 0, 255), "are taken for black and white"),
    "[0, 1] on standardised": (UNIT, ("<f4", -2.1, 2.6), "seem to be in units of [0, 1]"),
}


@pytest.mark.parametrize("name", TOLD)
def test_other_units_are_told_where_they_are_likely(name):
    images, form, words = TOLD[name]
    assert words in str(like(images, trained(*form)))


SAME = {
    "uint8": (np.rint(UNIT * 255).astype(np.uint8), ("|u1", 0, 255)),
    "dark uint8": (np.rint(UNIT * 40).astype(np.uint8), ("|u1", 0, 255)),
    "one value": (np.full((3, 8, 8), 7, np.uint8), ("|u1", 0, 255)),
    "[0, 1]": (UNIT, ("<f4", 0, 1)),
    "dark [0, 1]": (UNIT / 4, ("<f4", 0, 1)),
    "noise around [0, 1]": (UNIT + RNG.normal(0, 0.3, UNIT.shape), ("<f4", 0, 1)),
    "[-1, 1]": (UNIT * 2 - 1, ("<f4", -1, 1)),
    "[0, 255]": (UNIT * 255, ("<f4", 0, 255)),
    "dark [0, 255]": (UNIT * 30, ("<f4", 0, 255)),
    "masks on masks": (MASKS, ("|u1", 0, 1)),
    "booleans on uint8": (MASKS > 0, ("|u1", 0, 255)),
    "[0, 1] on uint8": (UNIT, ("|u1", 0, 255)),
    "uint8 on [-1, 1]": (np.rint(UNIT * 255).astype(np.uint8), ("<f4", -1, 1)),
    "16 bits": (DEEP, ("<u2", 0, 65_535)),
}


@pytest.mark.parametrize("name", SAME)
def test_values_that_may_well_be_of_the_same_units_pass_without_a_word(name):
    images, form = SAME[name]
    source = like(images, trained(*form))
    assert len(str(source).splitlines()) == 1


def test_pictures_are_never_of_other_units():
    from PIL import Image

    Image.fromarray(MASKS[0]).save("dark.png")
    assert len(open_images_like(Path("dark.png"), trained("|u1", 0, 255))) == 1


def test_every_command_that_uses_a_run_tells_them(run, ae):
    images = np.zeros((5, 8, 8), np.uint8) + 9 * np.eye(8, dtype=np.uint8)
    np.save("labels.npy", images)
    for command in (["reconstruct"], ["evaluate"], ["encode"], ["plot", "--images"]):
        result = ae(*command, "labels.npy")
        assert result.exit_code == 0
        assert "labels.npy: values from 0 to 9 seem to be in units of" in result.stderr


def test_every_command_that_uses_a_run_refuses_them(run, ae):
    np.save("masks.npy", np.zeros((5, 8, 8), np.uint8) + np.eye(8, dtype=np.uint8))
    for command in (["reconstruct"], ["evaluate"], ["encode"], ["plot", "--images"]):
        result = ae(*command, "masks.npy")
        assert result.exit_code == 1
        assert "masks.npy: values from 0 to 1 are in units of [0, 1], the run was trained on [0, 255]" in result.stderr
