"""Convolutional networks are trained, resumed, verified, streamed, compared, measured and drawn as dense ones are."""

import csv
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import AeError, ConfigError
from aecli.models.backend import keras
from aecli.models.layers import predict
from aecli.runs.config_file import change_config, load_config
from aecli.runs.model import load_model
from aecli.runs.onnx_check import read_graph
from aecli.runs.uses.latents import dead_latents_note
from aecli.training import prepare as prepare_module
from aecli.training.artifacts import FULL
from aecli.training.check.checking import check
from aecli.training.prepare import open_data, prepare
from aecli.training.progress import NullProgress
from aecli.training.start import fit_split, start_of
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
        (
            "training.optimizer={name: muon, hidden_only: false}",
            "training.ema=0.9",
            "training.warmup=0.5",
            "training.clipnorm=0.5",
        ),
    ],
    ids=[
        "dropout, penalties, slopes",
        "augmented, corrupted, group norm",
        "transposed, early stopping",
        "muon, averaged",
    ],
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
    from aecli.models.linear.start import Start
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
            step = compile_model(prepared, Start(), engine, print).step
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


def test_a_network_whose_files_could_not_be_used_is_refused_before_it_trains(monkeypatch):
    from aecli.runs import onnx_check

    monkeypatch.setattr(onnx_check, "_ALWAYS", 1)
    monkeypatch.setattr(onnx_check, "_TIMES", 1)
    with pytest.raises(
        AeError, match=r"^model: its files could not be used \(.* grow beyond .*\): set fewer model.chann"
    ):
        run_of(*VECTOR)
    assert not Path("runs/conv").exists()


def test_what_it_costs_is_known_before():
    found = {finding.name: finding for finding in check(load_config(None, MAP).config).findings}
    assert found["memory"].data["weights"] == load_config(None, MAP).config.model.parameter_count((*SHAPE, 1))
    assert found["time"].data["seconds_per_epoch"] > 0
    assert found["compression"].text.startswith("model.latent_channels 2 (a code of 40): 63 values become 40")


# -- a linear path --------------------------------------------------------------------------------


ROUNDING = 1e-12
"""What is left of images that a code gives back whole: the maps have more values than these images directions."""


def begun_at(sets):
    """Return the linear code that a training begins at, and how long its codes are."""
    config = load_config(None, sets).config
    prepared = prepare(config, *open_data(config), NullProgress())
    return start_of(prepared, fit_split(prepared).codes).code, prepared.code_length


def path_weights(run):
    """Return the kernel and the bias of both layers of a trained path."""
    model = keras.models.load_model(run.model_file)
    return [
        weights
        for half in ("encoder", "decoder")
        for weights in model.get_layer(half).get_layer(f"linear_{half}").get_weights()
    ]


def errors(run):
    return {name: row["mse"] for name, row in run.metrics["splits"]["validation"].items() if isinstance(row, dict)}


PATHS = {
    "vector": VECTOR,
    "map, shuffle": (*MAP, "model.upsampling=shuffle", "model.norm=group", "model.activation=silu"),
    "two levels, transposed, tanh": (
        *VECTOR, "model.channels=[4, 6]", "model.convs=2", "model.upsampling=transposed",
        "model.output_activation=tanh", "model.activation=prelu",
    ),
    "relu output, cosines": (*VECTOR, "model.output_activation=relu", "model.linear_path=dct"),
}  # fmt: skip


@pytest.mark.parametrize("sets", PATHS.values(), ids=PATHS)
def test_a_path_stays_and_the_run_is_no_worse_than_it(sets):
    run, (code, length) = run_of(*sets), begun_at(sets)
    for trained, fitted in zip(path_weights(run), (*code.encoder(length), *code.decoder(length)), strict=True):
        np.testing.assert_array_equal(trained, fitted)
    found = errors(run)
    if "model.linear_path=dct" not in sets:
        assert found["model"] <= min(found.get("best_linear", 1), found["pca"]) * (1 + 1e-5) + ROUNDING

    model, images = load_model(run), run.image_format.to_contract(np.load("images.npy"))
    whole = keras.models.load_model(run.model_file)
    latents = model.encode(images)
    np.testing.assert_allclose(latents, predict(whole.get_layer("encoder"), images), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.decode(latents), predict(whole.get_layer("decoder"), latents), atol=1e-5)
    for file in (run.encoder_file, run.decoder_file):
        assert read_graph(file).largest >= 9 * 7


@pytest.mark.long
@pytest.mark.parametrize("name", ["map, shuffle", "two levels, transposed, tanh"])
def test_it_resumes_to_the_bit_and_is_verified_with_a_path(name):
    whole = run_of(*PATHS[name], folder="whole")
    run_of(*PATHS[name], "training.epochs=1", folder="begun")
    gone_on = run_of(*PATHS[name], folder="begun", resume=True)
    assert gone_on.metrics["weights_sha256"] == whole.metrics["weights_sha256"]
    assert verify(gone_on, load_config(gone_on.config_file).config, NullProgress()).difference is None


@pytest.mark.parametrize("rate", ["1e-6", "1", "1e6"])
@pytest.mark.parametrize("sets", [VECTOR, MAP], ids=["vector", "map"])
def test_no_learning_rate_makes_a_run_worse_than_its_linear_code(sets, rate):
    run = run_of(*sets, f"training.learning_rate={rate}")
    found = errors(run)
    assert found["model"] <= min(found.get("best_linear", 1), found["pca"]) * (1 + 1e-5) + ROUNDING


def test_the_path_of_a_dense_network_is_learned():
    sets = ("data.train=images.npy", "model.latent_dim=5", "training.epochs=2", "training.batch_size=16")
    run, (code, length) = run_of(*sets, folder="runs/dense"), begun_at(sets)
    fitted = (*code.encoder(length), *code.decoder(length))
    assert all(not np.array_equal(a, b) for a, b in zip(path_weights(run), fitted, strict=True))
    found = errors(run)
    assert found["model"] <= min(found.get("best_linear", 1), found["pca"]) * (1 + 1e-5) + ROUNDING


def test_latents_beyond_the_directions_of_the_images_are_dead_until_they_are_learned():
    shades = np.random.default_rng(0).integers(0, 256, (90, 1, 1)).astype(np.uint8)
    np.save("images.npy", np.tile(shades, (1, *SHAPE)))  # one direction: from black to white
    sets = (*VECTOR, "model.linear_path=pca")
    run = run_of(*sets, "training.learning_rate=1e6")  # so that the first weights are kept
    assert run.metrics["dead_latents"] == [1, 2, 3, 4]
    assert np.abs(load_model(run).encode(run.image_format.to_contract(np.load("images.npy")))).max() < 10
    assert dead_latents_note(run) == (
        "4 of 5 latents do not vary over the validation images (1, 2, 3, 4): they carry nothing: "
        "a smaller model.latent_dim loses nothing"
    )


def test_the_note_of_dead_latents_counts_those_of_a_map():
    np.save("images.npy", np.full((30, *SHAPE), 7, np.uint8))
    note = dead_latents_note(run_of(*MAP, "training.epochs=1"))
    assert note.startswith("40 of 40 latents do not vary over the validation images (0, 1, ")
    assert note.endswith("a smaller model.latent_channels loses nothing")


class Notes(NullProgress):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


@pytest.mark.parametrize("sets", [VECTOR, MAP, ("data.train=images.npy", "model.latent_dim=5")], ids=["vector", "map", "dense"])  # fmt: skip
def test_a_path_that_is_too_large_is_left_out_unless_it_is_asked_for(sets, monkeypatch):
    config = load_config(None, sets).config
    weights = config.model.path_weights((*SHAPE, 1))
    length = config.model.code_length((*SHAPE, 1))
    assert weights == length * 63 * 2 + length + 63
    for largest, kind, left in ((weights, "auto", True), (weights - 1, "auto", False), (1, "pca", True)):
        monkeypatch.setattr(prepare_module, "LARGEST_PATH", largest)
        asked, notes = change_config(config, {"model.linear_path": kind}, "here"), Notes()
        model = prepare(asked, *open_data(asked), notes).model
        assert (model.path != "none") == left
        about = [line for line in notes.lines if line.startswith("model.linear_path: none, since a linear code of ")]
        assert len(about) == (not left)
        plain = change_config(asked, {"model.linear_path": "none"}, "here").model
        assert model.model_copy(update={"linear_path": "none"}) == plain


def test_a_run_without_the_path_that_was_too_large_is_complete(monkeypatch):
    monkeypatch.setattr(prepare_module, "LARGEST_PATH", 1)
    notes = Notes()
    run = run_of(*VECTOR, progress=notes)
    assert sum(line.startswith("model.linear_path: none") for line in notes.lines) == 1
    assert load_config(run.config_file).config.model.linear_path == "auto"
    names = [layer.name for layer in keras.models.load_model(run.model_file).get_layer("encoder").layers]
    assert "encoder_0" in names
    assert "linear_encoder" not in names
    assert verify(run, load_config(run.config_file).config, NullProgress()).difference is None
