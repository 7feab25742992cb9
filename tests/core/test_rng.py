"""Random numbers without state: known answers, their distribution, and one definition for NumPy and TensorFlow."""

import numpy as np
import pytest
from scipy import special, stats

from aecli.core.rng import Draws, draw_key, erfinv, threefry
from aecli.training.engines.tensorflow.array_namespace import TENSORFLOW
from aecli.training.engines.tensorflow.backend import tf

ROWS = np.arange(400, dtype=np.uint32)


def draws(seed=0, epoch=1, rows=ROWS):
    return Draws(np, np.array(draw_key(seed, epoch), np.uint32), np.asarray(rows, np.uint32))


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_words_published_with_it(key, counter, expected):
    """The known answers of Random123, the authors' own implementation."""
    words = [(np.array([k], np.uint32), np.array([c], np.uint32)) for k, c in zip(key, counter, strict=True)]
    keys, counters = zip(*words, strict=True)
    assert tuple(int(word[0]) for word in threefry(np, keys, counters)) == expected


def test_the_inverse_error_function_is_that_of_scipy():
    x = np.concatenate([np.linspace(-0.999, 0.999, 4001), 1 - 2.0 ** -np.arange(1, 24), [-1 + 2.0**-23]])
    np.testing.assert_allclose(erfinv(np, x.astype(np.float32)), special.erfinv(x), rtol=5e-6, atol=1e-7)


def test_uniform_numbers_are_uniform():
    numbers = draws().uniform(0, 500).ravel()
    assert numbers.dtype == np.float32
    assert 0 < numbers.min() < 1e-4
    assert 1 - 1e-4 < numbers.max() < 1
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_the_ends_of_the_uniform_numbers_are_inside():
    """Every word a generator can give: the first and the last must not become 0 and 1."""
    ends = (np.array([0, 2**23 - 1], np.uint32).astype(np.float32) + np.float32(0.5)) * 2.0**-23
    assert 0 < ends[0] < ends[1] < 1
    assert np.isfinite(erfinv(np, (2 * ends - 1).astype(np.float32))).all()


def test_normal_numbers_are_normal_into_the_tails():
    numbers = draws().normal(0, 2500).ravel()
    assert numbers.mean() == pytest.approx(0, abs=4e-3)
    assert numbers.var() == pytest.approx(1, abs=6e-3)
    assert stats.kstest(numbers, "norm").pvalue > 1e-3
    for limit in (2, 3, 4):
        expected = stats.norm.sf(limit) * numbers.size
        for count in ((numbers > limit).sum(), (numbers < -limit).sum()):
            assert abs(count - expected) < 5 * np.sqrt(expected)


def correlation(a, b):
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_neighbours_images_epochs_purposes_and_seeds_are_independent():
    base, shape = draws().uniform(0, 500), (400, 500)
    limit = 4.5 / np.sqrt(np.prod(shape))
    for other in (draws(epoch=2).uniform(0, 500), draws(seed=1).uniform(0, 500), draws().uniform(1, 500)):
        assert abs(correlation(base, other)) < limit
    for step in (1, 2, 28):
        assert abs(correlation(base[:, :-step], base[:, step:])) < limit
        assert abs(correlation(base[:-step], base[step:])) < limit


def test_a_draw_depends_on_its_image_alone():
    """Not on the batch, the order, nor on how many numbers are drawn."""
    rows = np.array([7, 399, 0])
    np.testing.assert_array_equal(draws(rows=rows).normal(3, 20), draws().normal(3, 500)[rows, :20])


def test_tensorflow_draws_what_numpy_does():
    def compiled(kind):
        @tf.function(jit_compile=True, autograph=False)
        def draw(key, rows):
            return getattr(Draws(TENSORFLOW, key, rows), kind)(3, 100)

        return draw(tf.constant(draw_key(0, 1), tf.uint32), tf.constant(ROWS)).numpy()

    np.testing.assert_array_equal(compiled("uniform"), draws().uniform(3, 100))
    np.testing.assert_allclose(compiled("normal"), draws().normal(3, 100), atol=2e-6)
