"""`ae compress`"""

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
)  # fmt: skip

if TYPE_CHECKING:
    from aecli.runs.run import Run
    from aecli.runs.uses.codec.beside import Measured
    from aecli.runs.uses.codec.compared import Comparison


def _step(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Take --bytes or --step, whichever is read first, and refuse the other."""
    other = {"step": "most_bytes", "most_bytes": "step"}[parameter.name or ""]
    if value is not None and context.params.get(other) is not None:
        raise click.UsageError("--bytes and --step exclude each other")
    return value


@click.command("compress")
@images_argument
@with_run
@click.option("--bytes", "most_bytes", type=click.FloatRange(0, 10**9, min_open=True), metavar="N", callback=_step,
              help="Bytes that an image may take in the file: the smallest steps that fit.")  # fmt: skip
@click.option("--step", type=click.FloatRange(1e-6, 1e3), metavar="S", callback=_step,
              help="Round latents to steps that move the image by about S (root mean square, of 0 to 1).")  # fmt: skip
@output_option("<name>.aez here")
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(
    images: Path, run: "Run", most_bytes: float | None, step: float | None, output: Path | None,
    overwrite: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write IMAGES in few bytes each: .aez, which ae decompress reads with the same run.

    The latents are rounded to steps, and what is left packed by lzma; codes that have levels (model.code:
    quantised) are packed as they are. Without --bytes and --step the steps cost 0.25 dB of PSNR. Prints the
    bytes on disk beside PCA's coefficients packed alike, JPEG, WebP, AVIF and lossless lzma, and from how many
    images it pays with the decoder counted.
    """
    from aecli.cli.terminal import note, note_if, print_json, reading
    from aecli.core.files import refuse_output
    from aecli.data.files.open import source_name
    from aecli.runs.model import load_model
    from aecli.runs.uses.codec.compared import compare_codecs
    from aecli.runs.uses.codec.compress import compress_images, sample_of
    from aecli.runs.uses.inputs import open_images_for
    from aecli.runs.uses.parts import own_parts, parts_note

    output = output or Path(f"{source_name(images)}.aez")
    refuse_output(output, overwrite, images, suffix=".aez")
    with reading(quiet) as on_progress:
        source, model = open_images_for(run, images, on_progress), load_model(run)
        note(str(source), quiet)
        note_if(parts_note(source, own_parts(run, source)), quiet)
        sample, baselines = sample_of(source, model), run.baselines  # where these are damaged nothing is written
        size, quantiser = compress_images(run, model, source, sample, output, step, most_bytes)
        on_progress("measuring other codecs", 0, 1)
        compared = compare_codecs(run, model, baselines, source, sample, quantiser, size)
    if as_json:
        files = {"run": str(run.path), "output": str(output), "images": len(source), "bytes": size}
        print_json({**files, **_as_json(compared)})
        return
    _print_table(compared, len(source), quiet)
    each = f"{size / len(source):,.2f} bytes an image"
    click.echo(f"{len(source):,} images in {size:,} bytes, {each}, {compared.quantiser}: {output}")


def _pays(count: int | None) -> str:
    return "never" if count is None else f"{count:,} images"


def _print_table(compared: "Comparison", count: int, quiet: bool) -> None:
    from aecli.cli.terminal import note, print_table

    first = [compared.own, *([compared.pca] if compared.pca else [])]
    rows = [[row.title, f"{row.bytes:,.2f}", _decibels(row.psnr), ""] for row in first]
    rows += [
        [row.title, f"{row.bytes:,.2f}", _decibels(row.psnr), _pays(compared.pays_from(row))] for row in compared.others
    ]
    print_table(["codec", "bytes/image", "psnr dB", "ae pays from"], rows)
    for reason in compared.reasons:
        note(reason, quiet)
    note(
        f"psnr: mean over {compared.measured:,} of {count:,} images; pictures at the least quality that has as much; "
        f"ae pays from: with decoder.onnx, {compared.decoder_bytes:,} bytes, counted",
        quiet,
    )


def _decibels(value: float | None) -> str:
    return "exact" if value in (None, float("inf")) else f"{value:.2f}"


def _as_json(compared: "Comparison") -> dict[str, Any]:
    def fields(row: "Measured") -> dict[str, Any]:
        psnr = None if row.psnr == float("inf") else row.psnr
        return {"title": row.title, "bytes_per_image": row.bytes, "psnr": psnr}

    own = fields(compared.own)
    return {
        "bytes_per_image": own["bytes_per_image"], "psnr": own["psnr"],
        "step": compared.step, "measured": compared.measured,
        "decoder_bytes": compared.decoder_bytes,
        "pca": fields(compared.pca) if compared.pca else None,
        "others": [
            {**fields(row), "pays_from": compared.pays_from(row)} for row in compared.others
        ],
        "not_measured": list(compared.reasons),
    }  # fmt: skip
