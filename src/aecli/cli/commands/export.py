"""`ae export`"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.completion import complete_run
from aecli.cli.options import FILE, json_option, overwrite_option, quiet_option, threads_option
from aecli.cli.suggestions import Choice
from aecli.training.export.kinds import PARTS, SUFFIXES

if TYPE_CHECKING:
    from aecli.training.export.export import Export, ExportedFile, Measured


@click.command("export")
@click.argument("run_folder", metavar="RUN", type=FILE, shell_complete=complete_run)
@click.option("--to", required=True, type=Choice([*SUFFIXES]), help="Kind of file to write.")
@click.option("--part", default="autoencoder", show_default=True, type=Choice([*PARTS, "all"]),
              help="All of it in one file, one half, or three files.")  # fmt: skip
@click.option("--int8", is_flag=True, help="Weights and values of 8 bits; says what that costs.")
@click.option("-d", "--data", type=FILE, metavar="PATH", help="Where the run's training images are now, if they moved.")
@click.option("-o", "--output", "folder", type=FILE, metavar="DIR",
              help="Folder to write into.  [default: <run>_exported here]")  # fmt: skip
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(
    run_folder: Path, to: str, part: str, int8: bool, data: Path | None, folder: Path | None,
    overwrite: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write the autoencoder of RUN for other programs, and say how near it comes to the run.

    onnx: for ONNX Runtime, OpenCV, browsers. litert: for LiteRT on phones and small boards, one image at
    a time. savedmodel: for servers. The last two need here what training needs. Before it is kept each
    file reconstructs validation images; what the run itself makes of them stands beside.

    \b
      ae export runs/prelu --to onnx
      ae export runs/prelu --to litert --int8
    """
    if int8 and to == "savedmodel":
        raise click.UsageError("--int8: a SavedModel has no such form: export --to litert or --to onnx")
    from aecli.cli.stderr import native_stderr_silenced
    from aecli.cli.terminal import note, print_json
    from aecli.runs.run import run_named
    from aecli.training.export.export import ExportOptions, export_folder, export_run

    run = run_named(run_folder)
    run.require()
    folder = folder or export_folder(run)
    parts = [*PARTS] if part == "all" else (part,)
    with native_stderr_silenced():
        export = export_run(run, ExportOptions(to, parts, folder, int8, overwrite, data))
    if export.sample.reason:
        note(f"{export.sample.reason}; measured on what the run keeps", quiet)
    if as_json:
        files = [{**asdict(file), "path": str(file.path)} for file in export.files]
        measured_on = {"measured_on": export.sample.about, "images": len(export.sample.images)}
        print_json({"run": str(run.path), **measured_on, "original": asdict(export.run), "files": files})
        return
    _print_table(str(run.path), export)
    for file in export.files:
        if file.float32:
            click.echo(_cost(file, file.float32))
    for file in export.files:
        click.echo(f"{file.part}: {file.path}")


def _print_table(name: str, export: "Export") -> None:
    from aecli.cli.terminal import print_table

    rows = [_row(name, export.run, "")]
    for file in export.files:
        of = "latents" if file.part == "encoder" else "pixels"
        if file.float32:
            rows.append(_row(f"{file.part} in float32, not kept", file.float32, of))
        rows.append(_row(file.path.name, file.measured, of))
    print_table([f"on {export.sample.about}", "bytes", "largest difference", "mse", "psnr dB"], rows)


def _row(name: str, measured: "Measured", of: str) -> list[str]:
    from aecli.runs.metrics import METRICS

    difference = f"{measured.difference:.2g} of {of}" if of else ""
    means = [METRICS["mse"].text(measured.mse), METRICS["psnr"].text(measured.psnr)]
    return [name, f"{measured.bytes:,}", difference, *means]


def _cost(file: "ExportedFile", float32: "Measured") -> str:
    """Return what int8 saves and costs, in a sentence."""
    saved = f"{file.path.name}: {file.measured.bytes / float32.bytes:.0%} of the bytes of float32"
    if file.measured.psnr is None or float32.psnr is None:
        return saved
    cost = round(float32.psnr - file.measured.psnr, 2)
    if not cost:
        return f"{saved}, the same PSNR"
    return f"{saved}, {abs(cost):.2f} dB {'less' if cost > 0 else 'more'}"
