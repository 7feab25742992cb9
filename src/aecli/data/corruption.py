"""Corruption: what spoils the input of a denoising autoencoder, whose target stays clean."""

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from aecli.core.rng import Draws, Namespace
from aecli.core.schema import Section

_GAUSSIAN, _MASKING, _SALT_AND_PEPPER = 1, 2, 3


class Corruption(Section):
    """What spoils the input in training; several apply in this order."""

    gaussian: Annotated[float, Field(ge=0, le=10)] = 0.0
    """standard deviation of Gaussian noise, where black to white is 1; the result is clipped to that range"""
    masking: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the values set to black"""
    salt_and_pepper: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the values set to black or to white, half of them each"""

    def __str__(self) -> str:
        named = ((name.replace("_", " "), getattr(self, name)) for name in RULES)
        return ", ".join(f"{name} {amount:g}" for name, amount in named if amount) or "none"

    def apply(self, images: Any, draws: Draws) -> Any:
        """Return the images (N, H, W, C) corrupted; every value draws for itself."""
        shape = (-1, *images.shape[1:])
        values = draws.xp.reshape(images, (-1, prod(shape[1:])))
        for name, rule in RULES.items():
            if amount := getattr(self, name):
                values = rule(values, amount, draws)
        return draws.xp.reshape(values, shape)


def gaussian(values: Any, amount: float, draws: Draws, purpose: int = _GAUSSIAN) -> Any:
    """Add noise N(0, amount^2) to values (N, P); see `within` for the clipping."""
    return within(draws.xp, values + amount * draws.normal(purpose, values.shape[1]), values)


def masking(values: Any, amount: float, draws: Draws) -> Any:
    """Set a share of the values (N, P) to 0 (Vincent et al. 2010, section 3.3)."""
    return draws.xp.where(draws.uniform(_MASKING, values.shape[1]) < amount, 0.0, values)


def salt_and_pepper(values: Any, amount: float, draws: Draws) -> Any:
    """Set a share of the values (N, P) to 0 or 1, half each (Vincent et al. 2010, section 3.3)."""
    drawn = draws.uniform(_SALT_AND_PEPPER, values.shape[1])
    return draws.xp.where(drawn < amount / 2, 0.0, draws.xp.where(drawn < amount, 1.0, values))


_Rule = Callable[[Any, float, Draws], Any]
RULES: Mapping[str, _Rule] = MappingProxyType(
    {"gaussian": gaussian, "masking": masking, "salt_and_pepper": salt_and_pepper}
)
"""Name -> the rule, in the order in which they apply."""


def within(xp: Namespace, changed: Any, values: Any) -> Any:
    """Clip changed values to [0, 1]; where a value itself lies outside, it is the limit."""
    return xp.clip(changed, xp.minimum(values, 0.0), xp.maximum(values, 1.0))
