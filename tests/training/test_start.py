"""Where a training begins: never behind the best linear code, whatever the images, the network and the steps."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aecli.models.linear.start import reachable
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.studies.executors.executor import study_trainer
from aecli.training.artifacts import FULL
from aecli.training.trainer import train
from aecli.views.plots import draw_plots
from tests.conftest import DIGITS, SMALL, kept

ROUNDING = 1e-7
ACTIVATIONS = ("relu", "silu", "tanh", "prelu", "linear", "exponential", "threshold")
OUTPUTS = (
    "linear", "sigmoid", "tanh", "relu", "hard_sigmoid", "softplus", "elu", "{name: leaky_relu, negative_slope: 4}",
)  # fmt: skip


def walks(rng, shape):
    values = np.cumsum(rng.normal(size=shape), axis=1)
    return (values - values.min()) / max(np.ptp(values), 1e-9)


IMAGES = {
    "noise": lambda rng, shape: rng.random(shape),
    "walks": walks,
    "black and white": lambda rng, shape: rng.integers(0, 2, shape),
    "half constant": lambda rng, shape: np.where(np.arange(shape[2])[:, None] % 2, rng.random(shape), 0.25),
    "all the same": lambda rng, shape: np.full(shape, 0.3),
}

sizes = st.integers(1, 9)
networks = st.fixed_dictionaries(
    {
        "model.latent_dim": st.integers(1, 12),
        "model.hidden": st.sampled_from(["[]", "[5]", "[7, 3]"]),
        "model.activation": st.sampled_from(ACTIVATIONS),
        "model.output_activation": st.sampled_from(OUTPUTS),
        "model.dropout": st.sampled_from([0, 0.3]),
        "model.l2": st.sampled_from([0, 1e-3]),
        "model.activity_l1": st.sampled_from([0, 1e-3]),
        "model.linear_path": st.sampled_from(["auto", "auto", "pca", "dct"]),
        "training.learning_rate": st.sampled_from([1e-3, 1e-2, 0.5]),
        "training.batch_size": st.sampled_from([4, 32]),
        "training.epochs": st.integers(1, 2),
        "training.seed": st.integers(0, 99),
    }
)


def require_no_worse_than_linear(kind, shape, keys, folder):
    images = IMAGES[kind](np.random.default_rng(keys["training.seed"]), shape)
    np.save("images.npy", images.astype(np.float32))
    data = ("data.train=images.npy", "data.value_range=[0, 1]", "data.axes=NHWC", "data.validation_split=0.3")
    config = load_config(None, (*data, *(f"{key}={value}" for key, value in keys.items()))).config
    run = study_trainer().train(config, Path(folder), overwrite=True)
    means = run.metrics["splits"]["validation"]
    mse = means["model"]["mse"]
    if keys["model.linear_path"] == "auto":
        assert mse <= min(means["best_linear"]["mse"], means["pca"]["mse"]) + ROUNDING
    # The mean image, which has no code at all, is behind every linear code.
    assert mse <= means["mean_image"]["mse"] + ROUNDING


def property_test(examples):
    quiet = settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip
    shapes = st.tuples(st.integers(12, 40), sizes, sizes, st.integers(1, 4))
    return lambda test: quiet(given(st.sampled_from(list(IMAGES)), shapes, networks)(test))


@property_test(8)
def test_a_network_is_never_worse_than_the_best_linear_code(tmp_path, kind, shape, keys):
    require_no_worse_than_linear(kind, shape, keys, tmp_path / "run")


@pytest.mark.long
@property_test(120)
def test_no_network_of_many_is_worse_than_the_best_linear_code(tmp_path, kind, shape, keys):
    require_no_worse_than_linear(kind, shape, keys, tmp_path / "run")


# -- a run that nothing improves ------------------------------------------------------------------

ABSURD = ("training.learning_rate=1000", "training.epochs=2")


@pytest.fixture(scope="module")
def unimproved(tmp_path_factory):
    """A run whose steps lead nowhere; read it, never write to it."""
    folder = tmp_path_factory.mktemp("unimproved") / "runs" / "a"
    return train(load_config(None, (*SMALL, *ABSURD)).config, folder, artifacts=(*FULL, draw_plots))


def test_where_nothing_helps_epoch_0_is_kept_which_is_the_linear_code(unimproved, digits):
    assert unimproved.metrics["best_epoch"] == 0
    assert len(unimproved.history) == 2
    images = unimproved.image_format.to_contract(digits[unimproved.split.validation])
    model, code = load_model(unimproved), unimproved.baselines.best_linear
    config = load_config(unimproved.config_file).config
    means = unimproved.metrics["splits"]["validation"]
    assert means["best_linear"]["mse"] * 0.5 < means["model"]["mse"] <= means["best_linear"]["mse"] + ROUNDING
    bounds = reachable(config.model.output_activation, 1e-2)
    np.testing.assert_allclose(model.reconstruct(images), np.clip(code.reconstruct(images), *bounds), atol=1e-4)


def test_every_command_reads_a_run_that_kept_epoch_0(unimproved, ae, tmp_path):
    import shutil

    run = Run(shutil.copytree(unimproved.path, tmp_path / "runs" / "a"))
    for command in (["runs"], ["report", run.path], ["plot"], ["evaluate", DIGITS], ["verify", run.path]):
        done = ae(*map(str, command))
        assert done.exit_code == 0, (command, done.output, done.exception)


def test_a_network_that_learns_keeps_its_best_epoch(trained):
    before = [record.val_loss for record in trained.history]
    assert kept(trained).val_loss == min(before)
    means = trained.metrics["splits"]["validation"]
    assert means["model"]["mse"] < means["best_linear"]["mse"]
    assert means["best_linear"]["mse"] <= means["pca"]["mse"] + ROUNDING
