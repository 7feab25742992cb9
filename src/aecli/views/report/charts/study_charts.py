"""The figures of a study."""

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from aecli.models.losses.config import loss_text
from aecli.runs.metrics import comparable
from aecli.runs.records import EpochRecord, LayerHealth
from aecli.studies.results import Result
from aecli.studies.stats import Interval, mean_interval
from aecli.studies.summary import SummaryRow
from aecli.studies.tables import interval, number
from aecli.views.report.charts.charts import ChartRow, Place, Value, places_chart, row_chart
from aecli.views.report.charts.curves import Axes, Curve, knee_chart, mean_and_band, panel
from aecli.views.report.charts.drawing import Dot, Drawing, Mark
from aecli.views.report.charts.health_charts import GRADIENTS, SILENT, keys_of, layer_panels
from aecli.views.report.page import Figure
from aecli.views.report.study_data import StudyData


def figures(data: StudyData) -> dict[str, Figure]:
    """Return the figures that the study has the numbers for, by name."""
    makers = (dots, differences, curve, learning_curves, gradients, silent_units, gap, time_and_quality)
    made = [maker(data) for maker in makers]
    return {figure.name: figure for figure in made if figure is not None}


def style_of(row: SummaryRow) -> str:
    """Return the look of a row: the best and what cannot be told from it stand out."""
    return "best" if row.tied else "worse"


def dots(data: StudyData) -> Figure:
    """Draw every seed of every variant, the mean with its interval, and PCA beside."""
    metric = data.summary.metric
    rows = [_dot_row(data, row) for row in data.rows]
    legend: dict[str, tuple[str, Mark]] = {
        "seed": ("seed", "circle"),
        "mean, 95 % interval": ("mean best", "diamond"),
        "PCA": ("pca", "bar"),
    }
    if any(result.state == "collapsed" for result in data.lost):
        legend["collapsed"] = ("lost", "cross")
    drawing = row_chart(rows, f"{metric} on the test images", f"{metric} of every seed by variant", legend=legend)
    caption = "PCA has the same code length. Blue: cannot be told from the best."
    return Figure("dots", "Every seed", caption, (drawing,))


def _dot_row(data: StudyData, row: SummaryRow) -> ChartRow:
    metric = data.summary.metric
    values = []
    for result in data.of(row):
        value = result.value(metric)
        if value is not None:
            lost = result.state == "collapsed"
            title = f"{row.variant}, seed {result.seed}: {metric} {value:.6g}" + (", collapsed" if lost else "")
            values.append(Value(value, title, "lost" if lost else "seed", "cross" if lost else "circle"))
    pca = _known(data.complete(row), f"pca_{metric}")
    if pca:
        mean = float(np.mean(pca))
        values.insert(0, Value(mean, f"PCA-{data.complete(row)[0].latent_dim}: {metric} {mean:.6g}", "pca", "bar"))
    title = f"{row.variant}: mean {number(row.mean.estimate)} {interval(row.mean)}"
    return ChartRow(row.variant, tuple(values), row.mean, title, style_of(row), "" if values else "no complete run")


def differences(data: StudyData) -> Figure | None:
    """Draw how much worse every variant is than the best one on the same seed."""
    if len(data.rows) < 2 or data.summary.best is None:
        return None
    metric, best = data.summary.metric, data.rows[0]
    sign = -1 if comparable()[metric].better == "higher" else 1
    base = {r.seed: r.value(metric) for r in data.complete(best)}
    # The best one has a row too: the rows then stand beside those of the chart of seeds.
    rows = [ChartRow(best.variant, (Value(0.0, f"{best.variant}: the best mean", "mean best", "diamond"),))]
    for row in data.rows[1:]:
        pairs = [(r.seed, sign * (r.value(metric) - base[r.seed])) for r in data.complete(row) if r.seed in base]
        values = tuple(Value(d, f"{row.variant}, seed {seed}: worse by {d:.4g}") for seed, d in pairs)
        against = row.against_best
        title = (
            f"{row.variant}: worse by {number(against.worse_by.estimate)} {interval(against.worse_by)}"
            if against
            else ""
        )
        note = "" if values else "no seed in common" if data.complete(row) else "no complete run"
        rows.append(ChartRow(row.variant, values, against.worse_by if against else None, title, style_of(row), note))
    legend: dict[str, tuple[str, Mark]] = {
        "seed": ("seed", "circle"),
        "mean, interval for all pairs at once": ("mean best", "diamond"),
    }
    description = f"{metric} of every variant less that of {best.variant}, seed by seed"
    drawing = row_chart(rows, f"worse than {best.variant} by ({metric})", description, zero=True, legend=legend)
    caption = f"The same seed of both, {best.variant} at 0. An interval that lies right of 0 shows a difference."
    return Figure("differences", "Paired differences to the best", caption, (drawing,))


def learning_curves(data: StudyData) -> Figure | None:
    """Draw the validation loss of every variant in a panel of its own, the others behind it.

    Runs that do not count are drawn too, each by itself: the axes need not hold them.
    """
    bands = {}
    for row in data.rows:
        losses = [[record.val_loss for record in history] for history in data.histories[row.variant]]
        if losses:
            bands[row.variant] = (style_of(row), *mean_and_band(losses))
    lost = {variant: _lost_curves(variant, runs) for variant, runs in data.lost_histories.items() if runs}
    if not bands and not lost:
        return None
    means = {name: band[1] for name, band in bands.items()}
    curves = [*chain.from_iterable(lost.values())]
    epochs = [1.0, float(max(len(values) for values in (*means.values(), *(c.y for c in curves))))]
    loss_of, panels = {row.variant: loss_text(data.training(row).loss) for row in data.rows}, []
    for name in (row.variant for row in data.rows if row.variant in {**bands, **lost}):
        # Only what was trained by the same loss has a place on the same axes.
        alike = {other for other, loss in loss_of.items() if loss == loss_of[name]}
        shown = [*chain.from_iterable(chain(*band[1:]) for other, band in bands.items() if other in alike)]
        shown = shown or [*chain.from_iterable(c.y for other in alike for c in lost.get(other, []))]
        axes = Axes(epochs, shown, "epoch", f"validation loss ({loss_of[name]})")
        drawn = [Curve(_epochs(m), tuple(m), "context") for other, m in means.items() if other in alike - {name}]
        drawn += lost.get(name, [])
        note = " and ".join(dict.fromkeys(result.state for result, _ in data.lost_histories[name]))
        if name in bands:
            style, mean, low, high = bands[name]
            title, note = f"{name}, epoch {len(mean)}: {mean[-1]:.6g}", number(mean[-1])
            drawn.append(Curve(_epochs(mean), tuple(mean), style, tuple(low), tuple(high), title))
        panels.append(panel(name, drawn, axes, note=note))
    kinds = dict.fromkeys(loss_of.values())
    caption = f"Validation loss ({', '.join(kinds)}): mean, and band from the lowest to the highest seed; "
    caption += "the others in grey." if len(kinds) == 1 else "the others with the same loss in grey."
    caption += " The number is the last epoch's."
    keys = (("lost", "a run that does not count"),) if curves else ()
    return Figure("learning_curves", "Learning curves", caption, tuple(panels), keys)


def _lost_curves(variant: str, runs: Sequence[tuple[Result, Sequence[EpochRecord]]]) -> list[Curve]:
    """Return the validation loss of each of a variant's runs that do not count."""
    losses = [(result, tuple(record.val_loss for record in history)) for result, history in runs]
    return [
        Curve(_epochs(ys), ys, "lost", title=f"{variant}, seed {result.seed}, {result.state}: {ys[-1]:.6g}")
        for result, ys in losses
    ]


def gradients(data: StudyData) -> Figure | None:
    """Draw the gradient norm of every layer."""
    panels = layer_panels(_healths(data), "gradient_norm", "gradient norm")
    caption = GRADIENTS + " Mean over the seeds."
    return Figure("gradients", "Gradient norm per layer", caption, panels, keys_of(_healths(data))) if panels else None


def silent_units(data: StudyData) -> Figure | None:
    """Draw the shares of dead and of saturated units of every layer."""
    panels = layer_panels(_healths(data), "silent", "share")
    caption = SILENT + " Mean over the seeds."
    return (
        Figure("silent_units", "Dead and saturated units", caption, panels, keys_of(_healths(data))) if panels else None
    )


def _healths(data: StudyData) -> dict[str, list[list[LayerHealth]]]:
    return {row.variant: data.healths[row.variant] for row in data.rows if data.healths[row.variant]}


def gap(data: StudyData) -> Figure | None:
    """Draw the training, the validation and the test mse of every variant."""
    parts = {"train": ("train_mse", "s1"), "validation": ("validation_mse", "s2"), "test": ("mse", "s0")}
    rows = []
    for row in data.rows:
        values = [
            Value(row.means[key] or 0.0, f"{row.variant}: {part} mse {row.means[key]:.6g}", style)
            for part, (key, style) in parts.items()
            if row.means[key] is not None
        ]
        rows.append(ChartRow(row.variant, tuple(values), note="" if values else "no complete run"))
    if not any(row.values for row in rows):
        return None
    legend: dict[str, tuple[str, Mark]] = {part: (style, "circle") for part, (_, style) in parts.items()}
    drawing = row_chart(rows, "mse, mean over the seeds", "mse on the parts of the images by variant", legend=legend)
    caption = (
        "Where training lies far left of validation and test, the network has learned its training images by heart."
    )
    return Figure("gap", "Overfitting", caption, (drawing,))


def time_and_quality(data: StudyData) -> Figure | None:
    """Draw what a variant's training took against what came of it."""
    metric, places = data.summary.metric, []
    for row in data.rows:
        seconds = _interval_of(data.complete(row), "seconds")
        if math.isfinite(seconds.estimate) and math.isfinite(row.mean.estimate):
            title = f"{row.variant}: {number(seconds.estimate)} s {interval(seconds)}, {metric} "
            title += f"{number(row.mean.estimate)} {interval(row.mean)}"
            places.append(
                Place(row.variant, seconds.estimate, row.mean.estimate, title, style_of(row), seconds, row.mean)
            )
    if not places:
        return None
    drawing = places_chart(places, "seconds of training", f"{metric} on the test images", f"{metric} against seconds")
    caption = "Means over the seeds with 95 % intervals; the seconds are those of the training alone."
    return Figure("time_and_quality", "Time against quality", caption, (drawing,))


def curve(data: StudyData) -> Figure | None:
    """Draw the best variant and PCA over the code length, the knee marked."""
    points, metric = data.summary.curve, data.summary.metric
    if not points:
        return None
    lengths = tuple(float(point.latent_dim) for point in points)
    best = Curve(lengths, tuple(point.mean for point in points), "best")
    pca = Curve(lengths, tuple(point.pca for point in points), "pca")
    dots = [_length_dot(data, row) for row in data.rows if math.isfinite(row.mean.estimate)]
    dots.sort(key=lambda dot: dot.style == "best")  # those on the line above the others
    marks = [Dot(p.latent_dim, p.pca, "pca", f"PCA-{p.latent_dim}: {metric} {p.pca:.6g}", size=3.0) for p in points]
    drawing: Drawing = knee_chart(
        [pca, best], [*dots, *marks], data.summary.knee, lengths, f"{metric} on the test images",
        f"{metric} of the best variant and of PCA over the code length", [("best", "best variant"), ("pca", "PCA")],
    )  # fmt: skip
    knee = " At the knee it bends most: beyond it a longer code gains least." if data.summary.knee else ""
    caption = (
        f"{metric} on the test images over the code length, how many numbers stand for an image. Every dot is a "
        f"variant's mean, the line joins the best of each length.{knee}"
    )
    return Figure("curve", "Code length", caption, (drawing,))


def _length_dot(data: StudyData, row: SummaryRow) -> Dot:
    length = data.complete(row)[0].latent_dim or 0
    title = f"{row.variant}: {data.summary.metric} {number(row.mean.estimate)} {interval(row.mean)}"
    on_the_line = any(point.variant == row.name for point in data.summary.curve)
    return Dot(length, row.mean.estimate, "best" if on_the_line else "worse", title, size=3.4)


def _epochs(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(i) for i in range(1, len(values) + 1))


def _known(results: Sequence[Result], name: str) -> list[float]:
    return [float(value) for result in results if (value := result.value(name)) is not None]


def _interval_of(results: Sequence[Result], name: str) -> Interval:
    return mean_interval(np.array(_known(results, name), np.float64))
