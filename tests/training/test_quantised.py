"""A quantised run: its codes have their levels alone, in the files too, and their bits are counted."""

from pathlib import Path

import numpy as np
import pytest

from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.training.artifacts import FULL
from aecli.training.trainer import train
from aecli.views.report.report import write_run_report

QUANTISED = ("model.code={quantised: {levels: 5}}", "model.latent_dim=8", "model.hidden=[24]", "training.epochs=3")


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    """A complete run; read it, never write to it."""
    return train(load_config(None, QUANTISED).config, tmp_path_factory.mktemp("quantised") / "run", artifacts=FULL)


def test_the_codes_of_the_exported_model_have_their_levels_alone(quantised, digits):
    latents = load_model(quantised).encode(quantised.image_format.to_contract(digits))
    assert latents.shape == (len(digits), 8)
    np.testing.assert_allclose(np.unique(latents.round(5)), [-1, -0.5, 0, 0.5, 1])


def test_the_bits_are_those_of_its_levels(quantised, ae, tmp_path):
    assert quantised.metrics["bits_per_image"] == pytest.approx(8 * np.log2(5))
    page = write_run_report(quantised, tmp_path / "page.html").read_text()
    assert "codes of 18.5754 bits" in page


def test_it_reconstructs_better_than_the_mean_image_by_far(quantised):
    rows = quantised.metrics["splits"]["validation"]
    assert rows["model"]["mse"] < 0.5 * rows["mean_image"]["mse"]


def test_training_says_how_long_the_code_is(ae):
    sets = [part for key in (*QUANTISED, "training.epochs=1") for part in ("--set", key)]
    done = ae("train", "--run", "run", *sets)
    assert done.exit_code == 0, done.output
    assert "The code of an image is 18.5754 bits long, 0.29 for each of its values." in done.stdout
    assert Path("run/decoder.onnx").is_file()


def test_samples_are_decoded_from_the_levels_alone(quantised, monkeypatch):
    from aecli.runs.model import Model
    from aecli.runs.uses.sampling.sampler import decoder_of

    decoded = []
    monkeypatch.setattr(Model, "decode", lambda _, latents: decoded.append(latents))
    decoder_of(quantised, load_model(quantised))(np.random.default_rng(0).normal(0, 1, (50, 8)))
    np.testing.assert_allclose(np.unique(decoded[0].round(5)), [-1, -0.5, 0, 0.5, 1])
