"""Measure `ae compress` on MNIST beside PCA's coefficients packed alike, JPEG, WebP, AVIF and lossless lzma.

    python scripts/compression.py TRAIN.npy TEST.npy [--seeds 3]

Trains 784-256-16-256-784, 60 epochs for each seed, and prints what every codec takes for the test images at 20.5 dB.
Takes about 2 minutes a seed on one core.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

from aecli.data.dataset import ImageDataset, open_images
from aecli.runs.baselines import Baselines
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.uses.codec.beside import PcaCodec, coefficients_of, lossless, picture_rows
from aecli.runs.uses.codec.compress import compress_images, sample_of, step_of_quality
from aecli.runs.uses.codec.steps import exponents_for
from aecli.runs.uses.inputs import open_images_for
from aecli.training.trainer import train

QUALITY = 20.5
COMPONENTS = 128
"""Of PCA: at the steps of this quality the last of them are 0 in nearly every image."""
KEYS = (
    "model.hidden=[256]", "model.latent_dim=16", "model.activation=prelu", "model.latent_activation=linear",
    "training.epochs=60", "training.schedule=cosine", "training.batch_size=256",
)  # fmt: skip


def components(images: ImageDataset, count: int) -> Baselines:
    """Return the mean image and the first principal components of images."""
    flat = images.format.to_contract(images.file.read(0, len(images))).reshape(len(images), -1)
    mean = flat.mean(axis=0, dtype=np.float64)
    vectors = np.linalg.eigh(np.cov(flat.T))[1][:, ::-1]
    shape = images.format.image_shape
    return Baselines(mean.reshape(shape).astype(np.float32), vectors[:, :count].T.astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    own = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.seeds):
            keys = [*KEYS, f"data.train={asked.train}", f"data.test={asked.test}", f"training.seed={seed}"]
            run = train(load_config(None, keys).config, Path(folder) / f"run-{seed}")
            model, source = load_model(run), open_images_for(run, asked.test)
            sample = sample_of(source, model)
            step = step_of_quality(sample, model.decode, exponents_for(model, sample.latents), QUALITY)
            size, _ = compress_images(run, model, source, sample, Path(folder) / "file.aez", step)
            floats = sample.quality(model.decode, sample.of_images)
            own.append(size / len(source))
            decoder = run.decoder_file.stat().st_size
            print(
                f"seed {seed}: {own[-1]:.2f} bytes at {QUALITY} dB, floats {floats:.2f} dB, decoder {decoder:,} bytes"
            )
    print(f"ae: {statistics.mean(own):.2f} bytes, from {min(own):.2f} to {max(own):.2f}")
    for count in (16, COMPONENTS):
        codec = PcaCodec(components(open_images(asked.train), count))
        of_images = codec.encode(sample.images)
        best = sample.quality(codec.decode, of_images)
        enough = min(QUALITY, best - 0.05)
        step = step_of_quality(sample, codec.decode, codec.steps(1.0).exponents, enough, of_images)
        row = codec.measured(step, sample, coefficients_of(source, codec, sample), len(source))
        print(f"PCA-{count}: {row.bytes:.2f} bytes at {row.psnr:.2f} dB, floats {best:.2f} dB")
    for other in [*picture_rows(sample.images, QUALITY), lossless(source.file.take(sample.rows))]:
        print(other)


if __name__ == "__main__":
    main()
