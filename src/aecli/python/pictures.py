"""Pictures of a run as figures, drawn from images that a user has in memory too."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aecli.core.errors import AeError, did_you_mean, escaped
from aecli.python.images import ImagesOrFile, images_for
from aecli.runs.model import Model
from aecli.runs.run import Run
from aecli.runs.uses.inputs import reopen_images
from aecli.views.plot_table import PLOTS, Plot

if TYPE_CHECKING:
    from aecli.views.canvas import Figure
    from aecli.views.plots import PlotContext


def figure_of(run: Run, model: Model, kind: str, images: ImagesOrFile | None, options: Mapping[str, Any]) -> "Figure":
    """Draw a kind of PLOTS; of the `options` that choose images those count that are not None. Raises AeError."""
    from aecli.views.glyphs import complete_glyphs

    chosen = {name: value for name, value in options.items() if value is not None}
    plot = _plot(kind, chosen, images is not None)
    if not plot.needs_images:
        figure = plot.draw(run, **chosen)
    else:
        context = _context(run, model, images)
        rows = {"rows" if name == "index" else name: value for name, value in chosen.items()}
        figure = plot.draw(context, **({"positions": context.choose(**rows)} if rows else {}))
    complete_glyphs(figure)
    return figure


def _plot(kind: str, chosen: Mapping[str, Any], has_images: bool) -> Plot:
    """Return the kind of this name; AeError where there is none, or it does not take what was chosen."""
    plot = PLOTS.get(kind) if isinstance(kind, str) else None
    if plot is None:
        hint = did_you_mean(str(kind), PLOTS) or f": expected one of {', '.join(PLOTS)}"
        raise AeError(f"plot {escaped(str(kind))!r}: unknown kind{hint}")
    unknown = [name for name in chosen if name not in plot.options]
    unknown += ["images"] if has_images and not plot.needs_images else []
    if unknown:
        raise AeError(f"plot {kind!r}: {' and '.join(unknown)}: it takes no such option: leave it out")
    if len(chosen) > 1:
        raise AeError(f"plot {kind!r}: {' and '.join(chosen)} exclude each other: give one of them")
    return plot


def _context(run: Run, model: Model, images: ImagesOrFile | None) -> "PlotContext":
    from aecli.views.plots import PlotContext

    if images is not None:
        source = images_for(run, images).source
        return PlotContext(run, model, source, source.file.name)
    source = reopen_images(run, run.environment["data"], "give images=...")
    return PlotContext(run, model, source, f"{source.file.name} (validation)", run.split.validation)
