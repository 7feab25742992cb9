"""What a long piece of work reports: how far it is."""

from collections.abc import Callable

Told = Callable[[str, int, int], None]
"""Who is told how far it is: what is done, how many of how many."""


def untold(what: str, done: int, total: int) -> None:
    """Tell nobody."""
