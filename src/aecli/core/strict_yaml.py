"""YAML as a config needs it: plain values with their line numbers, and nothing that surprises.

Numbers follow YAML 1.2 (`1e-3` is a number, `on` is text). Anchors, merge keys, tags, duplicate
keys and deep nesting are refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from aecli.core.errors import ConfigError

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 20

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed document: plain data, the line of each key path, and the problems found on the way."""

    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's loader with the scalar rules of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_NUMBER_START = list("-+.0123456789")
_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]{1,300}$"), _NUMBER_START)
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    _NUMBER_START,
)

_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "tag:yaml.org,2002:str": str,
}


def parse(text: str, name: str) -> Document:
    """Parse one document; `name` opens each problem. Raises ConfigError where no data can be had."""
    if len(text.encode()) > MAX_BYTES:
        raise ConfigError([f"{name}: larger than {MAX_BYTES // 1024} KB: a config is a short file, is this one?"])
    try:
        _refuse_structure(text, name)
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError([f"{name}:{line}: not valid YAML: {error.problem}: correct this line"]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{name}: not valid YAML: {' '.join(str(error).split())}: save it as text"]) from error
    document = Document(data={})
    if node is None:
        return document
    return Document(_value(node, (), name, document), document.lines, document.problems)


def _refuse_structure(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_CoreLoader):
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError([f"{name}:{line}: anchors and aliases are not used here: write the value out"])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise ConfigError([f"{name}:{line}: nested deeper than {_MAX_DEPTH} levels: a config has three"])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _value(node: yaml.Node, key: KeyPath, name: str, document: Document) -> Any:
    line = _line(node)
    document.lines.setdefault(key, line)
    if node.tag not in _COLLECTIONS and node.tag not in _SCALARS:
        document.problems.append(f"{name}:{line}: the tag '{node.tag}' is not used here: write a plain value")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, key, name, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*key, i), name, document) for i, item in enumerate(node.value)]
    return _SCALARS.get(node.tag, str)(node.value)


def _mapping(node: yaml.MappingNode, key: KeyPath, name: str, document: Document) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = _line(key_node)
        if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
            what = "merge keys are" if isinstance(key_node, yaml.ScalarNode) else "a list or mapping as a key is"
            document.problems.append(f"{name}:{line}: {what} not used here: write the keys out")
            continue
        word = key_node.value
        path = (*key, word)
        if word in mapping:
            dotted = ".".join(map(str, path))
            document.problems.append(
                f"{name}:{line}: {dotted}: duplicate key, first on line {document.lines[path]}: remove one"
            )
            continue
        document.lines[path] = line
        mapping[word] = _value(value_node, path, name, document)
    return mapping
