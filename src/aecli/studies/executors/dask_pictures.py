"""Pictures looked at and decoded by the workers of a Dask cluster, in shares that come back in order."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aecli import __version__
from aecli.core.errors import AeError, one_line
from aecli.core.machine import ordered_map
from aecli.data.shares import Spread
from aecli.studies.executors.dask_cluster import Cluster

if TYPE_CHECKING:
    from distributed import Future

_PICTURES, _BYTES = 1000, 8 * 2**20
"""Pictures of a share, and the bytes that they may become: a task costs Dask some milliseconds."""

_AHEAD, _MOST_AHEAD = 3, 60
"""Shares that are given out before the first of them is back: so many a worker, and in all."""

_SECONDS_BETWEEN_LOOKS = 5


def spread_over(cluster: Cluster) -> Spread:
    """Return the workers of a cluster as what works on pictures. Raises AeError where they have another ae."""
    for address, said in sorted(cluster.call(_version, workers=cluster.workers()).items()):
        if isinstance(said, Exception):
            raise AeError(f"worker {address}: has no ae ({one_line(said)}): pip install aecli=={__version__} there")
        if said != __version__:
            raise AeError(f"worker {address}: has ae {said}, here it is {__version__}: install the same on all")
    return Spread(partial(_map, cluster), _PICTURES, _BYTES, elsewhere=True)


def _version() -> str:
    return __version__


def _map(cluster: Cluster, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Yield function(item) for every item, in order; see `ordered_map`. A share whose worker died is done again."""

    def done_there(item: Any) -> Any:
        return _result(cluster, cluster.client.submit(_work, function, item, key=f"ae-share-{uuid4()}", pure=False))

    # Threads that wait: what one share takes to travel does not keep the workers from the next.
    return ordered_map(done_there, items, min(_AHEAD * max(1, len(cluster.workers())), _MOST_AHEAD))


def _work(function: Callable[[Any], Any], item: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):  # what cannot be read is reported, the rest is fine
        return function(item)


def _result(cluster: Cluster, future: "Future") -> Any:
    while True:
        try:
            return future.result(timeout=_SECONDS_BETWEEN_LOOKS)
        except TimeoutError:
            cluster.workers()  # raises where none will do it any more
        except MemoryError:
            raise
        except Exception as error:
            raise AeError(f"{cluster.address}: a worker failed: {type(error).__name__}: {one_line(error)}") from error
