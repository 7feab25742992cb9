"""Train the recipes whose results are published or known, and print them beside the expected figures.

    python scripts/figures.py [--quick]

Needs MNIST and Fashion-MNIST in ../shared/data; about five minutes on two cores, --quick skips the
two longest. Prints the Markdown table of the README.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from aecli.baselines import Baselines, fit_baselines
from aecli.config import load_config
from aecli.data import open_images
from aecli.infer import evaluate
from aecli.nn.quiet import native_stderr_silenced
from aecli.training import train

DATA = Path(__file__).parents[2] / "shared" / "data"
PCA = {2: 0.055669, 4: 0.047903, 8: 0.037441, 16: 0.026860, 32: 0.016828, 64: 0.009047}
TUTORIAL = ("training.epochs=10", "training.batch_size=32", "data.validation_split=0.001")
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
    fitted = fit_baselines(trained_on.map, 64)
    found = []
    for count in PCA:
        leading = Baselines(fitted.mean, fitted.components[:count])
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    recipes = RECIPES[:1] if parser.parse_args().quick else RECIPES
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there: these figures need the MNIST and Fashion-MNIST arrays")
    print("| what | expected | measured |\n| --- | --- | --- |")
    print("|", " | ".join(pca_row()), "|", flush=True)
    with native_stderr_silenced():
        for recipe in recipes:
            print("|", " | ".join(recipe_row(*recipe)), "|", flush=True)


if __name__ == "__main__":
    main()
