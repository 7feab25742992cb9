"""Coverage, recall and nearest distances: by hand, against all pairs written out, and where they are known."""

import numpy as np
import pytest

from aecli.runs.uses.sampling import coverage as module
from aecli.runs.uses.sampling.coverage import coverage, nearest_distances, recall

LINE = np.arange(10.0)[:, None]


def normal(seed, count=400, dimensions=6, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(count, dimensions))


def all_pairs(points, others):
    return np.sqrt(((points[:, None] - others[None]) ** 2).sum(axis=2))


def radii(points, k):
    return np.sort(all_pairs(points, points), axis=1)[:, k]


def test_by_hand_on_a_line():
    # Between neighbours lies 1: the ends reach to 1 with their nearest, as all others do.
    assert coverage(LINE, np.array([[0.4], [0.6]]), neighbours=1) == 0.2
    assert coverage(LINE, np.array([[-1.5]]), neighbours=1) == 0
    assert coverage(LINE, np.array([[-1.5]]), neighbours=2) == 0.1
    # Two samples 3 apart reach 3 to both sides: from -1 to 8.
    assert recall(LINE, np.array([[2.0], [5.0]]), neighbours=1) == 0.9
    assert nearest_distances(LINE, np.array([[3.0], [20.0]])).tolist() == [3, 2, 1, 0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("k", [1, 5])
def test_it_is_that_of_all_pairs_written_out(k, monkeypatch):
    real, samples = normal(0, 90), normal(1, 70, scale=1.3)
    pairs = all_pairs(real, samples)
    for rows in (7, 1000):  # in pieces, and at once
        monkeypatch.setattr(module, "_ROWS", rows)
        assert coverage(real, samples, k) == np.mean(pairs.min(axis=1) <= radii(real, k))
        assert recall(real, samples, k) == np.mean((pairs <= radii(samples, k)).any(axis=1))
        np.testing.assert_allclose(nearest_distances(real, samples), pairs.min(axis=1))


def test_of_points_of_the_same_kind_all_but_one_of_two_to_the_k_are_covered():
    # The k nearest of all points to a real one are all real themselves in 2^-k: no sample is near it then.
    reached = [coverage(normal(seed), normal(seed + 100), 3) for seed in range(8)]
    assert np.mean(reached) == pytest.approx(1 - 2**-3, abs=0.02)


def test_a_kind_that_is_left_out_is_not_covered_and_copies_of_the_mean_reach_nothing():
    real = np.concatenate([normal(0, 200), 30 + normal(1, 200)])
    half = normal(2, 400)
    assert coverage(real, half) == pytest.approx(0.5, abs=0.05)
    assert recall(real, half) == pytest.approx(0.5, abs=0.05)
    mean = real.mean(axis=0) + normal(3, 400, scale=0.01)
    assert coverage(real, mean) == recall(real, mean) == 0


def test_the_images_themselves_cover_and_recall_all():
    real = normal(0)
    assert coverage(real, real) == recall(real, real) == 1


def test_points_that_are_all_alike():
    same = np.ones((60, 3))
    assert coverage(same, same) == recall(same, same) == 1
    assert coverage(same, same + 1) == 0
