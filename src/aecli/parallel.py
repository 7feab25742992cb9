"""Chunks on all cores: a function mapped over a stream by threads, its results in order.

NumPy and ONNX Runtime let go of Python's lock while they compute, so threads use every core. Results come
in the order of the items whatever finishes first: sums over them have the same bits in every run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from aecli.machine import cores

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 16
"""Beyond it Python's lock is the limit, and every thread holds a chunk in memory."""


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Yield function(item) for every item, in order; its error where it raises one.

    Items are taken only a few ahead of the results, so memory does not grow with their number.
    """
    threads = threads or min(cores(), MOST_THREADS)
    pool = ThreadPoolExecutor(threads, "chunk")
    ahead: deque[Future[Result]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        # After an error or Ctrl-C only the chunks being worked on are waited for.
        pool.shutdown(cancel_futures=True)
