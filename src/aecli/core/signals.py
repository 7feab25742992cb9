"""How a signal ends a training: at its next pause, with a checkpoint, or at once."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupted(KeyboardInterrupt):
    """A signal has ended the training; `message` is by default its name."""

    def __init__(self, number: int, message: str | None = None) -> None:
        super().__init__(message or signal.Signals(number).name)
        self.number = number


def exit_code(stopped: KeyboardInterrupt) -> int:
    """Return the exit code of a process that a signal ended, as shells have it."""
    return 128 + (stopped.number if isinstance(stopped, Interrupted) else signal.SIGINT)


class Signals:
    """Receives SIGINT, SIGTERM and SIGHUP while it is entered, in the main thread.

    Or so many of them as are named. The first one raises Interrupted: within `deferred` where `raise_if_received` is
    called, elsewhere at once. A SIGINT after it ends the process at once, or goes to the handler `second`. Signals that
    are ignored, as `nohup` does it with SIGHUP, stay so. `on_signal` is called at once, so that the user is told before
    a checkpoint is written.
    """

    def __init__(
        self,
        on_signal: Callable[[], None] = lambda: None,
        names: Sequence[str] = ("SIGINT", "SIGTERM", "SIGHUP"),
        second: Any = signal.SIG_DFL,
    ) -> None:
        self._on_signal, self._names, self._second = on_signal, names, second
        self.received: int | None = None
        self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for name in self._names:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait for `raise_if_received` while the block runs."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
        self.raise_if_received()

    def raise_if_received(self) -> None:
        """Raise Interrupted when a signal has come."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # A terminal that closes sends SIGHUP more than once: only SIGINT is a second word of the user.
        for signal_number in self._before:
            signal.signal(signal_number, self._second if signal_number == signal.SIGINT else signal.SIG_IGN)
        self.received = number
        with suppress(RuntimeError, OSError):  # the signal may have come while something else was being written
            self._on_signal()
        if not self._waiting:
            raise Interrupted(number)
