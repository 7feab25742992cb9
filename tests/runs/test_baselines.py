"""The mean image and PCA against scikit-learn and against the published row."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from aecli.data.dataset import open_images
from aecli.runs import baselines
from aecli.runs.baselines import fit_baselines
from aecli.runs.metrics import mse, sse_per_image


def batches(images):
    return lambda function: map(function, np.array_split(images, 7))


@pytest.fixture
def images(digits):
    return (digits[..., None] / 255).astype(np.float32)


def sklearn_mse(images, count):
    rows = images.reshape(len(images), -1)
    model = PCA(count).fit(rows)
    return ((model.inverse_transform(model.transform(rows)) - rows) ** 2).mean()


def test_pca_is_that_of_scikit_learn(images):
    fitted = fit_baselines(batches(images), 10)
    assert mse(images, fitted.reconstruct_pca(images)).mean() == pytest.approx(sklearn_mse(images, 10), rel=1e-5)


def test_components_are_orthonormal(images):
    components = fit_baselines(batches(images), 10).components
    np.testing.assert_allclose(components @ components.T, np.eye(10), atol=1e-5)


def test_randomised_pca_of_large_images_comes_within_a_percent(images, monkeypatch):
    monkeypatch.setattr(baselines, "_EXACT_LIMIT", 32)
    fitted = fit_baselines(batches(images), 10)
    error = mse(images, fitted.reconstruct_pca(images)).mean()
    assert sklearn_mse(images, 10) * 0.9999 <= error <= sklearn_mse(images, 10) * 1.01


def test_as_many_components_as_values_reconstruct_exactly(images):
    fitted = fit_baselines(batches(images), 1000)
    assert len(fitted.components) == 64
    assert mse(images, fitted.reconstruct_pca(images)).max() < 1e-9


def test_there_are_no_more_components_than_the_images_span(images):
    assert len(fit_baselines(lambda function: [function(images[:3])], 10).components) == 2


def test_the_mean_image_is_the_mean(images):
    np.testing.assert_allclose(fit_baselines(batches(images), 1).mean, images.mean(axis=0, dtype=np.float64), atol=1e-7)


def test_the_published_row_of_mnist(shared_data):
    train, test = (open_images(shared_data / f"mnist_{part}.npy") for part in ("train", "test"))
    fitted = fit_baselines(train.map, 64)
    images = test.format.to_contract(test.file.read(0, len(test)))
    assert sse_per_image(images, fitted.reconstruct_mean(images)).mean() == pytest.approx(52.90, abs=0.005)
    published = {2: 0.055669, 4: 0.047903, 8: 0.037441, 16: 0.026860, 32: 0.016828, 64: 0.009047}
    for count, expected in published.items():
        leading = baselines.Baselines(fitted.mean, fitted.components[:count])
        assert mse(images, leading.reconstruct_pca(images)).mean() == pytest.approx(expected, abs=1e-5)
