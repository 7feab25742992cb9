"""`ae sample`"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from aecli.cli.options import json_option, output_option, overwrite_option, quiet_option, threads_option, with_run

if TYPE_CHECKING:
    from aecli.runs.run import Run
    from aecli.runs.uses.sampling.fitting import RunSampler

_MOST_COMPONENTS = 500


class Components(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """A number of Gaussians, or auto."""

    name = "N|auto"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | Literal["auto"]:
        if value == "auto":
            return "auto"
        if not value.isdecimal() or not 1 <= int(value) <= _MOST_COMPONENTS:
            self.fail(f"expected 1 to {_MOST_COMPONENTS}, or auto, received '{value}'", param, ctx)
        return int(value)


@click.command("sample")
@with_run
@click.option("--count", type=click.IntRange(1, 10**6), default=64, show_default=True, help="Images to draw.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which images.")
@click.option(
    "--components",
    type=Components(),
    metavar="N|auto",
    help="Gaussians of the mixture; auto: as many as codes held out ask for.  [default: those the run keeps, or auto]",
)
@output_option("<run>_samples.npy here")
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(
    run: "Run", count: int, seed: int, components: int | Literal["auto"] | None, output: Path | None,
    overwrite: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Draw new images with a run: .npy, in the shape, dtype and value range of the training images, and a picture.

    Their codes come from a mixture of Gaussians on the codes of the training images, or of a variational
    run, without --components, from its prior. It is kept in the run as sampler.npz, so that the training
    images are needed but once. Prints how much of the held-out images new ones reach.
    """
    import numpy as np

    from aecli.cli.terminal import note, note_if, print_json, reading
    from aecli.core.files import refuse_output
    from aecli.core.npy import NpyWriter
    from aecli.runs.model import load_model
    from aecli.runs.uses.sampling.kept import keep_sampler, sampler_of
    from aecli.runs.uses.sampling.sampler import decoder_of, draw_images
    from aecli.views import plots
    from aecli.views.codes.codes import small
    from aecli.views.codes.samples import MOST_DRAWN, sheet_of_samples

    output = output or Path(f"{os.path.basename(os.path.abspath(run.path))}_samples.npy")
    picture = output.with_suffix(".png")
    refuse_output(output, overwrite, suffix=".npy")
    refuse_output(picture, overwrite)
    model, image_format = load_model(run), run.image_format
    with reading(quiet) as on_progress:
        fitted = sampler_of(run, model, components, on_progress)
    note_if(keep_sampler(run, fitted), quiet)
    if fitted.kept:
        note(f"{run.sampler_file}: the {fitted.sampler.title} that the run keeps", quiet)
    shown: list[Any] = []
    with NpyWriter(output, (count, *image_format.sample_shape), image_format.dtype) as writer:
        for images in draw_images(fitted.sampler, decoder_of(run, model), image_format.image_shape, count, seed):
            writer.write(image_format.from_contract(images))
            shown += [*small(images[: MOST_DRAWN - len(shown)])]
    some = f"{len(shown)} of " if len(shown) < count else ""
    caption = f"run {plots.plain(run.name)}: {some}{count:,} samples of its {fitted.sampler.title}, seed {seed}"
    note_if(plots.save(sheet_of_samples(np.stack(shown), caption), picture), quiet)

    if as_json:
        files = {"run": str(run.path), "output": str(output), "picture": str(picture)}
        print_json({**files, "images": count, "seed": seed, **_as_json(fitted)})
        return
    _print_table(fitted, quiet)
    click.echo(f"{count:,} samples of the {fitted.sampler.title}: {output}\npicture: {picture}")


def _titles(fitted: "RunSampler") -> dict[str, str]:
    """Return what the rows of the table are called."""
    measures = fitted.measures
    pca = "one Gaussian" if measures.pca_mixture == 1 else f"mixture of {measures.pca_mixture}"
    return {
        "held_out": f"other {measures.part} images", "sampler": fitted.sampler.title,
        "pca": f"PCA-{measures.pca_components}, {pca}", "gaussian": "one Gaussian",
    }  # fmt: skip


def _print_table(fitted: "RunSampler", quiet: bool) -> None:
    from aecli.cli.terminal import note, print_table
    from aecli.runs.uses.sampling.coverage import NEIGHBOURS
    from aecli.runs.uses.sampling.measures import FEWEST_IMAGES

    measures = fitted.measures
    if not measures.rows:
        note(
            f"coverage and recall are not measured: they need two halves of {FEWEST_IMAGES} held-out images, "
            f"the run has {measures.images} for each",
            quiet,
        )
        return
    rows = [
        [title, f"{row.coverage:.3f}", f"{row.recall:.3f}", f"{row.copies:.1%}"]
        for name, title in _titles(fitted).items()
        if (row := measures.rows.get(name))
    ]
    print_table([f"{measures.images:,} {measures.part} images", "coverage", "recall", "copies"], rows)
    note(
        f"coverage, recall: by {NEIGHBOURS} neighbours in PCA-{measures.axes} of pixels; copies: nearer to one of "
        f"{measures.training:,} training images than 99 % of the {measures.part} images are",
        quiet,
    )


def _as_json(fitted: "RunSampler") -> dict[str, Any]:
    from dataclasses import asdict

    measures = asdict(fitted.measures)
    titles = _titles(fitted)
    rows = {name: {"title": titles[name], **row} for name, row in measures.pop("rows").items()}
    sampler = {"title": fitted.sampler.title, "chosen": fitted.chosen, "codes": fitted.codes, "kept": fitted.kept}
    return {"sampler": sampler, "measured": {**measures, "rows": rows} if rows else None}
