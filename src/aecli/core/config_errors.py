"""What is wrong with a config, in its own words: pydantic's errors with the place that the user wrote."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from aecli.core.errors import did_you_mean, nearest
from aecli.core.schema import kinds_with, known_keys, nested_keys, section_of
from aecli.core.strict_yaml import KeyPath


def sort_problems(problems: Iterable[str]) -> list[str]:
    """Return the problems once each, those of the file by line, then those of the overrides."""

    def line(problem: str) -> float:
        number = problem.split(":", 2)[1]
        return int(number) if number.isdigit() else float("inf")

    return sorted(dict.fromkeys(problems), key=line)


def describe_error(schema: type[BaseModel], data: Any, detail: ErrorDetails, places: Mapping[KeyPath, str]) -> str:
    """Return what is wrong with `data` under a schema as "place: what is wrong", in the words of the config."""
    key = _written_key(schema, data, detail["loc"])
    depth = next((n for n in range(len(key), 0, -1) if key[:n] in places), 0)
    # An error about a whole choice may come from an override of one parameter inside it.
    inside = next((place for path, place in places.items() if path[: len(key)] == key), dotted_key(key))
    place = places.get(key[:depth], inside) if depth == len(key) or inside == dotted_key(key) else inside
    return f"{place}: {_message(schema, data, detail, key)}"


def names_another_alternative(detail: ErrorDetails) -> bool:
    """Whether the error only says that a pair is not the word `auto`."""
    return (
        detail["loc"][:2] == ("data", "value_range")
        and isinstance(detail["input"], list)
        and (detail["type"] == "literal_error")
    )


def _written_key(schema: Any, data: Any, loc: tuple[str | int, ...]) -> KeyPath:
    """Return a pydantic location without the parts that name alternatives of a union."""
    key: list[str | int] = []
    for part in loc:
        fields = getattr(schema, "model_fields", None)
        if fields is None or part not in fields:
            return (*key, part) if fields is not None else tuple(key)
        key.append(part)
        data = data.get(part) if isinstance(data, dict) else None
        schema = section_of(fields[part], data)
    return tuple(key)


_EXPECTED = {
    "int_type": "int",
    "int_parsing": "int",
    "int_from_float": "int",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "path_parsing": "a path",
    "tuple_type": "a list",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "dict_type": "keys and values",
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number >= {ge:g}",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number <= {le:g}",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
    "missing": "two values",
}


def _message(schema: type[BaseModel], data: Any, detail: ErrorDetails, key: KeyPath) -> str:
    kind, received, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(schema, data, key)
    if kind == "value_error":
        return str(context["error"])
    if key[:2] == ("data", "value_range"):
        return "expected auto or [low, high], two numbers"
    if key[:2] == ("data", "size") and kind in ("tuple_type", "missing", "too_long", "too_short"):
        return f"expected a number of pixels or [height, width], received {short_repr(received)}"
    if kind == "literal_error":
        words = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        hint = did_you_mean(received, words) if isinstance(received, str) else ""
        return f"expected one of {', '.join(words)}, received {short_repr(received)}{hint}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind].format(**context)}, received {short_repr(received)}"
    return f"{detail['msg']}, received {short_repr(received)}"


def _unknown_key(schema: type[BaseModel], data: Any, key: KeyPath) -> str:
    *section, last = map(str, key)
    if called := _name_here(schema, dotted_key(key)):
        return f"is called {called} here: write that"
    if section and (kinds := kinds_with(schema.model_fields[section[0]], ".".join([*section[1:], last]))):
        return f"unknown key; {' and '.join(f'{section[0]}.{kind}' for kind in kinds)} has it"
    known = _known_keys(schema, data, section)
    if hint := did_you_mean(last, known):
        return f"unknown key{hint}"
    # A key that is written without its section, or in another one.
    elsewhere = suggested_keys(schema, last) if not section else _keys_called(schema, last)
    return f"unknown key{or_hint(elsewhere) or '; expected one of ' + ', '.join(known)}"


def suggested_keys(schema: type[BaseModel], name: str) -> list[str]:
    """Return the complete keys that were probably meant by a name that is none: none where there is nothing like it."""
    if called := _name_here(schema, name):
        return [called]
    if "." in name:
        near = nearest(name, _all_keys(schema))
        return [near] if near else []
    near = nearest(name, [key.rpartition(".")[2] for key in _all_keys(schema)])
    return _keys_called(schema, name) or (_keys_called(schema, near) if near else [])


def or_hint(keys: Sequence[str]) -> str:
    """Return "; did you mean 'a' or 'b'?", or "" where there are none."""
    named = " or ".join(f"'{key}'" for key in keys)
    return f"; did you mean {named}?" if named else ""


def _name_here(schema: type[BaseModel], name: str) -> str | None:
    """Return the key that is called so elsewhere, or was in an earlier version, with or without its section."""
    others: Mapping[str, str] = getattr(schema, "other_names", {})
    return next((key for other, key in others.items() if name in (other, other.rpartition(".")[2])), None)


def _keys_called(schema: type[BaseModel], name: str) -> list[str]:
    """Return the complete keys whose last part is this name."""
    return [key for key in _all_keys(schema) if key.endswith(f".{name}")]


def _all_keys(schema: type[BaseModel]) -> list[str]:
    return [*known_keys(schema), *nested_keys(schema)]


def _known_keys(schema: Any, data: Any, section: Sequence[str | int]) -> list[str]:
    for part in section:
        data = data.get(part) if isinstance(data, dict) else None
        schema = section_of(schema.model_fields[part], data)
    return list(schema.model_fields)


def dotted_key(key: KeyPath) -> str:
    """Return a key as it is written on the command line."""
    return ".".join(map(str, key))


def short_repr(value: Any) -> str:
    """Return a value for the middle of a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
