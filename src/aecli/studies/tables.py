"""The table of a study as rows of text, and as Markdown, LaTeX and CSV."""

import csv
import io
import math

from aecli.studies.stats import Interval
from aecli.studies.summary import Summary, SummaryRow

TextTable = list[list[str]]

_COUNTS = ("collapsed", "failed", "missing")


def study_table(summary: Summary) -> TextTable:
    """Return the header and a row for every variant, best first, then the baselines."""
    header = ["variant", "verdict", "runs", summary.metric, "95 % interval", "worse by", "interval for all pairs"]
    header += ["of linear code"]
    header += ["P(best wins)", "its interval", "p (Holm)", "rank", "gap", "settled", "seconds"]
    rows = [header]
    for row in summary.rows:
        against = row.against_best
        cells = [row.variant, _verdict(row), _runs(row), number(row.mean.estimate), interval(row.mean)]
        differs = ["", ""] if against is None else [number(against.worse_by.estimate), interval(against.worse_by)]
        cells += [*differs, share(row.means["of_linear"])]
        if against is None:
            cells += [""] * 3
        else:
            cells += [f"{against.best_wins.estimate:.2f}", interval(against.best_wins), f"{against.p_holm:.3f}"]
        rows.append(
            [*cells, number(row.mean_rank), *(number(row.means[name]) for name in ("gap", "settled", "seconds"))]
        )
    for baseline in summary.baselines:
        cells = [baseline.name, "", "", number(baseline.mean.estimate), interval(baseline.mean)]
        rows.append(cells + [""] * (len(header) - len(cells)))
    return rows


NARROW = 8
"""Columns of a study's table that answer the question; those after them tell more."""


def _verdict(row: SummaryRow) -> str:
    if math.isnan(row.mean.estimate):
        return ""
    return "best" if row.against_best is None else "tied" if row.tied else "worse"


def _runs(row: SummaryRow) -> str:
    lost = [f"{row.counts[state]} {state}" for state in _COUNTS if row.counts.get(state)]
    return ", ".join([str(row.counts.get("complete", 0)), *lost])


def number(value: float | None) -> str:
    """Return a number with three or four digits, "-" for none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def share(value: float | None) -> str:
    """Return a share in percent, "-" for none."""
    return "-" if value is None else f"{value:.0%}"


def interval(value: Interval) -> str:
    """Return the ends of an interval, "-" where it has none."""
    return "-" if math.isnan(value.low) else f"[{number(value.low)}, {number(value.high)}]"


def as_text(table: TextTable, table_format: str) -> str:
    """Return a table as "md", "latex" or "csv"."""
    header, *rows = table
    if table_format == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(table)
        return text.getvalue()
    if table_format == "latex":
        lines = [_latex_row(row) for row in table]
        return "\n".join(
            [rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\hline", lines[0], r"\hline", *lines[1:], r"\hline",
             r"\end{tabular}"]
        ) + "\n"  # fmt: skip
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in [header, *rows]]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in header) + " |", *lines[1:]]) + "\n"


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}",
        "<": r"\ensuremath{<}", ">": r"\ensuremath{>}",
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    }
)  # fmt: skip


def _latex_row(row: list[str]) -> str:
    line = " & ".join(cell.translate(_LATEX) for cell in row)
    # Behind the end of a row LaTeX takes "[64]" for a distance, and "*" for a row that no page may break after.
    return f"{{}}{line} \\\\" if line.startswith(("[", "*")) else f"{line} \\\\"
