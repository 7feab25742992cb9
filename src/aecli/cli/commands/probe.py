"""`ae probe`"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecli.cli.options import (
    FILE,
    images_argument,
    json_option,
    overwrite_option,
    quiet_option,
    threads_option,
    with_run,
)

if TYPE_CHECKING:
    from aecli.runs.run import Run
    from aecli.runs.uses.probing.probe import Probe, Task


@click.command("probe")
@images_argument
@with_run
@click.option("--labels", "labels_file", type=FILE, metavar="FILE", help="Labels of IMAGES.  [default: those beside]")
@click.option("--test", "test_file", type=FILE, metavar="IMAGES", help="Test images.  [default: some of IMAGES]")
@click.option("--test-labels", type=FILE, metavar="FILE", help="Labels of the test images.  [default: those beside]")
@click.option("--labels-per-class", type=click.IntRange(1), metavar="N", help="Train on so many images of each class.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which images are drawn.")
@click.option("--predictions", type=FILE, metavar="FILE.csv", help="Also write the classes of every test image.")
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(
    images: Path, run: "Run", labels_file: Path | None, test_file: Path | None, test_labels: Path | None,
    labels_per_class: int | None, seed: int, predictions: Path | None, overwrite: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Classify labelled IMAGES by their latents: what does a run know of the classes?

    Trains softmax regression and asks the 5 nearest neighbours, on the latents, on PCA and a random projection of the
    same length, and on the pixels, all standardised. Prints how many test images each classifies rightly, with
    intervals of 95 %, and how many more than with PCA.

    Labels are the folders of pictures, or lie beside an array: <name>_labels.npy. FILE holds one for each image: .npy,
    IDX, or .csv with a column label.
    """
    from aecli.cli.terminal import note, note_if, print_json, reading
    from aecli.core.errors import AeError
    from aecli.core.files import refuse_output, write_text
    from aecli.data.labels import required_labels
    from aecli.runs.model import load_model
    from aecli.runs.uses.inputs import open_images_for
    from aecli.runs.uses.parts import own_parts, parts_note
    from aecli.runs.uses.probing.probe import LabelledImages, make_task, probe, verdict

    if test_labels is not None and test_file is None:
        raise AeError(f"--test-labels {test_labels}: there are no test images: name them with --test")
    given = [file for file in (images, labels_file, test_file, test_labels) if file is not None]
    if predictions is not None:
        refuse_output(predictions, overwrite, *given)

    with reading(quiet) as on_progress:
        model, baselines, test = load_model(run), run.baselines, None
        source = open_images_for(run, images, on_progress)
        labelled = LabelledImages(source, required_labels(source, labels_file))
        if test_file is not None:
            test_source = open_images_for(run, test_file, on_progress)
            test = LabelledImages(test_source, required_labels(test_source, test_labels))
    parts = own_parts(run, source)
    task = make_task(labelled, test, parts, model, labels_per_class, seed)
    for one in (source, test.source) if test else (source,):
        note(str(one), quiet)
    note_if(parts_note(test.source, own_parts(run, test.source)) if test else None, quiet)
    _note_task(task, labels_per_class, seed, quiet)
    with reading(quiet) as on_progress:
        result = probe(task, model, baselines, seed, on_progress)
    if predictions is not None:
        write_text(predictions, result.to_csv((test or labelled).labels))
    if as_json:
        print_json({"run": str(run.path), **_as_json(result), "labels_per_class": labels_per_class, "seed": seed})
        return
    _print_table(result)
    for title, reason in result.left_out.items():
        note(f"{title}: left out, {reason}", quiet)
    click.echo(verdict(result))
    if predictions is not None:
        click.echo(f"predictions: {predictions}")


def _note_task(task: "Task", per_class: int | None, seed: int, quiet: bool) -> None:
    """Say what is trained on and measured on, and what was drawn."""
    from aecli.cli.terminal import note

    counts = [
        f"{len(rows):,}" + (f" of {found:,}, drawn with seed {seed}" if len(rows) < found else "")
        for rows, found in zip((task.selection.train, task.selection.test), task.found, strict=True)
    ]
    each = f" ({per_class:,} of each class)" if per_class is not None else ""
    note(f"training images: {counts[0]}{each}; {len(task.classes):,} classes", quiet)
    note(f"test images: {counts[1]}: {task.selection.held_out}", quiet)
    if task.unknown:
        note(f"{task.unknown:,} test images are of classes that no training image has: they count as wrong", quiet)


def _print_table(result: "Probe") -> None:
    from aecli.cli.terminal import print_table
    from aecli.runs.uses.probing.probe import CLASSIFIERS

    pca = result.row("pca", "linear").title
    rows = [
        [
            row.title,
            CLASSIFIERS[row.classifier] if row.classifier else "",
            f"{row.right.number()} %",
            row.right.interval(),
            row.beyond_pca.number("+", 2) if row.beyond_pca else "",
            row.beyond_pca.interval("+", 2) if row.beyond_pca else "",
        ]
        for row in result.rows
    ]
    title = f"{len(result.task.test_classes):,} test images"
    print_table([title, "by", "right", "95 % interval", f"to {pca}", "95 % interval"], rows, left=2)


def _as_json(result: "Probe") -> dict[str, Any]:
    from dataclasses import asdict

    task = result.task
    rows = [
        {
            "features": row.representation, "title": row.title, "by": row.classifier, "right": asdict(row.right),
            "to_pca": asdict(row.beyond_pca) if row.beyond_pca else None,
        }
        for row in result.rows
    ]  # fmt: skip
    return {
        "images": str(task.train.file.path), "test": str(task.test.file.path), "held_out": task.selection.held_out,
        "training_images": len(task.selection.train), "test_images": len(task.selection.test),
        "unknown_class": task.unknown, "classes": list(task.classes), "rows": rows, "left_out": result.left_out,
    }  # fmt: skip
