"""Run the studies under docs/studies/: which activation reconstructs MNIST and Fashion-MNIST best.

    python scripts/studies.py [--only NAME] [--keep FOLDER]

Two data sets, two plain networks whose output begins at 0.5, eleven activations, eleven paired seeds, matched
initialisation, 20 epochs on 20,000 images, tested on the data sets' own 10,000 test images; and one study of how much
the initial weights matter. They go into --keep (default: ./studies, where a second call continues them); what is not
weights is copied to docs/studies/, reports too, of which git keeps the one of mnist-784-256-64. Needs the arrays in
../shared/data.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
DOCS = ROOT / "docs" / "studies"
IMAGES = 20_000
ACTIVATIONS = "relu,leaky_relu,prelu,sigmoid,tanh,elu,gelu,linear,selu,silu,mish"
COMMON = [
    "training.epochs=20", "model.latent_dim=64", "model.initializer=matched",
    # What the defaults were when these studies were published, and no suggestion for the images.
    "model.family=dense", "model.linear_path=none", "model.output_bias=zero", "model.latent_activation=null",
    "training.batch_size=32", "training.learning_rate=1e-3", "training.schedule=constant",
    "training.early_stopping=null",
]  # fmt: skip
SMALL, DEEP = "model.hidden=[]", "model.hidden=[256]"
INITIALIZERS = "--vary=model.initializer=matched,glorot_uniform,he_normal,lecun_normal,orthogonal,random_normal"
STUDIES = {
    f"{data}-{network}": (data, [f"--activations={ACTIVATIONS}", f"--set={hidden}"])
    for data in ("mnist", "fashion_mnist")
    for network, hidden in (("784-64", SMALL), ("784-256-64", DEEP))
}
STUDIES["mnist-784-256-64-initialisation"] = (
    "mnist",
    [INITIALIZERS, "--vary=model.activation=relu,tanh", f"--set={DEEP}"],
)
KEPT = ("study.yaml", "results.csv", "summary.json", "report.html")


def run(name: str, folder: Path) -> None:
    """Run or continue one study in `folder`."""
    data, options = STUDIES[name]
    images = folder / f"{data}_20000.npy"
    if not images.is_file():
        np.save(images, np.load(SHARED / f"{data}_train.npy", mmap_mode="r")[:IMAGES])
    command = [sys.executable, "-m", "aecli.cli.main", "compare", images.name, "--seeds=11", f"--output={name}"]
    command += [f"--test={SHARED / f'{data}_test.npy'}", *(f"--set={key}" for key in COMMON), *options]
    subprocess.run(command, check=True, cwd=folder)


def publish(name: str, folder: Path) -> None:
    """Copy a study's page, tables and plots, with the names of its files instead of their places."""
    target = DOCS / name
    target.mkdir(parents=True, exist_ok=True)
    for file in KEPT:
        text = (folder / name / file).read_text(encoding="utf-8")
        for place in (folder, SHARED):
            text = text.replace(f"{place}/", "")
        (target / file).write_text(text, encoding="utf-8")
    shutil.rmtree(target / "plots", ignore_errors=True)
    shutil.copytree(folder / name / "plots", target / "plots")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=STUDIES)
    parser.add_argument("--keep", type=Path, default=Path("studies"))
    options = parser.parse_args()
    folder = options.keep.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for name in [options.only] if options.only else STUDIES:
        print(name, file=sys.stderr, flush=True)
        run(name, folder)
        publish(name, folder)


if __name__ == "__main__":
    main()
