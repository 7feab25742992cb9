"""The table of activations against Keras, against its own claims, and against published values."""

import math

import numpy as np
import pytest

from aecli.core.schema import Choice, parse_choice
from aecli.models.activations import ACTIVATIONS, ALIASES, REFUSED, find_activation

X = np.linspace(-8, 8, 641).astype(np.float32).reshape(1, -1)
NAMESPACE = {**vars(np), "erf": np.vectorize(math.erf)}


def choice(name: str) -> Choice:
    return parse_choice(name, find_activation)


def formula(name: str, x: np.ndarray) -> np.ndarray:
    row = find_activation(name)
    return np.asarray(eval(row.formula, NAMESPACE, {"x": x, **row.parameters}))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_keras_computes_the_formula(name):
    from aecli.models.layers import activation_layer

    keras_values = np.asarray(activation_layer(choice(name))(X))
    np.testing.assert_allclose(keras_values, formula(name, X.astype(np.float64)), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_output_stays_in_the_stated_range_and_comes_near_its_ends(name):
    row = ACTIVATIONS[name]
    low, high = row.output_range(row.parameters)
    values = formula(name, np.linspace(-30, 30, 60001))
    assert values.min() >= low - 1e-4
    assert values.max() <= high + 1e-4
    assert low == -math.inf or values.min() <= low + 0.05
    assert high == math.inf or values.max() >= high - 0.05


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_unbounded_ends_are_really_unbounded(name):
    row = ACTIVATIONS[name]
    low, high = row.output_range(row.parameters)
    values = formula(name, np.array([-200.0, 200.0]))
    assert low != -math.inf or values.min() < -30
    assert high != math.inf or values.max() > 30


def test_every_activation_of_keras_is_in_the_table_or_refused_with_a_reason():
    from aecli.models.backend import keras

    functions = {n for n in dir(keras.activations) if not n.startswith("_")} - {
        "get",
        "serialize",
        "deserialize",
    }
    assert functions <= set(ACTIVATIONS) | set(ALIASES) | set(REFUSED)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("selu", -1e9, -1.7581),  # Klambauer et al. 2017: -lambda * alpha
        ("gelu", 1.0, 0.8413),  # Hendrycks & Gimpel 2016: x * Phi(x), Phi(1) = 0.8413
        ("silu", 1.0, 0.7311),  # Elfwing et al. 2018: x * sigmoid(x)
        ("leaky_relu", -1.0, -0.2),
        ("prelu", -1.0, -0.25),  # He et al. 2015: the slope starts at 0.25
        ("hard_sigmoid", 0.0, 0.5),
    ],
)
def test_known_values(name, x, expected):
    assert formula(name, np.array(x)) == pytest.approx(expected, abs=1e-4)


def test_parameters_change_the_bound():
    assert find_activation("elu").output_range({"alpha": 2.0})[0] == -2.0


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'sigmoid'"):
        find_activation("sigmoyd")


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_name_gets_the_reason(name):
    with pytest.raises(ValueError, match="cannot be used here: it"):
        find_activation(name)
