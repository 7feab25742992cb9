"""`ae score`"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecli.cli.options import (
    FILE,
    images_argument,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
    threads_option,
    with_run,
)

if TYPE_CHECKING:
    from aecli.data.dataset import ImageDataset
    from aecli.runs.run import Run
    from aecli.runs.uses.scoring.judging import Judged
    from aecli.runs.uses.scoring.result import ScoredImages

_NAMED = 5


@click.command("score")
@images_argument
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="Normal images that may be flagged, as a share of them.",
)
@click.option("--by", "metric", default="mse", show_default=True, metavar="METRIC", help="Metric that is the score.")
@click.option(
    "--held-out",
    type=FILE,
    metavar="IMAGES",
    help="Normal images that decide the threshold.  [default: the run's held-out images, whose scores it keeps]",
)
@click.option(
    "--normal",
    metavar="CLASS,...",
    help="Labels that are normal, for the AUROC.  [default: --only-label of the training, else good or normal]",
)
@click.option("--maps", type=FILE, metavar="FILE.npy", help="Also write the squared error of every pixel.")
@with_run
@output_option("<name>_scores.csv here")
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(
    images: Path, false_alarms: float, metric: str, held_out: Path | None, normal: str | None, maps: Path | None,
    run: "Run", output: Path | None, overwrite: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Score IMAGES by how badly a run reconstructs them: those unlike its training images score high.

    Writes a .csv, strangest first, with the p-value of each image among the run's held-out images, and
    whether it is flagged, and beside it a picture. No more than --false-alarms of images like those of the
    training are flagged, on average. It needs no labels and no images of the training.

    Where IMAGES have labels (beside the array, or folders) and it is known which are normal: the AUROC and
    the share that is caught, for the run, for PCA and for the mean image.
    """
    from aecli.cli.terminal import note, note_if, print_json, reading
    from aecli.core.files import refuse_output
    from aecli.data.files.open import source_name
    from aecli.runs.model import load_model
    from aecli.runs.uses.inputs import open_images_for
    from aecli.runs.uses.scoring.result import ask_of_labels, held_out_of, own_images_note, score_images
    from aecli.runs.uses.scoring.scores import require_metric, write_maps, write_scores
    from aecli.views import plots
    from aecli.views.scores import STRANGEST, ScoreDistributions, scores

    require_metric(metric)
    output = output or Path(f"{source_name(images)}_scores.csv")
    picture = output.with_suffix(".png")
    inputs = [path for path in (images, held_out) if path is not None]
    refuse_output(output, overwrite, *inputs, suffix=".csv")
    refuse_output(picture, overwrite, *inputs)
    if maps is not None:
        refuse_output(maps, overwrite, *inputs, suffix=".npy")
    model = load_model(run)
    with reading(quiet) as on_progress:
        source = open_images_for(run, images, on_progress)
        compared = open_images_for(run, held_out, on_progress) if held_out is not None else None
    note(str(source), quiet)
    asked = ask_of_labels(run, source, normal)
    note_if(asked.note, quiet)
    note_if(own_images_note(run, source), quiet)
    known = held_out_of(run, model, metric, compared, asked.classes)
    note_if(known.note, quiet)
    scored = score_images(run, model, source, metric, known, asked, false_alarms)

    write_scores(output, scored.order, scored.own, scored.p_values, scored.flagged, source.names, asked.labels)
    if maps is not None:
        write_maps(maps, model, source)
    context = plots.PlotContext(run, model, source, images.name)
    strangest = [int(row) for row in scored.order[:STRANGEST]]
    value = scored.threshold.value if scored.threshold else None
    drawn = scores(context, ScoreDistributions(metric, scored.distributions, value), strangest, scored.words(strangest))
    note_if(plots.save(drawn, picture), quiet)

    files = {"output": output, "picture": picture, **({"maps": maps} if maps else {})}
    if as_json:
        named = {name: str(path) for name, path in files.items()}
        print_json({"run": str(run.path), **named, "images": len(source), **scored.to_json(source.names)})
        return
    _print_result(scored, source)
    click.echo("\n".join(f"{'scores' if name == 'output' else name}: {path}" for name, path in files.items()))


def _print_result(scored: "ScoredImages", source: "ImageDataset") -> None:
    from aecli.cli.terminal import print_if
    from aecli.runs.uses.scoring.judging import verdicts

    print_if(scored.threshold_line())
    print_if(scored.flagged_line())
    _print_table(scored.judged, scored.titles, len(source), scored.normal_count)
    for line in verdicts(scored.judged, scored.titles) if scored.judged else ():
        click.echo(line)
    rows = [int(row) for row in scored.order[:_NAMED]]
    called = [f"#{row}" + (f" {name}" if (name := source.name(row)) else "") for row in rows]
    named = ", ".join(f"{name} ({word})" for name, word in zip(called, scored.words(rows), strict=True))
    click.echo(f"strangest: {named}")


def _print_table(judged: "Mapping[str, Judged]", titles: Mapping[str, str], count: int, normal: int) -> None:
    from aecli.cli.terminal import print_table

    if not judged:
        return
    rows = []
    for row, title in titles.items():
        result = judged[row]
        cells = [title, f"{result.auroc.area:.3f}", _interval(result.auroc.interval, 3)]
        if result.caught and result.false_alarms:
            cells += [_share(result.caught), _percent(result.caught.interval), _share(result.false_alarms)]
        rows.append(cells)
    header = [f"{count:,} images, {normal:,} normal", "AUROC", "95 % interval"]
    header += ["caught", "95 % interval", "false alarms"] if len(rows[0]) > len(header) else []
    print_table(header, rows)


def _interval(interval: Sequence[float], decimals: int) -> str:
    low, high = interval
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]"


def _percent(interval: Sequence[float]) -> str:
    low, high = interval
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def _share(share: Any) -> str:
    return f"{share.count / share.of:.1%}"
