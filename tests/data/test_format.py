"""The array contract: layouts, value ranges, and the way back."""

import numpy as np
import pytest

from aecli.core.errors import DataError
from aecli.data.format import ImageFormat, decide_value_range, find_image_shape

DTYPES = ["u1", "<u2", ">u2", "<i2", "<i4", "<i8", "<u8", "<f2", "<f4", ">f4", "<f8", ">f8", "?"]


def sample(dtype: str) -> tuple[np.ndarray, ImageFormat]:
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype).kind
    values = rng.random((5, 4, 3)) if kind in "f" else rng.integers(0, 2 if kind == "b" else 200, (5, 4, 3))
    stored = values.astype(dtype)
    value_range, _ = decide_value_range(stored.dtype, float(stored.min()), float(stored.max()))
    return stored, ImageFormat(dtype, (4, 3), (4, 3, 1), value_range)


@pytest.mark.parametrize("dtype", DTYPES)
def test_there_and_back_is_the_same(dtype):
    stored, image_format = sample(dtype)
    back = image_format.from_contract(image_format.to_contract(stored))
    assert back.dtype == stored.dtype
    np.testing.assert_allclose(back.astype(float), stored.astype(float), rtol=2e-3 if dtype == "<f2" else 1e-6)


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_neither_way_changes_what_it_is_given(dtype):
    stored, image_format = sample(dtype)
    before = stored.copy()
    images = image_format.to_contract(stored)
    np.testing.assert_array_equal(stored, before)
    before = images.copy()
    image_format.from_contract(images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_contract_is_float32_with_channels_in_0_to_1(dtype):
    stored, image_format = sample(dtype)
    images = image_format.to_contract(stored)
    assert images.dtype == np.float32
    assert images.shape == (5, 4, 3, 1)
    assert images.min() >= 0
    assert images.max() <= 1


def test_every_uint8_value_survives():
    image_format = ImageFormat("|u1", (256,), (16, 16, 1), (0, 255))
    stored = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(image_format.from_contract(image_format.to_contract(stored)), stored)


@pytest.mark.parametrize("dtype", ["u1", "<i2", "<i8", "<u8"])
def test_integers_are_clipped_not_wrapped(dtype):
    limits = np.iinfo(dtype)
    image_format = ImageFormat(dtype, (1, 2), (1, 2, 1), (float(limits.min), float(limits.max)))
    low, high = image_format.from_contract(np.array([-0.5, 1.5], np.float32).reshape(1, 1, 2, 1))[0, 0]
    assert low == limits.min
    assert high > limits.max - limits.max / 1000


def test_float64_far_from_zero_keeps_its_digits():
    stored = np.array([[1e9, 1e9 + 1]])
    image_format = ImageFormat("<f8", (2,), (1, 2, 1), (1e9, 1e9 + 1))
    assert image_format.to_contract(stored).ravel().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("shape", "wanted", "expected"),
    [
        ((9, 28, 28), None, (28, 28, 1)),
        ((9, 32, 24, 3), None, (32, 24, 3)),
        ((9, 784), None, (28, 28, 1)),
        ((9, 6), (2, 3), (2, 3, 1)),
        ((9, 3072), (32, 32, 3), (32, 32, 3)),
        ((9, 3, 4, 3), None, (3, 4, 3)),
    ],
)
def test_layouts(shape, wanted, expected):
    assert find_image_shape("x.npy", shape, wanted) == expected


@pytest.mark.parametrize(
    ("shape", "wanted", "message"),
    [
        ((9, 6), None, "not square images: say their height and width with data.image_shape"),
        ((9, 3, 32, 32), None, r"looks like \(N, C, H, W\)"),
        ((9,), None, "found shape"),
        ((9, 2, 2, 2, 2), None, "found shape"),
        ((9, 28, 28), (14, 28), "data.image_shape"),
        ((9, 28, 28), (14, 56), "is not that of the images"),
        ((9, 3, 32, 32), (32, 32, 3), "is not that of the images"),
    ],
)
def test_layouts_that_are_not_images(shape, wanted, message):
    with pytest.raises(DataError, match=message):
        find_image_shape("x.npy", shape, wanted)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "expected"),
    [
        ("?", 0, 1, (0, 1)),
        ("u1", 0, 255, (0, 255)),
        ("u1", 3, 17, (0, 255)),
        ("u1", 0, 1, (0, 1)),
        ("<u2", 0, 4000, (0, 4095)),
        ("<u2", 0, 65535, (0, 65535)),
        ("<i4", 0, 200, (0, 255)),
        ("<i2", -1000, 3000, (-1000, 3000)),
        ("<f4", 0.0, 0.9, (0, 1)),
        ("<f4", -0.9, 0.9, (-1, 1)),
        ("<f8", 0.0, 254.0, (0, 255)),
        ("<f8", 0.0, 16.0, (0, 16)),
        ("<f8", -3.5, 4.5, (-3.5, 4.5)),
        ("<f8", 7.0, 7.0, (7, 8)),
        ("<f8", 2e-7, 3e-6, (2e-7, 3e-6)),
        ("<f4", 0.0, 0.02, (0, 1)),
    ],
)
def test_value_range_is_decided_from_dtype_and_data(dtype, low, high, expected):
    assert decide_value_range(np.dtype(dtype), low, high)[0] == expected
