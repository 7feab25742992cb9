"""How a signal ends a training: at its next pause, with a checkpoint, or at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

_SHOW_CURSOR = b"\x1b[?25h"


class Interrupted(KeyboardInterrupt):
    """A signal has ended the training."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(stopped: KeyboardInterrupt) -> int:
    """Return the exit code of a process that a signal ended, as shells have it."""
    return 128 + (stopped.number if isinstance(stopped, Interrupted) else signal.SIGINT)


class Signals:
    """Receives SIGINT, SIGTERM and SIGHUP while it is entered, in the main thread.

    The first one raises Interrupted: within `deferred` where `raise_if_received` is called, elsewhere at once. A
    SIGINT after it ends the process at once. Signals that are ignored, as `nohup` does it with SIGHUP, stay so.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
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
            signal.signal(signal_number, signal.SIG_DFL if signal_number == signal.SIGINT else signal.SIG_IGN)
        if sys.stderr.isatty():  # a progress bar hides the cursor, and nobody else is asked before the second SIGINT
            with suppress(OSError):
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)
        self.received = number
        if not self._waiting:
            raise Interrupted(number)
