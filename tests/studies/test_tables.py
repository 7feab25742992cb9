"""A study's table as LaTeX: what is read back from it is what was put in."""

import re

import pytest
from tabulate import tabulate

from aecli.studies.tables import as_text

HOSTILE = [
    "[64]",
    "*",
    "a\\b",
    "50 %",
    "a&b",
    "$x$",
    "#3",
    "latent_dim",
    "{x}",
    "~",
    "2^3",
    "<a>",
    "a|b",
    "",
    "[0.1, 0.2]",
]
TABLE = [["variant", "95 % interval"], *([cell, cell] for cell in HOSTILE)]


def rows(latex: str) -> list[list[str]]:
    """The cells between the lines of a table, as they stand in LaTeX."""
    body = [line for line in latex.splitlines() if re.search(r"\\\\$", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix("\\\\"))] for line in body]


def test_every_cell_is_escaped_as_tabulate_does_it():
    ours = [[cell.removeprefix("{}") for cell in row] for row in rows(as_text(TABLE, "latex"))]
    theirs = rows(tabulate(TABLE[1:], TABLE[0], tablefmt="latex", disable_numparse=True))
    assert ours == theirs


def test_a_row_ends_with_two_backslashes():
    lines = [line for line in as_text(TABLE, "latex").splitlines() if "&" in line]
    assert all(re.search(r"[^\\]\\\\$", line) for line in lines)
    assert len(lines) == len(TABLE)


@pytest.mark.parametrize("cell", ["[64]", "[32, 64]", "*"])
def test_what_stands_behind_the_end_of_a_row_is_not_taken_for_a_length(cell):
    text = as_text([["variant", "mse"], [cell, "1"], [cell, "2"]], "latex")
    assert not re.search(r"\\\\\s*[\[*]", text)
    assert not re.search(r"\\hline\s*[\[*]", text)
