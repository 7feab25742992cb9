"""Optimizers and step sizes: known answers, and which weights Muon takes."""

import numpy as np
import pytest

from aecli.models.backend import keras
from aecli.runs.config_file import load_config
from aecli.training.engines.optimizer import make_optimizer
from aecli.training.engines.schedule import make_rate

IMAGES = 1000
SMALL = ("model.hidden=[12, 9]", "model.latent_dim=4", "training.batch_size=100", "training.epochs=10")


def training_of(*overrides):
    return load_config(None, (*SMALL, *overrides)).config.training


def rates(*overrides, first=0, last=100):
    """The learning rates of steps, of which an epoch has ten."""
    rate = make_rate(training_of("training.learning_rate=2", *overrides), IMAGES)
    return [float(rate if isinstance(rate, float) else rate(step)) for step in range(first, last)]


def optimizer_of(*overrides):
    config = load_config(None, (*SMALL, *overrides)).config
    network = config.model.build((8, 8, 1), 0)
    return network, make_optimizer(config.training, IMAGES, network)


def step_of(*overrides, gradient=None, index=0):
    """How far one step moves a variable with this gradient, the others having none."""
    network, optimizer = optimizer_of("training.learning_rate=0.1", *overrides)
    variables = network.model.trainable_variables
    gradients = [np.zeros(v.shape, np.float32) for v in variables]
    if gradient is not None:
        gradients[index] = gradient
    before = keras.ops.convert_to_numpy(variables[index])
    optimizer.apply(gradients, variables)
    return keras.ops.convert_to_numpy(variables[index]) - before


def test_the_rate_warms_up_in_a_line_and_is_then_constant():
    warmed = rates("training.warmup=0.5")
    np.testing.assert_allclose(warmed[:5], [0.4, 0.8, 1.2, 1.6, 2.0])
    assert set(warmed[5:]) == {2.0}


def test_a_cosine_falls_over_the_steps_that_warm_up_leaves():
    cosine = rates("training.warmup=2", "training.schedule=cosine", last=101)
    np.testing.assert_allclose(cosine[:20], np.arange(1, 21) / 10, rtol=1e-6)
    np.testing.assert_allclose(cosine[20:], 1 + np.cos(np.pi * np.arange(81) / 80), atol=1e-6)


def test_a_cosine_without_warm_up_is_keras_own():
    rate = make_rate(training_of("training.schedule=cosine"), IMAGES)
    assert type(rate) is keras.optimizers.schedules.CosineDecay
    assert make_rate(training_of(), IMAGES) == 1e-3


@pytest.mark.parametrize(("tail", "steps"), [(0.2, 20), (1.0, 100), (0.001, 1)])
def test_a_linear_tail_is_constant_and_then_falls_to_zero_in_a_line(tail, steps):
    tailed = rates("training.schedule=linear_tail", f"training.tail={tail}", last=102)
    assert set(tailed[: 100 - steps]) <= {2.0}
    np.testing.assert_allclose(tailed[100 - steps : 100], 2 * np.arange(steps, 0, -1) / steps, rtol=1e-5)
    assert tailed[100:] == [0, 0]


def test_warm_up_and_tail_may_meet():
    met = rates("training.warmup=9", "training.schedule=linear_tail", "training.tail=0.5")
    assert max(met) < 2
    assert min(met) > 0
    assert np.sign(np.diff(met)).tolist() == sorted(np.sign(np.diff(met)), reverse=True)


@pytest.mark.parametrize(
    ("overrides", "taken"),
    [
        ((), ["encoder_2/kernel", "latents/kernel", "decoder_1/kernel", "decoder_2/kernel"]),
        (("model.family=conv", "model.channels=[4]", "model.latent_dim=4"), []),
    ],
    ids=["dense", "convolutional"],
)
def test_muon_takes_the_matrices_between_hidden_layers(overrides, taken):
    overrides = [o for o in (*SMALL, *overrides) if not (overrides and o.startswith("model.hidden"))]
    config = load_config(None, (*overrides, "training.optimizer=muon")).config
    network = config.model.build((8, 8, 1), 0)
    optimizer = make_optimizer(config.training, IMAGES, network)
    variables = network.model.trainable_variables
    by_muon = [v for v, velocity in zip(variables, optimizer.adam_velocities, strict=True) if velocity is None]
    hidden = [layer.kernel for layer in network.layers[1:-1] if len(layer.kernel.shape) == 2]
    assert [v.path for v in by_muon] == [v.path for v in hidden]
    if taken:
        assert len(by_muon) == len(taken)


def test_muon_takes_every_matrix_where_it_is_told_to():
    network, optimizer = optimizer_of("training.optimizer={name: muon, hidden_only: false}")
    pairs = zip(network.model.trainable_variables, optimizer.adam_velocities, strict=True)
    assert all((velocity is None) == (len(variable.shape) == 2) for variable, velocity in pairs)


def test_a_step_of_muon_is_nearly_orthogonal_and_as_long_as_one_of_adam():
    """Its singular values are near 1 whatever those of the gradient; scaled by 0.2 sqrt(longer side) (Liu et al.)."""
    network, _ = optimizer_of()
    index = next(i for i, v in enumerate(network.model.trainable_variables) if v is network.layers[1].kernel)
    gradient = np.random.default_rng(0).normal(size=(12, 9)).astype(np.float32) * np.geomspace(1, 30, 9, dtype="f4")
    step = step_of("training.optimizer={name: muon, weight_decay: 0}", gradient=gradient, index=index)
    values = np.linalg.svd(step / (0.1 * 0.2 * np.sqrt(12)), compute_uv=False)
    assert np.all((values > 0.6) & (values < 1.3))
    assert np.sum(step * gradient) < 0


def test_a_step_of_lion_has_the_length_of_the_rate_everywhere():
    gradient = np.random.default_rng(0).normal(size=(64, 12)).astype(np.float32) * 100
    np.testing.assert_allclose(
        step_of("training.optimizer=lion", gradient=gradient), -0.1 * np.sign(gradient), rtol=1e-5
    )


@pytest.mark.parametrize("clipnorm", [0.5, 1e9])
def test_clipnorm_shortens_the_gradient_of_all_weights_together(clipnorm):
    network, optimizer = optimizer_of(
        "training.optimizer=sgd", f"training.clipnorm={clipnorm}", "training.learning_rate=0.1"
    )
    variables = network.model.trainable_variables
    before = [keras.ops.convert_to_numpy(v) for v in variables]
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=v.shape).astype(np.float32) for v in variables]
    length = np.sqrt(sum(np.square(g).sum() for g in gradients))
    optimizer.apply(gradients, variables)
    for variable, was, gradient in zip(variables, before, gradients, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(variable) - was, -0.1 * gradient * min(1, clipnorm / length), atol=1e-6
        )
