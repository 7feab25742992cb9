"""`ae evaluate`"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecli.cli.options import (
    FILE,
    json_option,
    overwrite_option,
    quiet_option,
    threads_option,
    with_run,
)

if TYPE_CHECKING:
    from aecli.data.dataset import ImageDataset
    from aecli.runs.run import Run
    from aecli.runs.uses.evaluate import Evaluation
    from aecli.runs.uses.likelihood import Density
    from aecli.runs.uses.parts import Parts
    from aecli.runs.uses.scoring.held_out import HeldOut


def _images(context: click.Context, _: click.Parameter, images: Path | None) -> Path | None:
    given = context.params.get  # arguments are read after the options
    if images is None and (not given("keep") or given("per_image") or given("samples")):
        raise click.UsageError("Missing argument 'IMAGES'; only --keep does without")
    return images


@click.command("evaluate")
@click.argument("images", type=FILE, required=False, callback=_images)
@with_run
@click.option("--keep", is_flag=True, help="Keep the metrics of the run's held-out images in it, for ae score.")
@click.option("--per-image", type=FILE, metavar="FILE.csv", help="Also write every metric of every image.")
@click.option(
    "--samples",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Also estimate -log p by N codes an image, of a variational run; 200 are usual.",
)
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(
    images: Path | None, run: "Run", keep: bool, per_image: Path | None, samples: int | None,
    overwrite: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Measure a run on IMAGES, beside the mean image and PCA.

    Both baselines were fitted on the run's training images; PCA has the same code length. Pixels are
    in [0, 1]; fvu is the mse divided by that of the mean image. Of the file that the run was trained on
    every part is measured apart; of other images it is said whether the run is better than PCA.

    --keep makes held_out.npz, which ae score needs and runs of earlier versions and of studies lack. It takes no
    IMAGES where those of the training are still there.

    Of a variational run -ELBO is measured too, in nats an image, of densities where the loss is mse or mae.
    """
    from aecli.cli.terminal import note, note_if, note_limits, print_if, print_json, reading
    from aecli.core.files import refuse_output, write_text
    from aecli.models.losses.window import ssim_window
    from aecli.runs.baselines import row_titles
    from aecli.runs.metrics import METRICS
    from aecli.runs.model import load_model
    from aecli.runs.uses.evaluate import evaluate
    from aecli.runs.uses.inputs import open_images_for
    from aecli.runs.uses.likelihood import Density, in_a_line
    from aecli.runs.uses.parts import held_out, own_parts, parts_note
    from aecli.runs.uses.scoring.keeping import keep_held_out
    from aecli.runs.uses.standing import standing

    model = load_model(run)
    if images is None:
        _print_kept(run, keep_held_out(run, model), as_json)
        return
    density = Density.from_run(run, model) if samples or model.variational else None
    if per_image is not None:
        refuse_output(per_image, overwrite, images)
    with reading(quiet) as on_progress:
        source, baselines = open_images_for(run, images, on_progress), run.baselines
    parts = own_parts(run, source)
    note(str(source), quiet)
    note_if(parts_note(source, parts), quiet)
    if keep:
        held = keep_held_out(run, model, source)
        note(f"{run.held_out_file}: keeps the metrics of {len(held):,} {held.part} images", quiet)
    in_csv = METRICS if per_image is not None else ()
    evaluation = evaluate(model.reconstruct, source, baselines, keep=in_csv, parts=parts)
    if per_image is not None:
        write_text(per_image, evaluation.to_csv(source.names))
    bounds = _bounds(density, source, parts, samples or 0) if density else {}
    window = ssim_window(*source.format.image_shape[:2])
    summary = evaluation.summary
    if as_json:
        others = {"splits": evaluation.splits} if parts else {}
        others |= {"variational": bounds.get("") or bounds} if bounds else {}
        print_json({"run": str(run.path), "images": len(source), "ssim_window": window, **summary, **others})
        return
    _print_table(evaluation, row_titles(run.name, len(baselines.components), summary), len(source))
    note_limits(source.format.image_shape, int(summary["model"]["exact_copies"] or 0), quiet)
    for part, bound in bounds.items():
        images_of = f"the {part} images" if part else "these images"
        click.echo(in_a_line(bound, run.metrics["variational"]["sigma"], images_of))
    if held_out(parts):
        print_if(standing(summary, usual=run.metrics["splits"]["validation"]))


def _bounds(density: "Density", source: "ImageDataset", parts: "Parts", samples: int) -> dict[str, dict[str, Any]]:
    """Return what is measured of all images, under "", or of each part of the training that they are."""
    if not parts:
        return {"": density.measure(source, None, samples).to_json()}
    return {name: density.measure(source, rows, samples).to_json() for name, rows in parts.items()}


def _print_kept(run: "Run", held: "HeldOut", as_json: bool) -> None:
    from aecli.cli.terminal import print_json

    if as_json:
        print_json({"run": str(run.path), "held_out": str(run.held_out_file), "part": held.part, "images": len(held)})
        return
    click.echo(f"{run.held_out_file}: keeps the metrics of {len(held):,} {held.part} images")


def _print_table(evaluation: "Evaluation", names: Mapping[str, str], count: int) -> None:
    """Print the means of all images, or those of the parts of the training where they are the run's own."""
    from aecli.cli.terminal import metric_cells, metric_header, print_table

    if not evaluation.splits:
        rows = [[label, *metric_cells(evaluation.summary[row])] for row, label in names.items()]
        print_table([f"{count:,} images", *metric_header()], rows)
        return
    rows = [
        [f"{part}, {values['images']:,}", label, *metric_cells(values[row])]
        for part, values in evaluation.splits.items()
        for row, label in names.items()
    ]
    print_table(["images", "by", *metric_header()], rows, left=2)
