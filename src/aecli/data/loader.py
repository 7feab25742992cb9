"""What an epoch reads: windows of images as stored, and the order to visit them in.

Images that fit the memory budget are one window, loaded once; several processes that train on the same file share its
memory map instead. A larger file is streamed from its memory map: each epoch cuts it into small chunks of neighbours,
shuffles the chunks, fills windows of WINDOW_BYTES with them, and visits the images of each window in shuffled order
while the next window is read. Both orders are pure functions of (seed, epoch); every image comes once an epoch.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from aecli.core.rng import derive
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images, Stored

WINDOW_BYTES = 64 * 2**20
_CHUNK = 64
"""Neighbouring images that stay in one window: long enough to read well. A window holds at least as many chunks."""

ALIGNMENT = 64
"""Bytes to which windows are aligned: engines can then compute on them where they are."""

_PIECE = 8 * 2**20
"""Bytes read at once: a map counts as memory of the process until it is closed."""


_KEPT_AS_STORED = ("uint8", "float32")
"""Dtypes kept as they are in memory and brought to the contract batch by batch; others are held as float32."""


def kept_as_stored(dtype: np.dtype[Any]) -> bool:
    """Return whether images of this dtype are held in memory as they are in the file."""
    return dtype.name in _KEPT_AS_STORED and dtype.isnative


def _same(images: Stored) -> Stored:
    return images


@dataclass(frozen=True)
class Window:
    """Reads images as stored, filled up to the loader's capacity, and the positions among them to visit.

    `rows` are the rows in the file of the images visited, in the same order.
    """

    read: Callable[[], Stored]
    order: Rows
    rows: Rows


@dataclass(frozen=True)
class Loader:
    """The images of some rows of a file, epoch by epoch; at most `budget` bytes are held at once.

    `mapped` takes those that would be loaded from the file's memory map, which processes share. A loaded copy is safe
    from whoever writes to the file meanwhile, a map is not.
    """

    source: ImageDataset
    rows: Rows
    batch_size: int
    budget: int
    mapped: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """Bytes that the images take in memory."""
        return len(self) * self._image_bytes

    @property
    def streamed(self) -> bool:
        """Whether the images are read again in every epoch."""
        return self.size > self.budget

    @property
    def capacity(self) -> int:
        """Images in a window, at most; a multiple of the batch size where there are several windows."""
        if not self.streamed:
            return len(self)
        batches = WINDOW_BYTES // (self._image_bytes * self.batch_size)
        return max(1, batches) * self.batch_size

    def warmup_window(self) -> Window:
        """Return a window to visit nothing of, which reads no more than is held in memory anyway."""
        if not self.streamed:
            return Window(self._read_all, np.arange(0), np.arange(0))
        few = self.rows[:1]
        return Window(partial(self._read, few, self.capacity), np.arange(0), np.arange(0))

    def sample(self) -> Images:
        """Return the first images of the contract, a few hundred, or fewer large ones."""
        return self.source.sample(self.rows)

    def shuffled(self, seed: int, epoch: int, first: int = 0) -> Iterator[Window]:
        """Yield the windows of an epoch in its own order, from window `first` on."""
        rng = np.random.default_rng(derive(seed, "order", epoch))
        if not self.streamed:
            if first == 0:
                positions = rng.permutation(len(self))
                yield Window(self._read_all, self._places(positions), self.rows[positions])
            return
        windows = self._shuffled_positions(rng)
        for skipped in islice(windows, first):
            rng.permutation(len(skipped))  # what is drawn later depends on it
        for images, rows in self._windows(windows):
            order = rng.permutation(len(rows))
            yield Window(partial(_same, images), order, rows[order])
            del images  # before the next window comes

    def sequential(self) -> Iterator[Window]:
        """Yield the windows one after the other as they lie in the file."""
        if not self.streamed:
            yield Window(self._read_all, self._places(np.arange(len(self))), self.rows)
            return
        starts = range(0, len(self), self.capacity)
        for images, rows in self._windows(np.arange(i, min(i + self.capacity, len(self))) for i in starts):
            yield Window(partial(_same, images), np.arange(len(rows)), rows)
            del images

    def _read_all(self) -> Stored:
        return self.source.file.map() if self._from_map else self._read(self.rows, len(self))

    def _places(self, positions: Rows) -> Rows:
        """Return where the rows at these positions lie in what `_read_all` gives."""
        return self.rows[positions] if self._from_map else positions

    @property
    def _from_map(self) -> bool:
        file = self.source.file
        return self.mapped and file.order == "C" and file.arrangement is None and kept_as_stored(file.dtype)

    def _shuffled_positions(self, rng: np.random.Generator) -> Iterator[Rows]:
        """Yield the positions of each window, whole chunks in shuffled order; all at once they would fill memory."""
        chunk = max(1, min(_CHUNK, self.capacity // _CHUNK))
        starts = rng.permutation(np.arange(0, len(self), chunk))
        waiting = np.arange(0)
        for group in np.array_split(starts, max(1, len(starts) * chunk // self.capacity)):
            positions = (group[:, None] + np.arange(chunk)).ravel()
            waiting = np.concatenate([waiting, positions[positions < len(self)]])
            while len(waiting) >= self.capacity:
                yield waiting[: self.capacity]
                waiting = waiting[self.capacity :]
        if len(waiting):
            yield waiting

    def _windows(self, parts: Iterable[Rows]) -> Iterator[tuple[Stored, Rows]]:
        """Yield the images at these positions and their rows, a window at a time, while the next one is read."""
        with ThreadPoolExecutor(1) as reader:
            ahead: deque[Future[tuple[Stored, Rows]]] = deque()
            for part in parts:
                ahead.append(reader.submit(self._window, part))
                if len(ahead) > 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _window(self, positions: Rows) -> tuple[Stored, Rows]:
        # In the order of the file: the disk reads forward, and the order of visits is drawn anyway.
        rows = self.rows[np.sort(positions)]
        return self._read(rows, self.capacity), rows

    def _read(self, rows: Rows, capacity: int) -> Stored:
        """Return these rows as stored, filled up with zeros."""
        file = self.source.file
        images = _aligned_zeros((capacity, *file.shape[1:]), file.dtype)
        step = max(1, _PIECE // (prod(file.shape[1:]) * file.dtype.itemsize))
        for start in range(0, len(rows), step):
            piece = file.take(rows[start : start + step])
            images[start : start + len(piece)] = piece
        return images

    @property
    def _image_bytes(self) -> int:
        # What is not kept as stored is held as float32.
        return prod(self.source.file.shape[1:]) * (1 if self.source.file.dtype == np.uint8 else 4)


def _aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stored:
    size = prod(shape) * dtype.itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)
