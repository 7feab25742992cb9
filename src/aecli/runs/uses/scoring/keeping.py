"""Making held_out.npz for a run that has none: one of an earlier version, or of a study."""

from aecli.core.errors import RunError
from aecli.data.dataset import ImageDataset, Rows
from aecli.runs.model import Model
from aecli.runs.run import Run
from aecli.runs.uses.evaluate import evaluate
from aecli.runs.uses.inputs import reopen_images
from aecli.runs.uses.parts import own_parts
from aecli.runs.uses.scoring.held_out import ROWS, HeldOut, held_out_part, kept_metrics, write_held_out


def keep_held_out(run: Run, model: Model, source: ImageDataset | None = None) -> HeldOut:
    """Measure the held-out images of a run, write held_out.npz, and return what it holds.

    They are looked for in `source`, by default where they were in the training. Raises RunError where they are not
    there, or no longer what they were.
    """
    part = held_out_part(run)
    images, rows = _reopened(run, part) if source is None else (source, own_parts(run, source).get(part))
    if rows is None:
        raise RunError(
            f"{images.file.path}: does not hold the {part} images of {run.path}: give the file that they were in"
        )
    names = kept_metrics()
    evaluation = evaluate(
        model.reconstruct, images, run.baselines, rows,
        metrics=names, baseline_metrics=names, keep=names, keep_baselines=True,
    )  # fmt: skip
    held = HeldOut(part, {row: evaluation.kept[row] for row in ROWS})
    write_held_out(run, held)
    return held


def _reopened(run: Run, part: str) -> tuple[ImageDataset, Rows | None]:
    """Return the images with a part of a training, and its rows."""
    fields = (part == "test" and run.environment.get("test")) or run.environment["data"]
    source = reopen_images(run, fields, "say where the file is now: ae evaluate IMAGES --keep")
    return source, own_parts(run, source).get(part)
