"""Why a network may have learned nothing."""

from collections.abc import Iterable

from aecli.runs.records import LayerHealth

_COLLAPSED_FVU = 0.95
"""A network whose error is nearly that of the mean image has learned nothing."""


def collapse(records: Iterable[LayerHealth], fvu: float | None) -> str | None:
    """Return why a network with this error, as a share of the mean image's, has collapsed; None where it has not."""
    if fvu is None or fvu <= _COLLAPSED_FVU:
        return None
    return diagnosis(records) or f"its error is {fvu:.0%} of the mean image's"


LESS_COLLAPSE = "a smaller model.code.gaussian.beta, or a warmup of some epochs"
"""What helps against the collapse of a variational code."""

COLLAPSED_KL = 0.1
"""A latent of a variational code with a smaller KL, in nats, carries nothing: it is the prior whatever the image."""


def posterior_collapse(kl: float | None) -> str | None:
    """Return that a code with this KL, in nats an image, has collapsed; None where it has not, or is not variational.

    The error does not say it: decoded from the mean of the prior it can be anything.
    """
    if kl is None or kl >= COLLAPSED_KL:
        return None
    return f"its code has collapsed (KL {kl:.2g} nats): try {LESS_COLLAPSE}"


def diagnosis(records: Iterable[LayerHealth]) -> str | None:
    """Return why a network may have learned nothing, from its last epoch; None where the layers look well."""
    records = list(records)
    if not records:
        return None
    last = [record for record in records if record.epoch == records[-1].epoch]
    worst = max(last, key=lambda record: record.dead)
    if worst.dead > 0.5:
        return f"{worst.dead:.0%} of the {worst.activation} units of {worst.layer} are dead"
    # The output may well be black and white; hidden layers and the code should not be.
    inner = [record for record in last[:-1] if record.saturated is not None]
    worst = max(inner, key=lambda record: record.saturated or 0.0, default=last[0])
    if (worst.saturated or 0.0) > 0.5:
        return f"{worst.saturated:.0%} of the {worst.activation} outputs of {worst.layer} are saturated"
    weakest = min(last, key=lambda record: record.gradient_norm)
    if weakest.gradient_norm < 1e-7:
        return f"no gradient reaches {weakest.layer} (norm {weakest.gradient_norm:.1e})"
    return None


def dead_units_of_code(records: Iterable[LayerHealth]) -> float | None:
    """Return the share of dead units of the layer that makes the code, after the last epoch; None without records."""
    records = list(records)
    # The layers of the encoder come first, whatever they are called, and the last of them makes the code.
    latest = [record for record in records if record.epoch == records[-1].epoch]
    made = [record for record in latest if not record.layer.startswith("decoder")]
    return made[-1].dead if made else None
