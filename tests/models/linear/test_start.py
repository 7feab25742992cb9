"""Where a network begins: activations undo their inverses, outputs begin at the mean image or at the linear code."""

import numpy as np
import pytest

from aecli.core.schema import parse_choice
from aecli.models.activations import ACTIVATIONS, find_activation
from aecli.models.families import FAMILIES
from aecli.models.layers import activation_layer, predict
from aecli.models.linear.code import LinearCode
from aecli.models.linear.path import InverseActivation
from aecli.models.linear.start import MARGINS, Start, output_bias, reachable
from aecli.runs.config_file import load_config
from tests.models.test_activations import formula

INVERTIBLE = [name for name, row in ACTIVATIONS.items() if row.inverse is not None]
every_inverse = pytest.mark.parametrize("name", INVERTIBLE)
SHAPE = (5, 4, 2)
STEEP = "{name: leaky_relu, negative_slope: 3}"


def choice(name):
    return parse_choice(name, find_activation)


def inside(name):
    """Values from 0 to 1 that the activation takes, but for the ends that it comes near to."""
    low, high = reachable(choice(name), MARGINS[-1])
    return np.linspace(max(low, 0), min(high, 1), 201, dtype=np.float32)


def mean_image():
    return np.random.default_rng(0).uniform(0.02, 0.98, SHAPE).astype(np.float32)


def linear_code(length=3):
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(mean_image().size, length)))[0].T
    return LinearCode("PCA", mean_image(), directions.astype(np.float32), np.array([0.5, 1e-3, 2], np.float32))


def build(output, start, *sets):
    keys = ("model.hidden=[6]", "model.latent_dim=3", f"model.output_activation={output}", *sets)
    return load_config(None, keys).config.model.build(SHAPE, 0, start)


@every_inverse
def test_an_activation_undoes_its_inverse(name):
    values = inside(name)
    undone = ACTIVATIONS[name].inverse.of(np, values.astype(np.float64))
    np.testing.assert_allclose(formula(name, undone), values, atol=1e-7)


@every_inverse
def test_the_layer_computes_the_inverse_and_its_activation_undoes_it(name):
    values = inside(name)[:, None]
    inverse = np.asarray(InverseActivation(name, *reachable(choice(name), MARGINS[-1]))(values))
    np.testing.assert_allclose(
        inverse, ACTIVATIONS[name].inverse.of(np, values.astype(np.float64)), rtol=5e-3, atol=1e-5
    )
    np.testing.assert_allclose(np.asarray(activation_layer(choice(name))(inverse)), values, atol=2e-6)


@every_inverse
def test_no_value_has_an_inverse_that_is_not_finite(name):
    for margin in MARGINS:
        layer = InverseActivation(name, *reachable(choice(name), margin))
        assert np.isfinite(np.asarray(layer(np.array([[-3.0, 0, 1e-9, 0.5, 1, 7]], np.float32)))).all()


@every_inverse
def test_an_untrained_network_answers_a_code_of_zeros_with_the_mean_image(name):
    start = Start(mean_image())
    decoder = build(name, start, "model.linear_path=none").decoder
    np.testing.assert_allclose(predict(decoder, np.zeros((1, 3), np.float32))[0], mean_image(), atol=1e-5)
    grey = build(name, start, "model.linear_path=none", "model.output_bias=zero").decoder
    expected = float(formula(name, np.zeros(1))[0])
    np.testing.assert_allclose(predict(grey, np.zeros((1, 3), np.float32)), expected, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - set(INVERTIBLE)))
def test_without_an_inverse_the_output_begins_at_an_activation_of_zero(name):
    assert output_bias(choice(name), mean_image()) is None
    model = load_config(None, [f"model.output_activation={name}"]).config.model
    assert model.path == "none"
    assert model.first_bias(Start(mean_image())) is None


@pytest.mark.parametrize("name", [*INVERTIBLE, STEEP])
def test_a_network_begins_at_its_linear_code(name):
    images = np.random.default_rng(2).random((9, *SHAPE), np.float32)
    code = linear_code()
    begun = predict(build(name, Start(mean_image(), code, 1e-4)).model, images)
    expected = code.reconstruct(images)
    bounds = reachable(load_config(None, [f"model.output_activation={name}"]).config.model.output_activation, 1e-4)
    np.testing.assert_allclose(begun, np.clip(expected, *bounds), atol=2e-5)
    assert np.square(begun - images).mean() <= np.square(expected - images).mean() + 1e-7


def test_images_beyond_0_to_1_begin_at_their_mean_where_the_output_reaches_it():
    mean = np.array([-0.5, 0.25, 3], np.float32).reshape(1, 3, 1)
    for name in ("linear", "prelu"):
        np.testing.assert_array_equal(output_bias(choice(name), mean), mean)
    assert np.isfinite(output_bias(choice("tanh"), mean)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_start_changes_no_weights_but_those_it_is_of(family):
    """The first weights of all layers are those of the seed, wherever the output begins."""
    keys = (f"model.family={family}", "model.latent_dim=3", "model.linear_path=none")
    model = load_config(None, keys).config.model
    plain, begun = (model.build(SHAPE, 0, start).model.get_weights() for start in (None, Start(mean_image())))
    changed = [i for i, (a, b) in enumerate(zip(plain, begun, strict=True)) if not np.array_equal(a, b)]
    assert changed == [len(plain) - 1]
