"""Scores of strange images: conformal p-values, their intervals, the area under the ROC curve, held_out.npz."""

import numpy as np
import pytest
from scipy import stats

from aecli.core.errors import AeError, RunError
from aecli.core.npy import read_arrays, write_arrays
from aecli.runs.config_file import load_config
from aecli.runs.uses.kept_arrays import letters
from aecli.runs.uses.proportions import wilson
from aecli.runs.uses.scoring.conformal import p_values, threshold
from aecli.runs.uses.scoring.detection import Auroc
from aecli.runs.uses.scoring.held_out import ROWS, held_out_part, read_held_out, values_of
from aecli.training.trainer import train
from tests.conftest import SMALL


def test_p_values_are_ranks_among_the_held_out_scores():
    held_out = np.array([3.0, 1.0, 2.0, 2.0])
    np.testing.assert_allclose(p_values(held_out, np.array([0.5, 1, 2, 2.5, 3, 9])), [1, 1, 0.8, 0.4, 0.4, 0.2])


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.5, 1 / 100])
def test_above_the_threshold_are_the_scores_whose_p_value_is_within_the_rate(rate):
    rng = np.random.default_rng(0)
    held_out, scores = rng.integers(0, 60, 99).astype(float), rng.integers(0, 70, 500).astype(float)
    found = threshold(held_out, rate)
    np.testing.assert_array_equal(scores > found.value, p_values(held_out, scores) <= rate + 1e-12)
    assert found.expected_rate <= rate + 1e-12
    assert (held_out >= found.value).sum() >= found.above


def test_a_rate_that_so_few_images_cannot_tell_is_refused():
    held_out = np.arange(180.0)
    assert threshold(held_out, 1 / 181).above == 1
    with pytest.raises(AeError, match=r"--false-alarms 0.005: of 180 held-out images no rate below 0.0055 can be told"):
        threshold(held_out, 0.005)


@pytest.mark.parametrize(
    ("count", "rate", "images"), [(500, 0.01, 512), (99, 0.05, 10_000), (20, 0.3, 7), (199, 0.5, 1)]
)
def test_the_intervals_are_those_of_scipy(count, rate, images):
    found = threshold(np.arange(float(count)), rate)
    a, b = found.above, count + 1 - found.above
    np.testing.assert_allclose(found.rate_interval, stats.beta(a, b).ppf([0.025, 0.975]))
    exact = stats.betabinom(images, a, b)
    assert found.count_interval(images) == tuple(exact.ppf([0.025, 0.975]).astype(int))
    assert found.expected(images) == pytest.approx(exact.mean())


def test_shares_of_normal_images_flagged_are_beta_distributed():
    rng = np.random.default_rng(1)
    shares = [
        np.mean(rng.exponential(size=20_000) > threshold(rng.exponential(size=199), 0.05).value) for _ in range(300)
    ]
    assert np.mean(shares) == pytest.approx(0.05, abs=0.003)
    low, high = threshold(np.arange(199.0), 0.05).rate_interval
    assert 0.91 <= np.mean([low <= share <= high for share in shares]) <= 0.985


@pytest.mark.parametrize("values", [5, 1000])
def test_auroc_is_the_share_of_pairs_in_order(values):
    rng = np.random.default_rng(2)
    strange, normal = rng.integers(1, values, 70), rng.integers(0, values, 90)
    pairs = np.sign(strange[:, None] - normal[None, :])
    found = Auroc.of(strange.astype(float), normal.astype(float))
    assert found.area == pytest.approx((1 + pairs.mean()) / 2)
    assert found.normal.mean() == pytest.approx(found.area)
    low, high = found.interval
    assert 0 < low < found.area < high < 1


def test_the_interval_of_an_area_holds_the_true_one_as_often_as_it_says():
    rng, inside, true = np.random.default_rng(3), [], stats.norm.cdf(1 / np.sqrt(2))
    for _ in range(400):
        low, high = Auroc.of(rng.normal(1, 1, 60), rng.normal(0, 1, 80)).interval
        inside.append(low <= true <= high)
    assert 0.92 <= np.mean(inside) <= 0.98


def test_a_perfect_area_has_an_interval_too():
    found = Auroc.of(np.arange(10.0, 20), np.arange(8.0))
    assert found.area == 1
    low, high = found.interval
    assert 0.6 < low < 0.95
    assert high == 1
    assert Auroc.of(np.arange(10_000.0, 20_000), np.arange(8000.0)).interval[0] > 0.99
    assert Auroc.of(np.arange(8.0), np.arange(10.0, 20)).interval[0] == 0
    assert Auroc.of(np.array([1.0]), np.array([1.0])).interval[0] < 0.5


def test_the_difference_of_two_areas_of_the_same_images_is_paired():
    rng = np.random.default_rng(4)
    strange, normal = rng.normal(1, 1, 200), rng.normal(0, 1, 200)
    first = Auroc.of(strange, normal)
    second = Auroc.of(strange + rng.normal(0, 0.01, 200), normal)
    difference, (low, high) = first.less(second)
    assert difference == pytest.approx(first.area - second.area)
    assert high - low < 0.1 * (first.interval[1] - first.interval[0])


@pytest.mark.parametrize(("count", "of"), [(0, 10), (3, 10), (10, 10), (230, 1000)])
def test_wilson_is_that_of_scipy(count, of):
    np.testing.assert_allclose(wilson(count, of), stats.binomtest(count, of).proportion_ci(method="wilson"), atol=1e-12)


def test_a_run_keeps_the_metrics_of_its_validation_images(trained):
    held = read_held_out(trained)
    means = trained.metrics["splits"]["validation"]
    assert (held.part, len(held)) == ("validation", means["images"])
    for row in ROWS:
        for name in ("mse", "mae", "ssim", "sharpness"):
            assert np.nanmean(held.values[row][name]) == pytest.approx(means[row][name])
    np.testing.assert_allclose(
        values_of(held.values["pca"], "psnr", (8, 8, 1)), -10 * np.log10(held.values["pca"]["mse"])
    )


def test_it_is_of_the_test_images_where_there_are_some(digits, tmp_path):
    np.save("test.npy", digits[:50])
    run = train(load_config(None, [*SMALL, "training.epochs=1", "data.test=test.npy"]).config, tmp_path / "a")
    held = read_held_out(run)
    assert (held.part, len(held), held_out_part(run)) == ("test", 50, "test")
    assert held.values["model"]["mse"].mean() == pytest.approx(run.metrics["splits"]["test"]["model"]["mse"])


def test_of_other_weights_it_does_not_serve(run):
    encoder = bytearray(run.encoder_file.read_bytes())
    assert read_held_out(run) is not None
    encoder[-1] ^= 1
    run.encoder_file.write_bytes(encoder)
    assert read_held_out(run) is None


def test_none_is_none(run):
    run.held_out_file.unlink()
    assert read_held_out(run) is None


def damaged(**changes):
    return lambda arrays: {**arrays, **changes}


@pytest.mark.parametrize(
    "damage",
    [
        damaged(part=letters("train")), damaged(metrics=letters("mae,ssim,sharpness,x")), damaged(metrics=letters("mse")),
        damaged(model=np.full((4, 180), np.nan)), damaged(model=np.zeros((4, 180), np.float32)),
        damaged(pca=np.zeros((4, 179))), damaged(part=np.array(["test"])),
        *(damaged(**{row: np.zeros((4, 0)) for row in ROWS}) for _ in "1"), lambda _: {"model": np.zeros(3)},
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line(run, damage):
    write_arrays(run.held_out_file, damage(read_arrays(run.held_out_file)))
    with pytest.raises(RunError, match=r"held_out.npz: is damaged \(.*: remove it, and ae evaluate --keep makes it"):
        read_held_out(run)


def test_a_metric_of_another_version_is_left_out(run):
    arrays = read_arrays(run.held_out_file)
    write_arrays(run.held_out_file, {**arrays, "metrics": letters("mse,later,ssim,sharpness")})
    assert list(read_held_out(run).values["pca"]) == ["mse", "ssim", "sharpness"]
