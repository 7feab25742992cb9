"""The table of a study as rows of text, and as Markdown, LaTeX and CSV."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aecli.runs.baselines import BASELINES
from aecli.studies.stats import Interval
from aecli.studies.summary import Baseline, Summary, SummaryRow

TextTable = list[list[str]]

_COUNTS = ("collapsed", "failed", "missing")


@dataclass(frozen=True)
class _Column:
    """A column of a study's table: what stands in the row of a variant, and in that of a baseline."""

    title: str
    cell: Callable[[SummaryRow], str]
    below: Callable[[Baseline], str] = lambda _: ""


def study_table(summary: Summary) -> TextTable:
    """Return the header and a row for every variant, best first, then the baselines."""
    return _rows(summary, [*_narrow(summary), *_more(summary)])


def narrow_table(summary: Summary) -> TextTable:
    """Return the columns of `study_table` that answer the question; the others tell more."""
    return _rows(summary, _narrow(summary))


def _rows(summary: Summary, columns: Sequence[_Column]) -> TextTable:
    rows = [[column.cell(row) for column in columns] for row in summary.rows]
    below = [[column.below(baseline) for column in columns] for baseline in baselines_below(summary)]
    return [[column.title for column in columns], *rows, *below]


def baselines_below(summary: Summary) -> tuple[Baseline, ...]:
    """Return the baselines that stand below the rows: not the linear codes where each row stands beside its own."""
    if len(summary.code_lengths) < 2:
        return summary.baselines
    return tuple(baseline for baseline in summary.baselines if baseline.name == BASELINES["mean_image"])


def _narrow(summary: Summary) -> list[_Column]:
    name, verdict = (
        _Column("variant", lambda row: row.variant, lambda baseline: baseline.name),
        _Column("verdict", _verdict),
    )
    runs = _Column("runs", _runs)
    mean = _Column(summary.metric, lambda row: number(row.mean.estimate), lambda by: number(by.mean.estimate))
    against = [
        _Column("worse by", lambda row: number(row.against_best.worse_by.estimate) if row.against_best else ""),
        _Column("interval for all pairs", lambda row: interval(row.against_best.worse_by) if row.against_best else ""),
    ]
    linear = _Column("of linear code", lambda row: share(row.means["of_linear"]))
    if not summary.of_configs:
        return [name, verdict, runs, mean, _interval_of_mean(), *against, linear]
    networks = [
        _Column("family", lambda row: _of(row, "family")),
        _Column("code", lambda row: count(_of(row, "code_length"))),
        _Column("weights", lambda row: count(_of(row, "weights"))),
        _Column("seconds", lambda row: _whole_seconds(row.means["seconds"])),
    ]
    own = [_Column("PCA", lambda row: number(_of(row, "pca")))] if len(summary.code_lengths) > 1 else []
    return [replace(name, title="config"), *networks, verdict, runs, mean, *own, *against, linear]


def _more(summary: Summary) -> list[_Column]:
    columns = [
        _Column("P(best wins)", _best_wins),
        _Column("its interval", lambda row: interval(row.against_best.best_wins_unseen) if row.against_best else ""),
        _Column("p (Holm)", lambda row: f"{row.against_best.p_holm:.3f}" if row.against_best else ""),
        _Column("rank", lambda row: number(row.mean_rank)),
        _mean_of("gap"),
        _mean_of("settled"),
    ]
    if not summary.of_configs:
        return [*columns, _mean_of("seconds")]
    best = _Column("best linear code", lambda row: number(_of(row, "best_linear")))
    return [_interval_of_mean(), *([best] if len(summary.code_lengths) > 1 else []), *columns]


def _interval_of_mean() -> _Column:
    return _Column("95 % interval", lambda row: interval(row.mean), lambda baseline: interval(baseline.mean))


def _whole_seconds(value: float | None) -> str:
    """Return seconds, which differ by far among configs, without a power of ten."""
    return number(value) if value is None or value < 100 else count(round(value))


def _of(row: SummaryRow, name: str) -> Any:
    """Return what is known of a row that is a whole config."""
    return getattr(row.network, name, None)


def _mean_of(name: str) -> _Column:
    return _Column(name, lambda row: number(row.means[name]))


def _verdict(row: SummaryRow) -> str:
    if math.isnan(row.mean.estimate):
        return ""
    return "best" if row.against_best is None else "tied" if row.tied else "worse"


def _runs(row: SummaryRow) -> str:
    lost = [f"{row.counts[state]} {state}" for state in _COUNTS if row.counts.get(state)]
    return ", ".join([str(row.counts.get("complete", 0)), *lost])


def _best_wins(row: SummaryRow) -> str:
    if row.against_best is None:
        return ""
    share = row.against_best.best_wins_unseen.estimate
    return "-" if math.isnan(share) else f"{share:.2f}"


def number(value: float | None) -> str:
    """Return a number with three or four digits, "-" for none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def count(value: int | None) -> str:
    """Return a whole number with its thousands apart, "-" for none."""
    return "-" if value is None else f"{value:,}"


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
