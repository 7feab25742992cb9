"""What this machine has, or what a container or a job may use of it: cores and memory."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aecli.core.system import cgroups, slurm
from aecli.core.system.mounts import ROOT

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_UNKNOWN_MEMORY = 4 * 2**30


@dataclass(frozen=True)
class Quota:
    """How many cores, or bytes of memory, this process may use of those of the machine.

    `why` is what lowers it, "" where nothing does.
    """

    value: int
    machine: int
    why: str


def core_quota(root: Path = ROOT) -> Quota:
    """Return how many threads this process may compute with: OMP_NUM_THREADS, by default one for each of its cores.

    They are those that it may run on, no more than its share of their time, and than Slurm has given it. `root` is that
    of the system.
    """
    machine = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return Quota(int(wanted), machine, "OMP_NUM_THREADS" if int(wanted) < machine else "")
    limits = slurm.core_limits()
    limits += [(math.ceil(cpus), _of_group("quota", name)) for cpus, name in cgroups.cpu_limits(root)]
    if hasattr(os, "sched_getaffinity"):
        limits.append((len(os.sched_getaffinity(0)), "the CPUs that this process may run on"))
    return _lowest(machine, limits)


def memory_quota(root: Path = ROOT) -> Quota:
    """Return the bytes of memory of the machine, its container or job; 4 GB where none can be asked."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        machine = _UNKNOWN_MEMORY
    limits = slurm.memory_limits()
    limits += [(size, _of_group("limit", name)) for size, name in cgroups.memory_limits(root) if size]
    return _lowest(machine, limits)


def cores(root: Path = ROOT) -> int:
    """Return how many threads this process may compute with; see `core_quota`."""
    return core_quota(root).value


def memory_size(root: Path = ROOT) -> int:
    """Return the bytes of memory that this process may use; see `memory_quota`."""
    return memory_quota(root).value


def processes(memory: int, root: Path = ROOT) -> int:
    """Return how many processes of so many bytes each can work side by side: one a core, as far as they fit."""
    return max(1, min(cores(root), memory_size(root) // memory))


def limits_note(threads_asked: bool = False, memory: int | None = None, root: Path = ROOT) -> str | None:
    """Return in a line what limits this process below its machine, None where nothing does.

    `threads_asked` leaves out OMP_NUM_THREADS, which the user has just given; `memory` are the bytes of a worker, where
    there may be one for every core.
    """
    cpus, space, parts = core_quota(root), memory_quota(root), []
    if cpus.why and not (threads_asked and cpus.why == "OMP_NUM_THREADS"):
        parts.append(f"{cpus.value} of {cpus.machine} cores: {cpus.why}")
    if space.why and gigabytes(space.value) != gigabytes(space.machine):
        parts.append(f"{gigabytes(space.value)} of {gigabytes(space.machine)} of memory: {space.why}")
    if memory and (workers := processes(memory, root)) < cpus.value:
        parts.append(f"{workers} of {cpus.value} workers: {gigabytes(space.value)}, about {gigabytes(memory)} each")
    return "; ".join(parts) or None


def gigabytes(size: int) -> str:
    """Return bytes in words, e.g. "3.2 GB"."""
    return f"{size / 1e9:.3g} GB" if size < 1e12 else f"{size / 1e9:,.0f} GB"


def _of_group(what: str, name: str) -> str:
    return f"the {what} of the container or job ({name})"


def _lowest(machine: int, limits: Iterable[tuple[int, str]]) -> Quota:
    """Return the lowest of what the machine has and the limits, the first where several are the same."""
    value, why = min([(machine, ""), *limits], key=lambda limit: limit[0])
    return Quota(max(1, value), machine, why)


def address_space() -> int | None:
    """Return the bytes that this process may map, which `ulimit -v` sets; None where there is no limit."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


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
