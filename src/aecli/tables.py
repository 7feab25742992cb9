"""The table of a study as rows of text, and as Markdown, LaTeX and CSV."""

import csv
import io
import math

from aecli.stats import Interval
from aecli.summary import Summary

Table = list[list[str]]

_COUNTS = ("collapsed", "failed", "missing")


def study_table(summary: Summary) -> Table:
    """Return the header and a row for every variant, best first, then the baselines."""
    header = ["variant", "runs", summary.metric, "95 % interval", "worse by", "interval", "P(best wins)", "p (Holm)"]
    header += ["rank", "gap", "settled", "seconds", "verdict"]
    rows = [header]
    for row in summary.rows:
        against = row.against_best
        runs = str(row.counts.get("complete", 0)) + "".join(
            f", {row.counts[state]} {state}" for state in _COUNTS if row.counts.get(state)
        )
        verdict = (
            "" if math.isnan(row.mean.estimate) else "best" if against is None else "tied" if row.tied else "worse"
        )
        cells = [row.variant, runs, number(row.mean.estimate), interval(row.mean)]
        if against is None:
            cells += ["", "", "", ""]
        else:
            cells += [number(against.worse_by.estimate), interval(against.worse_by)]
            cells += [f"{against.best_wins.estimate:.2f}", f"{against.p_holm:.3f}"]
        cells += [number(row.mean_rank), number(row.means["gap"]), number(row.means["settled"])]
        rows.append([*cells, number(row.means["seconds"]), verdict])
    for baseline in summary.baselines:
        rows.append([baseline.name, "", number(baseline.mean.estimate), interval(baseline.mean), *[""] * 9])
    return rows


def number(value: float | None) -> str:
    """Return a number with three or four digits, "-" for none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def interval(value: Interval) -> str:
    """Return the ends of an interval, "-" where it has none."""
    return "-" if math.isnan(value.low) else f"[{number(value.low)}, {number(value.high)}]"


def as_text(table: Table, table_format: str) -> str:
    """Return a table as "md", "latex" or "csv"."""
    header, *rows = table
    if table_format == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(table)
        return text.getvalue()
    if table_format == "latex":
        lines = [" & ".join(map(_latex, row)) + r" \\\\" for row in table]
        return "\n".join(
            [rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\hline", lines[0], r"\hline", *lines[1:], r"\hline",
             r"\end{tabular}"]
        ) + "\n"  # fmt: skip
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in [header, *rows]]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in header) + " |", *lines[1:]]) + "\n"


def _latex(text: str) -> str:
    for letter in "&%_#":
        text = text.replace(letter, "\\" + letter)
    return text
