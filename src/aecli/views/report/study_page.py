"""The page of a study."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from aecli.core.errors import AeError
from aecli.runs.metrics import METRICS, comparable
from aecli.runs.run import Run
from aecli.studies.results import Result
from aecli.studies.stats import Interval, mean_interval
from aecli.studies.summary import SummaryRow
from aecli.studies.tables import baselines_below, number, share
from aecli.views.report.charts.study_charts import figures, style_of
from aecli.views.report.page import Cell, Column, Facts, Page, PageSection, PageTable, counted, decimals_for, measured
from aecli.views.report.pictures import Gallery, gallery_of
from aecli.views.report.provenance import data_facts, environment_facts
from aecli.views.report.study_configs import (
    configs_section,
    network_cells,
    network_columns,
    own_linear_cells,
    own_linear_columns,
    trainings,
)
from aecli.views.report.study_data import TRAINED, StudyData
from aecli.views.report.study_notes import on_intervals, on_p, on_power


def study_page(data: StudyData) -> Page:
    """Return what the page of a study shows."""
    charts, warnings = figures(data), _warnings(data)
    images, note = _gallery(data)

    def only(*names: str) -> tuple:  # type: ignore[type-arg]
        return tuple(charts[name] for name in names if name in charts)

    before = [
        PageSection("seeds", "Every seed, and the differences", figures=only("dots", "differences"),
                table=_seed_table(data), fold="Every seed as a table"),
        PageSection("length", "Code length", figures=only("curve")),
        PageSection("learning", "Learning curves", figures=only("learning_curves")),
    ]  # fmt: skip
    after = [
        PageSection("health", "Health of the activations", figures=only("silent_units", "gradients"),
                table=_health_table(data), fold="The last epoch as a table"),
        PageSection("cost", "Overfitting, and time against quality", figures=only("gap", "time_and_quality")),
        PageSection("lost", "Runs that do not count", _lost_text(data), table=_lost_table(data)),
    ]  # fmt: skip
    environments = data.environments
    return Page(
        title=f"Study {data.study.path.absolute().name}",
        subtitle=_subtitle(data),
        verdict=data.summary.verdict,
        warnings=tuple(warnings),
        table=_table(data),
        before=(*configs_section(data), *(section for section in before if section.figures)),
        gallery=images,
        gallery_note=note,
        after=tuple(section for section in after if section.figures or (section.table and section.table.rows)),
        command=f"ae compare --config {data.study.config_file.name} --output reproduced",
        config_name=data.study.config_file.name,
        config=data.study.config_text,
        facts=(*_data_facts(data), *environment_facts(environments)),
    )


def _subtitle(data: StudyData) -> str:
    seeds, variants = len(data.summary.seeds), len(data.rows)
    parts = [f"{variants} variant{'s' * (variants != 1)} × {seeds} seed{'s' * (seeds != 1)}"]
    fields = data.about.get("data") or (data.environments[0]["data"] if data.environments else None)
    if fields:
        height, width, channels = fields["format"]["image_shape"]
        parts.append(f"{Path(fields['file']).name}: {fields['images']:,} images of {height} × {width} × {channels}")
    parts += trainings(data)
    if "finished" in data.about:
        parts.append(f"finished {str(data.about['finished'])[:16].replace('T', ' ')}")
    return " · ".join(parts)


def _warnings(data: StudyData) -> list[str]:
    counts = {state: sum(r.state == state for r in data.results) for state in ("collapsed", "failed", "missing")}
    named = [f"{count} {state}" for state, count in counts.items() if count]
    if not named:
        return []
    runs = f"{len(data.results)} run{'s' * (len(data.results) != 1)}"
    return [f"Of {runs} {' and '.join(named)}: not in any mean, see the end of the page."]


# -- tables ---------------------------------------------------------------------------------------


def _table(data: StudyData) -> PageTable:
    metric = data.summary.metric
    others = [row.name for row in METRICS.values() if row.beside and row.name != metric]
    networks = network_columns(data)
    seconds = Column("seconds", "of training alone", more=not networks)
    columns = (
        Column("config" if networks else "variant"),
        *networks,
        *([seconds] if networks else []),
        Column("verdict", "best, tied (these seeds do not show it to be worse) or worse (they do)", words=True),
        Column("runs", "complete runs of all that were planned"),
        Column(metric, f"mean over the seeds of the {metric} on the test images, with its 95 % bootstrap interval"),
        *own_linear_columns(data),
        Column("worse by", "mean paired difference to the best, with an interval that holds for all pairs at once"),
        Column("of linear code", f"{metric} as a share of that of the best linear code with so many values", more=True),
        Column("P(best wins)", "share of the seeds on which the best by the other seeds does better", more=True),
        Column(
            "p (Holm)",
            "Wilcoxon's signed-rank test against the best, corrected by Holm for being one of all pairs",
            more=True,
        ),
        Column("rank", "mean rank over the seeds, 1 the best", more=True),
        *(Column(METRICS[name].title, f"{METRICS[name].about}; over the seeds", more=True) for name in others),
        Column("gap", "validation mse less training mse: overfitting, where it is far above 0", more=True),
        Column("settled", "first epoch whose validation loss is within 5 % of the kept one", more=True),
        *([] if networks else [seconds]),
    )
    digits = _digits(data, metric)
    rows = tuple(_row(data, row, others, digits) for row in data.rows)
    place = [column.title for column in columns].index(metric)
    below = []
    for baseline in baselines_below(data.summary):
        cells = [Cell(baseline.name), *[Cell("")] * (len(columns) - 1)]
        cells[place - 2], cells[place] = Cell("baseline", style="quiet"), measured(baseline.mean, digits)
        below.append(tuple(cells))
    notes = (*on_intervals(data.summary), *on_power(data.summary))
    return PageTable(columns, rows, tuple(below), sorted_by=place, notes=notes, more_notes=on_p(data.summary))


_DECIMALS = {"settled": 1, "seconds": 2}


def _digits(data: StudyData, metric: str) -> int:
    """Return the decimals of a metric: three digits of the best variant's, the same all down the column."""
    return comparable()[metric].decimals or decimals_for(data.rows[0].means[metric] or math.nan)


def _row(data: StudyData, row: SummaryRow, others: list[str], digits: int) -> tuple[Cell, ...]:
    against = row.against_best
    complete, planned = row.counts.get("complete", 0), sum(row.counts.values())
    lost = ", ".join(f"{n} {state}" for state, n in row.counts.items() if state != "complete")
    if math.isnan(row.mean.estimate):
        verdict = Cell("none", key=3.0, style="lost")
    elif against is None:
        verdict = Cell("best", key=0.0, style="best")
    else:
        verdict = Cell("tied" if row.tied else "worse", key=1.0 if row.tied else 2.0, style=style_of(row))
    results, mse = data.complete(row), _digits(data, "mse")
    seconds = measured(_over_seeds(results, "seconds"), _DECIMALS["seconds"])
    cells = [
        Cell(row.variant, key=row.variant),
        *network_cells(row),
        *([seconds] if row.network else []),
        verdict,
        Cell(f"{complete}" if complete == planned else f"{complete} of {planned}", lost, float(complete)),
        measured(row.mean, digits),
        *own_linear_cells(data, row, digits),
    ]
    beside = Cell(share(row.means["of_linear"]), key=row.means["of_linear"])
    if against is None:
        blank = Cell("", key=0.0 if complete else None)
        cells += [blank, beside, blank, blank]
    else:
        cells += [measured(against.worse_by, digits), beside]
        cells += [measured(against.best_wins_unseen, 2), counted(against.p_holm, 3)]
    cells.append(counted(row.mean_rank, 1))
    shown = [(name, _digits(data, name)) for name in others]
    shown += [(name, _DECIMALS.get(name, mse)) for name in ("gap", "settled")]
    cells += [measured(_over_seeds(results, name), digits) for name, digits in shown]
    return (*cells, *([] if row.network else [seconds]))


def _over_seeds(results: list[Result], name: str) -> Interval:
    """Return the mean of a column of the results with its interval."""
    values = [float(value) for result in results if (value := result.value(name)) is not None]
    interval = mean_interval(np.array(values, np.float64))
    # Of few seeds an interval may reach where no value can be.
    return replace(interval, low=max(interval.low, 0.0)) if name in ("mse", "settled", "seconds") else interval


def _seed_table(data: StudyData) -> PageTable:
    seeds = data.summary.seeds
    rows = []
    for row in data.rows:
        by_seed = {result.seed: result for result in data.of(row)}
        rows.append((Cell(row.variant, key=row.variant), *(_seed_cell(data, by_seed.get(seed)) for seed in seeds)))
    ordered = comparable()[data.summary.metric].better
    note = f"{data.summary.metric} on the test images, {ordered} is better."
    return PageTable((Column("variant"), *(Column(f"seed {seed}") for seed in seeds)), tuple(rows), notes=(note,))


def _seed_cell(data: StudyData, result: Result | None) -> Cell:
    if result is None:
        return Cell("-")
    value = result.value(data.summary.metric)
    if value is None:
        return Cell(result.state, style="lost")
    note = "" if result.state == "complete" else result.state
    return Cell(f"{value:.6g}", note, float(value), "lost" if note else "")


def _health_table(data: StudyData) -> PageTable:
    columns = (
        Column("variant"),
        Column("layer", words=True),
        Column("dead", "share of units with the same output for every image"),
        Column("saturated", "share of outputs within 1 % of a bound of the activation's range"),
        Column("PReLU slope", "mean learned slope below zero"),
        Column("gradient norm"),
        Column("weight norm"),
    )
    rows = []
    for row in data.rows:
        runs = data.healths[row.variant]
        lasts = [[record for record in run if record.epoch == run[-1].epoch] for run in runs]
        for layer in dict.fromkeys(record.layer for last in lasts for record in last):
            records = [record for last in lasts for record in last if record.layer == layer]
            name = f"{layer} ({records[0].activation}, {records[0].units})"
            cells = [Cell(row.variant, key=row.variant), Cell(name, key=name)]
            for field in ("dead", "saturated", "slope", "gradient_norm", "weight_norm"):
                values = [float(value) for record in records if (value := getattr(record, field)) is not None]
                cells.append(measured(mean_interval(np.array(values, np.float64))))
            rows.append(tuple(cells))
    return PageTable(columns, tuple(rows), notes=("Means over the seeds, collapsed ones too.",))


def _lost_text(data: StudyData) -> str:
    return (
        "Collapsed, failed and missing runs are counted in the table and left out of every mean." if data.lost else ""
    )


def _lost_table(data: StudyData) -> PageTable:
    rows = [
        (
            Cell(result.variant, key=result.variant),
            Cell(str(result.seed), key=float(result.seed)),
            Cell(result.state, key=result.state, style="lost"),
            Cell(number(result.value("fvu")), key=result.value("fvu")),
            Cell(result.reason or ("not trained yet" if result.state == "missing" else ""), style="words"),
        )
        for result in data.lost
    ]
    columns = (
        Column("variant"),
        Column("seed"),
        Column("state", words=True),
        Column("fvu", "mse by that of the mean image"),
    )
    return PageTable((*columns, Column("reason", words=True)), tuple(rows))


# -- pictures and facts ---------------------------------------------------------------------------


def _gallery(data: StudyData) -> tuple[Gallery | None, str]:
    """Return the pictures of the first seed that most variants have a model for, or why there are none."""
    models = {seed: _models(data, seed) for seed in data.summary.seeds}
    seed = max(data.summary.seeds, key=lambda s: len(models[s]))
    if not models[seed]:
        return None, "No run has a model."
    try:
        gallery = gallery_of(models[seed], every_length=data.summary.of_configs)
    except (AeError, KeyError) as error:
        return None, f"There are no pictures: {error}."
    shown = {row.name for row in gallery.rows}
    without = [row.variant for row in data.rows if row.variant not in shown]
    missing = f" Not shown, for want of a model or of the same images: {', '.join(without)}." if without else ""
    return gallery, f"Seed {seed}. Chosen by the mean error over the variants.{missing}"


def _models(data: StudyData, seed: int) -> list[tuple[str, Run]]:
    models = []
    for row in data.rows:
        for result in data.of(row):
            if result.seed == seed and result.state in TRAINED and data.run(result).decoder_file.is_file():
                models.append((row.variant, data.run(result)))
    return models


def _data_facts(data: StudyData) -> list[Facts]:
    header = data.about if "data" in data.about else (data.environments[0] if data.environments else {})
    facts = [data_facts("Training images", header["data"])] if header.get("data") else []
    return [*facts, data_facts("Test images", header["test"])] if header.get("test") else facts
