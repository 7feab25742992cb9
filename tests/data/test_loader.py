"""What an epoch reads: every image once, in an order that is a function of (seed, epoch) alone."""

from pathlib import Path

import numpy as np
import pytest

from aecli.data import loader as loader_module
from aecli.data.dataset import open_images
from aecli.data.loader import Loader
from aecli.runs.config_file import load_config
from aecli.training.trainer import train

COUNT, BATCH = 3000, 16


@pytest.fixture
def source():
    """Images that carry their own number."""
    numbers = np.arange(COUNT, dtype=np.uint32)
    np.save("numbered.npy", np.stack([numbers & 255, numbers >> 8], 1).astype(np.uint8).reshape(COUNT, 1, 2))
    return open_images(Path("numbered.npy"), value_range=(0, 255))


@pytest.fixture(params=["in memory", "streamed"])
def loader(request, source, monkeypatch):
    # Windows of 350 images in chunks of 4: as many chunks to a window as in real use.
    monkeypatch.setattr(loader_module, "WINDOW_BYTES", 2 * 350)
    monkeypatch.setattr(loader_module, "_CHUNK", 4)
    return Loader(source, np.arange(0, COUNT, 2), BATCH, 10**6 if request.param == "in memory" else 100)


def visits(windows):
    """The numbers of the images in the order visited."""
    return np.concatenate([window.read().astype(int)[window.order] @ [1, 256] for window in windows]).ravel()


def test_every_image_of_the_rows_comes_once(loader):
    assert sorted(visits(loader.shuffled(0, 1))) == list(range(0, COUNT, 2))


def test_the_order_is_a_function_of_seed_and_epoch(loader):
    first = visits(loader.shuffled(0, 1))
    np.testing.assert_array_equal(first, visits(loader.shuffled(0, 1)))
    assert list(first) != list(visits(loader.shuffled(0, 2)))
    assert list(first) != list(visits(loader.shuffled(1, 1)))


def test_in_order_is_the_order_of_the_file(loader):
    np.testing.assert_array_equal(visits(loader.sequential()), np.arange(0, COUNT, 2))


def test_every_part_of_the_file_is_in_every_part_of_the_epoch(loader):
    """A file sorted by class must not train class by class."""
    order = visits(loader.shuffled(0, 1))
    for quarter in np.array_split(order, 4):
        assert 0.3 < np.mean(quarter < COUNT / 2) < 0.7


def test_windows_hold_whole_batches_and_never_more_than_the_capacity(loader):
    windows = list(loader.shuffled(0, 1))
    assert all(len(window.read()) == loader.capacity >= len(window.order) for window in windows)
    if loader.streamed:
        assert len(windows) > 1
        assert loader.capacity % BATCH == 0
        assert all(len(window.order) % BATCH == 0 for window in windows[:-1])


def test_neighbours_do_not_stay_neighbours(loader):
    steps = np.abs(np.diff(visits(loader.shuffled(0, 1)))) / 2
    assert np.mean(steps < 4) < 0.05


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_streamed_training_ends_where_training_in_memory_does(dtype, digits, monkeypatch):
    """Other orders, the same data: the losses agree to 2 %, and streaming repeats itself bit for bit."""
    # Windows of 640 images in chunks of 4: as many chunks to a window as in real use.
    monkeypatch.setattr(loader_module, "WINDOW_BYTES", 64 * 640 * (1 if dtype == "uint8" else 4))
    monkeypatch.setattr(loader_module, "_CHUNK", 4)
    np.save("images.npy", np.tile(digits, (3, 1, 1)).astype(dtype))
    keys = ("data.train=images.npy", "training.epochs=12", "model.latent_dim=16")
    losses = []
    for name, budget in (("memory", 100), ("streamed", None), ("again", None)):
        if budget is None:
            monkeypatch.setattr("aecli.training.prepare.memory_size", lambda: 4000)
        run = train(load_config(None, [*keys, f"data.memory_budget={budget or 'null'}"]).config, Path(name))
        losses.append(run.history[-1].val_loss)
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[1] != losses[0]
    assert losses[2] == losses[1]


def test_a_mapped_loader_visits_the_same_images_in_the_same_order_without_copying(source):
    rows = np.arange(0, COUNT, 2)
    loaded, mapped = (Loader(source, rows, BATCH, 10**6, mapped=mapped) for mapped in (False, True))
    np.testing.assert_array_equal(visits(loaded.shuffled(0, 1)), visits(mapped.shuffled(0, 1)))
    np.testing.assert_array_equal(visits(loaded.sequential()), visits(mapped.sequential()))
    (window,) = mapped.sequential()
    assert isinstance(window.read(), np.memmap)
