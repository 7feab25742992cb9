"""What was made for the last key, kept for the next call with the same one."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Holds one value and the key that it was made for."""

    def __init__(self) -> None:
        self._held: list[tuple[object, T]] = []

    def get(self, key: object, make: Callable[[], T]) -> T:
        """Return the value kept for this key, or let go of it and make another."""
        if not (self._held and self._held[0][0] == key):
            self._held.clear()
            self._held.append((key, make()))
        return self._held[0][1]
