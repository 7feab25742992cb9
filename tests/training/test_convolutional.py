"""Convolutional networks are trained, resumed, verified, streamed, compared, measured and drawn as dense ones are."""

import csv
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import AeError, ConfigError
from aecli.models.backend import keras
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.training.artifacts import FULL
from aecli.training.check.checking import check
from aecli.training.progress import NullProgress
from aecli.training.trainer import train
from aecli.training.verify import verify
from aecli.views.filters import filters, first_weights, last_weights
from aecli.views.plots import draw_plots
from tests.test_seam_executor import study_of

TINY = (
    "data.train=images.npy", "model.family=conv", "model.channels=[4]", "model.convs=1", "training.epochs=2",
    "training.batch_size=16", "training.learning_rate=0.01",
)  # fmt: skip
VECTOR, MAP = (*TINY, "model.latent_dim=5"), (*TINY, "model.latent_channels=2")
SHAPE = (9, 7)


@pytest.fixture(autouse=True)
def _images(tmp_path, monkeypatch):
    """Smooth images of 9 x 7 as ./images.npy."""
    monkeypatch.chdir(tmp_path)
    coarse = np.random.default_rng(0).integers(0, 256, (90, 3, 3)).astype(np.uint8)
    np.save("images.npy", coarse.repeat(3, axis=1).repeat(3, axis=2)[:, :, :7])


def run_of(*sets, folder="runs/conv", **options):
    return train(load_config(None, sets).config, Path(folder), **options)


@pytest.mark.parametrize("sets", [VECTOR, MAP], ids=["vector", "map"])
def test_it_trains_and_its_files_compute_what_keras_does(sets):
    run = run_of(*sets, artifacts=(*FULL, draw_plots))
    losses = [record.loss for record in run.history]
    assert losses[1] < losses[0]
    length = load_config(None, sets).config.model.code_length((*SHAPE, 1))
    assert run.metrics["pca_components"] == length
    model, images = load_model(run), run.image_format.to_contract(np.load("images.npy"))
    assert model.encode(images).shape == (90, length)
    expected = np.asarray(keras.models.load_model(run.model_file)(images))
    np.testing.assert_allclose(model.reconstruct(images), expected, atol=1e-5)
    assert (run.plots_folder / "filters.png").is_file()
    assert verify(run, load_config(run.config_file).config, NullProgress()).difference is None


@pytest.mark.parametrize(
    "extra",
    [
        ("model.dropout=0.1", "model.activity_l1=1e-4", "model.l1=1e-5", "model.activation=prelu"),
        ("data.augment={flip: horizontal, noise: 0.05}", "training.corruption={masking: 0.1}", "model.norm=group"),
        ("model.upsampling=transposed", "training.early_stopping={patience: 5}"),
    ],
    ids=["dropout, penalties, slopes", "augmented, corrupted, group norm", "transposed, early stopping"],
)
def test_it_resumes_to_the_bit(extra):
    whole = run_of(*VECTOR, *extra, folder="whole")
    run_of(*VECTOR, *extra, "training.epochs=1", folder="begun")
    gone_on = run_of(*VECTOR, *extra, folder="begun", resume=True)
    assert gone_on.metrics["weights_sha256"] == whole.metrics["weights_sha256"]
    assert [r.val_loss for r in gone_on.history] == [r.val_loss for r in whole.history]


def test_it_trains_from_a_stream():
    np.save("images.npy", np.tile(np.load("images.npy"), (180, 1, 1)))
    run = run_of(*VECTOR, "data.memory_budget=1", "training.epochs=1", "training.batch_size=256")
    assert run.state == "complete"
    assert verify(run, load_config(run.config_file).config, NullProgress()).difference is None


def test_its_loop_is_not_compiled_on_a_cpu_and_that_of_dense_is():
    from aecli.training.engines.engine import DEFAULT_ENGINE
    from aecli.training.network import compile_model
    from aecli.training.prepare import open_data, prepare

    compiled = {}
    for family in ("conv", "dense"):
        config = load_config(None, ("data.train=images.npy", f"model.family={family}", "model.latent_dim=5")).config
        config = load_config(None, VECTOR).config if family == "conv" else config
        prepared = prepare(config, *open_data(config), NullProgress())
        engine = DEFAULT_ENGINE.load()
        with engine.devices("cpu"):
            step = compile_model(prepared, engine, print).step
        compiled[family] = step._train_steps._jit_compile
    assert compiled == {"conv": False, "dense": True}


def test_a_channel_is_dead_where_it_is_the_same_at_every_place_of_every_image():
    import tensorflow as tf

    from aecli.training.engines.tensorflow.health import _dead

    output = np.zeros((3, 4, 5, 4), np.float32)
    output[1, 2, 3, 0] = 1  # alive at one place of one image
    output[..., 1] = np.arange(5)  # the same in every image, but not at every place
    output[..., 2] = 7
    assert float(_dead(tf.constant(output))) == 0.5


def test_health_is_measured_on_fewer_images_where_its_values_are_many(monkeypatch):
    from aecli.training.engines.tensorflow import health

    monkeypatch.setattr(health, "_MOST_BYTES", 1)
    run = run_of(*VECTOR)
    assert {layer.units for layer in run.health if layer.layer == "encoder_0"} == {4}


def test_a_study_compares_families_and_their_keys():
    study, _ = study_of(
        "data.train=images.npy", "study.vary={model.family: [dense, conv]}", "study.seeds=1", "training.epochs=1"
    )  # fmt: skip
    rows = list(csv.DictReader(study.study.results_file.read_text().splitlines()))
    assert [(row["variant"], row["latent_dim"]) for row in rows] == [("family=dense", "8"), ("family=conv", "8")]


def test_a_study_compares_maps_of_several_upsamplings():
    study, _ = study_of(
        *TINY, "model.latent_dim=null", "model.latent_channels=2", "training.epochs=1", "study.seeds=1",
        "study.vary={model.upsampling: [resize, shuffle]}",
    )  # fmt: skip
    rows = list(csv.DictReader(study.study.results_file.read_text().splitlines()))
    assert [row["latent_dim"] for row in rows] == ["40", "40"]


def test_its_first_kernels_and_what_a_latent_changes_are_drawn():
    run = run_of(*VECTOR)
    assert first_weights(run.encoder_file).shape == (4, 1, 3, 3)
    assert last_weights(run.decoder_file).shape == (1, 4, 3, 3)
    looks, paints = (panel.get_suptitle() for panel in filters(run).subfigs)
    assert looks == "first layer: 4 of 4 kernels"
    assert paints == "decoder: what 1 instead of 0 changes, 5 of 5 latents"


def test_a_chunk_is_cut_by_the_largest_value_inside(monkeypatch):
    from aecli.runs import model as model_module

    run = run_of(*VECTOR)
    model = load_model(run)
    assert model.largest == (4 * 5 * 4, 4 * 10 * 8)
    images = run.image_format.to_contract(np.load("images.npy"))
    expected = model.reconstruct(images)
    monkeypatch.setattr(model_module, "_MOST_BYTES", 4 * model.largest[1] * 7)
    counted = []
    session = model.decoder.run

    class Counting:
        def run(self, names, given):
            counted.append(len(given["latents"]))
            return session(names, given)

    cut = type(model)(model.encoder, Counting(), model.image_shape, model.latent_dim, model.label, model.largest)
    np.testing.assert_allclose(cut.reconstruct(images), expected, atol=1e-6)
    assert counted == [7] * 12 + [6]


def test_it_is_checked_and_refused_before_anything_is_written():
    sets = (*TINY[:2], "model.channels=[4, 4, 4, 4, 4]")
    says = "model.channels: 5 levels, but images of 9 x 7 x 1 can be halved only 4 times: give at most 4 of them"
    with pytest.raises(ConfigError) as caught:
        run_of(*sets)
    assert list(caught.value.problems) == [says]
    assert not Path("runs").exists()
    report = check(load_config(None, sets).config)
    assert [finding.text for finding in report.findings if finding.level == "error"] == [says]
    with pytest.raises(AeError, match="a code of 64 values is longer than the 63 of an image"):
        run_of(*TINY, "model.latent_dim=64")


def test_what_it_costs_is_known_before():
    found = {finding.name: finding for finding in check(load_config(None, MAP).config).findings}
    assert found["memory"].data["weights"] == load_config(None, MAP).config.model.parameter_count((*SHAPE, 1))
    assert found["time"].data["seconds_per_epoch"] > 0
    assert found["compression"].text.startswith("model.latent_channels 2 (a code of 40): 63 values become 40")
