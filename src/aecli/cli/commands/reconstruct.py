"""`ae reconstruct`"""

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecli.cli.options import (
    images_argument,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
    threads_option,
    with_run,
)

if TYPE_CHECKING:
    from aecli.runs.run import Run
    from aecli.runs.uses.evaluate import Evaluation
    from aecli.views.plots import PlotContext

_WORST = 5


@click.command("reconstruct")
@images_argument
@with_run
@output_option("<name>_reconstructed.npy here")
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(images: Path, run: "Run", output: Path | None, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Reconstruct IMAGES with a run; write, measure and draw them.

    Writes the reconstructions as .npy in the shape, dtype and value range of IMAGES, and beside
    them a PNG of originals and reconstructions. Prints the means of the metrics and the worst images.
    """
    from aecli.cli.terminal import note, note_if, note_limits, print_if, print_json, reading
    from aecli.core.files import refuse_output
    from aecli.core.npy import NpyWriter
    from aecli.data.files.open import source_name
    from aecli.models.losses.window import ssim_window
    from aecli.runs.model import load_model
    from aecli.runs.uses.evaluate import evaluate
    from aecli.runs.uses.inputs import open_images_for
    from aecli.runs.uses.parts import held_out, own_parts, parts_note
    from aecli.runs.uses.standing import standing
    from aecli.views import plots

    output = output or Path(f"{source_name(images)}_reconstructed.npy")
    picture = output.with_suffix(".png")
    refuse_output(output, overwrite, images, suffix=".npy")
    refuse_output(picture, overwrite, images)
    with reading(quiet) as on_progress:
        source, model, baselines = open_images_for(run, images, on_progress), load_model(run), run.baselines
    parts = own_parts(run, source)
    note(str(source), quiet)
    note_if(parts_note(source, parts), quiet)
    with NpyWriter(output, source.file.shape, source.format.dtype) as writer:
        evaluation = evaluate(
            model.reconstruct, source, baselines, with_baselines=held_out(parts), baseline_metrics=("mse", "psnr"),
            keep=("mse",), write=writer.write, parts=parts,
        )  # fmt: skip
    context = plots.PlotContext(run, model, source, images.name, known_errors=evaluation.per_image["mse"])
    note_if(plots.save(plots.reconstructions(context), picture), quiet)

    means, worst = evaluation.summary["model"], _worst(context)
    if as_json:
        files = {"run": str(run.path), "output": str(output), "picture": str(picture), "images": len(source)}
        window = ssim_window(*source.format.image_shape[:2])
        splits = {"splits": evaluation.splits} if parts else {}
        print_json({**files, "ssim_window": window, **means, "worst": worst, **splits})
        return
    _print_table(evaluation, len(source))
    note_limits(source.format.image_shape, int(means["exact_copies"] or 0), quiet)
    click.echo("worst images: " + ", ".join(f"{_called(w)} ({_decibels(w['psnr'])})" for w in worst))
    click.echo(f"reconstructions: {output}\npicture: {picture}")
    if held_out(parts):
        print_if(standing(evaluation.summary, usual=run.metrics["splits"]["validation"]))


def _print_table(evaluation: "Evaluation", count: int) -> None:
    """Print the model's means over all images, or over each part of the training where they are the run's own."""
    from aecli.cli.terminal import metric_cells, metric_header, print_table

    rows = {f"{part}, {values['images']:,}": values["model"] for part, values in evaluation.splits.items()}
    rows = rows or {f"{count:,}": evaluation.summary["model"]}
    print_table(["images", *metric_header()], [[images, *metric_cells(means)] for images, means in rows.items()])


def _worst(context: "PlotContext") -> list[dict[str, Any]]:
    from aecli.runs.metrics import per_image

    rows = context.choose(worst=_WORST)
    values = per_image(*context.show(rows))
    files = [context.source.name(row) for row in rows]
    return [
        {"image": row, **({"file": file} if file else {}), **{name: _finite(v[i]) for name, v in values.items()}}
        for i, (row, file) in enumerate(zip(rows, files, strict=True))
    ]


def _called(worst: dict[str, Any]) -> str:
    from aecli.data.files.manifest import display_name

    return f"#{worst['image']} {display_name(worst['file'])}" if "file" in worst else f"#{worst['image']}"


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _decibels(psnr: float | None) -> str:
    return "exact" if psnr is None else f"{psnr:.1f} dB"
