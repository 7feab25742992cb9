"""Pictures of a run, drawn from its folder and a file of images; nothing here trains or prints."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError, NotInRunError, RunError, is_disk_failure, one_line
from aecli.core.files import written_whole
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.dataset import ImageDataset
from aecli.data.files.manifest import display_name
from aecli.data.format import Images
from aecli.runs.metrics import PerImage, mse, psnr
from aecli.runs.model import Model, load_model
from aecli.runs.run import Run
from aecli.runs.uses.denoise import ValidationCorruption
from aecli.runs.uses.inputs import open_images_for, reopen_images
from aecli.training.artifacts import TrainedRun
from aecli.views.canvas import MAGMA, Figure, MaxNLocator, default_settings, label_logarithmic
from aecli.views.glyphs import complete_glyphs
from aecli.views.mosaic import COLUMNS, FRAME, INK, Sheet, image_pixels
from aecli.views.plot_table import PLOTS

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_BLUE, _ORANGE = "#2166ac", "#d6604d"


@dataclass(frozen=True)
class PlotContext:
    """What is drawn: a run's model on rows of a file; `data` names them in captions.

    `rows` are row numbers of the file, None for all of it; `known_errors` the mse of each image where
    it has been measured already.
    """

    run: Run
    model: Model
    source: ImageDataset
    data: str
    rows: NDArray[np.int64] | None = None
    known_errors: PerImage | None = None

    def __len__(self) -> int:
        return len(self.source) if self.rows is None else len(self.rows)

    @cached_property
    def errors(self) -> PerImage:
        """The mse of each image."""
        if self.known_errors is not None:
            return self.known_errors
        reconstruct = self.model.reconstruct
        return np.concatenate([*self.source.map(lambda images: mse(images, reconstruct(images)), self.rows)])

    def row_numbers(self, positions: Sequence[int]) -> NDArray[np.int64]:
        """Return the rows of the file at these positions."""
        wanted = np.asarray(positions, np.int64)
        return wanted if self.rows is None else self.rows[wanted]

    def show(self, positions: Sequence[int]) -> tuple[Images, Images]:
        """Return the images at these positions and their reconstructions."""
        images = self.source.format.to_contract(self.source.file.take(self.row_numbers(positions)))
        return images, self.model.reconstruct(images)

    def positions_of(self, rows: Sequence[int]) -> list[int]:
        """Return the positions of these rows of the file; AeError when one is not drawn from."""
        known = range(len(self.source)) if self.rows is None else {int(r): i for i, r in enumerate(self.rows)}
        unknown = [row for row in rows if row not in known]
        if unknown:
            last = len(self.source) - 1
            range_text = (
                f"are 0 to {last}" if self.rows is None else "are the validation rows in split.npz; --images draws any"
            )
            raise AeError(f"--index {unknown[0]}: not a row of {self.data}: its rows {range_text}")
        return [known[row] for row in rows]

    def choose(
        self,
        rows: Sequence[int] | None = None,
        worst: int | None = None,
        best: int | None = None,
        count: int | None = None,
    ) -> list[int]:
        """Return positions: of these rows, of the worst or the best images, or else the first `count`."""
        if rows is not None:
            return self.positions_of(rows)
        if worst is not None or best is not None:
            return _lowest(-self.errors if worst is not None else self.errors, worst or best or 1)
        return list(range(min(COLUMNS if count is None else count, len(self))))


def _lowest(values: PerImage, count: int) -> list[int]:
    """Return the positions of the lowest values, lowest first and equals in order, without sorting them all."""
    last = min(count, len(values)) - 1
    candidates = np.flatnonzero(~(values > np.partition(values, last)[last]))
    return [int(i) for i in candidates[np.argsort(values[candidates], kind="stable")][:count]]


def open_context(run: Run, images: Path | None, on_progress: ProgressCallback = no_progress) -> PlotContext:
    """Return what to draw: these images, or by default the run's validation images from its own data file."""
    model = load_model(run)
    if images is not None:
        return PlotContext(run, model, open_images_for(run, images, on_progress), images.name)
    source = reopen_images(run, run.environment["data"], "name images with --images FILE")
    return PlotContext(run, model, source, f"{source.file.name} (validation)", run.split.validation)


@default_settings()
def reconstructions(context: PlotContext, positions: Sequence[int] | None = None) -> Figure:
    """Draw originals over reconstructions over error maps, the PSNR under each; the first ten by default."""
    positions = context.choose() if positions is None else positions
    images, restored = context.show(positions)
    values, rows = psnr(images, restored), context.row_numbers(positions)
    error_maps = np.abs(images - restored).mean(axis=3)
    brightest = max(float(error_maps.max()), 1e-6)
    sheet = Sheet(len(images), context.source.format.image_shape, title_lines=2 if context.source.names else 1)
    for i in range(len(images)):
        sheet.show(i, 0, image_pixels(images[i]))
        sheet.show(i, 1, image_pixels(restored[i]))
        sheet.show(i, 2, {"X": error_maps[i], "cmap": MAGMA, "vmin": 0, "vmax": brightest})
        sheet.write(i, image_label(context, rows[i]), "exact" if np.isinf(values[i]) else f"{values[i]:.1f} dB")
        if i % COLUMNS == 0:
            sheet.name_rows(i, ("original", "reconstructed", "error"))
    write_caption(
        sheet.figure,
        context,
        f"Shown: {len(images)}. Under each its PSNR. "
        f"Error maps: |difference| of pixels in [0, 1], black 0, palest yellow {brightest:.2g}.",
    )
    return sheet.figure


@default_settings()
def denoising(context: PlotContext, positions: Sequence[int] | None = None) -> Figure:
    """Draw clean images over noisy over restored ones, the PSNR of both under each; the first ten by default."""
    positions = context.choose() if positions is None else positions
    corrupt, rows = ValidationCorruption.from_run(context.run), context.row_numbers(positions)
    images, _ = context.show(positions)
    noisy = corrupt(images, rows)
    restored = context.model.reconstruct(noisy)
    before, after = psnr(images, noisy), psnr(images, restored)
    sheet = Sheet(len(images), context.source.format.image_shape)
    for i in range(len(images)):
        for row, drawn in enumerate((images, noisy, restored)):
            sheet.show(i, row, image_pixels(drawn[i]))
        sheet.write(i, f"#{rows[i]}", f"{before[i]:.1f} → {after[i]:.1f} dB")
        if i % COLUMNS == 0:
            sheet.name_rows(i, ("clean", "noisy", "restored"))
    text = f"Shown: {len(images)}. Noisy by {corrupt.corruption}. Under each the PSNR of both."
    write_caption(sheet.figure, context, text)
    return sheet.figure


@default_settings()
def history(run: Run) -> Figure:
    """Draw the training and the validation loss over the epochs, and their terms; the best epoch is marked."""
    records = run.history
    if not records:
        raise RunError(f"{run.history_file}: holds no epochs: train the run again")
    epochs = [record.epoch for record in records]
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.add_subplot()
    marker = "o" if len(records) < 3 else None
    axis.plot(epochs, [r.loss for r in records], color=_BLUE, marker=marker, label="training")
    axis.plot(epochs, [r.val_loss for r in records], color=_ORANGE, marker=marker, label="validation")
    for i, name in enumerate(records[0].parts):
        for part, style in ((0, "-"), (1, "--")):
            label = f"{name}, {('training', 'validation')[part]}"
            values = [record.parts[name][part] for record in records]
            axis.plot(epochs, values, style, color=f"C{i + 2}", marker=marker, lw=1, label=label)
    best = min(records, key=lambda record: record.val_loss)
    axis.plot([best.epoch], [best.val_loss], "o", color=_ORANGE, ms=6)
    parts = [value for r in records for pair in r.parts.values() for value in pair]
    losses = [value for r in records for value in (r.loss, r.val_loss)] + parts
    if min(losses) > 0 and max(losses) > 5 * min(losses):
        axis.set_yscale("log")
        label_logarithmic(axis.yaxis, max(losses) / min(losses))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axis.set_xlabel("epoch")
    axis.set_ylabel("loss and its terms" if records[0].parts else "loss")
    axis.grid(alpha=0.25, which="both")
    axis.legend(frameon=False)
    axis.set_title(
        f"run {run.name}: lowest validation loss {best.val_loss:.4g} in epoch {best.epoch}",
        fontsize=10,
        loc="left",
    )
    return figure


@default_settings()
def errors(context: PlotContext) -> Figure:
    """Draw the distribution of the per-image mse, with examples at its quantiles."""
    values = context.errors
    order = np.argsort(values, kind="stable")
    positions = [int(order[round(q * (len(values) - 1))]) for q in _QUANTILES]
    figure = Figure(figsize=(7, 6.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    top, bottom = parts
    axis = top.add_subplot()
    axis.hist(values, bins=min(60, max(10, len(values) // 20)), color=_BLUE, alpha=0.75)
    axis.axvline(float(values.mean()), color=_ORANGE, label=f"mean {values.mean():.4g}")
    axis.set(xlabel="mse of an image", ylabel="images")
    axis.legend(frameon=False)
    axis.set_title(context_line(context), fontsize=10, loc="left")
    images, restored = context.show(positions)
    rows = context.row_numbers(positions)
    names = ("best", "25 %", "median", "75 %", "worst")
    axes = bottom.subplots(2, len(_QUANTILES), squeeze=False)
    for i, position in enumerate(positions):
        show_image(axes[0][i], images[i])
        file = context.source.name(int(rows[i]))
        line = "" if file is None else f"\n{plain(file, 20)}"
        axes[0][i].set_title(f"{names[i]}, #{rows[i]}{line}", fontsize=8, color=INK)
        show_image(axes[1][i], restored[i])
        axes[1][i].set_xlabel(f"mse {values[position]:.2g}", fontsize=8, color=INK)
    for axis, label in zip(axes[:, 0], ("original", "reconstructed"), strict=True):
        axis.set_ylabel(label, fontsize=8, color=INK, rotation=0, ha="right", va="center")
    return figure


@default_settings()
def health(run: Run) -> Figure:
    """Draw the dead units, saturated outputs and gradient norm of every layer over the epochs."""
    records = run.health
    if not records:
        raise RunError(f"{run.health_file}: holds no epochs: train the run again")
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    figure.suptitle(f"run {plain(run.name)}: health of the layers on a sample of the validation images", fontsize=10)
    panels = (("dead", "share of dead units"), ("saturated", "share of saturated outputs"))
    axes = figure.subplots(1, 3)
    for axis, (name, title) in zip(axes, (*panels, ("gradient_norm", "gradient norm")), strict=True):
        for i, layer in enumerate(dict.fromkeys(record.layer for record in records)):
            of_layer = [record for record in records if record.layer == layer and getattr(record, name) is not None]
            if of_layer:
                label = f"{layer}, {of_layer[0].activation}"
                axis.plot(
                    [r.epoch for r in of_layer],
                    [getattr(r, name) for r in of_layer],
                    color=f"C{i}",
                    label=label,
                    lw=1.2,
                )
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25, which="both")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name != "gradient_norm":
            axis.set_ylim(-0.02, 1.02)
    if all(record.gradient_norm > 0 for record in records):
        axes[2].set_yscale("log")
    axes[2].legend(frameon=False, fontsize=8)
    return figure


def draw_plots(trained: TrainedRun) -> None:
    """Draw every plot that trainings draw and this one has something for, from its validation images; an artifact."""
    trained.stages.enter("plotting")
    source, rows = trained.prepared.train, trained.prepared.split.validation
    data = f"{source.file.name} (validation)"
    context = PlotContext(trained.run, trained.model, source, data, rows, trained.errors)
    notes = []
    for name, plot in PLOTS.items():
        if not plot.every_training:
            continue
        try:
            figure = plot.draw(context if plot.needs_images else trained.run)
            notes.append(save(figure, trained.run.plots_folder / f"{name}.png"))
        except NotInRunError:
            continue
        except Exception as error:  # Matplotlib raises errors of every kind; the model is as good without its picture
            if is_disk_failure(error):
                raise
            reason = one_line(error)[:200]
            trained.stages.progress.note(
                f"{name}: could not be drawn ({reason}): ae plot {name} --run {trained.run.path} tries it again"
            )
    for note in dict.fromkeys(note for note in notes if note):
        trained.stages.progress.note(note)


def check_suffix(path: Path) -> None:
    """Raise AeError when a figure cannot be written under this name."""
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise AeError(f"{path}: unknown suffix '{path.suffix}': give one of {', '.join(FIGURE_SUFFIXES)}")


@default_settings()
def save(figure: Figure, path: Path) -> str | None:
    """Write a figure as PNG, SVG or PDF, by suffix; return a note where no font has some of its letters."""
    check_suffix(path)
    note = complete_glyphs(figure)
    with written_whole(path) as temporary:
        # Matplotlib does not survive a full disk in the middle of a PDF.
        drawn = io.BytesIO()
        figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=130)
        temporary.write_bytes(drawn.getbuffer())
    return note


def show_image(axis: Any, image: NDArray[np.float32]) -> None:
    """Draw one image of the contract, pixels as they are."""
    axis.imshow(**image_pixels(image), interpolation="nearest")
    _frame(axis)


def _frame(axis: Any) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color=FRAME, linewidth=0.5)


def plain(name: str, longest: int = 40) -> str:
    """Return a name as a caption can show it: not too long, and no dollar taken for mathematics."""
    end = longest // 3
    short = name if len(name) <= longest else f"{name[: longest - end - 3]}...{name[-end:]}"
    return display_name(short).replace("$", r"\$")


def image_label(context: PlotContext, row: int) -> str:
    """Return what stands over an image: its row and, where it is known, a short name of its file."""
    file = context.source.name(int(row))
    return f"#{row}" if file is None else f"#{row}\n{plain(_short(file), 15)}"


def _short(file: str) -> str:
    """Return the name of a picture without its folders and its suffix: "a" for b/a.tif, "a#3" for b/a.tif#3."""
    name, mark, number = file.rpartition("#")
    return f"{Path(name).stem}#{number}" if mark and number.isdigit() else Path(file).stem


def context_line(context: PlotContext) -> str:
    """Return which run is drawn on which images, and how many these are."""
    images = "image" if len(context) == 1 else "images"
    return f"run {plain(context.run.name)} on {plain(context.data)}, {len(context):,} {images}"


def write_caption(figure: Figure, context: PlotContext, text: str) -> None:
    """Write what is drawn, and a line about it, at the foot of a figure."""
    height = figure.get_size_inches()[1]
    figure.text(
        0.01,
        0.2 / height,
        f"{context_line(context)}\n{text}",
        fontsize=7.5,
        color=INK,
        va="center",
        linespacing=1.4,
    )
