"""Corruption: each rule's definition, and runs that learn to undo it."""

from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import RunError
from aecli.core.rng import VALIDATION, Draws, draw_key
from aecli.data.corruption import RULES, Corruption
from aecli.runs.config_file import load_config
from aecli.runs.uses.denoise import ValidationCorruption
from aecli.training.artifacts import FULL
from aecli.training.engines.tensorflow.backend import tf
from aecli.training.engines.tensorflow.transforms import Transforms
from aecli.training.trainer import train
from aecli.views import plots
from tests.conftest import SMALL, kept

GREY = np.full((200, 14, 15, 1), 0.5, np.float32)
ROWS = np.arange(200)


def corrupted(images=GREY, rows=ROWS, seed=0, **amounts):
    return ValidationCorruption(Corruption(**amounts), seed)(images, rows)


def test_gaussian_noise_has_its_standard_deviation_and_is_clipped():
    noise = corrupted(gaussian=0.1) - 0.5
    assert noise.mean() == pytest.approx(0, abs=2e-3)
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    spoilt = corrupted(gaussian=1.0)
    assert (spoilt.min(), spoilt.max()) == (0, 1)
    assert (corrupted(np.full_like(GREY, 3.0), gaussian=0.1) <= 3).all()  # beyond white already: no further


def test_masking_sets_its_share_to_black_and_leaves_the_rest():
    spoilt = corrupted(masking=0.3)
    assert set(spoilt.ravel()) == {0, 0.5}
    assert (spoilt == 0).mean() == pytest.approx(0.3, abs=0.01)


def test_salt_and_pepper_sets_half_of_its_share_to_black_and_half_to_white():
    spoilt = corrupted(salt_and_pepper=0.2)
    assert set(spoilt.ravel()) == {0, 0.5, 1}
    assert (spoilt == 0).mean() == pytest.approx(0.1, abs=0.01)
    assert (spoilt == 1).mean() == pytest.approx(0.1, abs=0.01)


def test_several_apply_one_after_the_other_in_the_order_of_the_table():
    both = corrupted(gaussian=0.1, masking=0.3)
    masked = corrupted(masking=0.3) == 0
    assert (both[masked] == 0).all()
    np.testing.assert_array_equal(both[~masked], corrupted(gaussian=0.1)[~masked])
    assert list(RULES) == list(Corruption.model_fields)


def test_nothing_is_corrupted_by_none():
    np.testing.assert_array_equal(corrupted(), GREY)


def test_an_image_is_corrupted_by_its_row_and_the_seed():
    few = np.array([17, 3])
    np.testing.assert_array_equal(corrupted(GREY[few], few, gaussian=0.1), corrupted(gaussian=0.1)[few])
    assert not np.array_equal(corrupted(gaussian=0.1, seed=1), corrupted(gaussian=0.1))


@pytest.mark.parametrize("amounts", [{"gaussian": 0.2}, {"masking": 0.3}, {"salt_and_pepper": 0.1}], ids=str)
def test_training_and_validation_corrupt_as_the_definition_in_numpy_says(amounts):
    rule = Corruption(**amounts)
    inputs, rows = Transforms(None, rule), tf.constant(ROWS, tf.uint32)
    for epoch in (VALIDATION, 1):
        key = draw_key(0, epoch)
        expected = rule.apply(GREY, Draws(np, np.array(key, np.uint32), ROWS.astype(np.uint32)))
        seen, target = inputs.training(tf.constant(GREY), rows, tf.constant(key, tf.uint32))
        np.testing.assert_array_equal(target, GREY)
        np.testing.assert_allclose(seen, expected, atol=1e-6)
        validated = inputs.validation(tf.constant(GREY), rows, tf.constant(key, tf.uint32))
        np.testing.assert_allclose(validated, expected, atol=1e-6)


DENOISING = ("training.corruption={gaussian: 0.3}", "model.hidden=[]", "model.latent_dim=24", "training.epochs=60")


@pytest.fixture(scope="module")
def denoising(tmp_path_factory):
    keys = (*SMALL, *DENOISING, "data.test_split=0.1")
    folder = tmp_path_factory.mktemp("denoising") / "small"
    return train(load_config(None, keys).config, folder, artifacts=(*FULL, plots.draw_plots))


def test_a_run_learns_to_restore_noisy_images(denoising):
    for part in ("validation", "test"):
        measured = denoising.metrics["denoising"][part]
        assert measured["restored"]["mse"] < 0.6 * measured["noisy"]["mse"]
        assert 0 < measured["pca"]["mse"] < measured["noisy"]["mse"]
        assert measured["restored"]["mse"] > denoising.metrics["splits"][part]["model"]["mse"]


def test_the_baseline_is_pca_of_the_noisy_images(denoising):
    """The projection of what the network sees, measured against the clean images."""
    source, rows = plots.open_context(denoising, None).source, denoising.split.validation
    clean = source.format.to_contract(source.file.take(rows))
    noisy = ValidationCorruption.from_run(denoising)(clean, rows)
    mean, components = denoising.baselines.mean.ravel(), denoising.baselines.components
    flat = noisy.reshape(len(noisy), -1) - mean
    projected = flat @ components.T @ components + mean
    expected = ((projected - clean.reshape(len(clean), -1)) ** 2).mean()
    measured = denoising.metrics["denoising"]["validation"]["pca"]["mse"]
    assert measured == pytest.approx(expected, rel=1e-4)


def test_the_validation_loss_is_that_of_restoring(denoising):
    """Of the very images that are measured and drawn afterwards, corrupted alike in every epoch."""
    restored = denoising.metrics["denoising"]["validation"]["restored"]["mse"]
    assert kept(denoising).val_loss == pytest.approx(restored, rel=1e-4)


def test_streamed_and_resident_images_are_corrupted_alike(monkeypatch):
    """Validation visits no order of its own: before any training the losses of both are those of the same images."""
    from aecli.data.loader import Loader
    from aecli.training.engines.tensorflow.step import TensorFlowStep
    from aecli.training.prepare import open_data, prepare
    from aecli.training.progress import NullProgress

    config = load_config(None, (*SMALL, *DENOISING)).config
    prepared = prepare(config, *open_data(config), NullProgress())
    monkeypatch.setattr("aecli.data.loader.WINDOW_BYTES", 64 * 64)
    losses = []
    for budget, batch_size in ((10**9, 128), (1, 128), (10**9, 7)):
        training = config.training.model_copy(update={"batch_size": batch_size})
        loader = Loader(prepared.train, prepared.split.validation, batch_size, budget)
        step = TensorFlowStep(config.model.build((8, 8, 1), 0), config.model.objective("mse"), training, loader)
        losses.append([seen.totals[0] for seen in step.validate(loader, 0)][-1])
    assert losses[1:] == pytest.approx(losses[:1] * 2, rel=1e-5)


def test_the_picture_shows_clean_noisy_and_restored(denoising):
    assert (denoising.plots_folder / "denoising.png").is_file()
    context = plots.open_context(denoising, None)
    figure = plots.denoising(context, [3])
    clean, _ = context.show([3])
    noisy = ValidationCorruption.from_run(denoising)(clean, context.row_numbers([3]))
    shown = [image.get_array() for image in figure.axes[0].images]
    for drawn, expected in zip(shown, (clean, noisy, context.model.reconstruct(noisy)), strict=True):
        np.testing.assert_allclose(drawn, expected[0, :, :, 0], atol=1e-6)
    assert "gaussian 0.3" in " ".join(text.get_text() for text in figure.texts)


def test_a_run_without_corruption_has_nothing_to_restore(trained, ae):
    with pytest.raises(RunError, match="trained without training"):
        plots.denoising(plots.open_context(trained, None))
    assert ae("plot", "denoising", "--run", str(trained.path)).exit_code == 1


def test_early_stopping_watches_the_restoring():
    run = train(load_config(None, (*SMALL, *DENOISING, "training.early_stopping={patience: 2}")).config, Path("a"))
    best = min(record.val_loss for record in run.history)
    assert run.metrics["denoising"]["validation"]["restored"]["mse"] == pytest.approx(best, rel=1e-4)
