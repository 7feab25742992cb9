"""Linear codes: orthonormal directions of every kind, whose errors are those that reconstructing measures."""

from pathlib import Path

import numpy as np
import pytest
from scipy.fft import dctn
from sklearn.decomposition import PCA

from aecli.data.dataset import open_images
from aecli.models.linear.bases import (
    COPIES,
    fit_cosines,
    fit_tiles,
    shifted_and_flipped,
)  # fmt: skip
from aecli.models.linear.fit import fit_linear_codes
from aecli.runs.baselines import Baselines, baselines_of
from aecli.runs.metrics import mse, sse_per_image

SHAPES = [(1, 7, 1), (5, 1, 1), (1, 1, 1), (2, 2, 4), (28, 23, 1), (35, 35, 3)]
NAMES = ["1x7", "5x1", "1x1", "2x2x4", "28x23", "35x35x3"]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=NAMES)


def smooth(count, shape, seed=0):
    """Images with structure and detail, float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(np.cumsum(rng.normal(size=(count, *shape)), axis=1), axis=2)
    walks += 0.3 * rng.normal(size=walks.shape)
    return np.asarray((walks - walks.min()) / (walks.max() - walks.min()), np.float32)


def codes_of(images, longest, train=None, validation=None):
    """Return the linear codes of images; without rows, a quarter of them validates."""
    np.save("images.npy", images)
    source, rows = open_images(Path("images.npy")), np.arange(len(images))
    train = rows[len(rows) // 4 :] if train is None else train
    validation = rows[: len(rows) // 4] if validation is None else validation
    return fit_linear_codes(source, train, validation, longest)


def passes(images):
    """One pass over centred images, in several batches."""
    centred = images - images.mean(axis=0)
    return lambda function: map(function, np.array_split(centred, 5))


@each_shape
def test_directions_of_every_kind_are_orthonormal(shape):
    for candidate in codes_of(smooth(40, shape), 12).candidates:
        directions = candidate.code(12).directions
        np.testing.assert_allclose(directions @ directions.T, np.eye(len(directions)), atol=1e-5)
        assert np.isfinite(directions).all()


@each_shape
def test_the_error_of_every_length_is_that_which_reconstructing_measures(shape):
    images = smooth(40, shape)
    codes = codes_of(images, 12)
    for candidate in codes.candidates:
        for length in (1, 3, 12):
            error = mse(images[:10], candidate.code(length).reconstruct(images[:10])).mean()
            assert candidate.error(length) == pytest.approx(error, rel=1e-3, abs=1e-8), candidate.name
        assert (np.diff(candidate.errors) <= 1e-12).all()
    assert codes.candidates[0].error(0) == pytest.approx(mse(images[:10], codes.mean[None]).mean(), rel=1e-5)


@each_shape
def test_the_best_has_the_least_error_and_pca_is_among_them(shape):
    codes = codes_of(smooth(40, shape), 8)
    for length in (1, 2, 8):
        errors = [candidate.error(length) for candidate in codes.candidates]
        assert codes.best(length).error(length) == min(errors)
        for kind in {candidate.kind for candidate in codes.candidates}:
            assert codes.best(length, kind).kind == kind
    assert (codes.pca.name, codes.pca.kind) == ("PCA", "pca")


@each_shape
def test_codes_are_of_unit_variance_and_decode_to_the_projection(shape):
    images = smooth(40, shape)
    code = codes_of(images, 6).best(6).code(6)
    (kernel, bias), (back, mean) = code.encoder(9), code.decoder(9)
    latents = images.reshape(40, -1) @ kernel + bias
    found = min(6, len(code.directions))
    np.testing.assert_array_equal(latents[:, found:], 0)
    np.testing.assert_allclose(np.square(latents[10:, :found]).mean(axis=0), 1, rtol=2e-3)
    np.testing.assert_allclose((latents @ back + mean).reshape(images.shape), code.reconstruct(images), atol=1e-5)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_fewer_images_than_components_span_what_they_span(count):
    codes = codes_of(smooth(count + 1, (6, 5, 1)), 20, np.arange(count), np.array([count]))
    assert len(codes.pca.code(20).directions) == count - 1
    assert codes.pca.error(20) == codes.pca.error(count - 1)
    for candidate in codes.candidates:
        assert np.isfinite(candidate.errors).all()


def test_a_single_training_image_is_the_mean_and_nothing_more():
    images = smooth(2, (6, 5, 1))
    codes = codes_of(images, 4, np.array([0]), np.array([1]))
    assert codes.pca.code(4).directions.shape == (0, 30)
    np.testing.assert_allclose(codes.pca.code(4).reconstruct(images[1:])[0], images[0], atol=1e-6)


def test_constant_images_have_no_error_and_scales_that_divide():
    codes = codes_of(np.full((12, 6, 5, 1), 0.3, np.float32), 5)
    for candidate in codes.candidates:
        code = candidate.code(5)
        assert candidate.error(5) == pytest.approx(0, abs=1e-12)
        assert (code.scale > 0).all()
        kernel, bias = code.encoder(5)
        assert np.isfinite(kernel).all()
        assert np.isfinite(bias).all()


@pytest.mark.parametrize("longest", [2, 12])
def test_directions_that_are_rounding_have_no_codes_to_speak_of(longest):
    shades = np.random.default_rng(0).random((40, 1, 1, 1), np.float32)
    images = np.tile(shades, (1, 7, 6, 1))  # one direction: from black to white
    for candidate in codes_of(images, longest).candidates:
        kernel, bias = candidate.code(longest).encoder(longest)
        latents = images.reshape(40, -1) @ kernel + bias
        alive = latents.std(axis=0) > 1e-3
        assert candidate.kind == "patches" or alive.sum() == 1
        np.testing.assert_allclose(latents[:, alive].std(axis=0), 1, rtol=0.3)
        assert np.abs(latents[:, ~alive]).max(initial=0) < 1e-5


@pytest.mark.parametrize("grid", [2, 4, 8])
@each_shape
def test_tiles_cover_every_pixel_once(shape, grid):
    images = smooth(40, shape)
    tiles = fit_tiles(passes(images), (40, *shape), grid, 10**6)
    seen = np.zeros(shape)
    numbered = np.arange(seen.size, dtype=np.float32).reshape(1, *shape)
    values = np.concatenate([region.tiles(numbered).ravel() for region in tiles.regions])
    assert sorted(values) == [*range(seen.size)]


def test_all_directions_of_tiles_and_cosines_give_every_image_back():
    images = smooth(400, (7, 6, 2))
    centred = images - images.mean(axis=0)
    for basis in (fit_tiles(passes(images), images.shape, 2, 10**6), fit_cosines(passes(images), images.shape[1:])):
        products = basis.coefficients(centred)
        assert products.shape == (400, 84)
        directions = basis.directions(np.arange(84))
        np.testing.assert_allclose(products, centred.reshape(400, -1) @ directions.T, atol=1e-5)
        np.testing.assert_allclose(products @ directions, centred.reshape(400, -1), atol=1e-5)


@each_shape
def test_the_cosines_are_those_of_scipy(shape):
    images = smooth(9, (*shape[:2], 1))
    products = fit_cosines(passes(images), images.shape[1:]).coefficients(images)
    np.testing.assert_allclose(products.reshape(images.shape), dctn(images, axes=(1, 2), norm="ortho"), atol=1e-4)


def test_copies_are_shifted_and_mirrored_and_the_first_is_the_image():
    images = smooth(3, (16, 16, 2))
    np.testing.assert_array_equal(shifted_and_flipped(images, 0), images)
    np.testing.assert_array_equal(shifted_and_flipped(images, COPIES // 2), images[:, :, ::-1])
    copies = {shifted_and_flipped(images, copy).tobytes() for copy in range(COPIES)}
    assert len(copies) == COPIES


def test_many_images_prefer_pca_and_few_pictures_tiles(digits):
    many = codes_of((digits / 255).astype(np.float32)[..., None], 16)
    assert many.best(16).kind == "pca"
    few = codes_of(smooth(24, (32, 32, 1)), 64)
    assert few.best(64).kind != "pca"
    assert few.best(64).error(64) < 0.8 * few.pca.error(64)


# -- the rows that stand below a model's ----------------------------------------------------------


@pytest.fixture
def images(digits):
    return (digits[..., None] / 255).astype(np.float32)


def sklearn_mse(images, count):
    rows = images.reshape(len(images), -1)
    model = PCA(count).fit(rows)
    return ((model.inverse_transform(model.transform(rows)) - rows) ** 2).mean()


def baselines_of_all(images, count):
    rows = np.arange(len(images))
    return baselines_of(codes_of(images, count, rows, rows), count)


def test_pca_is_that_of_scikit_learn(images):
    fitted = baselines_of_all(images, 10)
    assert mse(images, fitted.reconstruct_pca(images)).mean() == pytest.approx(sklearn_mse(images, 10), rel=1e-5)


def test_as_many_components_as_values_reconstruct_exactly(images):
    fitted = baselines_of_all(images, 1000)
    assert len(fitted.components) == 64
    assert mse(images, fitted.reconstruct_pca(images)).max() < 1e-9


def test_there_are_no_more_components_than_the_images_span(images):
    assert len(baselines_of_all(images[:3], 10).components) == 2


def test_the_mean_image_is_the_mean(images):
    np.testing.assert_allclose(baselines_of_all(images, 1).mean, images.mean(axis=0, dtype=np.float64), atol=1e-7)


def test_the_published_row_of_mnist(shared_data):
    train, test = (open_images(shared_data / f"mnist_{part}.npy") for part in ("train", "test"))
    rows = np.arange(len(train))
    fitted = baselines_of(fit_linear_codes(train, rows, rows[:9], 64), 64)
    images = test.format.to_contract(test.file.read(0, len(test)))
    assert sse_per_image(images, fitted.reconstruct_mean(images)).mean() == pytest.approx(52.90, abs=0.005)
    published = {2: 0.055669, 4: 0.047903, 8: 0.037441, 16: 0.026860, 32: 0.016828, 64: 0.009047}
    for count, expected in published.items():
        leading = Baselines(fitted.mean, fitted.components[:count])
        assert mse(images, leading.reconstruct_pca(images)).mean() == pytest.approx(expected, abs=1e-5)
