"""A Dask cluster that others have started: how it is found, which workers it has, and what is wrong with it."""

import json
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aecli.core.errors import AeError, one_line

if TYPE_CHECKING:
    from distributed import Client

_SECONDS_TO_CONNECT = 5

_SECONDS_WITHOUT_WORKERS = 300
"""How long a cluster may have no workers: those of a queue take a while."""

T = TypeVar("T")

_START = "dask worker --nthreads 1"


@dataclass
class Cluster:
    """A scheduler, by the `address` that the user gave, and its workers."""

    address: str
    client: "Client"
    patience: float = _SECONDS_WITHOUT_WORKERS
    _seen: float = 0.0

    def workers(self) -> list[str]:
        """Return the addresses of the workers, in a stable order.

        Raises AeError when the scheduler has gone, or has had no workers for too long.
        """
        lost = AeError(f"{self.address}: the scheduler has gone: start it anew, the same command goes on")
        if self.client.status != "running":
            raise lost
        try:
            addresses = sorted(self.client.nthreads())
        except (OSError, TimeoutError) as error:
            raise lost from error
        now = time.monotonic()
        self._seen = now if addresses or not self._seen else self._seen
        if now - self._seen > self.patience:
            waited = f"{self.patience / 60:.0f} minutes" if self.patience >= 120 else f"{self.patience:.0f} seconds"
            raise AeError(f"{self.address}: has had no workers for {waited}: start some ({_START} {self.address})")
        return addresses

    def call(self, function: Callable[..., Any], *arguments: Any, workers: list[str]) -> dict[str, Any]:
        """Call a function on workers, beside their tasks; return by address what it gave, or the error that it raised.

        A worker that has gone meanwhile is not among them.
        """
        if self.client.status != "running":
            return {}
        try:
            answers = self.client.run(function, *arguments, workers=workers, on_error="return")
        except (OSError, TimeoutError, ValueError, KeyError):
            return {}
        return {address: given for address, given in answers.items() if not isinstance(given, OSError)}


@contextmanager
def connected(
    address: str, note: Callable[[str], None], patience: float = _SECONDS_WITHOUT_WORKERS
) -> Iterator[Cluster]:
    """Connect to the scheduler at an address such as tcp://host:8786, or of a scheduler file; wait for a worker.

    Raises AeError where Dask is not installed, nobody answers, or no worker comes; `note` says that one is waited for.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("distributed", "dask"):
            raise
        raise AeError("--scheduler: needs Dask, which is not installed: pip install 'aecli[dask]'") from error
    # What it prints would tear the study's table; what matters is said by errors of ours.
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    client = _connect(Client, address)
    try:
        cluster = Cluster(address, client, patience)
        if not cluster.workers():
            note(f"{address}: has no workers yet: waiting for one ({_START} {address}); Ctrl-C stops")
            while not cluster.workers():
                time.sleep(0.2)
        yield cluster
    finally:
        client.close(timeout=_SECONDS_TO_CONNECT)


def _connect(client: Any, address: str) -> "Client":
    where = _address(address)
    connect = partial(client, where, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    try:
        with warnings.catch_warnings(action="ignore"):  # of versions that differ a little
            connected: Client = _within(_SECONDS_TO_CONNECT + 1, connect)  # Dask's own does not end with every server
            return connected
    except Exception as error:  # a server of another kind can make Dask raise anything
        said = "" if where == address else f" (it names {where})"
        reason = f" ({one_line(error)})" if isinstance(error, (ValueError, ImportError)) else ""
        raise AeError(
            f"{address}{said}: no Dask scheduler answers there{reason}: "
            f"give the address that `dask scheduler` prints, or its --scheduler-file"
        ) from error


def _within(seconds: float, function: Callable[[], T]) -> T:
    """Return what a function gives; TimeoutError where it takes longer: it is then left to itself."""
    given: Future[T] = Future()

    def call() -> None:
        try:
            given.set_result(function())
        except BaseException as error:
            given.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return given.result(seconds)


def _address(address: str) -> str:
    """Return the address that a scheduler file holds, or the one that is given itself."""
    path = Path(address)
    if "://" in address or not (path.is_file() or path.suffix == ".json" or ":" not in address):
        return address
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["address"]
    except (FileNotFoundError, IsADirectoryError) as error:
        raise AeError(
            f"'{address}': is no scheduler file and no address: give one such as tcp://host:8786, "
            f"or the --scheduler-file of `dask scheduler`"
        ) from error
    except OSError as error:
        raise AeError(f"{address}: cannot be read ({error.strerror}): check its permissions and the disk") from error
    except (ValueError, KeyError, TypeError) as error:
        raise AeError(f"{address}: is no scheduler file: give the --scheduler-file of `dask scheduler`") from error
    return str(found)
