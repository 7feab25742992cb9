"""Losses of a pixel among its neighbours: known answers, and gradients wherever a network may stand."""

import numpy as np
import pytest

from aecli.models.dense import Dense
from aecli.models.losses.config import LOSSES, loss_problem, loss_text, parse_loss
from aecli.models.losses.features import kernels
from aecli.runs.metrics import ssim
from aecli.training.engines.tensorflow.backend import tf

NEIGHBOURS = ("ssim", "features")
SHAPES = [(28, 28, 1), (9, 13, 3), (8, 8, 5)]


KNOWN = (-0.3202222, 0.14768, 0.2354769)
"""The first weights of the features."""


def pairs(shape):
    rng = np.random.default_rng(1)
    images = rng.random((4, *shape), np.float32)
    return images, np.clip(images + rng.normal(0, 0.1, images.shape), 0, 1).astype(np.float32)


def term(name):
    [_, made] = Dense().objective({"mse": 1.0, name: 1.0}).terms
    assert (made.name, made.reconstructs) == (name, True)
    return made


def values(name, images, restored):
    return np.asarray(term(name).per_image(images, {"reconstructions": tf.constant(restored)}))


@pytest.mark.parametrize("shape", [*SHAPES, (2, 3, 1)])
def test_the_ssim_term_is_1_less_the_metric(shape):
    images, restored = pairs(shape)
    np.testing.assert_allclose(values("ssim", images, restored), 1 - ssim(images, restored), atol=2e-6)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_it_is_0_of_copies_and_grows_with_blur(name):
    images, _ = pairs((16, 16, 3))
    blurred = [sum(np.roll(images, step, axis=2) for step in range(n)) / n for n in (1, 2, 4)]
    none, some, more = (values(name, images, each).mean() for each in blurred)
    assert 0 <= none < 1e-6 < some < more


@pytest.mark.parametrize("name", NEIGHBOURS)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_is_measured_alone(name, shape):
    images, restored = pairs(shape)
    np.testing.assert_allclose(values(name, images, restored)[1:2], values(name, images[1:2], restored[1:2]), rtol=1e-4)


BLACK, GREY = np.zeros((1, 12, 12, 2), np.float32), np.full((1, 12, 12, 2), 0.5, np.float32)
NOISE = np.random.default_rng(0).random((1, 12, 12, 2), np.float32)


@pytest.mark.parametrize("name", NEIGHBOURS)
@pytest.mark.parametrize("original", [BLACK, GREY, 1 - BLACK, NOISE, 1e-3 * NOISE])
@pytest.mark.parametrize("restored", [BLACK, GREY, 1 - BLACK, NOISE, 1e4 * (NOISE - 0.5)])
def test_gradients_are_finite_for_black_images_flat_ones_copies_and_networks_astray(name, original, restored):
    reconstructions = tf.constant(restored)
    with tf.GradientTape() as tape:
        tape.watch(reconstructions)
        loss = term(name).per_image(original, {"reconstructions": reconstructions})
    gradient = np.asarray(tape.gradient(loss, reconstructions))
    assert np.isfinite(np.asarray(loss)).all()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 10


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_threads_do_not_change_the_bits_of_gradients(name):
    images, restored = pairs((48, 48, 3))

    @tf.function(autograph=False)
    def gradient(reconstructions):
        with tf.GradientTape() as tape:
            tape.watch(reconstructions)
            loss = term(name).per_image(images, {"reconstructions": reconstructions})
        return tape.gradient(loss, reconstructions)

    given = tf.constant(restored)
    assert len({gradient(given).numpy().tobytes() for _ in range(200)}) == 1


def test_the_features_are_the_same_in_every_run():
    first, *_ = kernels(3)
    assert first.shape == (3, 3, 3, 16)
    np.testing.assert_allclose(first[0, 0, 0, :3], KNOWN, rtol=1e-6)
    for kernel in kernels(3):
        fan_in = np.prod(kernel.shape[:3])
        assert kernel.std() == pytest.approx(np.sqrt(2 / (1.04 * fan_in)), rel=0.1)


def test_an_objective_has_a_part_a_loss_and_knows_those_of_reconstructions():
    objective = Dense(activity_l1=0.1, l2=0.1).objective(parse_loss({"features": 0.1, "mse": 1, "ssim": 0.02}))
    assert objective.columns == ("mse", "ssim", "features", "activity_l1", "penalties")
    assert objective.reconstruction == (0, 1, 2)
    assert objective.convolutional
    assert not Dense().objective(parse_loss({"mse": 1, "ssim": 1})).convolutional
    assert Dense().objective("mse").columns == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mae", "mae"),
        ({"mse": 1}, "mse"),
        ({"ssim": 0.0, "mse": 1.0}, "mse"),
        ({"ssim": 0.02, "mse": 1}, {"mse": 1.0, "ssim": 0.02}),
        ({"mae": 2}, {"mae": 2.0}),
        ({"name": "mse", "ssim": 0.5}, {"mse": 1.0, "ssim": 0.5}),
        ({"name": "mse", "mse": 3}, {"mse": 3.0}),
    ],
)
def test_what_a_mapping_means(given, expected):
    parsed = parse_loss(given)
    assert parsed == expected
    if isinstance(parsed, dict):
        assert [*parsed] == [name for name in LOSSES if name in parsed]


def test_a_loss_in_a_line():
    assert loss_text("mae") == "mae"
    assert loss_text({"mse": 1.0, "ssim": 0.02}) == "mse + 0.02 ssim"


def test_images_that_have_no_such_loss():
    assert loss_problem({"mse": 1.0, "features": 0.1}, (8, 8, 1)) is None
    assert loss_problem("mse", (1, 1, 1)) is None
    assert loss_problem({"mse": 1.0, "features": 0.1}, (20, 7, 3)) == (
        "training.loss: features needs images of at least 8 x 8 pixels, these have 20 x 7: leave it out"
    )
