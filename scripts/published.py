"""Train what is published of variational networks, or known of them, and write it beside what comes out here.

    python scripts/published.py [NAME ...]

Writes the rows of these names, by default of all, into the table of docs/variational.md. MNIST is that of
../shared/data. All but `keras_example` take some minutes on two cores, that one more than an hour.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import aecli
import sharper
from aecli.data.dataset import ImageDataset, open_images
from aecli.models.linear.probabilistic import linear_gaussian
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.likelihood import Density
from aecli.runs.uses.sampling.fitting import fit_sampler

ROOT = Path(__file__).parents[1]
DATA, PAGE = ROOT.parent / "shared" / "data", ROOT / "docs" / "variational.md"
TRAIN, TEST = DATA / "mnist_train.npy", DATA / "mnist_test.npy"

PLAIN = {
    "model.linear_path": "none", "model.output_bias": "zero", "model.activation": "relu",
    "model.code": {"gaussian": {}}, "training.learning_rate": 1e-3, "training.batch_size": 128,
    "data.validation_split": 0.01,
}  # fmt: skip


def trained(images: Path | np.ndarray[Any, Any], keys: dict[str, Any]) -> Run:
    """Train on images with these keys beside the defaults."""
    folder = Path(tempfile.mkdtemp())
    defaults = folder / "defaults.yaml"
    defaults.write_text("{}\n")
    return Run(aecli.train(images, config=defaults, set={**PLAIN, **keys}, folder=folder / "run").path)


def pytorch_example() -> str:
    """784-400-20 with a Bernoulli likelihood, 10 epochs: -ELBO of the test images."""
    # Weights of PyTorch begin small: of those here, Glorot's are the nearest.
    keys = {
        "model.hidden": [400], "model.latent_dim": 20, "training.loss": "binary_crossentropy",
        "model.initializer": "glorot_uniform",
    }  # fmt: skip
    run = trained(TRAIN, {**keys, "training.epochs": 10, "data.test": str(TEST), "data.validation_split": 0.001})
    return f"{run.metrics['variational']['splits']['test']['neg_elbo']:.1f}"


def keras_example() -> str:
    """Convolutions of 32 and 64 channels and two latents, 30 epochs on all 70,000 images: losses of the last epoch."""
    keys = {
        "model.family": "conv", "model.channels": [32, 64], "model.convs": 1, "model.upsampling": "transposed",
        "model.latent_dim": 2, "training.loss": "binary_crossentropy", "training.epochs": 30,
        "data.validation_split": 0.001,
    }  # fmt: skip
    last = trained(np.concatenate([np.load(TRAIN), np.load(TEST)]), keys).history[-1]
    return f"{last.loss:.1f} = {last.terms['reconstruction']:.1f} + {last.terms['kl']:.2f}"


def learned_sigma() -> str:
    """784-256-32, 6 epochs of 12,800 images: mse of the test images, decoded from the mean."""
    keys = {
        "model.hidden": [256], "model.latent_dim": 32, "training.epochs": 6, "training.batch_size": 64,
        "data.test": str(TEST),
    }  # fmt: skip
    images = np.load(TRAIN)[:12_930]  # 12,800 and one hundredth to validate on
    mses = [
        trained(images, {**keys, "model.linear_path": path}).metrics["splits"]["test"]["model"]["mse"]
        for path in ("none", "auto")
    ]
    return "{:.4f}; beginning at a linear code {:.4f}".format(*mses)


def linear(latents: int) -> str:
    """A linear network: -ELBO of its training images beside -log p of probabilistic PCA fitted to the same."""
    keys = {
        "model.hidden": [], "model.latent_dim": latents, "model.output_activation": "linear",
        "training.epochs": 20, "training.schedule": "cosine", "training.learning_rate": 3e-3,
    }  # fmt: skip
    run = trained(TRAIN, keys)
    source = open_images(TRAIN)
    bound = Density.from_run(run, load_model(run)).measure(source, run.split.train)
    best = probabilistic_pca(source, run.split.train, latents)
    used = sum(kl >= 0.1 for kl in bound.latent_kl)
    ratio = bound.neg_elbo / best.negative_log_likelihood - 1
    return (
        f"{bound.neg_elbo:.1f} against {best.negative_log_likelihood:.1f} ({abs(ratio):.2%}), "
        f"{used} of {latents} latents used against {best.active}"
    )


def probabilistic_pca(source: ImageDataset, rows: Any, latents: int) -> Any:
    """Fit probabilistic PCA to all these images, in float64."""
    images = source.format.to_contract(source.file.take(rows)).reshape(len(rows), -1).astype(np.float64)
    eigenvalues = np.linalg.eigvalsh(np.cov(images, rowvar=False, bias=True))[::-1]
    return linear_gaussian(eigenvalues[:latents], float(eigenvalues[latents:].sum()), images.shape[1])


def mixture() -> str:
    """784-256-16 with plain codes: what samples of a mixture of ten Gaussians on them reach of the test images."""
    keys = {
        "model.hidden": [256], "model.latent_dim": 16, "model.activation": "prelu", "model.code": None,
        "training.epochs": 12, "training.batch_size": 256, "data.test": str(TEST),
    }  # fmt: skip
    run = trained(TRAIN, keys)
    rows = fit_sampler(run, load_model(run), 10).measures.rows
    of = {name: f"{rows[name].coverage:.2f} and {rows[name].recall:.2f}" for name in ("sampler", "gaussian")}
    return f"{of['sampler']}; one Gaussian {of['gaussian']}"


def adversarial() -> str:
    """The convolutional network of docs/sharper.md on photographs, under mse and with a discriminator."""
    with tempfile.TemporaryDirectory() as folder:
        runs, _ = sharper.train_all(Path(folder), sharper.PHOTOS, [])
        means = {name: run.metrics["splits"]["validation"]["model"] for name, run in runs.items()}
    before, after = means["mse"], means["adversarial"]
    return (
        f"sharpness {before['sharpness']:.2f} to {after['sharpness']:.2f}, PSNR {before['psnr']:.1f} to "
        f"{after['psnr']:.1f} dB"
    )


ROWS: dict[str, tuple[str, str, Callable[[], str]]] = {
    "pytorch_example": (
        "[pytorch/examples](https://github.com/pytorch/examples/tree/main/vae): 784-400-20, Bernoulli, 10 epochs, "
        "batches of 128, MNIST, -ELBO of the test images", "105.6 +- 0.7", pytorch_example,
    ),
    "keras_example": (
        "[Keras's example](https://keras.io/examples/generative/vae/): convolutions of 32 and 64 channels, 2 latents, "
        "30 epochs on 70,000 images, -ELBO in training (ours is without its dense layer of 16)",
        "150.4 = 144.2 + 6.46", keras_example,
    ),
    "learned_sigma": (
        "784-256-32, sigma learned, 6 epochs of 12,800 MNIST images in batches of 64, mse of the test images",
        "0.0098 (with a sigma of 1: 0.043)", learned_sigma,
    ),
    "linear_8": ("linear, 8 latents, MNIST, -ELBO against probabilistic PCA", "equal", lambda: linear(8)),
    "mixture": (
        "784-256-16, a mixture of ten Gaussians on its codes, MNIST, coverage and recall of the test images "
        "(5 neighbours)", "0.85 and 0.78 with 50 Gaussians and 3 neighbours; one Gaussian 0.46", mixture,
    ),
    "adversarial": (
        "`conv_sharp` beside the same network under mse, 240 photographs", "as sharp as 0.8 for 1 dB", adversarial,
    ),
    "linear_32": ("linear, 32 latents, MNIST, -ELBO against probabilistic PCA", "equal", lambda: linear(32)),
}  # fmt: skip


def write(name: str, found: str) -> None:
    """Write one row into the table of the page, in the place of the one before."""
    what, published, _ = ROWS[name]
    row, lines = f"| {what} | {published} | {found} |", PAGE.read_text(encoding="utf-8").splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith(f"| {what} |"))
    PAGE.write_text("\n".join([*lines[:place], row, *lines[place + 1 :]]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ROWS:
        result = ROWS[wanted][2]()
        print(f"{wanted}: {result}", flush=True)
        if PAGE.is_file():
            write(wanted, result)
