"""Samplers: what they draw, what a run keeps of them, and what they need."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli.core import machine
from aecli.core.errors import AeError, RunError
from aecli.core.npy import read_arrays, write_arrays
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.sampling.fitting import MOST_TRAINING, fit_sampler, fit_to_codes
from aecli.runs.uses.sampling.kept import keep_sampler, read_sampler, sampler_of
from aecli.runs.uses.sampling.measures import ROWS, held_out_images
from aecli.runs.uses.sampling.mixture import fit_mixture
from aecli.runs.uses.sampling.sampler import MOST_AXES, MixtureSampler, PriorSampler, draw_images, fit_axes, has_prior
from aecli.training.trainer import train
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def fitted(trained):
    """The sampler of the shared run, of two Gaussians: quickly fitted."""
    return fit_sampler(trained, load_model(trained), 2)


@pytest.fixture
def keeping(run, fitted):
    """A run that keeps that sampler."""
    assert keep_sampler(run, fitted) is None
    return run


# -- drawing ----------------------------------------------------------------------------------


def some_codes(count=400, latents=5):
    """Codes whose latents hang together, one of them dead and one alike up to a sign."""
    random = np.random.default_rng(0)
    codes = random.normal(size=(count, latents)) @ random.normal(size=(latents, latents)) + 3
    codes[:, 1] = 7
    codes[:, 2] = 1 - codes[:, 3]
    return codes.astype(np.float32)


def test_draws_have_the_mean_and_the_covariance_of_the_codes():
    codes = some_codes()
    drawn = fit_to_codes(codes, 1).draw(40_000, seed=0)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.15)
    assert (drawn[:, 1] == 7).all()  # a dead latent stays where it is
    np.testing.assert_allclose(drawn[:, 2], 1 - drawn[:, 3], atol=1e-4)


def test_the_first_of_many_are_those_of_few_and_a_seed_has_its_own():
    sampler = fit_to_codes(some_codes(), 3)
    many = sampler.draw(100, seed=4)
    np.testing.assert_array_equal(sampler.draw(7, seed=4), many[:7])
    np.testing.assert_array_equal(sampler.draw(10, seed=4, first=90), many[90:])
    assert not np.isclose(sampler.draw(7, seed=5), many[:7])[:, 0].any()


@pytest.mark.parametrize("shape", [(1, 4), (2, 9), (30, 1), (40, 200), (20, 3000)])
@pytest.mark.parametrize("constant", [False, True])
def test_codes_of_any_length_and_number_have_a_sampler(shape, constant):
    codes = np.random.default_rng(1).normal(size=shape).astype(np.float32) * (0 if constant else 1) + 2
    sampler = fit_to_codes(codes, "auto")
    drawn = sampler.draw(50, seed=0)
    assert drawn.shape == (50, shape[1])
    assert np.isfinite(drawn).all()
    assert len(sampler.axes.spread) <= min(MOST_AXES, shape[0] - 1, shape[1])
    if constant or shape[0] == 1:
        np.testing.assert_allclose(drawn, np.repeat(codes[:1], 50, axis=0), rtol=1e-6)


def test_beyond_the_axes_of_a_mixture_latents_are_noise_of_their_own_spread():
    random = np.random.default_rng(2)
    codes = (random.normal(size=(600, 3)) @ random.normal(size=(3, 30)) * 5).astype(np.float32)
    codes += random.normal(size=codes.shape).astype(np.float32) * np.linspace(0.5, 2, 30, dtype=np.float32)
    axes, points = fit_axes(codes, most=3)
    assert axes.directions.shape == (30, 3)
    back = axes.codes(points, np.zeros((1, 30)))
    np.testing.assert_allclose((codes - back).std(axis=0), axes.noise, rtol=1e-3)
    drawn = MixtureSampler(axes, fit_mixture(points, 1)).draw(20_000, seed=0)
    np.testing.assert_allclose(drawn.var(axis=0), codes.var(axis=0), rtol=0.05)


def test_axes_are_those_of_the_latents_that_matter():
    codes = np.random.default_rng(3).normal(size=(500, 6)).astype(np.float32) * [1, 1, 1, 9, 9, 9]
    for weights, important in ((np.ones(6), {3, 4, 5}), (np.array([90.0, 90, 90, 1, 1, 1]), {0, 1, 2})):
        axes, points = fit_axes(codes.astype(np.float32), most=3, weights=weights)
        assert set(np.argsort(-abs(axes.directions * axes.spread).max(axis=1))[:3]) == important
        drawn = MixtureSampler(axes, fit_mixture(points, 1)).draw(20_000, seed=0)
        np.testing.assert_allclose(drawn.std(axis=0), codes.std(axis=0), rtol=0.05)
        np.testing.assert_allclose(
            axes.codes(points, np.zeros((1, 6)))[:, [*important]], codes[:, [*important]], atol=0.5
        )


def test_points_of_codes_have_unit_variance_and_no_correlation():
    codes = some_codes()
    axes, points = fit_axes(codes)
    assert points.shape == (400, 3)  # of five latents one is dead and one alike
    np.testing.assert_allclose(np.cov(points.T, bias=True), np.eye(3), atol=1e-4)
    np.testing.assert_allclose(axes.codes(points, np.zeros((1, 5))), codes, atol=1e-4)


def test_the_prior_is_standard_normal_and_no_run_has_it_yet(trained):
    drawn = PriorSampler(6).draw(20_000, seed=1)
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(6), atol=0.04)
    np.testing.assert_array_equal(PriorSampler(6).draw(5, seed=1, first=10), drawn[10:15])
    assert not has_prior(trained)


def test_images_have_the_same_bits_whatever_the_threads(trained, fitted, monkeypatch):
    model = load_model(trained)
    monkeypatch.setattr("aecli.data.dataset._CHUNK_BYTES", 50 * 8 * 8 * 4)

    def images():
        return np.concatenate([*draw_images(fitted.sampler, model.decode, model.image_shape, 170, 3)])

    several = images()
    monkeypatch.setattr(machine, "_MOST_THREADS", 1)
    np.testing.assert_array_equal(images(), several)
    np.testing.assert_allclose(several, model.decode(fitted.sampler.draw(170, 3)), atol=1e-5)


# -- measuring --------------------------------------------------------------------------------


def test_every_row_is_measured_and_says_on_what(trained, fitted):
    measures = fitted.measures
    assert tuple(measures.rows) == ROWS
    assert (measures.part, measures.images) == ("validation", len(trained.split.validation) // 2)
    assert (measures.training, measures.axes) == (len(trained.split.train), 64)
    assert (measures.pca_components, measures.pca_mixture) == (8, 2)
    for row in measures.rows.values():
        assert all(0 <= share <= 1 for share in (row.coverage, row.recall, row.copies))
    # A ceiling: images that nobody made.
    assert measures.rows["held_out"].coverage > 0.9
    assert measures.rows["held_out"].recall > 0.9
    assert measures.rows["sampler"].coverage > 0.3


def test_training_images_given_for_samples_are_copies(trained, digits, monkeypatch):
    from aecli.runs.uses.sampling import fitting

    images = (digits[trained.split.train][:500, ..., None] / 255).astype(np.float32)
    monkeypatch.setattr(fitting, "draw_images", lambda *_: [images])
    measures = fit_sampler(trained, load_model(trained), 1).measures
    assert measures.rows["sampler"].copies == 1
    assert measures.rows["held_out"].copies < 0.1


def test_held_out_are_test_images_where_there_are_some(digits):
    np.save("train.npy", digits[:300])
    np.save("test.npy", digits[300:520])
    run = train(
        load_config(None, [*SMALL, "training.epochs=1", "data.train=train.npy", "data.test=test.npy"]).config, Path("r")
    )
    model = load_model(run)
    measures = fit_sampler(run, model, 1).measures
    assert (measures.part, measures.images) == ("test", 110)
    first, second = held_out_images(run, None).halves
    assert len(first) == len(second) == 110
    assert not set(first) & set(second)
    Path("test.npy").unlink()  # there are validation images still, but too few
    measures = fit_sampler(run, model, 1).measures
    assert (measures.part, measures.images, measures.rows) == ("validation", 15, {})


# -- keeping ----------------------------------------------------------------------------------


def test_what_is_kept_draws_the_same_bits_and_has_the_same_measures(keeping, fitted):
    kept = read_sampler(keeping, load_model(keeping))
    assert kept.kept
    assert replace(kept, kept=False, sampler=fitted.sampler) == fitted
    np.testing.assert_array_equal(kept.sampler.draw(30, 2), fitted.sampler.draw(30, 2))


def test_the_prior_is_kept_too(run, fitted):
    keep_sampler(run, replace(fitted, sampler=PriorSampler(8)))
    kept = read_sampler(run, load_model(run))
    assert kept.sampler == PriorSampler(8)
    assert kept.serves(None)
    assert not kept.serves(2)
    assert not kept.serves("auto")


def test_a_kept_sampler_needs_no_training_images(keeping, monkeypatch):
    forget_images(keeping)
    model = load_model(keeping)
    assert sampler_of(keeping, model).kept
    assert sampler_of(keeping, model, 2).kept
    with pytest.raises(RunError, match="no longer there: put it back for its codes, or leave out --components"):
        sampler_of(keeping, model, 3)
    keeping.sampler_file.unlink()
    with pytest.raises(RunError, match="no longer there: put it back for its codes, or train the run again"):
        sampler_of(keeping, model)


def forget_images(run):
    """Let the run have been trained on images that are gone."""
    environment = json.loads(run.environment_file.read_text())
    environment["data"]["file"] = "gone.npy"
    run.environment_file.write_text(json.dumps(environment))
    run.__dict__.pop("environment", None)


def test_another_number_is_fitted_anew(keeping):
    model = load_model(keeping)
    three = sampler_of(keeping, model, 3)
    assert not three.kept
    assert len(three.sampler.mixture) == 3
    keep_sampler(keeping, three)
    assert len(sampler_of(keeping, model).sampler.mixture) == 3
    chosen = sampler_of(keeping, model, "auto")
    assert not chosen.kept
    assert chosen.chosen
    keep_sampler(keeping, chosen)
    assert sampler_of(keeping, model, "auto").kept


def test_a_sampler_of_other_weights_is_fitted_anew(keeping):
    model = load_model(keeping)
    assert sampler_of(keeping, model).kept
    arrays = read_arrays(keeping.sampler_file)
    write_arrays(keeping.sampler_file, {**arrays, "weights_sha256": np.frombuffer(b"other", np.uint8)})
    assert read_sampler(keeping, model) is None
    assert not sampler_of(keeping, model).kept


def test_a_training_further_and_a_new_one_in_the_folder_leave_no_sampler(keeping, fitted):
    keeping.reopen(keeping.config_text)
    assert not keeping.sampler_file.exists()
    keep_sampler(keeping, fitted)
    keeping.create(keeping.config_text, overwrite=True)
    assert not keeping.sampler_file.exists()


def test_a_run_that_cannot_be_written_is_sampled_all_the_same(run, fitted, monkeypatch):
    shutil.rmtree(run.plots_folder)
    gone = Run(run.path.with_name("gone"))
    monkeypatch.setattr("aecli.runs.uses.sampling.kept.weights_sha256", lambda _: "x")
    note = keep_sampler(gone, fitted)
    assert "sampler.npz: cannot be written" in note
    assert note.endswith("the next ae sample fits it again")


def test_more_components_than_codes(trained):
    count = len(trained.split.train)
    assert count < MOST_TRAINING
    with pytest.raises(AeError, match=r"--components 5000: more than there are training codes, 1,617: give fewer"):
        fit_sampler(trained, load_model(trained), 5000)


DAMAGED = {
    "kind": np.frombuffer(b"flow", np.uint8), "chosen": np.array(1), "codes": np.array(-1),
    "mean": np.zeros(9), "directions": np.full((8, 8), np.nan), "spread": np.zeros(8), "noise": np.full(8, -1.0),
    "weights": np.array([1.0, -0.1]), "means": np.full((2, 8), 1e30), "factors": np.zeros((2, 8, 8), np.float32),
    "measures": np.full((4, 3), 2.0), "measured_on": np.zeros(3, np.int64),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_other_content_is_damage(keeping, name):
    arrays = read_arrays(keeping.sampler_file)
    for damaged in ({**arrays, name: DAMAGED[name]}, {key: value for key, value in arrays.items() if key != name}):
        write_arrays(keeping.sampler_file, damaged)
        with pytest.raises(RunError, match=r"sampler\.npz: is damaged .*: remove it, and ae sample fits it again"):
            read_sampler(keeping, load_model(keeping))
