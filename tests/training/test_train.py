"""Training: reproducible, refusing what cannot work, and honest about how it ended."""

import hashlib
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from aecli.core.errors import AeError, ConfigError, TrainingError
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.training.artifacts import check_export
from aecli.training.prepare import check_output_range
from aecli.training.progress import NullProgress
from aecli.training.trainer import Trainer, train
from tests.conftest import PLAIN, SMALL

SHARED = Trainer()
"""Of the tests whose networks are the same but for their seed: it compiles once."""


def run_training(folder, *overrides, trainer=None, **options):
    """A run of a trainer of its own, or of a shared one."""
    begin = trainer.train if trainer else train
    return begin(load_config(None, (*SMALL, *overrides)).config, Path(folder), **options)


@pytest.fixture(scope="module")
def cosine(tmp_path_factory):
    """A run with a cosine schedule; read it, never write to it."""
    return run_training(tmp_path_factory.mktemp("cosine") / "run", "training.schedule=cosine")


def model_weights(run):
    from aecli.models.backend import keras

    variables = keras.models.load_model(run.model_file).trainable_variables
    return np.concatenate([variable.numpy().ravel() for variable in variables])


def weights_hash(run):
    return hashlib.sha256(model_weights(run).tobytes()).hexdigest()


@pytest.mark.parametrize("overrides", [(), ("model.dropout=0.2",), ("training.schedule=cosine",)], ids=str)
def test_the_same_config_gives_the_same_bits(overrides, trained, cosine):
    shared = {(): trained, ("training.schedule=cosine",): cosine}
    first = shared.get(overrides) or run_training("a", *overrides)
    assert weights_hash(first) == weights_hash(run_training("b", *overrides))


def test_another_seed_gives_other_weights(trained):
    assert weights_hash(run_training("a", "training.seed=1", trainer=SHARED)) != weights_hash(trained)


def test_the_global_random_state_is_neither_read_nor_written(trained):
    np.random.seed(123)
    state = np.random.get_state()[1].copy()
    assert weights_hash(run_training("a")) == weights_hash(trained)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_a_short_last_batch_weighs_what_it_holds():
    """One step of SGD on 5 images in a batch of 8 is the step on exactly those 5 images."""
    overrides = ("training.optimizer=sgd", "training.learning_rate=0.5", "training.epochs=1")
    np.save("images.npy", np.random.default_rng(0).integers(0, 256, (6, 8, 8)).astype(np.uint8))
    exact, filled = (
        run_training(f"b{b}", "data.train=images.npy", f"training.batch_size={b}", *overrides) for b in (5, 8)
    )
    assert len(exact.split.train) == 5
    np.testing.assert_allclose(model_weights(exact), model_weights(filled), rtol=1e-5, atol=1e-7)
    assert exact.history[0].loss == pytest.approx(filled.history[0].loss, rel=1e-6)


def test_an_epoch_is_what_keras_fit_does_with_the_same_batches():
    """The compiled loop against Keras's own training step, batch by batch, in the same order."""
    from aecli.core.files import packaged
    from aecli.core.rng import derive
    from aecli.data.dataset import open_images
    from aecli.models.backend import keras

    config = load_config(None, (*PLAIN, *SMALL, "training.epochs=1", "model.l2=1e-4")).config
    run = train(config, Path("a"))
    source = open_images(packaged("data/digits.npy"))
    images = source.format.to_contract(source.file.take(run.split.train))
    model = config.model.build(source.format.image_shape, config.training.seed).model
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    order = np.random.default_rng(derive(config.training.seed, "order", 1)).permutation(len(images))
    for start in range(0, len(order), config.training.batch_size):
        batch = images[order[start : start + config.training.batch_size]]
        model.train_on_batch(batch, batch)
    expected = np.concatenate([w.numpy().ravel() for w in model.trainable_variables])
    np.testing.assert_allclose(model_weights(run), expected, atol=2e-5)


def test_mixed_precision_on_a_cpu_says_so_and_trains_in_float32(trained):
    class Listener(NullProgress):
        notes: ClassVar[list[str]] = []

        def note(self, message):
            self.notes.append(message)

    mixed = run_training("b", "training.precision=mixed", device="cpu", progress=Listener())
    assert any("training.precision" in note and "float32" in note for note in Listener.notes)
    np.testing.assert_array_equal(model_weights(trained), model_weights(mixed))


def test_a_network_of_mixed_precision_learns():
    from aecli.data.loader import Loader
    from aecli.models.layers import computing_in
    from aecli.training.engines.tensorflow.step import TensorFlowStep
    from aecli.training.loop import fit
    from aecli.training.prepare import open_data, prepare

    config = load_config(None, (*PLAIN, *SMALL, "model.activity_l1=1e-4")).config
    prepared = prepare(config, *open_data(config), NullProgress())
    with computing_in("mixed"):
        autoencoder = config.model.build(prepared.train.format.image_shape, 0)
    objective = config.model.objective(config.training.loss)
    loaders = [Loader(prepared.train, rows, 128, 10**9) for rows in (prepared.split.train, prepared.split.validation)]
    records = []
    fit(
        TensorFlowStep(autoencoder, objective, config.training, loaders[0]),
        *loaders,
        config.training,
        objective,
        lambda record, _: records.append(record),
    )
    assert records[-1].loss < 0.9 * records[0].loss


def test_progress_reaches_every_epoch_and_never_goes_back():
    class Watcher(NullProgress):
        def __init__(self):
            self.seen = []

        def advance(self, done, epochs):
            self.seen.append(done)

    watcher = Watcher()
    run_training("a", progress=watcher, trainer=SHARED)
    assert watcher.seen == sorted(watcher.seen)
    assert {1.0, 2.0, 3.0} <= set(watcher.seen)


def test_the_run_is_complete_and_has_every_file(trained):
    assert trained.state == "complete"
    names = {str(p.relative_to(trained.path)) for p in trained.path.rglob("*") if p.is_file()}
    (checkpoint,) = {path.name for path in trained.checkpoint_files}  # a slow training has replaced earlier ones
    assert names == {
        "config.yaml", "environment.json", "split.npz", "history.csv", "health.csv", "model.keras", "encoder.onnx", "decoder.onnx",
        "baselines.npz", "reconstructions.npy", "held_out.npz", "metrics.json", checkpoint, "plots/reconstructions.png", "plots/history.png",
        "plots/errors.png", "plots/filters.png", "plots/health.png",
    }  # fmt: skip


def test_metrics_hold_every_split_metric_and_baseline(trained):
    splits = trained.metrics["splits"]
    assert set(splits) == {"train", "validation"}
    for values in splits.values():
        assert set(values) == {"images", "model", "best_linear", "pca", "mean_image"}
        assert set(values["model"]) == {
            "mse",
            "mae",
            "sse_per_image",
            "psnr",
            "ssim",
            "sharpness",
            "fvu",
            "exact_copies",
        }
        assert values["mean_image"]["fvu"] == pytest.approx(1)
        assert values["model"]["sse_per_image"] == pytest.approx(64 * values["model"]["mse"])
    assert trained.metrics["ssim_window"] == 7


def test_the_validation_mse_is_the_last_validation_loss():
    run = run_training("a", "model.linear_path=none")
    assert run.metrics["splits"]["validation"]["model"]["mse"] == pytest.approx(run.history[-1].val_loss, rel=1e-4)


def test_the_reconstructions_are_those_of_the_validation_images(trained, digits):
    reconstructions = np.load(trained.reconstructions_file)
    originals = digits[trained.split.validation]
    assert reconstructions.shape == originals.shape
    assert reconstructions.dtype == originals.dtype
    error = ((reconstructions.astype(float) - originals) ** 2).mean() / 255**2
    assert error == pytest.approx(trained.metrics["splits"]["validation"]["model"]["mse"], rel=1e-3)


def test_the_dumped_config_reproduces_the_run(trained):
    again = SHARED.train(load_config(trained.config_file).config, Path("again"))
    assert weights_hash(again) == weights_hash(trained)


def test_a_linear_autoencoder_stays_above_pca_and_comes_near_it():
    """Baldi & Hornik 1989: PCA is the optimum of a linear autoencoder."""
    linear = (
        *PLAIN,
        "model.activation=linear",
        "model.output_activation=linear",
        "model.hidden=[]",
        "model.latent_dim=8",
    )
    run = run_training(
        "a",
        *linear,
        "training.epochs=600",
        "training.batch_size=64",
        "training.learning_rate=3e-3",
        "training.schedule=cosine",
    )
    train_split = run.metrics["splits"]["train"]
    ratio = train_split["model"]["mse"] / train_split["pca"]["mse"]
    assert 1 - 1e-6 <= ratio <= 1.01


def test_a_test_file_is_measured_too(digits):
    np.save("test.npy", digits[:50])
    run = run_training("a", "data.test=test.npy", trainer=SHARED)
    assert run.metrics["splits"]["test"]["images"] == 50


def test_early_stopping_keeps_the_best_epoch():
    stopping = ("training.learning_rate=0.05", "training.epochs=60", "training.early_stopping={patience: 3}")
    run = run_training("a", "model.linear_path=none", *stopping)
    best = min(record.val_loss for record in run.history)
    assert len(run.history) < 60
    assert run.history[run.metrics["best_epoch"] - 1].val_loss == best
    assert run.metrics["splits"]["validation"]["model"]["mse"] == pytest.approx(best, rel=1e-4)


def test_the_cosine_schedule_falls_to_zero(cosine):
    rates = [record.learning_rate for record in cosine.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_activity_l1_makes_codes_sparser():
    def share_of_zeros(run):
        from aecli.core.files import packaged
        from aecli.data.dataset import open_images
        from aecli.runs.model import load_model

        source = open_images(packaged("data/digits.npy"))
        return np.concatenate([load_model(run).encode(images) < 1e-3 for _, images in source.chunks()]).mean()

    sets = ("model.latent_activation=relu", "model.linear_path=none", "model.output_bias=zero", "training.epochs=20")
    plain, sparse = run_training("a", *sets), run_training("b", *sets, "model.activity_l1=1e-2")
    assert share_of_zeros(sparse) > share_of_zeros(plain) + 0.1


@pytest.mark.parametrize("loss", ["mae", "huber", "binary_crossentropy"])
def test_every_loss_trains(loss):
    history = run_training("a", f"training.loss={loss}").history
    assert history[-1].loss < history[0].loss


@pytest.mark.parametrize(
    "optimizer", ["adam", "adamw", "{name: sgd, momentum: 0.9, nesterov: true}", "rmsprop", "nadam"]
)
def test_every_optimizer_trains(optimizer):
    history = run_training("a", f"training.optimizer={optimizer}").history
    assert history[-1].loss < history[0].loss


DIVERGING = ("training.optimizer=sgd", "training.learning_rate=1e6", "model.output_activation=linear")


def test_a_loss_that_is_not_finite_stops_the_run_and_marks_it():
    with pytest.raises(TrainingError, match=r"in epoch \d+: try a smaller training.learning_rate"):
        run_training("a", *DIVERGING)
    run = Run(Path("a"))
    assert run.state == "failed"
    assert "learning_rate" in json.loads(run.failure_file.read_text())["reason"]
    assert run.history
    assert not run.metrics_file.exists()


def test_any_other_failure_marks_the_run_too():
    class Clumsy(NullProgress):
        def epoch(self, record, epochs):
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run_training("a", progress=Clumsy(), trainer=SHARED)
    assert Run(Path("a")).state == "failed"


def test_images_that_are_written_to_during_training_are_noticed(digits):
    class Writing(NullProgress):
        def epoch(self, record, epochs):
            np.save("images.npy", digits[::-1])

    np.save("images.npy", digits)
    with pytest.raises(AeError, match=r"images\.npy: changed while it was read"):
        run_training("changed", "data.train=images.npy", progress=Writing(), trainer=SHARED)
    assert Run(Path("changed")).state == "failed"


def test_a_batch_larger_than_the_images_is_all_of_them():
    larger, exact = run_training("a", "training.batch_size=1000000"), run_training("b", "training.batch_size=1617")
    assert weights_hash(larger) == weights_hash(exact)


def test_ctrl_c_leaves_a_run_marked_interrupted():
    class Impatient(NullProgress):
        def epoch(self, record, epochs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training("a", progress=Impatient(), trainer=SHARED)
    assert Run(Path("a")).state == "interrupted"
    assert len(Run(Path("a")).history) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data.train=negative.npy", "data.value_range=[0, 1]"), "sigmoid gives only 0 to 1; .*negative.npy"),
        (("data.train=negative.npy", "data.value_range=[0, 1]", "model.output_activation=relu"), "relu gives only 0 to inf"),
        (("model.output_activation=log_sigmoid",), "set model.output_activation: sigmoid"),
        (("training.loss=binary_crossentropy", "model.output_activation=linear"), "training.loss: binary_crossentropy needs an output in"),
        (("training.loss=binary_crossentropy", "data.train=negative.npy", "data.value_range=[0, 1]", "model.output_activation=linear"), "needs images in"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_written(overrides, message):
    np.save("negative.npy", np.random.default_rng(0).normal(0, 0.3, (30, 8, 8)))
    with pytest.raises(ConfigError, match=message):
        run_training("a", *overrides)
    assert not Path("a").exists()


@pytest.mark.parametrize("output", ["tanh", "linear", "sigmoid", "hard_sigmoid", "relu", "prelu", "softplus"])
def test_outputs_that_reach_zero_to_one_are_accepted(output):
    from aecli.core.files import packaged
    from aecli.data.dataset import open_images

    check_output_range(
        load_config(None, [f"model.output_activation={output}"]).config, open_images(packaged("data/digits.npy"))
    )


def test_negative_values_train_with_their_own_range():
    values = np.random.default_rng(0).uniform(-1, 1, (60, 8, 8)).astype(np.float32)
    np.save("negative.npy", values)
    run = run_training("a", "data.train=negative.npy")
    assert run.image_format.value_range == (-1, 1)
    assert np.load(run.reconstructions_file).min() < 0


def test_a_run_is_not_overwritten_without_being_asked(trained):
    before = trained.metrics_file.stat().st_mtime_ns
    with pytest.raises(AeError, match="a run is already there"):
        run_training(trained.path)
    assert trained.metrics_file.stat().st_mtime_ns == before


def test_a_failed_overwrite_leaves_the_old_run(run):
    with pytest.raises(AeError, match="no such file"):
        run_training(run.path, "data.train=missing.npy", overwrite=True)
    assert run.state == "complete"


def test_overwriting_leaves_files_that_are_not_the_runs(run):
    (run.path / "notes.txt").write_text("mine")
    run_training(run.path, overwrite=True, trainer=SHARED)
    assert (run.path / "notes.txt").read_text() == "mine"


def test_a_folder_of_other_files_is_never_a_run():
    Path("documents").mkdir()
    Path("documents/thesis.txt").write_text("mine")
    with pytest.raises(AeError, match="not a run"):
        run_training("documents", overwrite=True)


def test_an_export_that_differs_is_refused():
    images = np.zeros((1, 2, 2, 1), np.float32)
    check_export(images, images + 9e-6)
    for wrong in (images + 2e-5, images * np.nan):
        with pytest.raises(TrainingError, match="differ by"):
            check_export(images, wrong)


def test_rounding_in_an_export_may_grow_with_the_latents():
    images = np.zeros((1, 2, 2, 1), np.float32)
    check_export(images, images + 2e-5, largest=3)
    check_export(images, images + 9e-6, largest=np.nan)
    for largest in (0.01, 1.5, np.nan):
        with pytest.raises(TrainingError, match="differ by 2e-05"):
            check_export(images, images + 2e-5, largest)


def test_colour_images_and_flat_rows_train():
    np.save("colour.npy", np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3)).astype(np.uint8))
    assert run_training("a", "data.train=colour.npy").state == "complete"
    np.save("flat.npy", np.random.default_rng(0).random((40, 30)))
    run = run_training("b", "data.train=flat.npy", "data.image_shape=[6, 5]")
    assert run.image_format.image_shape == (6, 5, 1)
    assert np.load(run.reconstructions_file).shape == (4, 30)
