"""The convolutional family: any size comes back as it was, its layers start well, and what cannot be is refused."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aecli.core.errors import ConfigError
from aecli.data.dataset import open_images
from aecli.models.activations import ACTIVATIONS
from aecli.models.backend import keras
from aecli.models.families import FAMILIES
from aecli.models.layers import predict
from aecli.models.linear.fit import fit_linear_codes
from aecli.models.linear.start import MARGINS, Start, reachable
from aecli.models.spatial.resizing import Doubled
from aecli.runs.config_file import change_config, load_config

UPSAMPLING = ("resize", "shuffle", "transposed")
PLAIN = ("model.family=conv", "model.channels=[4, 8]", "model.linear_path=none")
SMALL, MAP = (*PLAIN, "model.latent_dim=5"), (*PLAIN, "model.latent_channels=2")


def conv(*sets):
    return load_config(None, (*SMALL, *sets)).config.model


def images(shape, count=2):
    return np.random.default_rng(0).random((count, *shape), np.float32)


def comes_back(family, shape):
    """Require that images of a shape become codes and images of that shape; return the network."""
    network = family.build(shape, 0)
    latents = predict(network.encoder, images(shape))
    assert latents.shape == (2, family.code_length(shape))
    assert predict(network.decoder, latents).shape == (2, *shape)
    assert network.model.count_params() == family.parameter_count(shape)
    return network


# -- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("shape", [(1, 7, 1), (28, 23, 3), (35, 35, 4), (133, 200, 1), (133, 200, 4)], ids=str)
def test_every_size_comes_back_without_padding(shape, upsampling):
    comes_back(conv(f"model.upsampling={upsampling}"), shape)


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(5, 20), st.integers(1, 5)),
    channels=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    convs=st.integers(1, 3),
    code=st.sampled_from([{"latent_dim": 3}, {"latent_channels": 1}]),
    upsampling=st.sampled_from(UPSAMPLING),
    norm=st.sampled_from(["none", "group"]),
)
@settings(max_examples=25, deadline=None)
def test_any_size_comes_back(shape, channels, convs, code, upsampling, norm):
    keys = {"channels": channels, "convs": convs, "upsampling": upsampling, "norm": norm, "activation": "prelu"}
    comes_back(FAMILIES["conv"].model_validate({**keys, **code}), shape)


def test_a_map_has_a_value_of_each_channel_at_every_place_of_the_smallest_level():
    family = load_config(None, MAP).config.model
    assert family.latent_dim is None
    assert family.code_length((9, 7, 1)) == 3 * 2 * 2


def test_the_products_are_those_of_the_layers():
    family = conv("model.convs=1", "model.upsampling=transposed")
    found = [(product.rows, product.inputs, product.units) for product in family.products((9, 7, 3))]
    encoder, code = [(5 * 4, 9 * 3, 4), (3 * 2, 9 * 4, 8)], [(1, 48, 5), (1, 5, 48)]
    assert found == [*encoder, *code, (5 * 4, 4 * 8, 4), (9 * 7, 4 * 4, 4), (9 * 7, 9 * 4, 3)]


def test_doubling_is_that_of_keras_cut_to_the_size():
    x = images((5, 4, 3))
    expected = np.asarray(keras.layers.UpSampling2D(2)(x))[:, :9, :7]
    np.testing.assert_array_equal(np.asarray(Doubled(9, 7)(x)), expected)


# -- weights --------------------------------------------------------------------------------------


def kernels(network):
    return {layer.name: np.asarray(layer.kernel) for layer in network.layers}


@pytest.mark.parametrize(("upsampling", "inputs"), [("resize", 9 * 64), ("shuffle", 9 * 64), ("transposed", 4 * 64)])
def test_initial_weights_are_matched_to_what_an_output_sees(upsampling, inputs):
    sets = ("model.channels=[64]", f"model.upsampling={upsampling}", "model.convs=1", "model.latent_dim=8")
    found = kernels(conv(*sets).build((8, 8, 3), 0))
    assert found["encoder_0"].var() == pytest.approx(2 / 27, rel=0.1)
    assert found["decoder_0"].var() == pytest.approx(2 / inputs, rel=0.05)
    network = conv(*sets, "model.activation=tanh").build((8, 8, 3), 0)
    if upsampling == "resize":
        assert kernels(network)["decoder_0"].var() == pytest.approx(2 / (9 * 64 + 9 * 64), rel=0.05)


def test_a_transposed_kernel_keeps_the_variance_of_what_comes_in():
    network = conv("model.channels=[64]", "model.upsampling=transposed", "model.convs=1").build((32, 32, 1), 0)
    layer = next(watched.layer for watched in network.layers if watched.name == "decoder_0")
    x = np.random.default_rng(0).standard_normal((4, 16, 16, 64)).astype(np.float32)
    assert np.asarray(layer(x))[:, 2:-2, 2:-2].var() == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("upsampling", UPSAMPLING)
def test_every_weight_has_a_gradient_and_the_seed_decides_its_start(upsampling):
    import tensorflow as tf

    family = conv(f"model.upsampling={upsampling}", "model.norm=group", "model.activation=elu")
    network, again, other = (family.build((9, 7, 1), seed) for seed in (0, 0, 1))
    x = images((9, 7, 1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(network.model(x) - x))
    gradients = tape.gradient(loss, [weight.value for weight in network.model.trainable_variables])
    assert all(float(tf.reduce_max(tf.abs(gradient))) > 0 for gradient in gradients)
    assert network.weights_sha256() == again.weights_sha256() != other.weights_sha256()
    drawn = [kernel.tobytes() for kernel in kernels(network).values()]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_trains_and_saves(name, tmp_path):
    network = conv(f"model.activation={name}", "model.channels=[4]").build((9, 7, 1), 0)
    network.model.compile("sgd", "mse")
    before = network.weights_sha256()
    network.model.train_on_batch(images((9, 7, 1)), images((9, 7, 1)))
    assert network.weights_sha256() != before
    network.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = images((9, 7, 1))
    np.testing.assert_array_equal(predict(loaded, x), predict(network.model, x))


@pytest.mark.parametrize("upsampling", UPSAMPLING)
def test_a_saved_model_loads_beside_our_layers(upsampling, tmp_path):
    from tests.conftest import python

    network = conv(f"model.upsampling={upsampling}", "model.norm=group").build((9, 7, 1), 0)
    network.model.save(tmp_path / "model.keras")
    code = "import sys, aecli.models.layers, keras\nprint(keras.models.load_model(sys.argv[1]).count_params())"
    done = python(code, str(tmp_path / "model.keras"))
    assert done.stdout.split()[-1:] == [str(network.model.count_params())], done.stderr


def test_a_slope_is_learned_for_each_channel():
    network = conv("model.activation=prelu", "model.latent_activation=null", "model.dropout=0.2").build((9, 7, 1), 0)
    slopes = {layer.name: tuple(layer.slope.shape) for layer in network.layers if layer.slope is not None}
    assert (slopes["encoder_0"], slopes["decoder_0"]) == ((1, 1, 4), (1, 1, 4))
    assert slopes["code_0"] == (5,)


def test_penalties_and_dropout_are_those_of_dense():
    network = conv("model.l2=0.25", "model.dropout=0.2").build((9, 7, 1), 0)
    expected = sum(0.25 * (kernel**2).sum() for kernel in kernels(network).values())
    assert float(network.penalties) == pytest.approx(expected, rel=1e-5)
    counts = [
        sum(isinstance(layer, keras.layers.Dropout) for layer in half.layers)
        for half in (network.encoder, network.decoder)
    ]
    assert counts == [5, 5]  # after each layer but the last
    np.testing.assert_array_equal(predict(network.model, images((9, 7, 1))), predict(network.model, images((9, 7, 1))))


def test_the_last_layer_is_float32_in_mixed_precision():
    from aecli.models.layers import computing_in

    with computing_in("mixed"):
        network = conv("model.norm=group").build((9, 7, 1), 0)
    assert network.layers[0].layer.compute_dtype == "bfloat16"
    assert network.model.output.dtype == "float32"
    expected = predict(conv("model.norm=group").build((9, 7, 1), 0).model, images((9, 7, 1)))
    np.testing.assert_allclose(predict(network.model, images((9, 7, 1))), expected, atol=0.05)


# -- a linear path --------------------------------------------------------------------------------

CODES = [{"latent_dim": 5}, {"latent_channels": 1}]
OUTPUTS = ("linear", "sigmoid", "tanh", "relu")


def with_path(shape, **keys):
    """Return a family, its linear code of small sets of images, and the network that begins there."""
    family = FAMILIES["conv"].model_validate({"channels": [4, 8], "linear_path": "auto", **keys})
    np.save("images.npy", images(shape, 24))
    rows = np.arange(24)
    length = family.code_length(shape)
    codes = fit_linear_codes(open_images(Path("images.npy")), rows[:18], rows[18:], length)
    code = codes.best(length).code(length)
    return family, code, family.build(shape, 0, Start(codes.mean, code, MARGINS[1]))


def begins_at_its_code(shape, **keys):
    """Require that an untrained network reconstructs what its linear code does, and that its size is known."""
    family, code, network = with_path(shape, **keys)
    x = images(shape, 24)
    expected = np.clip(code.reconstruct(x), *reachable(family.output_activation, MARGINS[1]))
    np.testing.assert_allclose(predict(network.model, x), expected, atol=2e-5)
    assert network.model.count_params() == family.parameter_count(shape)


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("shape", [(1, 7, 1), (28, 23, 1), (35, 35, 3), (9, 7, 4)], ids=str)
def test_an_untrained_network_gives_what_its_linear_code_does(shape, output, code):
    upsampling = UPSAMPLING[OUTPUTS.index(output) % 3]
    begins_at_its_code(shape, upsampling=upsampling, output_activation=output, convs=1, activation="silu", **code)


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(5, 20), st.integers(1, 4)),
    channels=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    convs=st.integers(1, 2),
    code=st.sampled_from(CODES),
    upsampling=st.sampled_from(UPSAMPLING),
    norm=st.sampled_from(["none", "group"]),
    activation=st.sampled_from(["relu", "prelu", "selu", "silu", "gelu", "tanh", "threshold"]),
    output=st.sampled_from(OUTPUTS),
    kind=st.sampled_from(["auto", "pca", "dct"]),
)
@settings(max_examples=20, deadline=None)
def test_any_network_begins_at_its_linear_code(
    shape, channels, convs, code, upsampling, norm, activation, output, kind
):
    begins_at_its_code(
        shape, channels=channels, convs=convs, upsampling=upsampling, norm=norm, activation=activation,
        output_activation=output, linear_path=kind, **code,
    )  # fmt: skip


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("upsampling", UPSAMPLING)
def test_the_products_are_those_of_the_layers_beside_a_path(upsampling, code):
    shape = (8, 12, 3)
    family, _, network = with_path(shape, upsampling=upsampling, norm="group", **code)
    found = Counter((product.rows, product.inputs * product.units) for product in family.products(shape))
    expected = Counter()
    for layer in (*network.encoder.layers, *network.decoder.layers):
        if hasattr(layer, "kernel"):
            seen = 4 if isinstance(layer, keras.layers.Conv2DTranspose) else 1
            expected[int(np.prod(layer.output.shape[1:-1])), int(np.prod(layer.kernel.shape)) // seen] += 1
    assert found == expected


def test_what_a_network_learns_is_all_but_its_path():
    family, _, network = with_path((9, 7, 1), latent_dim=5)
    fixed = [weight.path for weight in network.model.non_trainable_variables]
    assert sorted({path.split("/")[-2] for path in fixed}) == ["linear_decoder", "linear_encoder"]
    assert sum(np.prod(weight.shape) for weight in network.model.non_trainable_variables) == (
        family.path_weights((9, 7, 1))
    )
    assert {watched.name for watched in network.layers} & {"linear_decoder", "linear_encoder"} == set()


def test_details_of_the_linear_image_reach_the_output():
    """A gradient comes to each weight that corrects, once the last convolutions are not 0."""
    import tensorflow as tf

    for upsampling in UPSAMPLING:
        _, _, network = with_path((9, 7, 1), latent_dim=5, upsampling=upsampling, activation="elu", norm="group")
        for layer in (*network.encoder.layers, *network.decoder.layers):
            if hasattr(layer, "kernel") and not np.asarray(layer.kernel).any():
                layer.kernel.assign(np.random.default_rng(0).normal(0, 0.1, layer.kernel.shape))
        x = images((9, 7, 1))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network.model(x) - x))
        gradients = tape.gradient(loss, [weight.value for weight in network.model.trainable_variables])
        assert all(float(tf.reduce_max(tf.abs(gradient))) > 0 for gradient in gradients)


# -- config ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (
            ("model.latent_channels=2",),
            "latent_dim 5 asks for a vector and latent_channels 2 for a map: set one of them",
        ),
        (("model.latent_dim=null",), "there is no code: set latent_dim for a vector, or latent_channels for a map"),
        (("model.channels=[]",), "model.channels"),
        (("model.convs=0",), "model.convs"),
        (("model.upsampling=bilinear",), "expected one of resize, shuffle, transposed"),
        (("model.norm=batch",), "expected one of none, group"),
    ],
)
def test_what_no_network_can_be_is_refused(sets, says):
    with pytest.raises(ConfigError) as caught:
        conv(*sets)
    [problem] = caught.value.problems
    assert says in problem


@pytest.mark.parametrize(
    ("sets", "shape", "says"),
    [
        ((), (2, 2, 1), "model.channels: 2 levels, but images of 2 x 2 x 1 can be halved only 1 time: give at most 1 of them"),
        ((), (1, 1, 3), "model.channels: images of 1 x 1 x 3 have nothing to halve: set model.family: dense"),
        (("model.latent_dim=70",), (9, 7, 1),
         "model.latent_dim: a code of 70 values is longer than the 63 of an image: set a smaller one"),
        (("model.latent_dim=null", "model.latent_channels=20"), (9, 7, 1),
         "model.latent_channels: a code of 120 values is longer than the 63 of an image: "
         "set fewer, or give more model.channels"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_images_is_said_in_a_line(sets, shape, says):
    assert conv(*sets).problem(shape) == says


def test_images_that_fit_have_no_problem():
    assert conv().problem((1, 7, 1)) is None
    assert load_config(None, ()).config.model.problem((1, 1, 1)) is None


def test_a_config_is_read_back_and_changes_its_family():
    config = load_config(None, MAP).config
    assert type(config).model_validate(config.model_dump(mode="json")) == config
    dense = load_config(None, ("model.latent_dim=5",)).config
    assert change_config(dense, {"model.family": "conv"}, "here").model.latent_dim == 5
    with pytest.raises(ConfigError, match=r"here: model.*: latent_dim 5 asks .*set one of them to null"):
        change_config(dense, {"model.family": "conv", "model.latent_channels": 2}, "here")
