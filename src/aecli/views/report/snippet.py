"""What a notebook shows of a run or a study: what it came to, its table, and six images beside their reconstructions.

It brings no colours: text and lines are those of the notebook, light or dark.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from aecli.core.errors import AeError
from aecli.data.dataset import Rows
from aecli.data.format import Images
from aecli.runs.baselines import row_titles
from aecli.runs.metrics import table_metrics
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.inputs import reopen_images
from aecli.runs.uses.standing import standing
from aecli.studies.compare import StudyResult
from aecli.studies.tables import narrow_table
from aecli.views.report.pictures import image_uri

SHOWN = 6
"""Images of a run that are shown."""

_CELL = "padding:2px 8px;text-align:{}"
_IMAGE = "width:64px;image-rendering:pixelated;background:none;margin:0"


def run_html(run: Run) -> str:
    """Return a run as HTML to stand in a notebook; every text of the user's is escaped."""
    title = Markup("<b>run {}</b>").format(run.path)
    if run.state != "complete":
        return str(Markup("<div>{} is {}</div>").format(title, run.state))
    metrics = run.metrics
    part = "validation"
    rows = metrics["splits"][part]
    titles = row_titles(run.name, metrics["pca_components"], rows)
    header = [f"{rows['images']:,} {part} images", *(metric.title for metric in table_metrics())]
    body = [[name, *_means(rows[row])] for row, name in titles.items()]
    said = standing(rows, f"the {part} images") or f"Measured on {rows['images']:,} {part} images."
    return _whole(title, said, [header, *body], _pictures(run))


def _means(means: Mapping[str, float | None]) -> list[str]:
    return [metric.text(means.get(metric.name)) for metric in table_metrics()]


def study_html(result: StudyResult) -> str:
    """Return a study as HTML to stand in a notebook, with pictures of the first run of its best variant."""
    study, summary = result.study, result.summary
    title = Markup("<b>study {}</b>").format(study.path)
    best = [run for run in result.results if run.label == summary.best and run.state == "complete" and run.run]
    pictures = Markup()
    if best:
        pictures = _pictures(Run(study.path / best[0].run), f"{best[0].variant}, seed {best[0].seed}")
    return _whole(title, summary.verdict, narrow_table(summary), pictures)


def _whole(title: Markup, said: str, table: Sequence[Sequence[str]], pictures: Markup) -> str:
    header, *rows = table
    return str(Markup("<div>{}<p>{}</p>{}{}</div>").format(title, said, table_html(header, rows), pictures))


def table_html(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Return a table of texts as HTML, its first column on the left; every text is escaped."""
    lines = [_line("th", header), *(_line("td", row) for row in rows)]
    return Markup("<table>{}</table>").format(Markup("").join(lines))


def _line(tag: str, cells: Sequence[str]) -> Markup:
    cell = Markup('<{0} style="{1}">{2}</{0}>')
    styles = ["left", *["right"] * (len(cells) - 1)]
    made = [
        cell.format(Markup(tag), Markup(_CELL.format(side)), text) for side, text in zip(styles, cells, strict=True)
    ]
    return Markup("<tr>{}</tr>").format(Markup("").join(made))


def _pictures(run: Run, name: str = "reconstructed") -> Markup:
    """Return six validation images over their reconstructions, or why there are none."""
    try:
        source = reopen_images(run, run.environment["data"], "put it back to see them", name_only=True)
        rows = _spread(run.split.validation)
        images = source.format.to_contract(source.file.take(rows))
        restored = load_model(run).reconstruct(images)
    except (AeError, KeyError) as error:
        return Markup("<p>There are no pictures: {}.</p>").format(error)
    numbers = [f"#{row}" for row in rows]
    lines = [_line("th", ["", *numbers]), _images("original", images), _images(name, restored)]
    return Markup("<table>{}</table>").format(Markup("").join(lines))


def _spread(rows: Rows) -> Rows:
    """Return as many of these rows as are shown, from the first to the last."""
    positions = np.unique(np.linspace(0, len(rows) - 1, SHOWN).round().astype(int))
    return np.asarray(rows[positions])


def _images(name: str, images: Images) -> Markup:
    style = Markup(_CELL.format("left"))
    cell = Markup('<td style="padding:2px"><img style="{}" alt="{}" src="{}"></td>')
    cells = [cell.format(Markup(_IMAGE), name, image_uri(image)) for image in images]
    return Markup('<tr><td style="{}">{}</td>{}</tr>').format(style, name, Markup("").join(cells))
