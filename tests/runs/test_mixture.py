"""Mixtures of Gaussians: known answers, the likelihood that EM climbs, and another implementation where it is there."""

import numpy as np
import pytest

from aecli.core import machine
from aecli.runs.uses.sampling.mixture import Mixture, choose_mixture, fit_mixture, named_draws, update_mixture

CENTRES = np.array([[0.0, 0.0], [12.0, 0.0], [0.0, -9.0]])
SHARES = (0.5, 0.3, 0.2)
COVARIANCES = np.array([[[1.0, 0.5], [0.5, 1.0]], [[2.0, 0.0], [0.0, 0.5]], [[1.0, -0.3], [-0.3, 1.5]]])


@pytest.fixture(scope="module")
def clusters() -> np.ndarray:
    """3,000 points of three Gaussians that hardly touch."""
    random = np.random.default_rng(0)
    counts = [round(3000 * share) for share in SHARES]
    parts = [random.multivariate_normal(*of, count) for *of, count in zip(CENTRES, COVARIANCES, counts, strict=True)]
    return random.permutation(np.concatenate(parts))


def likelihood(mixture, points):
    return float(mixture.log_densities(points).mean())


def covariances(mixture):
    return mixture.factors @ mixture.factors.transpose(0, 2, 1)


def matched(mixture):
    """The components in the order of CENTRES."""
    return [int(np.argmin(np.linalg.norm(mixture.means - centre, axis=1))) for centre in CENTRES]


def test_one_gaussian_is_the_mean_and_the_covariance(clusters):
    mixture = fit_mixture(clusters, 1, floor=0)
    np.testing.assert_allclose(mixture.means[0], clusters.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(covariances(mixture)[0], np.cov(clusters.T, bias=True), atol=1e-9)
    assert mixture.weights.tolist() == [1.0]


def test_clusters_that_hardly_touch_are_found(clusters):
    mixture = fit_mixture(clusters, 3)
    order = matched(mixture)
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(mixture.weights[order], SHARES, atol=0.01)
    np.testing.assert_allclose(mixture.means[order], CENTRES, atol=0.15)
    np.testing.assert_allclose(covariances(mixture)[order], COVARIANCES, atol=0.2)


def test_three_clusters_are_three_components(clusters):
    assert len(choose_mixture(clusters, tried=(1, 2, 3, 4, 8))) == 3


def test_the_density_is_that_of_the_formula():
    mixture = Mixture(np.array([0.25, 0.75]), np.array([[0.0], [3.0]]), np.array([[[1.0]], [[2.0]]]))
    x = np.array([[-1.0], [0.5], [40.0]])
    bell = lambda mean, sd: np.exp(-(((x[:, 0] - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))  # noqa: E731
    np.testing.assert_allclose(mixture.log_densities(x), np.log(0.25 * bell(0, 1) + 0.75 * bell(3, 2)), rtol=1e-12)
    # Where every density is zero in floating point its logarithm still is a number.
    assert np.isfinite(mixture.log_densities(np.array([[1e6]]))).all()


def test_no_step_of_em_lowers_the_likelihood(clusters):
    shares = named_draws(3, "start", len(clusters)).uniform(0, 4).astype(float)
    shares /= shares.sum(axis=1, keepdims=True)
    reached = []
    for _ in range(30):
        mixture = update_mixture(clusters, shares, floor=0)
        reached.append(likelihood(mixture, clusters))
        shares = np.stack(
            [np.log(w) + Mixture(np.ones(1), m[None], f[None]).log_densities(clusters)
             for w, m, f in zip(mixture.weights, mixture.means, mixture.factors, strict=True)], axis=1,
        )  # fmt: skip
        shares = np.exp(shares - mixture.log_densities(clusters)[:, None])
        np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (np.diff(reached) >= -1e-12).all()
    assert reached[-1] > reached[0] + 0.1


def test_it_comes_to_where_scikit_learn_does(clusters):
    learned = pytest.importorskip("sklearn.mixture")
    other = learned.GaussianMixture(3, reg_covar=1e-4, tol=1e-6, max_iter=500, n_init=3, random_state=0).fit(clusters)
    mixture = fit_mixture(clusters, 3)
    assert likelihood(mixture, clusters) == pytest.approx(other.score(clusters), abs=1e-3)
    np.testing.assert_allclose(mixture.log_densities(clusters), other.score_samples(clusters), atol=0.2)


def test_one_step_is_that_of_scikit_learn(clusters):
    learned = pytest.importorskip("sklearn.mixture")
    start = learned.GaussianMixture(
        3, weights_init=[1 / 3] * 3, means_init=CENTRES, precisions_init=np.linalg.inv(COVARIANCES),
        reg_covar=1e-4, max_iter=1, tol=0,
    )  # fmt: skip
    with pytest.warns(learned_warning()):
        start.fit(clusters)
    begun = Mixture(np.full(3, 1 / 3), CENTRES, np.linalg.cholesky(COVARIANCES))
    joint = np.stack(
        [Mixture(np.ones(1), CENTRES[k : k + 1], begun.factors[k : k + 1]).log_densities(clusters) for k in range(3)], 1
    )
    shares = np.exp(joint - joint.max(axis=1, keepdims=True))
    mixture = update_mixture(clusters, shares / shares.sum(axis=1, keepdims=True), floor=1e-4)
    np.testing.assert_allclose(mixture.means, start.means_, atol=1e-9)
    np.testing.assert_allclose(covariances(mixture), start.covariances_, atol=1e-9)
    np.testing.assert_allclose(mixture.weights, start.weights_, atol=1e-9)


def learned_warning():
    from sklearn.exceptions import ConvergenceWarning

    return ConvergenceWarning


def test_what_is_drawn_has_the_shares_means_and_covariances(clusters):
    mixture = fit_mixture(clusters, 3)
    draws = named_draws(0, "test", 40_000)
    drawn = mixture.draw(draws.uniform(0, 1)[:, 0], draws.normal(1, 2))
    again = fit_mixture(drawn, 3)
    np.testing.assert_allclose(again.weights[matched(again)], mixture.weights[matched(mixture)], atol=0.01)
    np.testing.assert_allclose(again.means[matched(again)], mixture.means[matched(mixture)], atol=0.05)
    np.testing.assert_allclose(covariances(again)[matched(again)], covariances(mixture)[matched(mixture)], atol=0.06)


def test_one_thread_and_several_give_the_same_bits(clusters, monkeypatch):
    several = [choose_mixture(clusters) for _ in range(2)]
    monkeypatch.setattr(machine, "_MOST_THREADS", 1)
    one = choose_mixture(clusters)
    for mixture in several:
        assert all(
            np.array_equal(getattr(mixture, name), getattr(one, name)) for name in ("weights", "means", "factors")
        )


def test_the_same_seed_gives_the_same_bits_and_another_another_start(clusters):
    one, two = fit_mixture(clusters, 5, seed=1), fit_mixture(clusters, 5, seed=1)
    assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ("weights", "means", "factors"))
    assert not np.array_equal(one.means, fit_mixture(clusters, 5, seed=2).means)


@pytest.mark.parametrize(
    "points",
    [np.zeros((50, 3)), np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0), np.zeros((40, 0)), np.ones((1, 4))],
    ids=["all alike", "two points", "no axes", "one point"],
)
@pytest.mark.parametrize("number", [1, 2, 7])
def test_points_that_hardly_vary_have_a_mixture(points, number):
    number = min(number, len(points))
    mixture = fit_mixture(points, number)
    assert np.isfinite(mixture.log_densities(points)).all()
    draws = named_draws(0, "test", 9)
    drawn = mixture.draw(draws.uniform(0, 1)[:, 0], draws.normal(1, points.shape[1]))
    assert drawn.shape == (9, points.shape[1])
    assert np.isfinite(drawn).all()
    assert len(choose_mixture(points)) <= len(points)


def test_as_many_components_as_points():
    points = named_draws(0, "test", 12).normal(0, 3).astype(float)
    assert np.isfinite(fit_mixture(points, 12).log_densities(points)).all()


def test_few_points_get_one_gaussian():
    assert len(choose_mixture(np.arange(10.0)[:, None])) == 1


def test_a_number_that_draws_depend_on_is_their_own():
    many, few = named_draws(5, "a", 10).normal(0, 3), named_draws(5, "a", 4, first=6).normal(0, 3)
    np.testing.assert_array_equal(many[6:], few)
    assert not np.array_equal(many, named_draws(5, "b", 10).normal(0, 3))
