"""What a user may give as images, and what comes back."""

from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import DataError
from aecli.data.dataset import open_images_like
from aecli.python.images import ArrayInMemory, array_of, images_for, latents_for, path_of
from aecli.runs.uses.parts import own_parts


class Tensor:
    """Behaves as a tensor of PyTorch with a gradient, on a GPU: NumPy may have it only off both."""

    def __init__(self, values, here=False):
        self.values, self.here = np.asarray(values), here

    def detach(self):
        return Tensor(self.values, self.here)

    def cpu(self):
        return Tensor(self.values, True)

    def __array__(self, dtype=None, copy=None):
        if not self.here:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.values


IMAGES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def torch_tensor():
    torch = pytest.importorskip("torch", reason="needs PyTorch, which nothing else here does")
    return torch.tensor(IMAGES, requires_grad=True)


def tensorflow_tensor():
    import tensorflow as tf

    return tf.constant(IMAGES)


def tensorflow_variable():
    import tensorflow as tf

    return tf.Variable(IMAGES)


GIVEN = {
    "an array": lambda: IMAGES,
    "an array in Fortran's order": lambda: np.asfortranarray(IMAGES),
    "a list of arrays": lambda: list(IMAGES),
    "a tuple of arrays": lambda: tuple(IMAGES),
    "a tensor on a GPU": lambda: Tensor(IMAGES),
    "a list of tensors": lambda: [Tensor(image) for image in IMAGES],
    "a tensor of PyTorch": torch_tensor,
    "a tensor of TensorFlow": tensorflow_tensor,
    "a variable of TensorFlow": tensorflow_variable,
    "a list of tensors of TensorFlow": lambda: list(tensorflow_tensor()),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_holds_numbers_is_an_array(name):
    array = array_of(GIVEN[name]())
    np.testing.assert_array_equal(array, IMAGES)
    assert array.dtype == IMAGES.dtype
    assert array.flags.c_contiguous


def test_a_list_of_lists_is_an_array():
    np.testing.assert_array_equal(array_of(IMAGES.astype(int).tolist()), IMAGES)


REFUSED = {
    "a ragged list": ([np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 5))], r"they differ in shape: 0 is \[4, 4\], 2 is \[4, 5\]"),
    "tensors of two shapes": ([Tensor(np.zeros((4, 4))), Tensor(np.zeros((5, 4)))], "they differ in shape"),
    "ragged lists": ([[[1], [2]], [[1, 2]]], "they differ in shape"),
    "images and nothing": ([np.zeros((4, 4)), None], r"they differ in shape: 0 is \[4, 4\], 1 is \[\]"),
    "words": (["a.png", "b.png"], "found text"),
    "a dict": ({"a": 1}, "found Python objects"),
    "a generator": ((image for image in IMAGES), "found Python objects"),
    "an empty list": ([], "holds 0 images"),
    "bytes": (b"abc", "found text"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_none_is_refused_in_a_line(name):
    images, says = REFUSED[name]
    with pytest.raises(DataError, match=f"^images: .*{says}") as caught:
        array_of(images)
    assert "\n" not in str(caught.value)


def test_a_path_is_a_string_or_a_path():
    assert path_of("a.npy") == path_of(Path("a.npy")) == Path("a.npy")
    assert path_of(IMAGES) is None
    for empty in ("", " "):
        with pytest.raises(DataError, match="is no path"):
            path_of(empty)


def test_an_array_in_memory_is_known_by_the_file_that_it_is_kept_as(digits, trained):
    np.save("digits.npy", digits)
    in_file = open_images_like(Path("digits.npy"), trained.image_format)
    in_memory = ArrayInMemory.of(digits)
    assert in_memory.fingerprint() == in_file.file.fingerprint()
    np.testing.assert_array_equal(in_memory.read(3, 8), digits[3:8])
    np.testing.assert_array_equal(in_memory.take(np.array([5, 2])), digits[[5, 2]])
    assert own_parts(trained, images_for(trained, digits).source).keys() == {"train", "validation"}
    assert own_parts(trained, images_for(trained, digits[::-1]).source) == {}


def test_files_that_lie_there_say_nothing_of_an_array_in_memory(digits, trained):
    Path("images.json").write_text("{}")
    np.save("images_labels.npy", np.zeros(len(digits), int))
    assert images_for(trained, digits).source.names is None


SHAPES = {
    "many": ((5, 8, 8), False), "many with a channel": ((5, 8, 8, 1), False), "flat rows": ((5, 64), False),
    "one": ((8, 8), True), "one with a channel": ((8, 8, 1), True), "as many as they are high": ((8, 8, 8), False),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_images_come_back_in_the_shape_that_they_were_given_in(name, trained):
    shape, alone = SHAPES[name]
    given = images_for(trained, np.zeros(shape, np.uint8))
    assert given.alone == alone
    stored = np.zeros((len(given.source), *given.source.format.sample_shape))
    assert given.shaped(stored).shape == shape


def test_latents_are_those_of_the_run():
    latents, alone = latents_for([[1, 2, 3]], 3)
    assert (latents.dtype, latents.shape, alone) == (np.float32, (1, 3), False)
    latents, alone = latents_for(Tensor([1.0, 2.0, 3.0]), 3)
    assert (latents.shape, alone) == ((1, 3), True)
    np.save("z.npy", np.ones((4, 3)))
    assert latents_for("z.npy", 3)[0].shape == (4, 3)


@pytest.mark.parametrize(
    "latents",
    [np.ones((2, 4)), np.ones((0, 3)), np.full((2, 3), np.nan), [[1e39] * 3], [[1, 2], [3]], None, [["a"] * 3], np.ones((1, 2, 3))],
    ids=str,
)  # fmt: skip
def test_what_is_no_latents_of_the_run_is_refused_in_a_line(latents):
    with pytest.raises(DataError, match=r"^latents: [^\n]*$"):
        latents_for(latents, 3)
