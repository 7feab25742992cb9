"""Train the recipes whose results are published or known, and print them beside the expected figures.

    python scripts/figures.py [--quick | --photos]

Needs MNIST and Fashion-MNIST in ../shared/data; about five minutes on two cores, --quick skips the
two longest. Prints the Markdown table of docs/results.md. --photos instead trains on the photos there, as
`ae train --data photos/` does, draws the pictures of docs/your-own-images.md and prints their credits.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import aecli
from aecli.cli.stderr import native_stderr_silenced
from aecli.data.dataset import open_images
from aecli.data.files.options import DecodeOptions
from aecli.data.format import Images
from aecli.models.linear.pca import fit_components
from aecli.runs.baselines import Baselines
from aecli.runs.config_file import load_config
from aecli.runs.metrics import METRICS, psnr
from aecli.runs.run import Run
from aecli.runs.uses.evaluate import evaluate
from aecli.training.trainer import train
from aecli.views import plots
from aecli.views.mosaic import COLUMNS, INK, Sheet, image_pixels

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
PHOTOS, DOCS = DATA / "photos", ROOT / "docs"
FITTED = 3
PCA = {2: 0.055669, 4: 0.047903, 8: 0.037441, 16: 0.026860, 32: 0.016828, 64: 0.009047}
TUTORIAL = ("training.epochs=10", "training.batch_size=32", "data.validation_split=0.001", "model.output_bias=zero")
FASHION = "fashion_mnist"
RECIPES = [
    ("`configs/relu.yaml` on MNIST, test mse", "relu", "mnist", (), "0.0038, one seed", 1),
    (
        "TensorFlow's *Intro to autoencoders* on Fashion-MNIST, test mse, seeds 0 to 3",
        "relu",
        FASHION,
        TUTORIAL,
        "0.0088-0.0089",
        4,
    ),
    ("`configs/relu.yaml` on Fashion-MNIST, test mse", "relu", FASHION, (), "0.0087, one seed", 1),
]


def pca_row() -> list[str]:
    """Return the test mse of PCA on MNIST beside the known values."""
    trained_on, measured_on = (open_images(DATA / f"mnist_{part}.npy") for part in ("train", "test"))
    shape = trained_on.format.image_shape
    mean, components = fit_components(
        lambda function: trained_on.map(lambda images: function(images.reshape(len(images), -1))),
        (len(trained_on), int(np.prod(shape))),
        max(PCA),
    )
    found = []
    for count in PCA:
        leading = Baselines(mean.reshape(shape).astype(np.float32), components.T[:count].astype(np.float32))
        summary = evaluate(leading.reconstruct_pca, measured_on, leading, with_baselines=False).summary
        found.append(f"{summary['model']['mse']:.6f}")
    known = " ".join(f"{value:.6f}" for value in PCA.values())
    return [f"PCA on MNIST, k = {', '.join(map(str, PCA))}, test mse", known, " ".join(found)]


def recipe_row(name: str, config: str, data: str, overrides: tuple[str, ...], expected: str, seeds: int) -> list[str]:
    """Train one recipe from some seeds and return the test mse of each beside what is expected."""
    files = [f"data.train={DATA / f'{data}_train.npy'}", f"data.test={DATA / f'{data}_test.npy'}"]
    found = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            keys = [*files, *overrides, f"training.seed={seed}"]
            run = train(load_config(Path(config), keys).config, Path(folder) / "run")
            found.append(f"{run.metrics['splits']['test']['model']['mse']:.5f}")
    return [name, expected, " ".join(found)]


def draw_fits(names: list[str]) -> None:
    """Draw photos as they are, and what each `fit` makes of them."""
    fits = {fit: open_images(PHOTOS, decoding=DecodeOptions((64, 64), fit)) for fit in ("crop", "pad", "stretch")}
    figure = Figure(figsize=(6.4, 1.45 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1 + len(fits), width_ratios=(1.5, 1, 1, 1))
    for row, name in zip(axes, names, strict=True):
        photo = np.asarray(Image.open(PHOTOS / name))
        row[0].imshow(photo)
        row[0].set_xlabel(f"{photo.shape[0]} x {photo.shape[1]}", fontsize=8, color=INK)
        for axis, source in zip(row[1:], fits.values(), strict=True):
            number = (source.names or ()).index(name)
            plots.show_image(axis, source.format.to_contract(source.file.read(number, number + 1))[0])
        row[0].set(xticks=[], yticks=[])
    for axis, title in zip(axes[0], ("as it is", *(f"fit: {fit}" for fit in fits)), strict=True):
        axis.set_title(title, fontsize=9, color=INK)
    plots.save(figure, DOCS / "photos_fit.png")


def draw_linear(run: Run, context: plots.PlotContext) -> None:
    """Draw photos over what PCA, the best linear code and the network make of them, with the mean PSNR of each."""
    images, restored = context.show(context.choose())
    baselines, means = run.baselines, run.metrics["splits"]["validation"]
    rows: dict[str, Images] = {
        "original": images,
        f"PCA\n{decibels(means['pca'])}": baselines.reconstruct_pca(images),
        f"best linear\ncode\n{decibels(means['best_linear'])}": baselines.reconstructions["best_linear"](images),
        f"network\n{decibels(means['model'])}": restored,
    }
    sheet = Sheet(len(images), context.source.format.image_shape, rows=len(rows))
    for row, drawn in enumerate(rows.values()):
        for column, image in enumerate(drawn):
            sheet.show(column, row, image_pixels(image))
    for column, value in enumerate(psnr(images, restored)):
        sheet.write(column, "", f"{value:.1f} dB")
    sheet.name_rows(0, list(rows))
    count = means["images"]
    caption = f"On the left the mean PSNR over the {count} validation photos, under each photo the network's."
    sheet.figure.text(0.01, 0.02, caption, fontsize=8, color=INK)
    plots.save(sheet.figure, DOCS / "photos_linear.png")


def decibels(means: dict[str, float]) -> str:
    return f"{METRICS['psnr'].text(means['psnr'])} dB"


def photo_figures() -> None:
    """Draw the pictures of docs/your-own-images.md, and print the credits of the photos in them."""
    with tempfile.TemporaryDirectory() as folder:
        with native_stderr_silenced():
            run = Run(aecli.train(PHOTOS, folder=Path(folder) / "default").path)
        context = plots.open_context(run, None)
        positions = context.choose(count=COLUMNS)
        plots.save(plots.reconstructions(context, positions), DOCS / "photos_reconstructed.png")
        draw_linear(run, context)
        shown = [str(context.source.name(int(row))) for row in context.row_numbers(positions)]
        measured = run.metrics["splits"]["validation"]
    draw_fits(shown[:FITTED])
    by_file = dict(
        line.split(": CC BY 2.0, by ", 1)
        for line in (DATA / "photos_ATTRIBUTION.txt").read_text().splitlines()
        if ": CC BY 2.0, by " in line
    )
    print({name: round(measured[name]["mse"], 6) for name in ("model", "best_linear", "pca", "mean_image")})
    for name in shown:
        photographer, _, url = by_file[name].partition(" - https://")
        print(f"[{photographer}](https://{url.split(' (')[0]}),")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--photos", action="store_true")
    options = parser.parse_args()
    if options.photos:
        photo_figures()
        return
    recipes = RECIPES[:1] if options.quick else RECIPES
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there: these figures need the MNIST and Fashion-MNIST arrays")
    print("| what | expected | measured |\n| --- | --- | --- |")
    print("|", " | ".join(pca_row()), "|", flush=True)
    with native_stderr_silenced():
        for recipe in recipes:
            print("|", " | ".join(recipe_row(*recipe)), "|", flush=True)


if __name__ == "__main__":
    main()
