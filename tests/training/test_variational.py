"""A variational run: its losses, its likelihood, what resumes and what is said of it."""

import csv
import json
import shutil
import subprocess
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from aecli.core.errors import ConfigError, NotInRunError, RunError
from aecli.data.dataset import open_images
from aecli.models.backend import keras
from aecli.models.linear.probabilistic import linear_gaussian
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.likelihood import Density
from aecli.training.artifacts import FULL
from aecli.training.check.checking import check
from aecli.training.progress import NullProgress
from aecli.training.trainer import Trainer
from aecli.training.verify import verify
from aecli.views.report.report import write_run_report
from tests.conftest import DIGITS, PLAIN, kept

VARIATIONAL = ("model.code={gaussian: {}}", "model.latent_dim=6", "model.hidden=[24]", "training.batch_size=100")
TRAINER = Trainer(artifacts=FULL)


def run_training(folder, *overrides, **options):
    config = load_config(None, (*VARIATIONAL, "training.epochs=4", *overrides)).config
    return TRAINER.train(config, Path(folder), **options)


@pytest.fixture(scope="module")
def variational(tmp_path_factory):
    """A complete run with a test split; read it, never write to it."""
    return run_training(tmp_path_factory.mktemp("variational") / "run", "data.test_split=0.1")


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory):
    """A run whose KL weighs so much that the code is the prior."""
    return run_training(tmp_path_factory.mktemp("collapsed") / "run", "model.code={gaussian: {beta: 1000}}")


# -- what is minimised -------------------------------------------------------------------------


def test_the_loss_is_the_reconstruction_and_the_kl_in_nats(variational):
    rows = list(csv.DictReader(variational.history_file.read_text().splitlines()))
    assert list(rows[0])[5:] == ["reconstruction", "val_reconstruction", "kl", "val_kl", "sigma"]
    for record in variational.history:
        assert record.loss == pytest.approx(record.terms["reconstruction"] + record.terms["kl"], rel=1e-5)
        assert record.val_loss == pytest.approx(record.terms["val_reconstruction"] + record.terms["val_kl"], rel=1e-5)


def test_the_validation_loss_is_that_of_the_exported_model_and_the_kept_sigma(variational, digits):
    record, model = kept(variational), keras.models.load_model(variational.model_file)
    encoder, decoder = (model.get_layer(name) for name in ("encoder", "decoder"))
    sigma = variational.metrics["variational"]["sigma"]
    assert record.terms["sigma"] == pytest.approx(sigma, rel=1e-6)
    images = variational.image_format.to_contract(digits[variational.split.validation])
    means, log_variances = map(np.asarray, encoder(images, training=False))
    own = stats.norm(means, np.exp(log_variances / 2))
    kl = 0.5 * (means.astype(np.float64) ** 2 + own.var() - np.log(own.var()) - 1)
    assert record.terms["val_kl"] == pytest.approx(kl.sum(axis=1).mean(), rel=1e-4)
    # With other draws of the codes: a hundred of each image differ from one of each by their spread alone.
    draws = np.random.default_rng(0).standard_normal((100, *means.shape))
    nats = [
        -stats.norm.logpdf(images, np.asarray(decoder(means + own.std() * noise)), sigma).sum(axis=(1, 2, 3))
        for noise in draws.astype(np.float32)
    ]
    spread = np.std(nats, axis=0).mean() / np.sqrt(len(images))
    assert record.terms["val_reconstruction"] == pytest.approx(np.mean(nats), abs=5 * spread)


@pytest.mark.parametrize("loss", ["mae", "binary_crossentropy"])
def test_the_loss_names_the_distribution(loss, tmp_path):
    run = run_training(tmp_path / "run", f"training.loss={loss}", "training.epochs=2")
    fields = run.metrics["variational"]
    assert fields["distribution"] == {"mae": "Laplace", "binary_crossentropy": "Bernoulli"}[loss]
    assert ("sigma" in run.history[-1].terms) == (loss == "mae") == (fields["sigma"] is not None)
    assert kept(run).val_loss == pytest.approx(fields["splits"]["validation"]["neg_elbo"], abs=0.5)


def test_reconstructions_are_decoded_from_the_mean(variational, digits):
    images = variational.image_format.to_contract(digits[variational.split.validation])
    model = load_model(variational)
    assert np.array_equal(model.reconstruct(images), model.decode(model.posterior(images)[0]))
    mse = np.square(model.reconstruct(images) - images).mean()
    assert variational.metrics["splits"]["validation"]["model"]["mse"] == pytest.approx(mse, rel=1e-5)


def test_a_network_that_begins_at_a_linear_code_begins_at_probabilistic_pca(tmp_path):
    """Of a linear network that is the best there is: no step gets far below it."""
    linear = ("model.hidden=[]", "model.output_activation=linear", "training.learning_rate=1e-9")
    run = run_training(tmp_path / "run", *linear, "training.epochs=1")
    best = closed_form(run, 6)
    bound = Density.from_run(run, load_model(run)).measure(open_images(DIGITS), run.split.train, samples=10)
    # The noise is that of validation images, and ten draws of a code are a sample.
    assert bound.neg_elbo == pytest.approx(best.negative_log_likelihood, abs=0.3)


def closed_form(run, latents):
    images = run.image_format.to_contract(np.load(DIGITS)[run.split.train]).reshape(len(run.split.train), -1)
    eigenvalues = np.linalg.eigvalsh(np.cov(images.astype(np.float64), rowvar=False, bias=True))[::-1]
    return linear_gaussian(eigenvalues[:latents], float(eigenvalues[latents:].sum()), images.shape[1])


def test_a_linear_network_from_random_weights_reaches_the_closed_form(tmp_path):
    """-ELBO of the training images, from that of no latents, 99 % of the way to -log p of probabilistic PCA."""
    run = run_training(
        tmp_path / "run", *PLAIN, "model.latent_activation=linear", "model.hidden=[]", "training.epochs=150",
        "model.output_activation=linear", "model.latent_dim=4", "training.learning_rate=1e-2",
        "training.schedule=cosine",
    )  # fmt: skip
    none, best = (closed_form(run, latents).negative_log_likelihood for latents in (0, 4))
    bound = Density.from_run(run, load_model(run)).measure(open_images(DIGITS), run.split.train, samples=20)
    assert best - 0.05 <= bound.neg_elbo <= best + 0.01 * (none - best)
    assert sum(kl >= 0.1 for kl in bound.latent_kl) == 4


# -- warm-up -----------------------------------------------------------------------------------

WARM = ("model.code={gaussian: {beta: 2, warmup: 3}}",)


def test_the_weight_grows_over_the_warm_up_and_validation_is_at_the_full_one(tmp_path):
    run = run_training(tmp_path / "run", *WARM, "training.epochs=5")
    for record in run.history:
        weight = 2 * min(1.0, record.epoch / 4)
        assert record.loss == pytest.approx(record.terms["reconstruction"] + weight * record.terms["kl"], rel=1e-5)
        assert record.val_loss == pytest.approx(
            record.terms["val_reconstruction"] + 2 * record.terms["val_kl"], rel=1e-5
        )


def test_more_epochs_are_the_same_training(tmp_path):
    run_training(tmp_path / "parts", *WARM, "training.epochs=4")
    extended = run_training(tmp_path / "parts", *WARM, "training.epochs=6", resume=True)
    whole = run_training(tmp_path / "whole", *WARM, "training.epochs=6")
    assert extended.metrics["weights_sha256"] == whole.metrics["weights_sha256"]
    assert [record.terms for record in extended.history] == [record.terms for record in whole.history]


def test_patience_begins_after_the_warm_up(tmp_path):
    stuck = ("training.early_stopping={patience: 1, min_delta: 1000}", "training.epochs=9")
    assert run_training(tmp_path / "cold", *stuck).metrics["epochs"] == 1
    assert run_training(tmp_path / "warm", *stuck, *WARM).metrics["epochs"] == 4


# -- what is measured --------------------------------------------------------------------------


def test_the_bound_is_measured_part_by_part_and_the_kl_latent_by_latent(variational):
    metrics = variational.metrics
    splits = metrics["variational"]["splits"]
    assert [*splits] == ["validation", "test"]
    for bound in splits.values():
        assert bound["neg_elbo"] == pytest.approx(bound["reconstruction"] + bound["kl"])
        assert sum(bound["latent_kl"]) == pytest.approx(bound["kl"])
    assert metrics["latent_kl"] == splits["validation"]["latent_kl"]
    assert len(metrics["latent_kl"]) == 6
    assert splits["validation"]["kl"] == pytest.approx(kept(variational).terms["val_kl"], rel=1e-4)


def test_importance_weights_give_the_exact_density_of_a_linear_network(tmp_path):
    """log p is known there: a Gaussian of covariance W W' + sigma^2."""
    linear = ("model.hidden=[]", "model.output_activation=linear", "training.learning_rate=1e-3")
    run = run_training(tmp_path / "run", *linear, "training.epochs=2")
    model, source = load_model(run), open_images(DIGITS)
    bound = Density.from_run(run, model).measure(source, run.split.validation, samples=400)
    zero = model.decode(np.zeros((1, 6), np.float32)).reshape(-1)
    weights = model.decode(np.eye(6, dtype=np.float32)).reshape(6, -1) - zero
    covariance = weights.T.astype(np.float64) @ weights + run.metrics["variational"]["scale"] * np.eye(zero.size)
    images = run.image_format.to_contract(np.load(DIGITS)[run.split.validation]).reshape(-1, zero.size)
    exact = -stats.multivariate_normal(zero, covariance).logpdf(images)
    assert bound.nll == pytest.approx(exact.mean(), abs=0.05)
    assert bound.nll_error == pytest.approx(exact.std(ddof=1) / np.sqrt(len(images)), rel=0.02)
    assert bound.neg_elbo == pytest.approx(exact.mean(), abs=0.1)  # whose posterior nearly is the exact one


def test_draws_hang_on_their_row_alone(variational):
    density, source = Density.from_run(variational, load_model(variational)), open_images(DIGITS)
    rows = variational.split.test
    whole = density.measure(source, rows, samples=3)
    parts = [density.measure(source, part, samples=3) for part in (rows[:50], rows[50:])]
    mean = sum(part.images * part.nll for part in parts) / whole.images
    assert whole.nll == pytest.approx(mean, rel=1e-6)


def test_evaluate_says_the_bound_and_the_density(variational, ae):
    np.save("some.npy", np.load(DIGITS)[:60])
    done = ae("evaluate", "some.npy", "--run", variational.path, "--samples", "5")
    assert done.exit_code == 0, done.output
    assert "On these images -ELBO is " in done.stdout
    assert "-log p by 5 samples each: " in done.stdout
    given = json.loads(ae("evaluate", "some.npy", "--run", variational.path, "--samples", "5", "--json").stdout)
    assert given["variational"]["samples"] == 5
    assert "nll" not in {name for name, value in given["variational"].items() if value is None}
    plain = json.loads(ae("evaluate", "some.npy", "--run", variational.path, "--json").stdout)
    assert plain["variational"]["nll"] is None


def test_a_plain_run_has_no_density(trained, ae):
    done = ae("evaluate", DIGITS, "--run", trained.path, "--samples", "5")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith(f"ae: {trained.path}: its code is no distribution")
    with pytest.raises(NotInRunError):
        Density.from_run(trained, load_model(trained))


# -- what is said ------------------------------------------------------------------------------


def test_collapse_is_named_by_the_kl(collapsed, ae):
    assert max(collapsed.metrics["latent_kl"]) < 0.1
    assert collapsed.metrics["dead_latents"] == [*range(6)]
    done = ae("evaluate", DIGITS, "--run", collapsed.path)
    assert "the code has collapsed: all 6 latents have a KL below 0.1 nats" in done.stderr


def test_collapse_is_reported_in_training(tmp_path):
    class Progress(NullProgress):
        def __init__(self):
            self.reasons = []

        def collapsed(self, record, reason):
            self.reasons.append(reason)

    progress = Progress()
    run_training(tmp_path / "run", "model.code={gaussian: {beta: 1000}}", progress=progress)
    assert progress.reasons
    assert progress.reasons[-1].startswith("its code has collapsed (KL ")


def test_check_forecasts_how_many_latents_can_be_used():
    def found(*overrides):
        findings = check(load_config(None, (*VARIATIONAL, "model.latent_dim=20", *overrides)).config).findings
        return [finding.data["active"] for finding in findings if finding.name == "active_latents"]

    assert found() == [20]
    assert max(found("model.code.gaussian.beta=10")) < 10
    assert found("model.code=null") == []


def test_the_forecast_is_what_a_linear_network_comes_to(tmp_path):
    linear = ("model.hidden=[]", "model.output_activation=linear", "model.latent_dim=12")
    run = run_training(tmp_path / "run", *linear, "model.code={gaussian: {beta: 6}}", "training.epochs=30")
    [finding] = [f for f in check(load_config(run.config_file).config).findings if f.name == "active_latents"]
    used = sum(kl >= 0.1 for kl in run.metrics["latent_kl"])
    assert abs(used - finding.data["active"]) <= 1
    assert run.metrics["variational"]["sigma"] == pytest.approx(finding.data["sigma"], rel=0.05)


def test_runs_and_report_show_it(variational, ae, tmp_path):
    row = ae("runs", variational.path.parent, "--json")
    [row] = json.loads(row.stdout)
    bound = variational.metrics["variational"]["splits"]["validation"]
    assert (row["neg_elbo"], row["kl"]) == (bound["neg_elbo"], bound["kl"])
    assert "-elbo" in ae("runs", variational.path.parent).stdout.splitlines()[0]
    page = write_run_report(variational, tmp_path / "page.html").read_text()
    assert "The loss is in nats an image: -log p of the images and the KL." in page
    assert "The variational code" in page
    assert "latents have 0.1 nats or more" in page


def test_the_encoder_of_a_run_gives_its_log_variances(variational, digits):
    outputs = load_model(variational).encoder.get_outputs()
    assert [output.name for output in outputs] == ["latents", "log_variances"]
    assert [prod(output.shape[1:]) for output in outputs] == [6, 6]


def test_it_verifies(variational):
    config = load_config(variational.config_file).config
    assert verify(variational, config, NullProgress(), quick=True).difference is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0.0}, "its scale is not above 0"),
        ({"scale": "x"}, "scale is missing or of another type"),
        ({"splits": {"test": {}}}, "images is missing"),
    ],
)
def test_damaged_numbers_are_refused(variational, tmp_path, change, message):
    run = Run(shutil.copytree(variational.path, tmp_path / "run"))
    content = json.loads(run.metrics_file.read_text())
    content["variational"] |= change
    run.metrics_file.write_text(json.dumps(content))
    with pytest.raises(RunError, match=message):
        _ = run.metrics


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("training.loss=huber",),
            r"^training.loss: huber is the logarithm of no distribution.*: set training.loss to",
        ),
        (("model.code={gaussian: {warmup: 4}}",), r"^model.code.gaussian.warmup: 4 of 4 training.epochs leave none"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(overrides, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run_training(tmp_path / "run", *overrides)
    assert not (tmp_path / "run").exists()


def test_samples_are_of_the_prior(variational, ae, tmp_path):
    run = Run(shutil.copytree(variational.path, tmp_path / "run"))
    done = ae("sample", "--run", run.path, "--count", "9")
    assert done.exit_code == 0, done.output
    assert "9 samples of the prior: " in done.stdout
    assert "mixture of " in ae("sample", "--run", run.path, "--count", "9", "--components", "2", "--overwrite").stdout


def test_the_kl_of_each_latent_is_drawn(variational, trained):
    from aecli.views.codes.divergence import divergence

    [axis] = divergence(variational).axes
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == sorted(variational.metrics["latent_kl"], reverse=True)
    with pytest.raises(NotInRunError, match="its code is no distribution"):
        divergence(trained)


def test_another_process_trains_the_same_bits(variational):
    sets = [part for key in (*VARIATIONAL, "training.epochs=4", "data.test_split=0.1") for part in ("--set", key)]
    Path("defaults.yaml").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "aecli", "train", "--config", "defaults.yaml", "--run", "again", *sets],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Run(Path("again")).metrics["weights_sha256"] == variational.metrics["weights_sha256"]
