"""Images of any size, channels and units, from the file through a run and back."""

from pathlib import Path

import numpy as np
import pytest

from aecli.runs.config_file import load_config
from aecli.training.trainer import Trainer
from aecli.views import plots

GREY = np.random.default_rng(0).random((30, 9, 7))
CASES = {
    "a single pixel": (GREY[:, :1, :1], ()),
    "a column": ((255 * GREY[:, :, :1]).astype(np.uint8), ()),
    "two channels": (GREY[:, :8].reshape(30, 4, 7, 2), ()),
    "colour with alpha": ((255 * GREY[:, :8]).astype(np.uint8).reshape(30, 7, 2, 4), ()),
    "five channels": (GREY[:, :, :5].reshape(30, 9, 1, 5), ()),
    "flat colour": ((255 * GREY[:, :8, :6]).astype(np.uint8).reshape(30, 48), ("data.image_shape=[8, 2, 3]",)),
    "16 bits": ((65535 * GREY).astype(">u2"), ()),
    "12 bits": ((4095 * GREY).astype("<u2"), ()),
    "from -1 to 1": ((2 * GREY - 1).astype(np.float32), ()),
    "floats to 255": (255 * GREY, ()),
    "heights in metres": (1200 * GREY - 3.5, ()),
    "volts": (1e-6 * GREY, ()),
    "signed": ((4000 * GREY - 1000).astype(np.int16), ()),
    "black or white": (GREY > 0.5, ()),
}


@pytest.fixture(scope="module")
def trainer():
    return Trainer()


@pytest.mark.parametrize("name", CASES)
def test_what_goes_in_comes_back_in_its_own_shape_type_and_units(name, trainer, ae):
    images, overrides = CASES[name]
    np.save("images.npy", images)
    keys = ("data.train=images.npy", "training.epochs=2", "model.latent_dim=2", *overrides)
    run = trainer.train(load_config(None, keys).config, Path("runs/any"))
    assert ae("reconstruct", "images.npy").exit_code == 0
    back = np.load("images_reconstructed.npy")
    assert (back.shape, back.dtype) == (images.shape, images.dtype)
    low, high = run.image_format.value_range
    error = (((back.astype(float) - images.astype(float)) / (high - low)) ** 2).reshape(30, -1).mean(axis=1)
    measured = run.metrics["splits"]["validation"]["model"]
    if images.dtype != bool:
        assert error[run.split.validation].mean() == pytest.approx(measured["mse"], rel=0.02)
    assert measured["fvu"] < 3  # in the units of the contract: no range that turns them into one grey
    assert plots.reconstructions(plots.open_context(run, None)).axes


@pytest.mark.parametrize(("channels", "drawn"), [(1, (4, 5)), (2, (4, 5)), (3, (4, 5, 3)), (4, (4, 5, 3))])
def test_three_channels_are_drawn_as_colour_and_fewer_as_grey(channels, drawn):
    from aecli.views.mosaic import image_pixels

    image = np.random.default_rng(0).random((4, 5, channels), np.float32)
    assert image_pixels(image)["X"].shape == drawn
    if channels >= 3:
        np.testing.assert_array_equal(image_pixels(image)["X"], image[:, :, :3])
