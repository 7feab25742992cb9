"""One more term of an objective: history, progress, plot and page have it, and a resumed training keeps it."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from aecli.models.backend import keras
from aecli.models.dense import Dense
from aecli.models.families import FAMILIES
from aecli.models.objective import Term
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.training.artifacts import FULL
from aecli.training.checkpoints import read_checkpoint
from aecli.training.progress import NullProgress
from aecli.training.trainer import train
from aecli.training.verify import verify
from aecli.views import plots
from aecli.views.report.report import write_run_report
from tests.test_seam_executor import study_of

WEIGHT = 0.5


def edges(images, outputs):
    """Mean absolute error of the differences between neighbours in a row, of every image."""
    error = images - outputs["reconstructions"]
    return keras.ops.mean(keras.ops.abs(error[:, :, 1:] - error[:, :, :-1]), axis=(1, 2, 3))


class Edgy(Dense):
    """A dense autoencoder that is to give back edges too."""

    family: Literal["edgy"] = "edgy"
    """the kind of network"""

    def objective(self, loss):
        objective = super().objective(loss)
        return replace(objective, terms=(*objective.terms, Term("edges", edges, WEIGHT)))


# 1,617 training images: the last batch is filled up.
EDGY = (
    "model.family=edgy",
    "model.latent_dim=8",
    "training.epochs=4",
    "training.batch_size=100",
    "training.learning_rate=0.01",
)
TERMS = ["mse", "val_mse", "edges", "val_edges"]


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "edgy", Edgy)
        yield


def config_of(*overrides):
    return load_config(None, (*EDGY, *overrides)).config


@pytest.fixture(scope="module")
def edgy(tmp_path_factory, _registered):
    """A complete run; read it, never write to it."""
    return train(config_of(), tmp_path_factory.mktemp("edgy") / "run", artifacts=FULL)


def test_the_history_has_a_column_a_term_and_they_add_up(edgy):
    rows = list(csv.DictReader(edgy.history_file.read_text().splitlines()))
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "learning_rate", "seconds", *TERMS]
    for record in edgy.history:
        for loss, side in ((record.loss, 0), (record.val_loss, 1)):
            assert sum(part[side] for part in record.parts.values()) == pytest.approx(loss, rel=1e-5)


def test_a_term_is_the_mean_over_the_images_whatever_fills_up_the_last_batch(edgy, digits):
    model = keras.models.load_model(edgy.model_file)
    images = edgy.image_format.to_contract(digits[edgy.split.validation])
    expected = WEIGHT * np.mean(edges(images, {"reconstructions": model(images)}))
    assert edgy.history[-1].terms["val_edges"] == pytest.approx(expected, rel=1e-5)
    assert edgy.history[-1].terms["val_mse"] == pytest.approx(
        edgy.metrics["splits"]["validation"]["model"]["mse"], rel=1e-5
    )


def test_penalties_and_terms_of_the_config_stand_beside_it(tmp_path):
    run = train(config_of("model.l2=0.001", "model.activity_l1=0.001", "training.epochs=1"), tmp_path / "run")
    assert list(run.history[0].parts) == ["mse", "activity_l1", "edges", "penalties"]


def test_a_training_that_goes_on_keeps_them(edgy, tmp_path):
    run = train(config_of("training.epochs=2"), tmp_path / "run")
    run = train(config_of(), run.path, resume=True)
    assert [record.terms for record in run.history] == [record.terms for record in edgy.history]
    assert run.metrics["weights_sha256"] == edgy.metrics["weights_sha256"]


def test_a_checkpoint_within_an_epoch_keeps_their_sums(edgy, tmp_path):
    class Stop(NullProgress):
        calls = 0

        def advance(self, done, epochs):
            # A checkpoint follows each report: the first one is of the first call of the compiled loop, of one step.
            self.calls += epochs == 4 and done > 0
            if self.calls == 2:
                raise KeyboardInterrupt

    config = config_of("training.checkpoint_seconds=0")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", progress=Stop())
    run = Run(tmp_path / "run")
    cursor = read_checkpoint(run.checkpoint_files[-1]).state.cursor
    assert (cursor.epoch, cursor.step > 0, len(cursor.totals)) == (1, True, 3)
    gone_on = train(config, run.path, resume=True)
    assert [record.terms for record in gone_on.history] == [record.terms for record in edgy.history]


def test_progress_has_a_number_a_term(ae):
    done = ae("train", "--run", "run", *(part for key in (*EDGY, "training.epochs=1") for part in ("--set", key)))
    assert done.exit_code == 0, done.output
    [record] = Run(Path("run")).history
    losses = {"loss": record.loss, "val_loss": record.val_loss, **record.terms}
    assert "epoch 1/1  " + "  ".join(f"{name} {value:.5f}" for name, value in losses.items()) in done.stderr
    assert list(losses) == ["loss", "val_loss", *TERMS]


def test_the_plot_has_a_curve_a_term(edgy):
    [axis] = plots.history(edgy).axes
    curves = {line.get_label(): line.get_ydata() for line in axis.lines}
    for name in ("mse", "edges"):
        assert list(curves[f"{name}, training"]) == [record.terms[name] for record in edgy.history]
        assert list(curves[f"{name}, validation"]) == [record.terms[f"val_{name}"] for record in edgy.history]


def test_the_plot_of_one_term_has_the_loss_alone(run):
    [axis] = plots.history(run).axes
    assert len(axis.get_legend().get_texts()) == 2


def test_the_page_has_a_panel_a_term(edgy, tmp_path):
    page = write_run_report(edgy, tmp_path / "page.html").read_text()
    last = edgy.history[-1]
    for side, name, value in (("training", "edges", last.terms["edges"]), ("validation", "mse", last.terms["val_mse"])):
        assert f"{side} {name}, epoch 4: {value:.6g}" in page
    assert "The loss is the sum of mse and edges." in page


def test_verify_compares_them(edgy, tmp_path):
    run = Run(shutil.copytree(edgy.path, tmp_path / "run"))
    config = load_config(run.config_file).config
    assert verify(run, config, NullProgress(), quick=True).difference is None
    records = [replace(r, terms={**r.terms, "val_edges": r.terms["val_edges"] + 1e-9}) for r in run.history]
    run.write_history(records)
    assert verify(run, config, NullProgress(), quick=True).difference.startswith("val_edges of epoch 1: ")


def test_a_study_compares_with_and_without():
    study, _ = study_of("study.vary={model.family: [dense, edgy]}", "study.seeds=1")
    histories = [Run(study.study.path / result.run).history[-1].parts for result in study.results]
    assert [list(parts) for parts in histories] == [[], ["mse", "edges"]]
