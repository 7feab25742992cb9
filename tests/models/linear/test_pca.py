"""Principal components of rows that come in batches: the three ways to them agree."""

import numpy as np
import pytest

from aecli.models.linear import pca
from aecli.models.linear.pca import fit_components


def batches(rows):
    return lambda function: map(function, np.array_split(rows, 7))


@pytest.fixture
def rows(digits):
    return (digits.reshape(len(digits), -1) / 255).astype(np.float32)


def left(rows, count):
    """The mean squared error of the rows projected on their components."""
    mean, components = fit_components(batches(rows), rows.shape, count)
    centred = rows - mean
    np.testing.assert_allclose(components.T @ components, np.eye(components.shape[1]), atol=1e-5)
    return np.square(centred - centred @ components @ components.T).mean()


def test_the_mean_is_the_mean(rows):
    np.testing.assert_allclose(
        fit_components(batches(rows), rows.shape, 3)[0], rows.mean(axis=0, dtype=np.float64), atol=1e-7
    )


def test_the_products_of_few_rows_give_the_components_of_the_covariance(rows):
    few = rows[:50]
    mean, expected = pca._fit_by_covariance(batches(few), 12)
    same_mean, components = pca._fit_by_products(batches(few), 12)
    np.testing.assert_allclose(same_mean, mean, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(components * expected, axis=0)), 1, atol=1e-3)  # but for their signs


@pytest.mark.parametrize("count", [2, 10])
def test_a_randomised_iteration_leaves_no_more_than_the_exact_components(rows, count, monkeypatch):
    """Fewer directions kept or fewer passes left up to 1.4 % more of real images, in the favour of what is compared."""
    exact = left(rows, count)
    monkeypatch.setattr(pca, "_EXACT_LIMIT", 32)
    assert exact * 0.99999 <= left(rows, count) <= exact * 1.0001


def test_a_randomised_iteration_is_as_good_where_the_variance_falls_slowly(monkeypatch):
    """As it does in photographs: with 16 more directions and four passes it leaves 0.2 % more."""
    scales = np.arange(1, 401, dtype=np.float32) ** -0.7
    rows = np.random.default_rng(0).normal(size=(2000, 400)).astype(np.float32) * scales
    exact = left(rows, 60)
    monkeypatch.setattr(pca, "_EXACT_LIMIT", 32)
    assert exact * 0.99999 <= left(rows, 60) <= exact * 1.0001


@pytest.mark.parametrize("limit", [1600, 5, 0], ids=["covariance", "products", "randomised"])
def test_rows_that_are_all_the_same_have_orthonormal_components(limit, monkeypatch):
    monkeypatch.setattr(pca, "_EXACT_LIMIT", limit)
    assert left(np.full((5, 30), 0.25, np.float32), 3) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("limit", [1600, 3, 0], ids=["covariance", "products", "randomised"])
def test_there_is_one_component_less_than_rows(limit, monkeypatch, rows):
    monkeypatch.setattr(pca, "_EXACT_LIMIT", limit)
    assert fit_components(lambda function: [function(rows[:3])], (3, 64), 10)[1].shape == (64, 2)
