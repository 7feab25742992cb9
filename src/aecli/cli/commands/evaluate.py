"""`ae evaluate`"""

from pathlib import Path

import click

from aecli.cli.options import (
    FILE,
    images_argument,
    json_option,
    overwrite_option,
    quiet_option,
    run_option,
    threads_option,
)


@click.command("evaluate")
@images_argument
@run_option
@click.option("--per-image", type=FILE, metavar="FILE.csv", help="Also write every metric of every image.")
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(
    images: Path, run_folder: Path | None, per_image: Path | None, overwrite: bool, as_json: bool, quiet: bool
) -> None:
    """Measure a run on IMAGES, beside the mean image and PCA.

    Both baselines were fitted on the run's training images; PCA has the same code length. Pixels are
    in [0, 1]; fvu is the mse divided by that of the mean image.
    """
    from aecli.cli.terminal import metric_cells, metric_header, note, note_limits, print_json, print_table, reading
    from aecli.core.files import refuse_output, write_text
    from aecli.runs.baselines import row_titles
    from aecli.runs.metrics import METRICS, ssim_window
    from aecli.runs.model import load_model
    from aecli.runs.run import find_run
    from aecli.runs.uses.evaluate import evaluate
    from aecli.runs.uses.inputs import open_images_for

    run = find_run(run_folder)
    note(f"using the run {run.path}", quiet or run_folder is not None)
    if per_image is not None:
        refuse_output(per_image, overwrite, images)
    with reading(quiet) as on_progress:
        source, baselines = open_images_for(run, images, on_progress), run.baselines
    note(str(source), quiet)
    keep = METRICS if per_image is not None else ()
    evaluation = evaluate(load_model(run).reconstruct, source, baselines, keep=keep)
    if per_image is not None:
        write_text(per_image, evaluation.to_csv(source.names))
    window = ssim_window(*source.format.image_shape[:2])
    summary = evaluation.summary
    if as_json:
        print_json({"run": str(run.path), "images": len(source), "ssim_window": window, **summary})
        return
    names = row_titles(run.name, len(baselines.components), summary)
    print_table(
        [f"{len(source):,} images", *metric_header()],
        [[label, *metric_cells(summary[row])] for row, label in names.items()],
    )
    note_limits(source.format.image_shape, int(summary["model"]["exact_copies"] or 0), quiet)
