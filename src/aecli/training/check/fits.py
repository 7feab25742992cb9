"""What of the config fits the images: output activations, losses, and what the code length makes of them."""

from dataclasses import asdict
from math import isfinite, prod, sqrt

from aecli.core.errors import AeError
from aecli.core.schema import Choice, parse_choice
from aecli.data.dataset import ImageDataset
from aecli.models.activations import ACTIVATIONS, Activation, find_activation
from aecli.models.linear.fit import LinearCodes
from aecli.models.linear.probabilistic import linear_gaussian
from aecli.runs.config import Config
from aecli.training.check.findings import Finding, code_name
from aecli.training.prepare import Prepared, check_output_range
from aecli.training.suggest.spectrum import spectrum


def reachable(config: Config, source: ImageDataset) -> Finding:
    """Return which output activations and losses fit these images, by the rule that `ae train` refuses by."""
    scale, offset = source.format.scale_and_offset()
    low, high = source.scan.low * scale + offset, source.scan.high * scale + offset
    outputs = {name: parse_choice(name, find_activation) for name in ACTIVATIONS}
    reach = [name for name, output in outputs.items() if _fits(config, source, output, "mse")]
    exact = [name for name in reach if _range(name) == (low, high)]
    bounded = [name for name in reach if name not in exact and all(map(isfinite, _range(name)))]
    wide = [name for name in reach if name not in (*exact, *bounded)]
    kinds = [
        f"{', '.join(exact)} (exactly these)" if exact else "",
        ", ".join(bounded),
        f"{len(wide)} without bounds such as {', '.join(wide[:2])}" if wide else "",
    ]
    crossing = [name for name in reach if _fits(config, source, outputs[name], "binary_crossentropy")]
    losses = "mse, mae or huber" + (f", with {', '.join(crossing)} also binary_crossentropy" if crossing else "")
    return Finding(
        "note",
        "fits",
        f"the images reach from {low:.4g} to {high:.4g}: model.output_activation can be "
        f"{'; '.join(kind for kind in kinds if kind)}; training.loss {losses}",
        {"low": low, "high": high, "output_activations": reach, "with_binary_crossentropy": crossing},
    )


def _range(name: str) -> tuple[float, float]:
    return ACTIVATIONS[name].output_range(ACTIVATIONS[name].parameters)


def _fits(config: Config, source: ImageDataset, output: Choice[Activation], loss: str) -> bool:
    model = config.model.model_copy(update={"output_activation": output})
    training = config.training.model_copy(update={"loss": loss})
    try:
        check_output_range(config.model_copy(update={"model": model, "training": training}), source)
    except AeError:
        return False
    return True


def compression(config: Config, source: ImageDataset) -> Finding:
    values, length = prod(source.format.image_shape), config.model.code_length(source.format.image_shape)
    stored, code = values * source.file.dtype.itemsize, 4 * length
    return Finding(
        "note",
        "compression",
        f"{code_name(config, length)}: {values:,} values become {length:,}, {_ratio(values / length)} to one; "
        f"{stored:,} bytes as stored become {code:,} as float32, {_ratio(stored / code)} to one",
        {"values": values, "latent_dim": length, "stored_bytes": stored, "code_bytes": code},
    )


def _ratio(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def spectrum_finding(prepared: Prepared, codes: LinearCodes) -> Finding:
    """Return what linear codes of 4, 8, 16, ... values reach, and which they are."""
    rows = spectrum(codes, prepared.code_length)
    reached = ", ".join(f"{row.length:,} {row.mse:.3g} ({row.name})" for row in rows)
    return Finding(
        "note",
        "linear_codes",
        f"the best linear codes reach this mse on validation images, by their number of values: {reached}",
        {"codes": [asdict(row) for row in rows]},
    )


def active_latents(config: Config, codes: LinearCodes, code_length: int) -> list[Finding]:
    """Return how many latents a Gaussian code can use, as far as a linear network tells; nothing of other codes.

    It is one for each principal component whose variance is more than beta times that of the pixels' noise (Lucas et
    al. 2019), which a learned sigma brings down to what the other components leave.
    """
    gaussian = config.model.variational
    if gaussian is None or config.training.loss != "mse":
        return []
    beyond = codes.pca.error(code_length) * codes.mean.size
    best = linear_gaussian(codes.pca.variances[:code_length], beyond, codes.mean.size, gaussian.beta)
    fewer = best.active < 0.9 * code_length
    shorter = f": set a shorter model.{config.model.code_key}, or a smaller beta" if fewer else ""
    return [
        Finding(
            "note",
            "active_latents",
            f"model.code: of {code_length:,} latents a linear network with beta {gaussian.beta:g} would use "
            f"{best.active:,}, with a sigma of {sqrt(best.noise):.3g}{shorter}",
            {"active": best.active, "latent_dim": code_length, "sigma": sqrt(best.noise)},
        )
    ]
