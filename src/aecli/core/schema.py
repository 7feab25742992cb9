"""The pieces that typed configs are made of: a strict section, and a choice by name with parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from aecli.core.errors import did_you_mean

Parameter = float | bool | None
Defaults = Callable[[str], tuple[str, Mapping[str, Parameter]]]
"""Name -> the canonical name and every parameter's default; ValueError says why a name is none."""


class Section(BaseModel):
    """A frozen group of config keys: unknown keys and values of another type are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


@dataclass(frozen=True)
class Choice:
    """A name out of a table with all its parameters: `relu`, or `{name: elu, alpha: 1.0}`."""

    name: str
    items: tuple[tuple[str, Parameter], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name."""
        return dict(self.items)

    def __str__(self) -> str:
        changed = ", ".join(f"{key}={value:g}" for key, value in self.items if isinstance(value, int | float))
        return f"{self.name}({changed})" if changed else self.name


def parse_choice(value: Any, defaults_of: Defaults) -> Choice:
    """Read a name, or a mapping of `name` and parameters, against `defaults_of`."""
    if isinstance(value, Choice):
        return value
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise ValueError(f"expected a name or {{name: ..., parameter: ...}}, received {value!r}")
    name, defaults = defaults_of(given["name"])
    parameters = dict(defaults)
    for key, parameter in given.items():
        if key == "name":
            continue
        if key not in defaults:
            known = f"{name} has {', '.join(defaults)}" if defaults else f"{name} has no parameters"
            raise ValueError(f"unknown parameter '{key}'{did_you_mean(key, defaults) or ': ' + known}")
        parameters[key] = _parameter(key, parameter, defaults[key])
    return Choice(name, tuple(parameters.items()))


_SHARE, _POSITIVE, _NOT_NEGATIVE = (0.0, 1.0), (5e-324, float("inf")), (0.0, float("inf"))
_LIMITS = {
    "momentum": _SHARE, "rho": _SHARE, "beta_1": (0.0, 0.9999999), "beta_2": (0.0, 0.9999999),
    "epsilon": _POSITIVE, "clipnorm": _POSITIVE, "weight_decay": _NOT_NEGATIVE, "alpha": _POSITIVE, "b": _NOT_NEGATIVE,
}  # fmt: skip


def _parameter(key: str, value: Any, default: Parameter) -> Parameter:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{key}: expected true or false, received {value!r}")
        return value
    if value is None and default is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{key}: expected a number, received {value!r}")
    low, high = _LIMITS.get(key, (-float("inf"), float("inf")))
    if not low <= value <= high:
        wanted = {_POSITIVE: "a number > 0", _NOT_NEGATIVE: "a number >= 0"}.get((low, high), "a number from 0 to 1")
        raise ValueError(f"{key}: expected {wanted}, received {value!r}")
    return float(value)


def _dump_choice(choice: Choice) -> Any:
    return {"name": choice.name, **choice.parameters} if choice.items else choice.name


@dataclass(frozen=True)
class ChoiceOf:
    """Makes `Annotated[Choice, ChoiceOf(...)]` a pydantic type: a Choice among `names`."""

    names: tuple[str, ...]
    defaults_of: Defaults

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(_dump_choice)
        return core_schema.no_info_plain_validator_function(
            lambda value: parse_choice(value, self.defaults_of), serialization=dump
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        name = {"type": "string", "enum": list(self.names)}
        mapping = {
            "type": "object",
            "properties": {"name": name},
            "required": ["name"],
            "additionalProperties": {"type": ["number", "boolean", "null"]},
        }
        return {"anyOf": [name, mapping]}
