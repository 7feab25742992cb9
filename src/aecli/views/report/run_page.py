"""The page of a single run, of the same pieces as that of a study."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aecli.core.errors import AeError, RunError
from aecli.runs.baselines import row_titles
from aecli.runs.config_file import load_recorded
from aecli.runs.diagnosis import COLLAPSED_KL
from aecli.runs.metrics import metrics_without_copies, table_metrics
from aecli.runs.run import Run
from aecli.runs.uses.latents import dead_latents_note
from aecli.runs.uses.likelihood import likelihood_line
from aecli.views.report.charts.curves import Axes, Curve, panel
from aecli.views.report.charts.drawing import Drawing
from aecli.views.report.charts.health_charts import GRADIENTS, SILENT, keys_of, layer_panels
from aecli.views.report.page import Cell, Column, Figure, Page, PageSection, PageTable
from aecli.views.report.pictures import Gallery, gallery_of
from aecli.views.report.provenance import data_facts, environment_facts


def run_page(run: Run) -> Page:
    """Return what the page of a complete run shows."""
    run.require_complete()
    images, note = _gallery(run)
    environment, dead = run.environment, dead_latents_note(run)
    health = {_run_title(run): [run.health]} if _has_health(run) else {}
    figures = [
        Figure(name, title, caption, panels, keys_of(health))
        for name, title, caption, panels in (
            ("silent_units", "Dead and saturated units", SILENT,
             layer_panels(health, "silent", "share")),
            ("gradients", "Gradient norm per layer", GRADIENTS,
             layer_panels(health, "gradient_norm", "gradient norm")),
        )
        if panels
    ]  # fmt: skip
    learning = PageSection("learning", "Learning curve", figures=(_history(run),))
    facts = [data_facts("Training images", environment["data"])]
    if environment.get("test"):
        facts.append(data_facts("Test images", environment["test"]))
    return Page(
        title=f"Run {_run_title(run)}",
        subtitle=_subtitle(run),
        verdict=_verdict(run),
        warnings=() if dead is None else (f"{dead}.",),
        table=_table(run),
        before=tuple(part for part in (learning, _code(run)) if part),
        gallery=images,
        gallery_note=note,
        after=(PageSection("health", "Health of the activations", figures=tuple(figures)),) if figures else (),
        command=f"ae train --config {run.config_file.name} --run reproduced",
        config_name=run.config_file.name,
        config=run.config_text,
        facts=(*facts, *environment_facts([environment])),
    )


def _run_title(run: Run) -> str:
    """Return a run's name; the runs of a study are named after their seeds, which says too little."""
    folder = run.path.absolute()
    return f"{folder.parent.name}, seed {folder.name}" if folder.name.isdecimal() else folder.name


def _has_health(run: Run) -> bool:
    return run.health_file.is_file() and bool(run.health)


def _subtitle(run: Run) -> str:
    fields, metrics = run.environment["data"], run.metrics
    height, width, channels = fields["format"]["image_shape"]
    images = f"{Path(str(fields['file'])).name}: {fields['images']:,} images of {height} × {width} × {channels}"
    epochs = f"{metrics['epochs']} epochs, best {metrics['best_epoch']}"
    bits = metrics.get("bits_per_image")
    images += f" · codes of {bits:,.6g} bits" if bits else ""
    parts = [images, epochs, f"{metrics['seconds']:.1f} s", str(metrics.get("finished", ""))[:16].replace("T", " ")]
    return " · ".join(part for part in parts if part)


def _last_part(splits: dict[str, Any]) -> str:
    return "test" if "test" in splits else "validation"


def _verdict(run: Run) -> str:
    splits = run.metrics["splits"]
    part = _last_part(splits)
    model, pca = splits[part]["model"], splits[part]["pca"]
    if model["mse"] is None or not pca["mse"]:
        return f"Measured on {splits[part]['images']:,} {part} images."
    name = f"PCA-{run.metrics['pca_components']}"
    ratio = model["mse"] / pca["mse"]
    beside = f"{abs(1 - ratio):.0%} {'below' if ratio < 1 else 'above'} that of {name} ({pca['mse']:.3g})"
    return f"On {splits[part]['images']:,} {part} images the mse is {model['mse']:.3g}, {beside}."


def _table(run: Run) -> PageTable:
    metrics = run.metrics
    names = row_titles(_run_title(run), metrics["pca_components"], metrics["splits"]["validation"])
    rows: dict[str, list[tuple[Cell, ...]]] = {"model": [], "below": []}
    for part, values in reversed(metrics["splits"].items()):  # what counts most comes first
        for by, name in names.items():
            cells = [Cell(name, key=name), Cell(f"{part}, {values['images']:,}", key=part)]
            means = [(metric, values[by].get(metric.name)) for metric in table_metrics()]
            cells += [Cell(metric.text(mean), key=mean) for metric, mean in means]
            rows["model" if by == "model" else "below"].append(tuple(cells))
    columns = (
        Column("by"),
        Column("images", words=True),
        *(Column(metric.title, metric.about) for metric in table_metrics()),
    )
    exact = sum(values["model"]["exact_copies"] for values in metrics["splits"].values())
    without = ", ".join(metrics_without_copies())
    notes = (f"{exact:,} exact copies are not in the mean of {without}, theirs is infinite.",) if exact else ()
    return PageTable(columns, tuple(rows["model"]), tuple(rows["below"]), notes=notes)


def _history(run: Run) -> Figure:
    records = run.history
    if not records:
        raise RunError(f"{run.history_file}: holds no epochs: train the run again")
    terms, measures = records[0].parts, records[0].measures
    best = min(records, key=lambda record: record.val_loss)
    caption = f"Lowest validation loss {best.val_loss:.4g}, in epoch {best.epoch}."
    caption += f" The loss is {_sum_of(run, [*terms])}." if terms else ""
    drawings = [_loss_panel("loss", [(r.loss, r.val_loss) for r in records], "loss" if terms else "")]
    drawings += [_loss_panel(name, [r.parts[name] for r in records], name) for name in terms]
    drawings += [_measure_panel(name, [r.measures[name] for r in records]) for name in measures]
    return Figure("history", "Loss", caption, tuple(drawings), (("s0", "training"), ("s1", "validation")))


def _sum_of(run: Run, terms: Sequence[str]) -> str:
    """Return how the parts of the loss make it up."""
    gaussian = load_recorded(run.config_file).config.model.variational
    if gaussian is None:
        return f"the sum of {' and '.join(terms)}"
    beta = "" if gaussian.beta == 1 else f"{gaussian.beta:g} times "
    least = f" of at least {gaussian.free_bits:g} nats a latent" if gaussian.free_bits else ""
    grown = f" once {gaussian.warmup:,} epochs have passed, less of it before" if gaussian.warmup else ""
    named = {"reconstruction": "-log p of the images", "kl": f"{beta}the KL{least}"}
    return f"in nats an image: {' and '.join(named.get(term, term) for term in terms)}{grown}"


def _measure_panel(name: str, values: Sequence[float]) -> Drawing:
    """Draw something measured on the validation images, epoch by epoch."""
    epochs = tuple(float(epoch) for epoch in range(1, len(values) + 1))
    curve = Curve(epochs, tuple(values), "s1", title=f"{name}, epoch {len(values)}: {values[-1]:.6g}")
    return panel(name, [curve], Axes(epochs, values, "epoch", name), (420.0, 260.0))


def _code(run: Run) -> PageSection | None:
    """Return what the page shows of a variational code: the KL of each latent, largest first."""
    values = sorted(run.metrics.get("latent_kl") or (), reverse=True)
    if not values:
        return None
    ranks = tuple(float(rank) for rank in range(1, len(values) + 1))
    curve = Curve(ranks, tuple(values), "s0", title=f"{sum(values):.4g} nats in all")
    drawing = panel("", [curve], Axes(ranks, [0.0, *values], "latent", "KL, nats", log_y=False), (420.0, 260.0))
    used = sum(value >= COLLAPSED_KL for value in values)
    caption = f"{used} of {len(values)} latents have {COLLAPSED_KL:g} nats or more; those with less carry nothing."
    figure = Figure("kl", "KL of each latent", caption, (drawing,))
    return PageSection("code", "The variational code", likelihood_line(run) or "", (figure,))


def _loss_panel(what: str, values: Sequence[tuple[float, float]], name: str) -> Drawing:
    """Draw the training and the validation values of the loss or of one of its terms, epoch by epoch."""
    epochs = tuple(float(epoch) for epoch in range(1, len(values) + 1))
    parts = zip(("training", "validation"), ("s0", "s1"), zip(*values, strict=True), strict=True)
    curves = [
        Curve(epochs, part, style, title=f"{side} {what}, epoch {len(part)}: {part[-1]:.6g}")
        for side, style, part in parts
    ]
    axes = Axes(epochs, [value for pair in values for value in pair], "epoch", what)
    return panel(name, curves, axes, (420.0, 260.0))


def _gallery(run: Run) -> tuple[Gallery | None, str]:
    try:
        return gallery_of([(_run_title(run), run)]), "Chosen by the error of the run."
    except (AeError, KeyError) as error:
        return None, f"There are no pictures: {error}."
