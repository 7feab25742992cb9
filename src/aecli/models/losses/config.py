"""`training.loss` in a config: the name of a loss, or a mapping of weights of several."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from aecli.core.errors import did_you_mean

PIXEL_LOSSES = ("mse", "mae", "huber", "binary_crossentropy")
"""Losses of every pixel by itself, those of Keras. One of them there must be: it says which brightness is right."""

LEAST_SIDES: Mapping[str, int] = MappingProxyType({"ssim": 1, "features": 8})
"""Losses of a pixel among its neighbours -> the least side of images that have any."""

LOSSES = (*PIXEL_LOSSES, *LEAST_SIDES)

MOST = 1e6
"""The largest weight."""

Loss = str | Mapping[str, float]
"""One of PIXEL_LOSSES, or weights > 0 by the names of LOSSES in their order, one of PIXEL_LOSSES at least."""


def weights_of(loss: Loss) -> Mapping[str, float]:
    """Return the weights of the losses whose sum is minimised."""
    return {loss: 1.0} if isinstance(loss, str) else loss


def loss_text(loss: Loss) -> str:
    """Return a loss for the middle of a line, e.g. "mse + 0.02 ssim"."""
    return " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in weights_of(loss).items())


def loss_problem(loss: Loss, image_shape: tuple[int, int, int]) -> str | None:
    """Return why images of this shape have no such loss, "key: what is wrong: what to do"."""
    for name in weights_of(loss):
        least = LEAST_SIDES.get(name, 1)
        if min(image_shape[:2]) < least:
            height, width, _ = image_shape
            return (
                f"training.loss: {name} needs images of at least {least} x {least} pixels, these have {height} x "
                f"{width}: leave it out"
            )
    return None


def parse_loss(value: Any) -> Loss:
    """Read a name or a mapping of weights; ValueError says what is wrong.

    Losses of weight 0 are left out, and a pixel loss by itself is its name. `{name: mse, ssim: 0.02}`, which is what
    one key changed in the name mse gives, is `{mse: 1, ssim: 0.02}`.
    """
    if isinstance(value, str):
        return _known(value, PIXEL_LOSSES)
    if not isinstance(value, Mapping):
        raise ValueError(f"expected the name of a loss or {{name: weight, ...}}, received {value!r}")
    named = {_known(value["name"], LOSSES): 1.0} if "name" in value else {}
    given = {**named, **{key: _weight(key, weight) for key, weight in value.items() if key != "name"}}
    weights = {name: given[name] for name in LOSSES if given.get(name)}
    if given and not weights:
        raise ValueError("all weights are 0: give one of them a weight above 0")
    if not set(weights) & set(PIXEL_LOSSES):
        raise ValueError(f"no loss of pixels is among them: add one of {', '.join(PIXEL_LOSSES)}, e.g. mse: 1")
    return next(iter(weights)) if [*weights.values()] == [1.0] else weights


def _known(name: Any, names: tuple[str, ...]) -> str:
    if name not in names:
        near = did_you_mean(name, names) if isinstance(name, str) else ""
        if name in LOSSES:
            near = f": give it beside a loss of pixels, e.g. {{mse: 1, {name}: 0.02}}"
        raise ValueError(f"expected one of {', '.join(names)}, received {name!r}{near}")
    return str(name)


def _weight(name: Any, weight: Any) -> float:
    _known(name, LOSSES)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not isfinite(weight):
        raise ValueError(f"{name}: expected a number, received {weight!r}")
    if not 0 <= weight <= MOST:
        raise ValueError(f"{name}: expected a number from 0 to {MOST:,.0f}, received {weight!r}")
    return float(weight)


@dataclass(frozen=True)
class _LossType:
    """Makes `Annotated[Any, _LossType()]` a pydantic type: what `parse_loss` reads."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(_dump)
        return core_schema.no_info_plain_validator_function(parse_loss, serialization=dump)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        weight = {"type": "number", "minimum": 0, "maximum": MOST}
        mapping = {"type": "object", "properties": dict.fromkeys(LOSSES, weight), "additionalProperties": False}
        wanted = [{"required": [name]} for name in PIXEL_LOSSES]
        return {"anyOf": [{"type": "string", "enum": [*PIXEL_LOSSES]}, {**mapping, "anyOf": wanted}]}


def _dump(loss: Loss) -> Any:
    return loss if isinstance(loss, str) else dict(loss)


AnyLoss = Annotated[Loss, _LossType()]
"""The type of the key."""
