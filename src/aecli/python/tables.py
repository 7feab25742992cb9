"""Tables without pandas: a sequence of rows, and columns by name, as pandas reads them in one call."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Literal, overload

import numpy as np

_MOST_SHOWN = 12
"""Rows that a table shows of itself; of more, the first and the last."""


class Row(dict[str, Any]):
    """A row of a table by the names of its columns, which are attributes too: `row["loss"]`, `row.loss`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no column '{name}': there are {', '.join(self)}") from None

    def __dir__(self) -> list[str]:
        return [name for name in self if name.isidentifier()]


class Table(Sequence[Row]):
    """A sequence of rows: `table[-1].loss`, `table["loss"]`, `pandas.DataFrame(table)`.

    A number that there is none of is nan, so that every column of numbers is one.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Make a table of columns of the same length."""
        self._columns = {name: _plain(values) for name, values in columns.items()}

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> "Table":
        """Make a table of rows; a column is there where one of them has it."""
        rows = list(rows)
        names = dict.fromkeys(name for row in rows for name in row)
        return cls({name: [row.get(name) for row in rows] for name in names})

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._columns)

    @overload
    def to_dict(self, orient: Literal["list"] = "list") -> dict[str, list[Any]]: ...
    @overload
    def to_dict(self, orient: Literal["records"]) -> list[dict[str, Any]]: ...
    def to_dict(self, orient: Literal["list", "records"] = "list") -> dict[str, list[Any]] | list[dict[str, Any]]:
        """Return {column: values}, or with "records" a dict a row, in the words of pandas; ValueError for others."""
        if orient == "records":
            return [dict(row) for row in self]
        if orient != "list":
            raise ValueError(f"orient {orient!r}: expected 'list' or 'records'")
        return {name: list(values) for name, values in self._columns.items()}

    @overload
    def __getitem__(self, key: int) -> Row: ...
    @overload
    def __getitem__(self, key: slice) -> "Table": ...
    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    def __getitem__(self, key: int | slice | str) -> "Row | Table | list[Any]":
        if isinstance(key, str):
            if key not in self._columns:
                raise KeyError(f"no column '{key}': there are {', '.join(self._columns)}")
            return list(self._columns[key])
        if isinstance(key, slice):
            return Table({name: values[key] for name, values in self._columns.items()})
        if not -len(self) <= key < len(self):
            raise IndexError(f"row {key}: there are {len(self)}")
        return Row({name: values[key] for name, values in self._columns.items()})

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __eq__(self, other: object) -> bool:
        # As text: what is nan in both is the same.
        return isinstance(other, Table) and repr(self._columns) == repr(other._columns)

    __hash__ = None  # type: ignore[assignment]  # equal by content, like a list

    def __dir__(self) -> list[str]:
        return ["columns", "to_dict"]

    def __repr__(self) -> str:
        cells = [list(self._columns), *([_text(value) for value in row.values()] for row in self._shown())]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
        return "\n".join([*lines, *([self._count()] if len(self) > _MOST_SHOWN else [])])

    def _repr_html_(self) -> str:
        """Return what a notebook shows; colours are the notebook's own."""
        from aecli.views.report.snippet import table_html

        more = f"<div>{escape(self._count())}</div>" if len(self) > _MOST_SHOWN else ""
        rows = [[_text(value) for value in row.values()] for row in self._shown()]
        return str(table_html(self.columns, rows)) + more

    def _shown(self) -> list[Row]:
        if len(self) <= _MOST_SHOWN:
            return list(self)
        half = _MOST_SHOWN // 2
        return [*self[:half], *self[len(self) - half :]]

    def _count(self) -> str:
        return f"the first and the last of {len(self):,} rows"


def _plain(values: Sequence[Any]) -> list[Any]:
    """Return values of Python; None among numbers, or alone, is nan."""
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if any(isinstance(value, str) for value in listed):
        return listed
    return [math.nan if value is None else value for value in listed]


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
