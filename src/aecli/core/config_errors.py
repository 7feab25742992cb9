"""What is wrong with a config, in its own words: pydantic's errors with the place that the user wrote."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from aecli.core.errors import did_you_mean
from aecli.core.strict_yaml import Key


def in_order(problems: Iterable[str]) -> list[str]:
    """Return the problems once each, those of the file by line, then those of the overrides."""

    def line(problem: str) -> float:
        number = problem.split(":", 2)[1]
        return int(number) if number.isdigit() else float("inf")

    return sorted(dict.fromkeys(problems), key=line)


def problem(model: type[BaseModel], detail: ErrorDetails, places: Mapping[Key, str]) -> str:
    """Return a validation error of `model` as "place: what is wrong", in the words of the config."""
    key = _written_key(model, detail["loc"])
    depth = next((n for n in range(len(key), 0, -1) if key[:n] in places), 0)
    # An error about a whole choice may come from an override of one parameter inside it.
    inside = next((place for path, place in places.items() if path[: len(key)] == key), dotted(key))
    place = places.get(key[:depth], inside) if depth == len(key) or inside == dotted(key) else inside
    return f"{place}: {_message(model, detail, key)}"


def is_other_alternative(detail: ErrorDetails) -> bool:
    """Whether the error only says that a pair is not the word `auto`."""
    return (
        detail["loc"][:2] == ("data", "value_range")
        and isinstance(detail["input"], list)
        and (detail["type"] == "literal_error")
    )


def _written_key(model: Any, loc: tuple[str | int, ...]) -> Key:
    """Return a pydantic location without the parts that name alternatives of a union."""
    key: list[str | int] = []
    for part in loc:
        fields = getattr(model, "model_fields", None)
        if fields is None or part not in fields:
            return (*key, part) if fields is not None else tuple(key)
        key.append(part)
        model = _section_of(fields[part].annotation)
    return tuple(key)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    options = getattr(annotation, "__args__", (annotation,))
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


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


def _message(model: type[BaseModel], detail: ErrorDetails, key: Key) -> str:
    kind, received, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(model, key[:-1])
        return f"unknown key{did_you_mean(str(key[-1]), known) or '; expected one of ' + ', '.join(known)}"
    if kind == "value_error":
        return str(context["error"])
    if key[:2] == ("data", "value_range"):
        return "expected auto or [low, high], two numbers"
    if key[:2] == ("data", "size") and kind in ("tuple_type", "missing", "too_long", "too_short"):
        return f"expected a number of pixels or [height, width], received {brief(received)}"
    if kind == "literal_error":
        words = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        near = get_close_matches(received, words, n=1) if isinstance(received, str) else []
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"expected one of {', '.join(words)}, received {brief(received)}{hint}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind].format(**context)}, received {brief(received)}"
    return f"{detail['msg']}, received {brief(received)}"


def _known_keys(model: Any, section: Sequence[str | int]) -> list[str]:
    for part in section:
        model = _section_of(model.model_fields[part].annotation)
    return list(model.model_fields)


def dotted(key: Key) -> str:
    """Return a key as it is written on the command line."""
    return ".".join(map(str, key))


def brief(value: Any) -> str:
    """Return a value for the middle of a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
