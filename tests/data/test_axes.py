"""Axes of arrays: told where they look like others, read in any order that is said."""

from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import ConfigError, DataError
from aecli.data.axes import looks_like
from aecli.data.dataset import open_images, open_images_like
from aecli.data.files.open import open_source
from aecli.data.files.options import DecodeOptions
from aecli.runs.config_file import load_config

RNG = np.random.default_rng(0)


def scenes(count: int, channels: int = 1, height: int = 24, width: int = 32) -> np.ndarray:
    """Smooth images (N, H, W[, C]): a few waves each."""
    y, x = np.mgrid[:height, :width] / height
    f, p = RNG.uniform(1, 6, (2, count, channels, 1, 1)), RNG.uniform(0, 6, (2, count, channels, 1, 1))
    waves = 127 + 60 * (np.sin(f[0] * x + p[0]) + np.sin(f[1] * y + p[1]))
    images = waves.transpose(0, 2, 3, 1).astype(np.uint8)
    return images[..., 0] if channels == 1 else images


GREY, COLOR = scenes(60), scenes(60, 3)


def stored(axes: str, images: np.ndarray) -> np.ndarray:
    """Images (N, H, W[, C]) as an array of these axes."""
    own = "NHWC"[: images.ndim]
    if axes == "DN":
        return images.reshape(len(images), -1).T
    if "N" not in axes:
        images, own = images[0], own[1:]
    return images.transpose([own.index(letter) for letter in axes])


OTHERS = {"HWN": GREY, "HWCN": COLOR, "HWNC": COLOR, "CHWN": COLOR, "HWC": COLOR, "DN": scenes(50, 1, 20, 20)}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<f4"])
@pytest.mark.parametrize("axes", OTHERS)
def test_axes_that_are_others_are_found(axes, dtype, order):
    np.save("a.npy", np.asarray(stored(axes, OTHERS[axes]).astype(dtype), order=order))
    assert looks_like(open_source(Path("a.npy"))) == axes


def test_axes_as_they_should_be_are_left_alone(digits):
    arrays = (
        GREY, COLOR, scenes(60, 4), scenes(5), scenes(2000, 1, 12, 12), digits, digits[:9], digits[..., None],
        GREY.reshape(60, -1), scenes(49, 1, 28, 28).reshape(49, -1), RNG.random((40, 30, 20)), RNG.random((40, 9, 9, 3)),
        np.zeros((9, 9, 9)), np.cumsum(RNG.random((50, 10, 10)), axis=0), scenes(64, 1, 16, 16).reshape(64, -1),
    )  # fmt: skip
    for array in arrays:
        np.save("a.npy", array)
        assert looks_like(open_source(Path("a.npy"))) is None, array.shape


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("axes", [*OTHERS, "NCHW", "NHW", "NHWC", "HW", "WHN", "NWH", "ND"])
def test_an_array_is_read_by_the_axes_that_are_said(axes, order):
    images = OTHERS.get(axes, COLOR if "C" in axes else GREY)
    array = images.reshape(len(images), -1) if axes == "ND" else stored(axes, images)
    np.save("a.npy", np.asarray(array, order=order))
    file = open_source(Path("a.npy"), DecodeOptions(axes=axes))
    expected = images if "N" in axes else images[:1]
    if "D" in axes:
        expected = expected.reshape(len(expected), -1)
    np.testing.assert_array_equal(file.read(0, len(file)), expected)
    rows = np.arange(len(file))[::-3]
    np.testing.assert_array_equal(file.take(rows), expected[rows])


def test_an_npz_and_a_packed_array_have_axes_too():
    np.savez("a.npz", images=stored("HWN", GREY))
    file = open_source(Path("a.npz"), DecodeOptions(axes="HWN"))
    np.testing.assert_array_equal(file.read(3, 9), GREY[3:9])


@pytest.mark.parametrize("axes", ["", "HW N", "hwn", "HHN", "NC", "HWX", "NHWCD", "W", "3"])
def test_letters_that_name_no_images_are_refused(axes, ae):
    with pytest.raises(ConfigError) as caught:
        load_config(None, [f"data.axes='{axes}'"])
    assert "data.axes" in str(caught.value)
    assert ae("import", "a.npy", "--axes", axes).exit_code in (1, 2)


def test_axes_that_do_not_fit_are_one_line():
    np.save("a.npy", COLOR)
    with pytest.raises(DataError, match=r"a\.npy: data\.axes HWN names 3 axes, the array has 4"):
        open_images(Path("a.npy"), decoding=DecodeOptions(axes="HWN"))
    Path("p").mkdir()
    from PIL import Image

    Image.fromarray(GREY[0]).save("p/a.png")
    with pytest.raises(DataError, match="holds pictures, whose axes are known"):
        open_source(Path("p"), DecodeOptions(axes="HWN"))


def test_train_and_check_tell_and_training_with_the_axes_is_as_on_images(ae):
    np.save("m.npy", stored("HWN", GREY))
    np.save("n.npy", GREY)
    sets = ["--set", "training.epochs=1", "--set", "model.latent_dim=3", "--set", "model.hidden=[5]"]
    told = "looks like (H, W, N), and is read as 24 images of 32 x 60 x 1: set data.axes: HWN"
    assert told in ae("train", "--data", "m.npy", "--run", "runs/odd", *sets).stderr
    assert told in ae("check", "m.npy").stdout
    assert "looks like" not in ae("check", "m.npy", "--set", "data.axes=HWN").stdout
    assert ae("train", "--data", "m.npy", "--run", "runs/m", "--set", "data.axes=HWN", *sets).exit_code == 0
    assert ae("train", "--data", "n.npy", "--run", "runs/n", *sets).exit_code == 0
    first, second = (Path(f"runs/{name}/history.csv").read_text().splitlines()[1].split(",")[1:3] for name in "mn")
    assert first == second
    for images in ("m.npy", "n.npy"):
        assert ae("evaluate", images, "--run", "runs/m").exit_code == 0
    assert ae("plot", "--run", "runs/m").exit_code == 0
    assert ae("reconstruct", "m.npy", "--run", "runs/m").exit_code == 0
    assert np.load("m_reconstructed.npy").shape == GREY.shape
    assert len(open_images_like(Path("m.npy"), open_images(Path("n.npy")).format, axes="HWN")) == 60


def test_import_rearranges_once_and_for_all(ae):
    np.save("m.npy", stored("HWCN", COLOR))
    assert ae("import", "m.npy", "--axes", "HWCN", "-o", "n.npy").exit_code == 0
    np.testing.assert_array_equal(np.load("n.npy"), COLOR)
