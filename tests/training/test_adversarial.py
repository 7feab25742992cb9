"""Training against a discriminator: what it pushes, which epoch is kept, and that it goes on to the same bits."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import ConfigError
from aecli.models.losses.discriminator import build_discriminator, halvings
from aecli.runs.config import Adversarial
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.studies.executors.executor import study_trainer
from aecli.training.checkpoints import read_checkpoint
from aecli.training.engines.tensorflow.adversary import Adversary
from aecli.training.engines.tensorflow.backend import tf
from aecli.training.export.rebuilding import rebuild
from aecli.training.progress import NullProgress
from aecli.training.trainer import Trainer
from aecli.training.verify import verify
from tests.conftest import python
from tests.training.test_resume import result, run_training, stopped

WEIGHT = 0.7
SHARP = ("training.adversarial={weight: 0.7, start: 2}", "training.batch_size=200")
SHARER = study_trainer()
"""What it compiles serves the next seed."""


@pytest.fixture(scope="module")
def sharp(tmp_path_factory):
    """A complete run; read it, never write to it."""
    return run_training(tmp_path_factory.mktemp("sharp") / "run", *SHARP)


def everything(run):
    return result(run), [dict(record.terms) for record in run.history]


def adversary(shape=(8, 8, 1), weight=WEIGHT):
    return Adversary(build_discriminator(shape, seed=0), Adversarial(weight=weight, start=1))


def step(shape=(6, 8, 8, 1)):
    rng = np.random.default_rng(0)
    return [tf.constant(rng.random(shape, np.float32)) for _ in range(3)]


def test_the_push_is_as_long_as_the_pull_times_the_weight():
    images, restored, pull = step()
    for scale in (1e-6, 1.0, 1e6):
        verdict = adversary().judge(images, restored, scale * pull, 1.0, tf.ones(6), 6.0)
        assert np.linalg.norm(verdict.push) == pytest.approx(WEIGHT * scale * np.linalg.norm(pull), rel=1e-3)


def test_until_it_counts_it_pushes_nothing_and_learns_all_the_same():
    images, restored, pull = step()
    verdict = adversary().judge(images, restored, pull, 0.0, tf.ones(6), 6.0)
    assert not np.any(verdict.push)
    assert all(np.any(gradient) for gradient in verdict.gradients)
    judge = adversary()
    assert [judge.counts(epoch) for epoch in (1, 2)] == [False, True]


def test_rows_that_fill_up_a_batch_weigh_nothing():
    images, restored, pull = step()
    weights = tf.constant([1.0, 1, 1, 1, 0, 0])
    filled = adversary().judge(images, restored, pull * weights[:, None, None, None], 1.0, weights, 4.0)
    alone = adversary().judge(images[:4], restored[:4], pull[:4], 1.0, tf.ones(4), 4.0)
    np.testing.assert_allclose(filled.losses, alone.losses, rtol=1e-5)
    np.testing.assert_allclose(filled.push[:4], alone.push, rtol=1e-4, atol=1e-7)
    assert not np.any(filled.push[4:])
    for one, other in zip(filled.gradients, alone.gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("image", [np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.5), np.full((2, 8, 8, 1), 1e4)])
def test_black_images_copies_and_networks_astray_leave_it_finite(image):
    images = tf.constant(image, tf.float32)
    for pull in (tf.zeros_like(images), tf.ones_like(images)):
        verdict = adversary().judge(images, images, pull, 1.0, tf.ones(2), 2.0)
        assert all(np.isfinite(values).all() for values in (verdict.losses, verdict.push, *verdict.gradients))


def test_a_discriminator_judges_patches_of_images_of_any_size_from_8_pixels():
    assert [halvings((side, 999, 1)) for side in (8, 63, 64, 127, 128, 500)] == [1, 1, 2, 2, 3, 3]
    for shape in ((8, 9, 1), (65, 80, 3), (130, 129, 4)):
        patches = build_discriminator(shape, seed=3).output_shape
        down = 2 ** halvings(shape)
        assert patches == (None, -(-shape[0] // down), -(-shape[1] // down), 1)


def test_its_weights_are_a_function_of_the_seed():
    one, same, other = (build_discriminator((8, 8, 1), seed).get_weights() for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


def test_the_last_epoch_is_kept_and_its_losses_stand_in_the_history(sharp):
    assert sharp.metrics["best_epoch"] == len(sharp.history) == 4
    for record in sharp.history:
        assert [*record.terms] == ["adversarial", "discriminator"]
        assert not record.parts
    assert sharp.metrics["splits"]["validation"]["model"]["mse"] == pytest.approx(sharp.history[-1].val_loss, rel=1e-4)


def test_the_network_learns_as_without_it_until_it_counts(sharp):
    plain = run_training("plain", *SHARP, "training.adversarial=null", trainer=SHARER)
    losses = [[record.val_loss for record in run.history] for run in (sharp, plain)]
    np.testing.assert_allclose(losses[0][:2], losses[1][:2], rtol=1e-4)
    assert losses[0][2] != pytest.approx(losses[1][2], rel=1e-4)


def test_early_stopping_waits_for_epochs_in_which_it_counts():
    keys = ("training.early_stopping={patience: 1}", "training.epochs=12", "training.learning_rate=0.1")
    run = run_training("a", *SHARP, *keys)
    assert 2 < run.metrics["best_epoch"] < len(run.history) < 12
    assert run.history[run.metrics["best_epoch"] - 1].val_loss == min(r.val_loss for r in run.history[2:])


MODIFIED = {
    "one": SHARP,
    "all": (
        *SHARP, "model.code={gaussian: {beta: 0.5}}", "model.dropout=0.1", "training.corruption={masking: 0.2}",
        "data.augment={shift: 0.1}", "training.early_stopping={patience: 2}", "training.schedule=cosine",
    ),
}  # fmt: skip
LOSSES = (*SHARP, "training.loss={mse: 1, ssim: 0.02, features: 0.1}", "model.code={quantised: {levels: 8}}")


def whole_and_in_parts(keys):
    whole = run_training("whole", *keys)
    for after in (3, 14, 9):
        stopped("parts", *keys, after=after, resume=True)
    return whole, run_training("parts", *keys, resume=True)


@pytest.mark.parametrize("keys", MODIFIED.values(), ids=MODIFIED)
def test_a_training_stopped_again_and_again_ends_with_the_same_bits(keys):
    whole, parts = whole_and_in_parts(keys)
    assert everything(parts) == everything(whole)


def test_a_training_of_several_losses_goes_on_as_if_it_had_never_stopped():
    """Not by its bits: with ssim and features some trainings in a hundred differ in the last ones, stopped or not."""
    whole, parts = whole_and_in_parts(LOSSES)
    assert parts.metrics["best_epoch"] == whole.metrics["best_epoch"]
    for one, other in zip(parts.history, whole.history, strict=True):
        assert {**one.terms, "loss": one.loss} == pytest.approx({**other.terms, "loss": other.loss}, rel=1e-5, abs=1e-7)
    for one, other in zip(rebuild(parts).get_weights(), rebuild(whole).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_its_weights_and_its_optimizer_are_part_of_checkpoints(sharp):
    run = stopped("a", *SHARP, after=12)
    state = read_checkpoint(run.checkpoint_files[-1]).state
    weights = [weights.shape for weights in build_discriminator((8, 8, 1), 0).get_weights()]
    assert [values.shape for values in state.variables[-len(weights) :]] == weights
    assert [values.shape for values in state.optimizer[-2 * len(weights) :]] == [s for w in weights for s in (w, w)]
    assert len(state.cursor.totals) == 3


def test_a_training_in_another_process_and_one_repeated_end_with_the_same_bits(sharp):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from aecli.runs.config_file import load_config\n"
        "from aecli.training.trainer import train\n"
        "train(load_config(Path(sys.argv[1])).config, Path('other'))\n"
    )
    done = python(code, str(sharp.config_file))
    assert done.returncode == 0, done.stderr
    other = Run(Path("other"))
    assert everything(other) == everything(sharp)
    assert verify(other, config_of(other), NullProgress()).difference is None


def config_of(run):
    return load_config(run.config_file).config


def test_verify_finds_another_discriminator_by_its_weights(sharp):
    repeated = Trainer(artifacts=()).repeat(sharp, config_of(sharp), 4, NullProgress())
    assert repeated.weights_sha256 == sharp.metrics["weights_sha256"]
    import keras

    network = keras.models.load_model(sharp.model_file)
    alone = hashlib.sha256(b"".join(weights.tobytes() for weights in network.get_weights())).hexdigest()
    assert alone != sharp.metrics["weights_sha256"]


def test_a_compiled_network_used_again_begins_at_the_discriminator_of_its_own_seed():
    short = (*SHARP, "training.epochs=3", "training.seed=5")
    run_training("first", *SHARP, "training.epochs=3", trainer=SHARER)
    again = run_training("again", *short, trainer=SHARER)
    fresh = run_training("fresh", *short, trainer=study_trainer())
    assert everything_trained(again) == everything_trained(fresh)


def everything_trained(run):
    return [(r.loss, r.val_loss, dict(r.terms)) for r in run.history], run.metrics["weights_sha256"]


def test_images_without_patches_are_refused():
    np.save("small.npy", np.zeros((40, 9, 7), np.uint8))
    with pytest.raises(ConfigError, match=r"^training.adversarial: a discriminator needs images of at least 8 x 8 pix"):
        run_training("a", *SHARP, "data.train=small.npy")
    assert not Path("a").exists()


def test_losses_that_images_do_not_have_are_refused_before_anything_is_written():
    np.save("small.npy", np.zeros((40, 9, 7), np.uint8))
    with pytest.raises(ConfigError, match=r"^training.loss: features needs images of at least 8 x 8 pixels"):
        run_training("a", "training.loss={mae: 1, features: 1}", "data.train=small.npy")
    assert not Path("a").exists()


@pytest.mark.parametrize("family", ["dense", "conv"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 10))])
def test_no_seed_ends_in_nan(family, seed):
    keys = [f"model.family={family}", f"training.seed={seed}", "training.learning_rate=0.01", "training.epochs=6"]
    keys += ["model.channels=[8, 16]"] if family == "conv" else ["model.hidden=[12]"]
    config = load_config(None, (*SHARP, "training.adversarial.weight=2", "model.latent_dim=4", *keys)).config
    run = SHARER.train(config, Path("run"))
    assert np.isfinite([[r.loss, r.val_loss, *r.terms.values()] for r in run.history]).all()
