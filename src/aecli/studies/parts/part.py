"""A part of a study: the share of its runs that one of several commands trains, each on its own."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class Part:
    """The part with this number, from 1 on, of so many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def share(self, groups: Sequence[Sequence[_T]]) -> list[_T]:
        """Return the part's contiguous share of all members of the groups, in their order.

        It is of whole groups where there are at least as many groups as parts, else of single members; shares differ
        by at most one group, or one member. A part beyond the last member has none.
        """
        units = groups if self.of <= len(groups) else [[member] for member in itertools.chain.from_iterable(groups)]
        begin, end = (number * len(units) // self.of for number in (self.number - 1, self.number))
        return list(itertools.chain.from_iterable(units[begin:end]))


def parse_part(text: str) -> Part:
    """Read `I/N`, 1 <= I <= N; ValueError says what is wrong."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"'{text}' is not I/N with I from 1 to N, e.g. 2/16")
    return Part(int(match[1]), int(match[2]))
