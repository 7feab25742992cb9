"""Train the same network under mse, mse + ssim and a discriminator, and draw the picture of docs/sharper.md.

    python scripts/sharper.py [--epochs N]

Needs the photos in ../shared/data; about seven minutes of one core. Prints the Markdown table of docs/sharper.md:
the means over the validation photos, and the processor time of each training (the first loads TensorFlow too).
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from aecli.cli.stderr import native_stderr_silenced
from aecli.runs.config_file import load_config
from aecli.runs.metrics import METRICS, per_image
from aecli.runs.run import Run
from aecli.training.trainer import train
from aecli.views import plots
from aecli.views.canvas import default_settings
from aecli.views.mosaic import INK

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT.parent / "shared" / "data" / "photos"
SHOWN = 8
MEASURED = ("psnr", "ssim", "sharpness")
TRAININGS = {
    "mse": ("conv_ssim", ("training.loss=mse",)),
    "mse + ssim": ("conv_ssim", ()),
    "adversarial": ("conv_sharp", ()),
}
"""Name -> the config, and what is changed in it."""


def train_all(folder: Path, photos: Path, keys: list[str]) -> tuple[dict[str, Run], dict[str, float]]:
    """Train each; return the runs, and the seconds of processor time that they took."""
    runs, seconds = {}, {}
    for name, (config, changes) in TRAININGS.items():
        named = load_config(Path(config), [f"data.train={photos}", *changes, *keys])
        before = time.process_time()
        with native_stderr_silenced():
            runs[name] = train(named.config, folder / name.replace(" ", "_"))
        seconds[name] = time.process_time() - before
    return runs, seconds


def table(runs: dict[str, Run], seconds: dict[str, float]) -> str:
    """Return the means over the validation photos, and what each training cost, as Markdown."""
    rows = [("trained with", *(METRICS[name].title for name in MEASURED), "processor time"), ("---",) * 5]
    first = next(iter(runs.values()))
    means = {"best linear code": first.metrics["splits"]["validation"]["best_linear"]}
    means |= {name: run.metrics["splits"]["validation"]["model"] for name, run in runs.items()}
    for name, values in means.items():
        cost = f"{seconds[name]:.0f} s, {seconds[name] / seconds['mse']:.1f} times" if name in seconds else ""
        rows.append((name, *(METRICS[metric].text(values[metric]) for metric in MEASURED), cost))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@default_settings()
def draw(runs: dict[str, Run], path: Path) -> None:
    """Draw the photos over what each network makes of them, with the numbers of each beneath."""
    figure = Figure(figsize=(9.6, 1.42 * (1 + len(runs))), layout="constrained")
    axes = figure.subplots(1 + len(runs), SHOWN)
    for row, (name, run) in zip(axes[1:], runs.items(), strict=True):
        context = plots.open_context(run, None)
        images, restored = context.show(context.choose(count=SHOWN))
        values = per_image(images, restored, MEASURED)
        means = run.metrics["splits"]["validation"]["model"]
        label(row[0], f"{name}\n\n{in_words(*(means[metric] for metric in MEASURED))}".replace(", ", "\n"))
        for column, axis in enumerate(row):
            plots.show_image(axis, restored[column])
            axis.set_xlabel(in_words(*(values[metric][column] for metric in MEASURED)), fontsize=6.5, color=INK)
    label(axes[0][0], "original")
    for axis, image in zip(axes[0], images, strict=True):
        plots.show_image(axis, image)
    count = runs["mse"].metrics["splits"]["validation"]["images"]
    text = f"Under each photo, and as means of all {count} validation photos on the left: PSNR, SSIM, sharpness."
    figure.supxlabel(text, fontsize=8, color=INK)
    plots.save(figure, path)


def label(axis: Any, text: str) -> None:
    axis.set_ylabel(text, fontsize=8, color=INK, rotation=0, ha="right", va="center")


def in_words(psnr: float, ssim: float, sharpness: float) -> str:
    return f"{psnr:.1f} dB, {ssim:.2f}, {sharpness:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    keys = [f"training.epochs={options.epochs}"] if options.epochs else []
    with tempfile.TemporaryDirectory() as folder:
        runs, seconds = train_all(Path(folder), options.photos, keys)
        print(table(runs, seconds))
        draw(runs, ROOT / "docs" / "sharper.png")


if __name__ == "__main__":
    main()
