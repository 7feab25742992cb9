"""A finished comparison as Python uses it."""

from dataclasses import dataclass
from pathlib import Path

from aecli.core.errors import RunError, did_you_mean
from aecli.python.run import Run
from aecli.python.tables import Table
from aecli.runs.metrics import table_metrics
from aecli.studies.compare import StudyResult


@dataclass(frozen=True, repr=False)
class Comparison(StudyResult):
    """A finished comparison: the verdict, a row for every variant, and every run.

    `results` are those of the runs, `summary` is all that was computed of them, `study` the folder.
    """

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.study.path

    @property
    def verdict(self) -> str:
        """What the comparison found, in two sentences."""
        return self.summary.verdict

    @property
    def best(self) -> str | None:
        """The name of the best row; None where no run came to its end."""
        return self.summary.best

    @property
    def table(self) -> Table:
        """A row a variant, best first, then the baselines: the mean of the metric with its 95 % interval, low to high.

        `worse_by` and its interval, for all pairs, are against the best; nan in its own row and those of baselines.
        """
        metric = self.summary.metric
        rows = [
            {
                "variant": row.variant, "tied": row.tied, "runs": row.counts.get("complete", 0),
                metric: row.mean.estimate, "low": row.mean.low, "high": row.mean.high,
                **({"worse_by": row.against_best.worse_by.estimate, "worse_by_low": row.against_best.worse_by.low,
                    "worse_by_high": row.against_best.worse_by.high} if row.against_best else {}),
            }
            for row in self.summary.rows
        ]  # fmt: skip
        below = [
            {"variant": by.name, "tied": False, "runs": 0,
             metric: by.mean.estimate, "low": by.mean.low, "high": by.mean.high}
            for by in self.summary.baselines
        ]  # fmt: skip
        return Table.of_rows([*rows, *below])

    @property
    def runs(self) -> Table:
        """A row a run: variant, seed, state, epochs, seconds, and every metric of its test images."""
        names = ("variant", "seed", "state", "epochs", "seconds", *(metric.name for metric in table_metrics()))
        return Table.of_rows({name: result.value(name) for name in names} for result in self.results)

    def run(self, variant: str, seed: int | None = None) -> Run:
        """Return the run of a variant, by default that of its first seed; RunError where there is none."""
        for result in self.results:
            if result.variant == variant and seed in (None, result.seed) and result.run:
                return Run(self.path / result.run)
        known = dict.fromkeys(result.variant for result in self.results)
        of_seed = "" if seed is None else f" of seed {seed}"
        hint = did_you_mean(variant, known) if variant not in known else ""
        raise RunError(f"{self.path}: no run of '{variant}'{of_seed}{hint or ': there are ' + ', '.join(known)}")

    def __dir__(self) -> list[str]:
        return ["best", "path", "results", "run", "runs", "study", "summary", "table", "verdict"]

    def __repr__(self) -> str:
        return f"<aecli.Comparison {self.path}: {self.verdict}>"

    def _repr_html_(self) -> str:
        from aecli.views.report.snippet import study_html

        return study_html(self)
