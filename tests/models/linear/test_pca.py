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


def test_a_randomised_iteration_comes_within_a_percent(rows, monkeypatch):
    exact = left(rows, 10)
    monkeypatch.setattr(pca, "_EXACT_LIMIT", 32)
    assert exact * 0.9999 <= left(rows, 10) <= exact * 1.01


@pytest.mark.parametrize("limit", [1600, 5, 0], ids=["covariance", "products", "randomised"])
def test_rows_that_are_all_the_same_have_orthonormal_components(limit, monkeypatch):
    monkeypatch.setattr(pca, "_EXACT_LIMIT", limit)
    assert left(np.full((5, 30), 0.25, np.float32), 3) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("limit", [1600, 3, 0], ids=["covariance", "products", "randomised"])
def test_there_is_one_component_less_than_rows(limit, monkeypatch, rows):
    monkeypatch.setattr(pca, "_EXACT_LIMIT", limit)
    assert fit_components(lambda function: [function(rows[:3])], (3, 64), 10)[1].shape == (64, 2)
