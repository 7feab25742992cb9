"""Augmentation: known answers for every movement, and training that sees other images in every epoch."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from aecli.core.rng import Draws, draw_key
from aecli.data.augmentation import AMOUNTS, Augmentation, Moves, draw_amounts, moved
from aecli.runs.config_file import load_config
from aecli.runs.provenance import run_fingerprint, trajectory_hash
from aecli.training.engines.tensorflow.array_namespace import TENSORFLOW
from aecli.training.engines.tensorflow.backend import keras, tf
from aecli.training.engines.tensorflow.transforms import Transforms
from aecli.training.trainer import train
from tests.conftest import SMALL

IMAGES = np.random.default_rng(0).random((6, 9, 7, 3), np.float32)


def move(images, down=0.0, right=0.0, degrees=0.0, vertical=1.0, horizontal=1.0, xp=np):
    def column(value):
        return np.full((len(images), 1), value, np.float32)

    return np.asarray(moved(xp, images, Moves(*map(column, (down, right, np.radians(degrees), vertical, horizontal)))))


@pytest.fixture(params=["numpy", "tensorflow"])
def xp(request):
    return np if request.param == "numpy" else TENSORFLOW


@pytest.mark.parametrize(("down", "right"), [(2, 0), (-3, 1), (0, -6), (20, 20)])
def test_a_shift_is_numpys_roll_with_the_edge_repeated(down, right, xp):
    padded = np.pad(IMAGES, ((0, 0), (20, 20), (20, 20), (0, 0)), mode="edge")
    expected = np.roll(padded, (down, right), axis=(1, 2))[:, 20:-20, 20:-20]
    np.testing.assert_array_equal(move(IMAGES, down, right, xp=xp), expected)


def test_flips_are_reversed_axes(xp):
    np.testing.assert_array_equal(move(IMAGES, horizontal=-1.0, xp=xp), IMAGES[:, :, ::-1])
    np.testing.assert_array_equal(move(IMAGES, vertical=-1.0, xp=xp), IMAGES[:, ::-1])


@pytest.mark.parametrize(("degrees", "quarters"), [(90, -1), (-90, 1), (180, 2)])
def test_a_quarter_turn_is_rot90(degrees, quarters, xp):
    square = IMAGES[:, :7]
    np.testing.assert_allclose(move(square, degrees=degrees, xp=xp), np.rot90(square, quarters, (1, 2)), atol=2e-6)


def test_pixels_between_pixels_are_bilinear():
    ramp = np.arange(63, dtype=np.float32).reshape(1, 9, 7, 1)
    inner = move(ramp, down=0.25, right=-0.5)[0, 1:-1, 1:-1, 0]
    np.testing.assert_allclose(inner, ramp[0, 1:-1, 1:-1, 0] - 0.25 * 7 + 0.5, atol=1e-5)


def augmented(augmentation, images=IMAGES, epoch=1, rows=None):
    """Images as training makes them, through the compiled function of the training loop."""
    rows = np.arange(len(images)) if rows is None else rows
    inputs = Transforms(Augmentation(**augmentation), None)
    return [t.numpy() for t in inputs.training(tf.constant(images), tf.constant(rows, tf.uint32), key(epoch))]


def key(epoch):
    return tf.constant(draw_key(0, epoch), tf.uint32)


def test_training_moves_images_as_the_definition_in_numpy_says():
    augmentation = {"shift": 0.3, "flip": "both", "rotate": 20.0, "brightness": 0.5, "noise": 0.1}
    seen, target = augmented(augmentation)
    rule = Augmentation(**augmentation)
    draws = Draws(np, np.array(draw_key(0, 1), np.uint32), np.arange(len(IMAGES), dtype=np.uint32))
    expected = rule.apply(np, IMAGES, draw_amounts(draws))
    np.testing.assert_allclose(target, expected, atol=1e-5)
    np.testing.assert_allclose(seen, rule.add_noise(expected, draws), atol=1e-5)
    assert np.abs(target - IMAGES).mean() > 0.05


def test_the_noise_is_in_the_input_alone():
    seen, target = augmented({"noise": 0.1})
    np.testing.assert_array_equal(target, IMAGES)
    inner = (IMAGES > 0.4) & (IMAGES < 0.6)
    assert (seen - target)[inner].std() == pytest.approx(0.1, rel=0.15)


def test_shifts_are_whole_pixels_up_to_the_share_of_the_side():
    dot = np.zeros((500, 21, 11, 1), np.float32)
    dot[:, 10, 5] = 1
    _, target = augmented({"shift": 0.2}, dot)
    _, y, x, _ = np.nonzero(target)
    assert set(target.ravel()) == {0, 1}
    assert set(y - 10) == set(range(-4, 5))
    assert set(x - 5) == set(range(-2, 3))


@pytest.mark.parametrize(("shift", "most"), [(0.2, 2), (0.24, 2), (0.28, 3), (0.04, 0)])
def test_every_shift_comes_as_often(shift, most, xp):
    """The largest ones too: amounts at the very ends are held, those between rounded."""
    amounts = np.linspace(0, 1, 70_001, dtype=np.float32)[:, None].repeat(AMOUNTS, axis=1)
    moves = Augmentation(shift=shift)._moves(xp, (10, 10), xp.astype(amounts, "float32"))
    values, counts = np.unique(np.asarray(moves.down), return_counts=True)
    assert list(values) == list(range(-most, most + 1))
    np.testing.assert_allclose(counts, len(amounts) / len(values), rtol=1e-3)


def test_half_of_the_images_are_flipped():
    images = np.tile(IMAGES[:1], (1000, 1, 1, 1))
    _, target = augmented({"flip": "horizontal"}, images)
    same = (target == images).all(axis=(1, 2, 3))
    assert (target[~same] == images[0, :, ::-1]).all()
    assert same.mean() == pytest.approx(0.5, abs=0.06)


def test_brightness_keeps_black_and_never_passes_white():
    _, target = augmented(
        {"brightness": 1.0}, np.tile(np.array([0, 0.5, 1], np.float32).reshape(1, 1, 3, 1), (500, 1, 1, 1))
    )
    black, grey, white = np.moveaxis(target[:, 0, :, 0], 1, 0)
    assert set(black) == {0}
    assert white.max() == 1
    assert 0 <= grey.min() < 0.05
    assert 0.95 < grey.max() <= 1


def test_an_image_is_augmented_by_its_row_and_epoch_not_by_its_batch():
    augmentation = {"shift": 0.3, "rotate": 20.0}
    whole = augmented(augmentation)[1]
    np.testing.assert_array_equal(augmented(augmentation, IMAGES[[4, 1]], rows=[4, 1])[1], whole[[4, 1]])
    assert not np.array_equal(augmented(augmentation, epoch=2)[1], whole)


def run_training(folder, *overrides):
    return train(load_config(None, (*SMALL, *overrides)).config, Path(folder))


def weights_hash(run):
    weights = keras.models.load_model(run.model_file).get_weights()
    return hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest()


def test_a_training_with_other_shifts_is_another_trajectory():
    images = {"data": {"sha256": "a"}, "test": None}

    def hashes(*keys):
        config = load_config(None, ("training.epochs=1", *keys)).config
        return trajectory_hash(config, images) == run_fingerprint(config, images)

    assert hashes()
    assert hashes("data.augment={rotate: 5}")
    assert not hashes("data.augment={shift: 0.1}")


ALL = "data.augment={shift: 0.1, flip: both, rotate: 10, brightness: 0.1, noise: 0.02}"


def test_an_augmented_training_repeats_itself_and_is_measured_on_images_as_they_are():
    plain = "model.linear_path=none"  # which keeps the last epoch
    runs = [run_training(name, ALL, plain) for name in "ab"]
    assert weights_hash(runs[0]) == weights_hash(runs[1]) != weights_hash(run_training("c", plain))
    mse = runs[0].metrics["splits"]["validation"]["model"]["mse"]
    assert mse == pytest.approx(runs[0].history[-1].val_loss, rel=1e-4)
    assert "denoising" not in runs[0].metrics


def test_augmentation_works_with_dropout():
    assert run_training("a", ALL, "model.dropout=0.1").state == "complete"
