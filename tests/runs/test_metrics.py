"""Metrics against known answers and against scikit-image."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from aecli.models.losses.window import ssim_window
from aecli.runs.metrics import (
    METRICS,
    RunningMeans,
    comparable,
    mse,
    per_image,
    psnr,
    sharpness,
    sse_per_image,
    ssim,
)


def pairs(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    images = rng.random(shape, np.float32)
    return images, np.clip(images + rng.normal(0, 0.1, shape), 0, 1).astype(np.float32)


def scikit_image_ssim(images: np.ndarray, restored: np.ndarray) -> list[float]:
    return [
        structural_similarity(
            a,
            b,
            data_range=1.0,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(images.astype(np.float64), restored.astype(np.float64), strict=True)
    ]


@pytest.mark.parametrize("name", METRICS)
def test_one_finite_value_per_image(name):
    values = METRICS[name].of(*pairs((6, 12, 14, 3)))
    assert values.shape == (6,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", METRICS)
def test_an_image_is_measured_alone(name):
    images, restored = pairs((6, 12, 14, 3))
    np.testing.assert_allclose(
        METRICS[name].of(images, restored)[2:3], METRICS[name].of(images[2:3], restored[2:3]), rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(4, 28, 28, 1), (3, 32, 21, 3), (2, 11, 11, 1), (2, 71, 40, 3)])
def test_ssim_is_that_of_scikit_image(shape):
    images, restored = pairs(shape)
    np.testing.assert_allclose(ssim(images, restored), scikit_image_ssim(images, restored), atol=1e-6)


def test_ssim_of_bright_near_copies_loses_no_digits():
    images, other = pairs((3, 28, 28, 1))
    images, restored = 0.9 + 0.1 * images, 0.9 + 0.1 * other
    np.testing.assert_allclose(ssim(images, restored), scikit_image_ssim(images, restored), atol=1e-6)


def test_psnr_is_that_of_scikit_image():
    images, restored = pairs((4, 9, 7, 1))
    expected = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(images, restored, strict=True)]
    np.testing.assert_allclose(psnr(images, restored), expected, rtol=1e-5)


def test_a_uniform_difference_of_a_tenth():
    images = np.zeros((2, 5, 4, 1), np.float32)
    shifted = images + np.float32(0.1)
    np.testing.assert_allclose(mse(images, shifted), 0.01, rtol=1e-6)
    np.testing.assert_allclose(sse_per_image(images, shifted), 0.2, rtol=1e-6)
    np.testing.assert_allclose(psnr(images, shifted), 20.0, rtol=1e-6)


def test_an_exact_copy_has_infinite_psnr_and_ssim_1():
    images, _ = pairs((3, 12, 12, 1))
    assert np.isposinf(psnr(images, images)).all()
    np.testing.assert_allclose(ssim(images, images), 1.0, atol=1e-6)


@pytest.mark.parametrize(("size", "expected"), [((28, 28), 11), ((11, 40), 11), ((8, 8), 7), ((9, 8), 7), ((1, 5), 1)])
def test_the_ssim_window_is_the_largest_odd_one_that_fits(size, expected):
    assert ssim_window(*size) == expected


def test_ssim_of_images_smaller_than_the_window():
    images, restored = pairs((3, 8, 5, 1))
    values = ssim(images, restored)
    assert ((values > 0) & (values < 1)).all()


def summarise(values, mean_image_mse):
    means = RunningMeans()
    for part in (slice(0, 1), slice(1, None)):
        means.add({name: vector[part] for name, vector in values.items()})
    return means.summary(mean_image_mse)


def test_the_summary_counts_exact_copies_apart():
    images, restored = pairs((4, 12, 12, 1))
    restored[1] = images[1]
    means = summarise(per_image(images, restored), mean_image_mse=0.5)
    assert means["exact_copies"] == 1
    assert means["psnr"] == pytest.approx(np.delete(psnr(images, restored), 1).mean())
    assert means["fvu"] == pytest.approx(means["mse"] / 0.5)


def test_all_exact_copies_have_no_mean_psnr():
    images, _ = pairs((2, 12, 12, 1))
    assert summarise(per_image(images, images), 0.5)["psnr"] is None


def test_sharpness_is_1_of_a_copy_whatever_its_brightness_and_falls_with_the_square_of_the_contrast():
    images, _ = pairs((3, 12, 9, 3))
    np.testing.assert_allclose(sharpness(images, images), 1.0, rtol=1e-6)
    np.testing.assert_allclose(sharpness(images, 0.5 * images + 0.3), 0.25, rtol=1e-4)


def test_sharpness_of_known_edges():
    # One step of 1 over 4 rows; half of it, and a second step of 1/2 in the other direction over 6 columns.
    original, other = np.zeros((2, 1, 4, 6, 1), np.float32)
    original[:, :, 3:], other[:, :, 3:] = 1, 0.5
    other[:, 2:] += 0.5
    np.testing.assert_allclose(sharpness(original, other), (4 * 0.25 + 6 * 0.25) / 4, rtol=1e-6)


def test_blur_is_below_1_and_noise_above():
    rng = np.random.default_rng(0)
    images = rng.random((4, 16, 16, 1), np.float32)
    blurred = (images + np.roll(images, 1, axis=1) + np.roll(images, 1, axis=2)) / 3
    assert (sharpness(images, blurred) < 0.7).all()
    smooth = np.repeat(np.linspace(0, 1, 16, dtype=np.float32)[None, :, None, None], 16, axis=2)
    assert sharpness(smooth, smooth + rng.normal(0, 0.1, smooth.shape).astype(np.float32))[0] > 2


def test_an_image_of_one_colour_has_no_sharpness_and_no_part_in_the_mean():
    images, restored = pairs((4, 12, 12, 1))
    images[1], images[3] = 0, 0.7
    restored[3] = images[3]
    assert np.isnan(sharpness(images, restored)[[1, 3]]).all()
    summary = summarise(per_image(images, restored), 0.5)
    assert summary["sharpness"] == pytest.approx(sharpness(images[[0, 2]], restored[[0, 2]]).mean())
    assert summary["mse"] == pytest.approx(mse(images, restored).mean())
    assert summarise(per_image(images[[1, 3]], restored[[1, 3]]), 0.5)["sharpness"] is None
    assert sharpness(np.zeros((2, 1, 1, 3), np.float32), np.ones((2, 1, 1, 3), np.float32)).shape == (2,)


def test_what_is_nan_of_a_network_stays_nan_in_the_means():
    images, restored = pairs((3, 12, 12, 1))
    restored[0, 0, 0] = np.nan
    summary = summarise(per_image(images, restored), 0.5)
    assert np.isnan([summary["mse"], summary["ssim"], summary["sharpness"]]).all()


def test_studies_compare_by_every_metric_and_by_likelihood():
    assert [*comparable()] == ["mse", "mae", "sse_per_image", "psnr", "ssim", "sharpness", "nll"]
