"""What this machine has: cores and memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN_MEMORY = 4 * 2**30


def cores() -> int:
    """Return how many threads this process may compute with: OMP_NUM_THREADS, by default all its cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def address_space() -> int | None:
    """Return the bytes that this process may map, which `ulimit -v` sets; None where there is no limit."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def memory_size() -> int:
    """Return the bytes of memory of the machine or of its container, 4 GB where neither can be asked."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN_MEMORY
    try:
        return min(size, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):
        return size


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
