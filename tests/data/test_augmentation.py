"""Augmentation: known answers for every movement, and training that sees other images in every epoch."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from aecli.core.rng import Draws, draw_key
from aecli.data.augmentation import AMOUNTS, Augmentation, Moves, beta, draw_amounts, mixed, moved
from aecli.runs.config_file import load_config
from aecli.runs.provenance import run_fingerprint, trajectory_hash
from aecli.training.engines.tensorflow.array_namespace import TENSORFLOW
from aecli.training.engines.tensorflow.backend import keras, tf
from aecli.training.engines.tensorflow.transforms import Transforms
from aecli.training.trainer import train
from tests.conftest import SMALL

IMAGES = np.random.default_rng(0).random((6, 9, 7, 3), np.float32)


def move(images, down=0.0, right=0.0, degrees=0.0, vertical=1.0, horizontal=1.0, size=1.0, slant=0.0, xp=np):
    def column(value):
        return np.full((len(images), 1), value, np.float32)

    values = (down, right, np.radians(degrees), vertical, horizontal, size, slant)
    return np.asarray(moved(xp, images, Moves(*map(column, values))))


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


RAMPS = np.stack(np.meshgrid(np.arange(9.0) - 4, np.arange(7.0) - 3, indexing="ij"), axis=-1)[None].astype(np.float32)
"""How far below and right of the centre each pixel is: what is moved says where it came from."""


@pytest.mark.parametrize("size", [1.25, 2.0])
def test_a_larger_image_shows_what_was_nearer_to_its_centre(size, xp):
    np.testing.assert_allclose(move(RAMPS, size=size, xp=xp), RAMPS / size, atol=1e-5)


def test_a_smaller_image_repeats_its_edge(xp):
    smaller = move(RAMPS, size=0.5, xp=xp)
    np.testing.assert_allclose(smaller[0, ..., 0], np.clip(2 * RAMPS[0, ..., 0], -4, 4), atol=1e-5)


@pytest.mark.parametrize("slant", [0.25, -0.5])
def test_a_slanted_image_moves_each_row_sideways_by_how_far_below_the_middle_it_is(slant, xp):
    slanted = move(RAMPS, slant=slant, xp=xp)
    np.testing.assert_array_equal(slanted[..., 0], RAMPS[..., 0])
    expected = np.clip(RAMPS[..., 1] - slant * RAMPS[..., 0], -3, 3)
    np.testing.assert_allclose(slanted[..., 1], expected, atol=1e-5)


def test_moves_come_in_their_order(xp):
    """Slanted, made larger, turned by a quarter, shifted: a dot goes where one after the other takes it."""
    dot = np.zeros((1, 17, 17, 1), np.float32)
    dot[0, 8 - 2, 8 + 1] = 1
    together = move(dot, down=1.0, right=2.0, degrees=90.0, size=2.0, slant=0.5, xp=xp)
    apart = dot
    for step in ({"slant": 0.5}, {"size": 2.0}, {"degrees": 90.0}, {"down": 1.0, "right": 2.0}):
        apart = move(apart, xp=xp, **step)
    place = np.unravel_index(np.argmax(together), together.shape)
    assert place == np.unravel_index(np.argmax(apart), apart.shape)
    # (y, x) from the centre: (-2, 1), slanted (-2, 0), doubled (-4, 0), turned clockwise (0, 4), shifted (1, 6)
    assert place == (0, 8 + 1, 8 + 6, 0)


def augmented(augmentation, images=IMAGES, epoch=1, rows=None):
    """Images as training makes them, through the compiled function of the training loop."""
    rows = np.arange(len(images)) if rows is None else rows
    inputs = Transforms(Augmentation(**augmentation), None)
    return [t.numpy() for t in inputs.training(tf.constant(images), tf.constant(rows, tf.uint32), key(epoch))]


def key(epoch):
    return tf.constant(draw_key(0, epoch), tf.uint32)


MORE = {"probability": 0.7, "subpixel": True, "scale": 0.2, "shear": 0.1, "mixup": 0.4}


@pytest.mark.parametrize("more", [{}, MORE], ids=["", "more"])
def test_training_moves_images_as_the_definition_in_numpy_says(more):
    augmentation = {"shift": 0.3, "flip": "both", "rotate": 20.0, "brightness": 0.5, "noise": 0.1, **more}
    seen, target = augmented(augmentation)
    rule = Augmentation(**augmentation)
    draws = Draws(np, np.array(draw_key(0, 1), np.uint32), np.arange(len(IMAGES), dtype=np.uint32))
    amounts = draw_amounts(draws)
    expected = rule.apply(np, IMAGES, amounts)
    np.testing.assert_allclose(target, expected, atol=1e-5)
    np.testing.assert_allclose(seen, rule.add_noise(expected, draws, amounts), atol=1e-5)
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


def centre_of(dots):
    """How far down and right of the centre the mass of each image is."""
    height, width = dots.shape[1:3]
    mass = dots[..., 0] / dots.sum(axis=(1, 2, 3))[:, None, None]
    down = (mass.sum(axis=2) * np.arange(height)).sum(axis=1)
    return down - (height - 1) / 2, (mass.sum(axis=1) * np.arange(width)).sum(axis=1) - (width - 1) / 2


def test_shifts_by_parts_of_pixels_are_even_up_to_the_share_of_the_side():
    dot = np.zeros((2000, 21, 11, 1), np.float32)
    dot[:, 10, 5] = 1
    _, target = augmented({"shift": 0.2, "subpixel": True}, dot)
    for moved_by, most in zip(centre_of(target), (4.2, 2.2), strict=True):
        assert most * 0.98 < np.abs(moved_by).max() <= most
        np.testing.assert_allclose(np.quantile(moved_by, [0.25, 0.5, 0.75]), [-most / 2, 0, most / 2], atol=0.2)
        assert len(set(np.round(moved_by, 3))) > 500


def test_sizes_and_slants_are_even_up_to_their_share():
    ramps = np.tile(RAMPS, (2000, 1, 1, 1))
    _, larger = augmented({"scale": 0.2}, ramps)
    sizes = ramps[:, 4, 4, 1] / larger[:, 4, 4, 1]
    _, slanted = augmented({"shear": 0.3}, ramps)
    slants = -slanted[:, 5, 3, 1]
    for values, low, high in ((sizes, 0.8, 1.2), (slants, -0.3, 0.3)):
        np.testing.assert_allclose(
            np.quantile(values, [0, 0.5, 1]), [low, (low + high) / 2, high], atol=0.03 * (high - low)
        )


@pytest.mark.parametrize("changes", [{"brightness": 0.5}, {"rotate": 30.0}, {"mixup": 1.0}, {"noise": 0.2}], ids=str)
def test_a_share_of_the_images_is_changed_and_the_others_stay_as_they_are(changes):
    images = np.random.default_rng(1).random((1000, 5, 5, 1), np.float32)
    seen, target = augmented({**changes, "probability": 0.3}, images)
    changed = (seen != images).any(axis=(1, 2, 3))
    assert changed.mean() == pytest.approx(0.3, abs=0.05)
    whole_seen, whole_target = augmented(changes, images)
    np.testing.assert_allclose(seen[changed], whole_seen[changed], atol=1e-6)
    np.testing.assert_allclose(target[changed], whole_target[changed], atol=1e-6)
    np.testing.assert_array_equal(target[~changed], images[~changed])


@pytest.mark.parametrize("alpha", [0.01, 0.2, 0.5, 1.0, 4.0, 500.0])
def test_shares_of_mixup_are_of_the_symmetric_beta_distribution(alpha, xp):
    draws = Draws(np, np.array(draw_key(0, 1), np.uint32), np.arange(40_000, dtype=np.uint32))
    shares = np.asarray(beta(xp, alpha, *draws.uniform(4, 2).T))
    assert shares.dtype == np.float32
    assert (shares >= 0).all()
    assert (shares <= 1).all()
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)
    fourth = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3))  # of the distances from the mean
    assert np.mean((shares - 0.5) ** 4) == pytest.approx(fourth, rel=0.06)


def test_each_image_is_mixed_with_the_next_one(xp):
    shares = np.array([0, 1, 0.25, 0.5, 0, 0.75], np.float32)
    parts = shares[:, None, None, None]
    expected = (1 - parts) * IMAGES + parts * np.roll(IMAGES, -1, axis=0)
    np.testing.assert_allclose(np.asarray(mixed(xp, IMAGES, shares)), expected, atol=1e-6)


def test_input_and_target_are_mixed_alike():
    seen, target = augmented({"mixup": 1.0})
    np.testing.assert_array_equal(seen, target)
    assert np.abs(target - IMAGES).mean() > 0.05


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
