"""The pieces of typed configs: a strict section, a choice by name out of a table, a section by its tag."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema, core_schema

from aecli.core.errors import did_you_mean

Parameter = float | bool | None


class TableRow(Protocol):
    """A row of a table that configs choose from."""

    @property
    def name(self) -> str:
        """The name that configs say."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Every parameter with its default."""


_R = TypeVar("_R", bound=TableRow)


class Section(BaseModel):
    """A frozen group of config keys: unknown keys and values of another type are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as plain values: rows of tables have functions, which stay where they are.
        return type(self).model_validate, (self.model_dump(mode="json"),)


@dataclass(frozen=True)
class Choice(Generic[_R]):
    """A row of a table with all its parameters: `relu`, or `{name: elu, alpha: 1.0}`."""

    row: _R = field(compare=False, repr=False)
    name: str
    items: tuple[tuple[str, Parameter], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name."""
        return dict(self.items)

    def __str__(self) -> str:
        changed = ", ".join(f"{key}={value:g}" for key, value in self.items if isinstance(value, int | float))
        return f"{self.name}({changed})" if changed else self.name


def parse_choice(value: Any, find: Callable[[str], _R]) -> Choice[_R]:
    """Read a name, or a mapping of `name` and parameters; `find` returns a name's row, or says in a ValueError why not.

    A parameter that is not given has its default.
    """
    if isinstance(value, Choice):
        return value
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise ValueError(f"expected a name or {{name: ..., parameter: ...}}, received {value!r}")
    row = find(given["name"])
    defaults, parameters = row.parameters, dict(row.parameters)
    for key, parameter in given.items():
        if key == "name":
            continue
        if key not in defaults:
            known = f"{row.name} has {', '.join(defaults)}" if defaults else f"{row.name} has no parameters"
            raise ValueError(f"unknown parameter '{key}'{did_you_mean(key, defaults) or ': ' + known}")
        parameters[key] = _parameter(key, parameter, defaults[key])
    return Choice(row, row.name, tuple(parameters.items()))


_SHARE, _POSITIVE, _NOT_NEGATIVE = (0.0, 1.0), (5e-324, float("inf")), (0.0, float("inf"))
_LIMITS = {
    "momentum": _SHARE, "rho": _SHARE, "beta_1": (0.0, 0.9999999), "beta_2": (0.0, 0.9999999),
    "adam_beta_1": (0.0, 0.9999999), "adam_beta_2": (0.0, 0.9999999),
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


def _parameter_schema(key: str, default: Parameter) -> dict[str, Any]:
    """Return the JSON schema of what `_parameter` takes."""
    if isinstance(default, bool):
        return {"type": "boolean", "default": default}
    low, high = _LIMITS.get(key, (-float("inf"), float("inf")))
    lowest = {"exclusiveMinimum": 0} if (low, high) == _POSITIVE else {"minimum": low} if isfinite(low) else {}
    number = {"type": "number", **lowest, **({"maximum": high} if isfinite(high) else {})}
    return {"anyOf": [number, {"type": "null"}], "default": None} if default is None else number | {"default": default}


def _dump_choice(choice: Choice[Any]) -> Any:
    return {"name": choice.name, **choice.parameters} if choice.items else choice.name


@dataclass(frozen=True)
class ChoiceOf:
    """Makes `Annotated[Choice[_R], ChoiceOf(...)]` a pydantic type: a choice among the rows that `find` knows."""

    find: Callable[[str], TableRow]
    names: Callable[[], Iterable[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(_dump_choice)
        return core_schema.no_info_plain_validator_function(
            lambda value: parse_choice(value, self.find), serialization=dump
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        names = list(self.names())
        rows = {name: self.find(name) for name in names}
        plain = [name for name in names if not rows[name].parameters]
        own = [name for name in names if rows[name].parameters]
        mappings = [self._mapping(plain, {})] * bool(plain) + [self._mapping([n], rows[n].parameters) for n in own]
        return {"anyOf": [{"type": "string", "enum": names}, *mappings]}

    @staticmethod
    def _mapping(names: list[str], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
        """Return the schema of `{name: ..., parameter: ...}` for these names, which share their parameters."""
        schemas = {key: _parameter_schema(key, default) for key, default in parameters.items()}
        return {
            "type": "object",
            "properties": {"name": {"type": "string", "enum": names}, **schemas},
            "required": ["name"],
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class NameIn:
    """Makes `Annotated[str, NameIn(...)]` a pydantic type: one of the names that a table has when it is asked."""

    names: Callable[[], Iterable[str]]

    def _validate(self, value: Any) -> str:
        names = [*self.names()]
        if value in names:
            return str(value)
        near = did_you_mean(value, names) if isinstance(value, str) else ""
        raise ValueError(f"expected one of {', '.join(names)}, received {value!r}{near}")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "enum": [*self.names()]}


@dataclass(frozen=True)
class SectionOf:
    """Makes `Annotated[Base, SectionOf(...)]` a pydantic type: the section that the value's tag names in a table.

    Whatever stands in the table is known at once: to validation, to the schema, and to the messages of errors.
    """

    table: Mapping[str, type[Section]]
    tag: str

    @property
    def default(self) -> str:
        """The tag of a value that says none: the table's first."""
        return next(iter(self.table))

    def section(self, value: Any) -> type[Section]:
        """Return the section of a value as it was written, that of the default tag where it names none."""
        tag = value.get(self.tag, self.default) if isinstance(value, dict) else getattr(value, self.tag, self.default)
        return self.table.get(tag if isinstance(tag, str) else "", self.table[self.default])

    def _validate(self, value: Any) -> Section:
        if isinstance(value, Section) and isinstance(value, tuple(self.table.values())):
            return value
        if isinstance(value, dict) and value.get(self.tag, self.default) not in [*self.table]:
            expected = " or ".join(f"'{name}'" for name in self.table)
            raise ValidationError.from_exception_data(
                self.tag,
                [
                    {
                        "type": "literal_error",
                        "loc": (self.tag,),
                        "input": value[self.tag],
                        "ctx": {"expected": expected},
                    }
                ],
            )
        return self.section(value).model_validate(value)

    def _dump(self, section: Section, info: core_schema.SerializationInfo) -> dict[str, Any]:
        dumped = section.model_dump(mode=info.mode, exclude_defaults=info.exclude_defaults)
        tag = getattr(section, self.tag)
        # What a section is cannot be left out as one of its defaults.
        return dumped if tag == self.default else {self.tag: tag, **dumped}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(self._dump, info_arg=True)
        return core_schema.no_info_plain_validator_function(self._validate, serialization=dump)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        first, *others = [handler(section.__pydantic_core_schema__) for section in self.table.values()]
        # Where no tag is written, the value is of the first section.
        return (
            {"anyOf": [first, *({"allOf": [other], "required": [self.tag]} for other in others)]} if others else first
        )


class ConfigJsonSchema(GenerateJsonSchema):
    """Pydantic's JSON schema, with the defaults of choices and sections as a config says them."""

    def encode_default(self, dft: Any) -> Any:
        """Return a default as plain values."""
        if isinstance(dft, Choice):
            return _dump_choice(dft)
        return dft.model_dump(mode="json") if isinstance(dft, BaseModel) else super().encode_default(dft)


def section_of(info: FieldInfo, value: Any) -> type[BaseModel] | None:
    """Return the section that a field holds where this was written into it, None where it holds a plain value."""
    tagged = _tagged(info)
    return tagged.section(value) if tagged else next(iter(sections_of(info)), None)


def sections_of(info: FieldInfo) -> list[type[BaseModel]]:
    """Return every section that a field may hold, the default first; none where it holds a plain value."""
    tagged = _tagged(info)
    if tagged:
        return [*tagged.table.values()]
    options = getattr(info.annotation, "__args__", (info.annotation,))
    return [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]


def kinds_with(info: FieldInfo, key: str) -> list[str]:
    """Return as `tag=name` the kinds of section that a field may hold and that have this key."""
    tagged = _tagged(info)
    if tagged is None:
        return []
    return [f"{tagged.tag}={name}" for name, kind in tagged.table.items() if key in kind.model_fields]


def known_keys(schema: type[BaseModel]) -> list[str]:
    """Return every key of a schema as it is written, those of every kind of section among them."""
    keys: dict[str, None] = {}
    for name, info in schema.model_fields.items():
        for section in sections_of(info):
            keys |= dict.fromkeys(f"{name}.{key}" for key in section.model_fields)
    return list(keys)


def nested_keys(schema: type[BaseModel]) -> list[str]:
    """Return the keys that stand in a section of a section, e.g. "model.code.gaussian.beta"."""
    keys: dict[str, None] = {}
    for name, info in schema.model_fields.items():
        for section in sections_of(info):
            for key, own in section.model_fields.items():
                keys |= dict.fromkeys(f"{name}.{key}.{inner}" for inner in _inner_keys(own))
    return list(keys)


def _inner_keys(info: FieldInfo) -> Iterator[str]:
    for section in sections_of(info):
        for key, inner in section.model_fields.items():
            yield key
            yield from (f"{key}.{further}" for further in _inner_keys(inner))


def _tagged(info: FieldInfo) -> SectionOf | None:
    return next((item for item in info.metadata if isinstance(item, SectionOf)), None)
