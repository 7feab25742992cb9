"""The health of activations: known answers on networks made sick on purpose."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli.runs.config_file import load_config
from aecli.runs.diagnosis import diagnosis
from aecli.runs.records import LayerHealth, health_from_csv, health_to_csv
from aecli.training.engines.tensorflow.health import HealthProbe
from aecli.training.progress import NullProgress
from aecli.training.trainer import train
from tests.conftest import PLAIN

IMAGES = np.random.default_rng(0).random((50, 3, 4, 1), np.float32)


def build(*overrides):
    return load_config(None, (*PLAIN, "model.latent_dim=8", *overrides)).config.model.build((3, 4, 1), 0)


OBJECTIVE = load_config(None).config.model.objective("mse")


def probe(autoencoder):
    return HealthProbe(autoencoder, OBJECTIVE).measure(1, IMAGES).layers


def test_units_that_never_answer_are_dead():
    autoencoder = build("model.activation=relu")
    autoencoder.layers[0].layer.bias.assign([-100.0] * 3 + [1.0] * 5)
    code, output = probe(autoencoder)
    assert code.dead == pytest.approx(3 / 8)
    assert output.dead == 0
    assert code.saturated is None


def test_outputs_at_their_bounds_are_saturated():
    autoencoder = build("model.activation=tanh")
    assert probe(autoencoder)[0].saturated < 0.5
    autoencoder.layers[0].layer.bias.assign([100.0] * 4 + [-100.0] * 2 + [0.0] * 2)
    code, _ = probe(autoencoder)
    assert 6 / 8 <= code.saturated <= 1
    assert code.dead == pytest.approx(6 / 8)


def test_prelu_tells_its_mean_slope():
    autoencoder = build("model.activation=prelu")
    autoencoder.layers[0].activation.alpha.assign(np.linspace(0, 0.7, 8))
    code, output = probe(autoencoder)
    assert code.slope == pytest.approx(0.35)
    assert output.slope is None


def test_the_norms_are_those_of_the_weights_and_of_the_gradient():
    autoencoder = build("model.activation=linear", "model.output_activation=linear")
    x = IMAGES.reshape(50, 12).astype(np.float64)
    w, v = (layer.kernel.numpy().astype(np.float64) for layer in autoencoder.layers)
    residual = 2 * (x @ w @ v - x) / x.size
    code, output = probe(autoencoder)
    assert code.weight_norm == pytest.approx(np.linalg.norm(w), rel=1e-5)
    assert code.gradient_norm == pytest.approx(np.linalg.norm(x.T @ residual @ v.T), rel=1e-4)
    assert output.gradient_norm == pytest.approx(np.linalg.norm((x @ w).T @ residual), rel=1e-4)


def test_looking_changes_nothing():
    autoencoder = build("model.dropout=0.5", "model.hidden=[9]")
    before = [v.numpy() for v in autoencoder.model.variables]
    assert probe(autoencoder) == probe(autoencoder)
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, autoencoder.model.variables, strict=True))


def test_a_network_that_answers_with_the_mean_image_has_an_fvu_of_one():
    autoencoder = build("model.output_activation=linear")
    dense = autoencoder.layers[1].layer
    dense.kernel.assign(np.zeros(dense.kernel.shape))
    dense.bias.assign(IMAGES.mean(axis=0).ravel())
    assert HealthProbe(autoencoder, OBJECTIVE).measure(1, IMAGES).fvu == pytest.approx(1, rel=1e-5)


class Hearing(NullProgress):
    def __init__(self):
        self.collapses = []

    def collapsed(self, record, reason):
        self.collapses.append((record.epoch, reason))


def test_a_training_that_learns_nothing_is_named_while_it_runs_and_at_its_end():
    dead = ["model.activation={name: threshold, threshold: 1000000, default_value: 0}", "training.batch_size=512"]
    hearing = Hearing()
    train(load_config(None, (*PLAIN, *dead, "training.epochs=5")).config, Path("dead"), progress=hearing)
    assert hearing.collapses == [(n, "100% of the threshold units of encoder_0 are dead") for n in (3, 5)]


def test_a_training_that_learns_is_not_called_collapsed():
    hearing = Hearing()
    well = ["model.activation=linear", "training.learning_rate=1e-2", "training.epochs=4"]
    train(load_config(None, (*PLAIN, *well)).config, Path("well"), progress=hearing)
    assert hearing.collapses == []


def record(**changes):
    well = LayerHealth(1, "encoder_0", "relu", 8, 0.25, None, None, gradient_norm=0.125, weight_norm=2.5)
    return replace(well, **changes)


def test_records_survive_csv():
    records = [record(), record(epoch=2, activation="prelu", slope=0.25), record(activation="sigmoid", saturated=0.5)]
    assert health_from_csv(health_to_csv(records)) == records


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dead": 0.9}, "90% of the relu units of encoder_0 are dead"),
        ({"activation": "sigmoid", "saturated": 0.8}, "80% of the sigmoid outputs of encoder_0 are saturated"),
        ({"gradient_norm": 1e-9}, "no gradient reaches encoder_0 (norm 1.0e-09)"),
        ({}, None),
    ],
)
def test_a_diagnosis_names_the_sick_layer_of_the_last_epoch(changes, reason):
    # An output that is black and white is no illness, nor is what an earlier epoch had.
    output = record(epoch=2, layer="decoder_0", activation="sigmoid", saturated=0.9)
    assert diagnosis([record(dead=1.0), record(epoch=2, **changes), output]) == reason


def test_every_run_keeps_the_health_of_every_epoch_and_layer(trained):
    layers = [(r.epoch, r.layer) for r in trained.health]
    names = ["encoder_0", "encoder_1", "decoder_0", "decoder_1"]
    assert layers == [(epoch, name) for epoch in (1, 2, 3) for name in names]
