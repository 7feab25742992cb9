"""`ae train --data IMAGES` and nothing else on sets of several kinds, beside linear codes of the same length.

    python scripts/first_run.py [NAME ...]

It prints the table of docs/results.md. MNIST, Fashion-MNIST and the photographs are those of ../shared/data; what is
not there is left out, and said. Characters are drawn with the fonts of Matplotlib; tiles and small pictures are cut
from the photographs.
"""

import json
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
Images = NDArray[np.uint8]


def digits() -> tuple[Images, Images]:
    """Return the digits of the package, shuffled, a sixth of them to test on."""
    images = np.load(ROOT / "data" / "digits.npy")
    order = np.random.default_rng(3).permutation(len(images))
    return images[order[:1500]], images[order[1500:]]


def arrays(name: str) -> tuple[Images, Images]:
    """Return the training and the test images of a set in ../shared/data."""
    train, test = (np.load(SHARED / f"{name}_{part}.npy") for part in ("train", "test"))
    return train, test


def photographs() -> tuple[Images, Images]:
    """Return 192 photographs as 64 x 64 pixels, and 48 to test on."""
    images = np.stack([np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS)) for picture in _pictures()])
    order = np.random.default_rng(3).permutation(len(images))
    return images[order[:192]], images[order[192:]]


def characters() -> tuple[Images, Images]:
    """Return 8,000 letters and figures in the fonts of Matplotlib, turned a little, and 2,000 to test on."""
    import matplotlib

    fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))
    rng = np.random.default_rng(0)
    names = string.ascii_letters + string.digits
    images = []
    for _ in range(10_000):
        font = ImageFont.truetype(str(fonts[rng.integers(len(fonts))]), int(rng.integers(14, 23)))
        picture = Image.new("L", (28, 28))
        place = (14 + int(rng.integers(-2, 3)), 14 + int(rng.integers(-2, 3)))
        ImageDraw.Draw(picture).text(place, names[rng.integers(len(names))], fill=255, font=font, anchor="mm")
        images.append(np.asarray(picture.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BILINEAR)))
    return np.stack(images[:8000]), np.stack(images[8000:])


def tiles() -> tuple[Images, Images]:
    """Return 320 grey tiles of 48 x 48 pixels, cut from photographs, and 80 to test on."""
    cut = _cut(400, 48, 1).mean(axis=3).astype(np.uint8)
    return cut[:320], cut[320:]


def small_pictures() -> tuple[Images, Images]:
    """Return 2,800 colour pictures of 32 x 32 pixels, four times as large in photographs, and 500 to test on."""
    cut = _cut(3300, 32, 4)
    return cut[:2800], cut[2800:]


SETS: dict[str, Callable[[], tuple[Images, Images]]] = {
    "digits": digits,
    "mnist": lambda: arrays("mnist"),
    "fashion_mnist": lambda: arrays("fashion_mnist"),
    "characters": characters,
    "photographs": photographs,
    "tiles": tiles,
    "small_pictures": small_pictures,
}


def _pictures() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted((SHARED / "photos").iterdir())]


def _cut(count: int, side: int, scale: int) -> Images:
    """Return squares at random places of photographs, made `scale` times smaller."""
    rng, pictures, reach = np.random.default_rng(1), _pictures(), side * scale
    squares = []
    for _ in range(count):
        picture = pictures[rng.integers(len(pictures))]
        left, top = (int(rng.integers(length - reach + 1)) for length in picture.size)
        square = picture.crop((left, top, left + reach, top + reach))
        squares.append(np.asarray(square.resize((side, side), Image.Resampling.BOX)))
    return np.stack(squares)


def row(name: str, folder: Path) -> str:
    """Train on a set; return its row of the table."""
    for part, images in zip(("train", "test"), SETS[name](), strict=True):
        np.save(folder / f"{name}_{part}.npy", images)
    train, test, run = folder / f"{name}_train.npy", folder / f"{name}_test.npy", folder / name
    command = [sys.executable, "-m", "aecli", "train", "--data", train, "--set", f"data.test={test}", "--run", run]
    metrics = json.loads(subprocess.run([*command, "--json", "-q"], check=True, capture_output=True, text=True).stdout)
    config = json.loads(subprocess.run(
        [sys.executable, "-m", "aecli", "config", "show", "--config", run / "config.yaml", "--json"],
        check=True, capture_output=True, text=True,
    ).stdout)  # fmt: skip
    validation, tested = metrics["splits"]["validation"], metrics["splits"]["test"]
    cells = [name.replace("_", " "), f"{config['model']['family']}, {config['model']['latent_dim']}"]
    cells += [f"{validation['model']['mse'] / validation['pca']['mse']:.2f}"]
    cells += [f"{tested[by]['mse']:.5f}" for by in ("model", "best_linear", "pca")]
    cells += [f"{tested['model']['mse'] / tested['pca']['mse']:.2f}", metrics["best_linear"]]
    return f"| {' | '.join([*cells, str(metrics['epochs'])])} |"


def main() -> None:
    """Print the table, a row for each set that is there."""
    names = sys.argv[1:] or [*SETS]
    header = ["images", "network, latents", "validation mse / PCA's", "test mse", "best linear code", "PCA",
              "test mse / PCA's", "the best linear code is", "epochs"]  # fmt: skip
    print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            try:
                print(row(name, Path(folder)), flush=True)
            except FileNotFoundError as error:
                print(f"{name}: left out, {error.filename} is not there", file=sys.stderr)


if __name__ == "__main__":
    main()
