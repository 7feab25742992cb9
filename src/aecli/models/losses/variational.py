"""The objective of a Gaussian code: -ELBO in nats an image (Kingma & Welling 2014)."""

from math import prod
from typing import Any

from aecli.models.losses.likelihood import LIKELIHOODS, kl_of_gaussian
from aecli.models.objective import Objective, Outputs, Term, reconstruction


def variational(loss: str, beta: float, warmup: int, free_bits: float) -> Objective:
    """Return the objective of a loss that is one of LIKELIHOODS, and `beta` times the KL of the code.

    `free_bits` are the nats of each latent that cost nothing (Kingma et al. 2016, per image).
    """
    from aecli.models.backend import keras

    ops, likelihood, distance = keras.ops, LIKELIHOODS[loss], reconstruction(loss).per_image

    def nats(images: Any, outputs: Outputs) -> Any:
        values = prod(images.shape[1:])
        return values * likelihood.nats(distance(images, outputs), outputs["scale"], ops.log)

    def kl(images: Any, outputs: Outputs) -> Any:
        return ops.sum(latent_kl(ops, outputs), axis=1)

    def paid(images: Any, outputs: Outputs) -> Any:
        return ops.sum(ops.maximum(latent_kl(ops, outputs), free_bits), axis=1)

    def sigma(images: Any, outputs: Outputs) -> Any:
        assert likelihood.sigma is not None
        return likelihood.sigma(outputs["scale"]) + 0 * outputs["log_variances"][:, 0]

    divergence = Term("kl", paid if free_bits else kl, beta, warms=warmup > 0, shown=kl)
    return Objective(
        (Term("reconstruction", nats, reconstructs=True), divergence),
        measures=(Term("sigma", sigma),) if likelihood.sigma else (),
        warmup=warmup,
        distance=distance if likelihood.sigma else None,
        guarded=False,  # what a code costs is weighed against the reconstruction
    )


def latent_kl(ops: Any, outputs: Outputs) -> Any:
    """Return the KL in nats of each latent's Gaussian from the standard normal distribution, (N, k)."""
    means, log_variances = (ops.cast(outputs[name], "float32") for name in ("latents", "log_variances"))
    return kl_of_gaussian(means, log_variances, ops.exp)
