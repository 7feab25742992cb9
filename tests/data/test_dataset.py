"""Reading arrays: what just works, and one line for each thing that cannot."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import DataError
from aecli.data.dataset import chunk_slices, open_images
from aecli.data.files.open import open_source
from aecli.data.split import split_indices


def save(name: str, array: np.ndarray) -> Path:
    np.save(name, array)
    return Path(name)


def npy_bytes(array: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5)).astype(np.uint8)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "<f4", ">f8", "?", "<i8"])
def test_any_real_dtype_and_order_reads_as_numpy_does(dtype, order):
    array = np.asarray((IMAGES > 128) if dtype == "?" else IMAGES.astype(dtype), order=order)
    file = open_source(save("a.npy", array))
    np.testing.assert_array_equal(file.read(3, 11), array[3:11])
    np.testing.assert_array_equal(file.take(np.array([7, 2, 2])), array[[7, 2, 2]])


@pytest.mark.parametrize(
    ("value_range", "expected"), [((0, 255), (0, 255)), ((-1, 300), (0, 255)), ((0, 254), (10, 99)), (None, (10, 99))]
)
def test_values_are_not_looked_for_where_their_type_keeps_them_in_the_range(value_range, expected):
    found = open_images(save("a.npy", np.clip(IMAGES, 10, 99)), None, value_range).scan
    assert (found.low, found.high) == expected


def test_a_known_range_does_not_hide_nan():
    with pytest.raises(DataError, match="NaN"):
        open_images(save("a.npy", np.full((2, 6, 5), np.nan)), None, (0, 1))


def test_chunks_cover_the_file_in_order():
    source = open_images(save("a.npy", IMAGES))
    joined = np.concatenate([images for _, images in source.chunks()])
    np.testing.assert_allclose(joined[..., 0], IMAGES / 255, rtol=1e-6)


def test_chunks_of_rows_are_those_rows():
    rows = np.array([3, 4, 19])
    joined = np.concatenate([images for _, images in open_images(save("a.npy", IMAGES)).chunks(rows)])
    np.testing.assert_allclose(joined[..., 0], IMAGES[rows] / 255, rtol=1e-6)


def test_chunk_slices_cover_every_index_once():
    slices = list(chunk_slices(10_001, (28, 28, 1)))
    assert [i for s in slices for i in range(s.start, s.stop)] == list(range(10_001))


@pytest.mark.parametrize("images_left", [2.4, 15, 19.9])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_that_shrinks_while_read_is_an_error(order, images_left):
    path = save("a.npy", np.asarray(IMAGES, order=order))
    file = open_source(path)
    os.truncate(path, 128 + int(images_left * 30))
    with pytest.raises(DataError, match="changed while it was read"):
        file.read(10, 20)


class _Evil:
    def __reduce__(self):
        return (os.mkdir, ("pwned",))


def broken_files() -> dict[str, tuple[bytes, str]]:
    good = npy_bytes(IMAGES)
    nan, infinite = IMAGES.astype(np.float32), IMAGES.astype(np.float64)
    nan[4, 0, :2] = np.nan
    infinite[7, 1, 1] = -np.inf
    header = good[:10] + good[10:].split(b"\n")[0]
    return {
        "empty file": (b"", "the file is empty"),
        "text": (b"hello, images", "not an .npy file"),
        "only the magic": (good[:6], "damaged"),
        "cut in the version": (good[:7], "damaged"),
        "cut in the header": (good[:40], "damaged"),
        "no data": (header + b"\n", "ends before its last image"),
        "cut in the data": (good[:-17], "ends before its last image"),
        "one byte short": (good[:-1], "ends before its last image"),
        "version 9": (good[:6] + b"\x09" + good[7:], "damaged"),
        "header is no dict": (good[:10] + b"[" * 118, "damaged"),
        "a shape larger than the file": (good.replace(b"(20, 6, 5)", b"(9999999,)"), "ends before its last image"),
        "negative shape": (good.replace(b"(20, 6, 5)", b"(-2, 6, 5)"), "damaged|ends before"),
        "unknown dtype": (good.replace(b"'|u1'", b"'|q9'"), "damaged"),
        "an npz inside": (b"PK\x03\x04" + b"0" * 50, "not an .npy file"),
        "objects": (npy_bytes(np.array([_Evil()] * 3), allow_pickle=True), "Python objects"),
        "a bare pickle": (pickle.dumps(_Evil()), "not an .npy file"),
        "complex": (npy_bytes(IMAGES.astype(complex)), "complex numbers"),
        "text array": (npy_bytes(np.array(["a", "b"])), "found text"),
        "records": (npy_bytes(np.zeros(3, [("a", "f4")])), "records"),
        "dates": (npy_bytes(np.zeros(3, "M8[s]")), "datetime64"),
        "a number": (npy_bytes(np.array(3.0)), "a single number"),
        "no images": (npy_bytes(IMAGES[:0]), "holds 0 images"),
        "no pixels": (npy_bytes(IMAGES[:, :0]), "no values"),
        "one axis": (npy_bytes(np.arange(5.0)), "found shape"),
        "five axes": (npy_bytes(np.zeros((2, 2, 2, 2, 2))), "found shape"),
        "flat and not square": (npy_bytes(np.zeros((3, 30))), "data.image_shape"),
        "channels first": (npy_bytes(np.zeros((3, 3, 16, 16))), "transpose"),
        "NaN": (npy_bytes(nan), "2 values are NaN or infinite, the first in image 4"),
        "infinity": (npy_bytes(infinite), "1 value is NaN or infinite, the first in image 7"),
    }  # fmt: skip


@pytest.mark.parametrize("fault", broken_files())
def test_a_broken_file_is_one_line_that_names_it(fault):
    content, message = broken_files()[fault]
    Path("broken.npy").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        open_images(Path("broken.npy"))
    text = str(caught.value)
    assert text.startswith("broken.npy: ")
    assert "\n" not in text
    assert not Path("pwned").exists()


def test_another_suffix_is_refused():
    Path("a.xyz").write_text("1,2,3")
    with pytest.raises(DataError, match=r"unknown suffix '\.xyz': give a folder, \.zip or \.tar of pictures"):
        open_source(Path("a.xyz"))


def test_a_missing_file_gets_the_nearest_name():
    save("images.npy", IMAGES)
    with pytest.raises(DataError, match=r"no such file; did you mean 'images.npy'\?"):
        open_source(Path("image.npy"))


def test_a_name_too_long_for_the_file_system():
    with pytest.raises(DataError, match="cannot be read"):
        open_source(Path("a" * 5000 + ".npy"))


def test_the_split_is_a_partition_that_depends_on_the_seed_alone():
    first, again, other = (split_indices("x", 100, 0.1, seed) for seed in (0, 0, 1))
    assert sorted([*first.train, *first.validation]) == list(range(100))
    assert len(first.validation) == 10
    np.testing.assert_array_equal(first.validation, again.validation)
    assert set(first.validation) != set(other.validation)


def test_the_split_is_shuffled():
    assert list(split_indices("x", 100, 0.1, 0).validation) != list(range(90, 100))


@pytest.mark.parametrize("share", [0.0001, 0.9999])
def test_both_parts_of_the_split_have_an_image(share):
    split = split_indices("x", 5, share, 0)
    assert len(split.train) >= 1
    assert len(split.validation) >= 1


def test_one_image_cannot_be_split():
    with pytest.raises(DataError, match="at least 2"):
        split_indices("x.npy", 1, 0.1, 0)


def test_a_test_part_is_taken_from_the_training_images_alone():
    without, with_test = split_indices("x", 100, 0.1, 0), split_indices("x", 100, 0.1, 0, test_split=0.2)
    assert list(without.validation) == list(with_test.validation)
    assert len(without.test) == 0
    assert [len(part) for part in (with_test.train, with_test.validation, with_test.test)] == [70, 10, 20]
    assert sorted(np.concatenate([with_test.train, with_test.validation, with_test.test])) == list(range(100))


@pytest.mark.parametrize(("validation", "test"), [(0.99, 0.99), (0.01, 0.01), (0.5, 0.9)])
def test_every_part_asked_for_has_an_image(validation, test):
    split = split_indices("x", 5, validation, 0, test)
    assert min(map(len, (split.train, split.validation, split.test))) >= 1
    assert sum(map(len, (split.train, split.validation, split.test))) == 5
    with pytest.raises(DataError, match="at least 3"):
        split_indices("x", 2, 0.1, 0, 0.1)


def test_the_fingerprint_is_that_of_the_content():
    first, same, other = (open_source(save(f"{i}.npy", IMAGES + i // 2)) for i in range(3))
    assert first.fingerprint() == same.fingerprint()
    assert first.fingerprint() != other.fingerprint()


def test_a_sparse_file_far_larger_than_memory_opens_at_once():
    with Path("huge.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (9_000_000, 64, 64)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 9_000_000 * 64 * 64)
    opened = open_source(Path("huge.npy"))
    assert len(opened) == 9_000_000
    assert not opened.read(8_999_990, 9_000_000).any()
