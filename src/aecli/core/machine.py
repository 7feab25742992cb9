"""What this machine has, or what a container or a job may use of it: cores and memory."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from aecli.core.cgroups import ROOT, cpu_limit, memory_limit

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_UNKNOWN_MEMORY = 4 * 2**30


def cores(root: Path = ROOT) -> int:
    """Return how many threads this process may compute with: OMP_NUM_THREADS, by default one for each of its cores.

    They are those that it may run on, and no more than its share of their time. `root` is that of the system.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(here, math.ceil(cpu_limit(root) or here)))


def address_space() -> int | None:
    """Return the bytes that this process may map, which `ulimit -v` sets; None where there is no limit."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def memory_size(root: Path = ROOT) -> int:
    """Return the bytes of memory of the machine or of its container, 4 GB where neither can be asked."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        size = _UNKNOWN_MEMORY
    return min(size, memory_limit(root) or size)


def one_blas_thread() -> AbstractContextManager[object]:
    """Return a context in which every matrix product of NumPy takes one thread.

    Where several chunks are worked on side by side, more threads than cores would wait for one another, and beside
    other programs they do so for many times what the products take.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits


_Item = TypeVar("_Item")


_Result = TypeVar("_Result")


_MOST_THREADS = 16
"""Beyond it Python's lock is the limit, and every thread holds a chunk in memory."""


def ordered_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int | None = None
) -> Iterator[_Result]:
    """Yield function(item) for every item, in order; its error where it raises one.

    Items are taken only a few ahead of the results, so memory does not grow with their number.
    """
    threads = threads or min(cores(), _MOST_THREADS)
    pool = ThreadPoolExecutor(threads, "chunk")
    ahead: deque[Future[_Result]] = deque()
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
