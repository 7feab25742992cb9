"""How good images are for their bytes: a run's codec over its steps, beside PCA's and pictures."""

from aecli.runs.uses.codec.compress import sample_of
from aecli.runs.uses.codec.rate import rate_curves
from aecli.views.canvas import Figure, FuncFormatter, default_settings
from aecli.views.plots import PlotContext, plain

_OWN = "#2166ac"
_OTHERS = ("#b2182b", "#e08214", "#5aae61", "#9970ab")


@default_settings()
def rate(context: PlotContext) -> Figure:
    """Draw the PSNR of images over the bytes of each; a code that has levels is one point."""
    sample = sample_of(context.source, context.model, context.rows)
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.add_subplot()
    others = iter(_OTHERS)
    for curve in rate_curves(context.run, context.model, context.source, sample, len(context)):
        colour = _OWN if curve.own else next(others)
        width, size = (2.0, 5) if curve.own else (1.2, 3)
        axis.plot(curve.bytes, curve.psnr, "o-", color=colour, lw=width, ms=size, label=plain(curve.title))
    axis.set_xscale("log")
    for formatter in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        formatter(FuncFormatter(lambda value, _: f"{value:,.4g}" if f"{value:e}"[0] in "125" else ""))
    axis.set_xlabel("bytes an image in the file")
    axis.set_ylabel("PSNR, dB")
    axis.grid(alpha=0.25, which="both", lw=0.5)
    axis.legend(fontsize=8, frameon=False)
    title = f"run {plain(context.run.name)}: {len(context):,} images of {plain(context.data)}"
    axis.set_title(f"{title}, PSNR of {len(sample.images):,}", fontsize=10, loc="left")
    return figure
