"""What must be true of every model family and of every activation inside one."""

import numpy as np
import pytest

from aecli.models.activations import ACTIVATIONS
from aecli.models.backend import keras
from aecli.models.families import FAMILIES
from aecli.models.layers import predict
from aecli.runs.config_file import load_config
from tests.conftest import PLAIN

SHAPES = [(8, 8, 1), (5, 7, 3)]


def build(*overrides, shape=(8, 8, 1), seed=0):
    return load_config(None, overrides).config.model.build(shape, seed)


def sized(family, *widths):
    """Return the override for these hidden layers, nothing for a family that has none to choose."""
    return (f"model.hidden={[*widths]}",) if "hidden" in FAMILIES[family].model_fields else ()


def images(shape=(8, 8, 1), count=3):
    return np.random.default_rng(0).random((count, *shape), np.float32)


def weights(autoencoder):
    return [w.numpy() for w in autoencoder.model.trainable_variables]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_images_become_latents_become_images(family, shape):
    autoencoder = build(f"model.family={family}", *sized(family, 9), "model.latent_dim=4", shape=shape)
    latents = predict(autoencoder.encoder, images(shape))
    assert latents.shape == (3, 4)
    assert predict(autoencoder.decoder, latents).shape == (3, *shape)


@pytest.mark.parametrize("path", ["none", "auto"])
@pytest.mark.parametrize("activation", ["relu", "prelu"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_number_of_weights_is_known_before_the_network_is_built(family, activation, path):
    sets = (f"model.family={family}", f"model.activation={activation}", *sized(family, 9, 7), "model.latent_dim=4")
    sets = (*sets, f"model.linear_path={path}")
    expected = build(*sets, shape=(5, 7, 3)).model.count_params()
    assert load_config(None, sets).config.model.parameter_count((5, 7, 3)) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_the_decoder_after_the_encoder(family):
    autoencoder = build(f"model.family={family}")
    expected = predict(autoencoder.decoder, predict(autoencoder.encoder, images()))
    np.testing.assert_array_equal(predict(autoencoder.model, images()), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_initial_weights_are_a_function_of_the_seed(family):
    first, again, other = (weights(build(f"model.family={family}", *sized(family, 9), seed=s)) for s in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_no_two_layers_start_from_the_same_numbers():
    autoencoder = build(*PLAIN, "model.hidden=[64]", "model.latent_dim=64")
    kernels = [w for w in weights(autoencoder) if w.ndim == 2]
    assert len({w.tobytes() for w in kernels}) == len(kernels) == 4


def test_the_decoder_mirrors_the_encoder():
    autoencoder = build(*PLAIN, "model.hidden=[20, 10]", "model.latent_dim=5")
    assert [w.shape for w in weights(autoencoder) if w.ndim == 2] == [
        (64, 20),
        (20, 10),
        (10, 5),
        (5, 10),
        (10, 20),
        (20, 64),
    ]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_trains_and_saves(name, tmp_path):
    autoencoder = build(*PLAIN, f"model.activation={name}", "model.hidden=[6]", "model.latent_dim=4")
    autoencoder.model.compile("sgd", "mse")
    before = weights(autoencoder)
    autoencoder.model.train_on_batch(images(), images())
    assert any(not np.array_equal(a, b) for a, b in zip(before, weights(autoencoder), strict=True))

    autoencoder.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(predict(loaded, images()), predict(autoencoder.model, images()))


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("relu", 2 / 64), ("selu", 1 / 64), ("tanh", 2 / (64 + 400))],
    ids=["He", "LeCun", "Glorot"],
)
def test_matched_initialisation_has_the_variance_of_its_activation(activation, expected):
    kernel = weights(build(*PLAIN, f"model.activation={activation}", "model.latent_dim=400"))[0]
    assert kernel.var() == pytest.approx(expected, rel=0.05)


def test_an_initializer_by_name_is_used_everywhere():
    sets = ("model.activation=relu", "model.latent_dim=400", "model.initializer=glorot_uniform")
    kernel = weights(build(*PLAIN, *sets))[0]
    assert kernel.var() == pytest.approx(2 / (64 + 400), rel=0.05)


def test_every_initializer_name_is_one_of_keras():
    from typing import get_args

    from aecli.models.family import Initializer

    for name in set(get_args(Initializer)) - {"matched"}:
        assert keras.initializers.get(name) is not None


def test_every_optimizer_and_its_settings_are_those_of_keras():
    from aecli.runs.config import OPTIMIZERS

    for optimizer in OPTIMIZERS.values():
        settings = {key: value for key, value in optimizer.parameters.items() if key != "hidden_only"}  # our own
        made = getattr(keras.optimizers, optimizer.keras_class)(**settings).get_config()
        assert {key: made[key] for key in settings} == pytest.approx(settings)


def test_dropout_comes_after_hidden_layers_and_the_code_and_never_at_the_end():
    autoencoder = build("model.hidden=[6]", "model.dropout=0.5")
    for part, count in ((autoencoder.encoder, 2), (autoencoder.decoder, 1)):
        assert sum(isinstance(layer, keras.layers.Dropout) for layer in part.layers) == count


def test_dropout_is_off_outside_training():
    autoencoder = build("model.dropout=0.5")
    np.testing.assert_array_equal(predict(autoencoder.model, images()), predict(autoencoder.model, images()))


def test_weight_penalties_are_the_sums_they_say():
    autoencoder = build(*PLAIN, "model.l1=0.5", "model.l2=0.25")
    kernels = [w for w in weights(autoencoder) if w.ndim == 2]
    expected = sum(0.5 * np.abs(w).sum() + 0.25 * (w**2).sum() for w in kernels)
    assert sum(float(loss) for loss in autoencoder.model.losses) == pytest.approx(expected, rel=1e-5)


STOCK = ["leaky_relu", "elu", "prelu", "gelu", "silu"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The activations whose saved models load in a process that has nothing but Keras."""
    from tests.conftest import python

    folder = tmp_path_factory.mktemp("saved")
    for name in STOCK:
        build(*PLAIN, f"model.activation={name}").model.save(folder / f"{name}.keras")
    code = "import sys, keras\nfor path in sys.argv[1:]: keras.models.load_model(path); print('loaded', path)"
    done = python(code, *(str(folder / f"{name}.keras") for name in STOCK))
    return [line.rpartition("/")[2].removesuffix(".keras") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", STOCK)
def test_a_saved_model_loads_in_keras_alone(name, loaded):
    assert name in loaded


def test_mixed_precision_computes_in_bfloat16_and_keeps_weights_and_output_in_float32():
    from aecli.models.layers import computing_in

    with computing_in("mixed"):
        model = build("model.hidden=[9]", "model.latent_dim=4").model
    assert {w.dtype for w in model.trainable_variables} == {"float32"}
    encoder, decoder = (model.get_layer(name) for name in ("encoder", "decoder"))
    assert encoder.get_layer("encoder_0").compute_dtype == "bfloat16"
    assert decoder.get_layer("decoder_1").compute_dtype == "float32"
    assert model.output.dtype == "float32"
    expected = predict(build("model.hidden=[9]", "model.latent_dim=4").model, images())
    np.testing.assert_allclose(predict(model, images()), expected, atol=0.02)
