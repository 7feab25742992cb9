"""What the shell may complete a word to: configs, keys and their values, runs and studies.

Called for a key press: nothing here loads what a config, a run or a study is made of.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

Items: TypeAlias = "list[CompletionItem[str]]"  # generic in newer releases of click only
Complete = Callable[[click.Context, click.Parameter, str], Items]

_PLACES = {"runs": "config.yaml", "studies": "study.yaml"}
"""Where runs and studies go by default, and the file that makes a folder one."""


_SAFE = re.compile(r"\w[\w.+=@%-]*")
"""Names that a shell takes as they are: others, such as `$(command)`, are left to its own completion of files."""


def complete_words(words: Iterable[str]) -> Complete:
    """Return what completes one of these words."""
    return lambda _, __, incomplete: _starting(words, incomplete)


def complete_config(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete the name of a config that comes with ae, or a file."""
    return _starting(_configs(), incomplete) or [CompletionItem(incomplete, type="file")]


def complete_configs(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete the last of several configs."""
    return _listed(_configs(), incomplete)


def complete_activations(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete the last of several activations."""
    return _listed(config_keys()["model.activation"], incomplete)


def complete_metric(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete the name of a metric."""
    return _starting(config_keys()["study.metric"], incomplete)


def complete_setting(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete a key, and after its `=` its value."""
    key, equals, value = incomplete.partition("=")
    keys = config_keys()
    if not equals:
        return _starting([f"{name}=" for name in keys], incomplete)
    return [CompletionItem(f"{key}={word}") for word in keys.get(key, ()) if word.startswith(value)]


def complete_values(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete a key that a study may vary, and after its `=` the last of its values."""
    key, equals, values = incomplete.partition("=")
    keys = {name: words for name, words in config_keys().items() if not name.startswith("study.")}
    if not equals:
        return _starting([f"{name}=" for name in keys], incomplete)
    return [CompletionItem(f"{key}={item.value}") for item in _listed(keys.get(key, ()), values)]


def complete_run(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete the name of a run, or a folder."""
    return _folders(incomplete, "runs")


def complete_study_or_run(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete the name of a study or of a run, or a folder."""
    return _folders(incomplete, "studies", "runs")


def config_keys() -> dict[str, tuple[str, ...]]:
    """Return every key of a config as it is written, with the words that its value may be, from the JSON schema."""
    from aecli.core.files import packaged

    schema = json.loads((packaged("configs") / "ae.schema.json").read_text(encoding="utf-8"))
    keys: dict[str, dict[str, None]] = {}
    for name, section in schema["properties"].items():
        _collect(section, name, schema["$defs"], keys)
    # `null` alone is no choice: it stands for the default of a number or of a section.
    return {key: tuple(words) if [*words] != ["null"] else () for key, words in keys.items()}


def _collect(
    node: Mapping[str, Any], name: str, definitions: Mapping[str, Any], keys: dict[str, dict[str, None]]
) -> None:
    for kind in _alternatives(node, definitions):
        # A section has a title; a choice with its parameters has none.
        for key, inner in kind.get("properties", {}).items() if "title" in kind else ():
            words = keys.setdefault(f"{name}.{key}", {})
            words |= dict.fromkeys(word for one in _alternatives(inner, definitions) for word in _words(one))
            _collect(inner, f"{name}.{key}", definitions, keys)


def _alternatives(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what a value may be, references followed."""
    inner = [*node.get("anyOf", ()), *node.get("allOf", ())]
    if "$ref" in node:
        inner.append(definitions[node["$ref"].rpartition("/")[2]])
    if not inner:
        yield node
    for one in inner:
        yield from _alternatives(one, definitions)


def _words(node: Mapping[str, Any]) -> list[str]:
    if node.get("type") in ("boolean", "null"):
        return ["true", "false"] if node["type"] == "boolean" else ["null"]
    return [word for word in node.get("enum", [node.get("const")]) if isinstance(word, str)]


def _configs() -> list[str]:
    from aecli.core.files import packaged

    ours = sorted(file.stem for file in packaged("configs").glob("*.yaml"))
    return [*ours, *sorted(name for name in os.listdir() if name.endswith((".yaml", ".yml")) and _SAFE.fullmatch(name))]


def _folders(incomplete: str, *places: str) -> Items:
    """Complete what stands in a place, by its name or with the place's; where there is none, a folder."""
    found = [f"{place}/{name}" for place in places for name in _names(place)]
    words = found if "/" in incomplete else [path.partition("/")[2] for path in found]
    return _starting(dict.fromkeys(words), incomplete) or [CompletionItem(incomplete, type="dir")]


def _names(place: str) -> list[str]:
    try:
        names = [name for name in os.listdir(place) if _SAFE.fullmatch(name)]
    except OSError:
        return []
    return sorted(name for name in names if os.path.isfile(f"{place}/{name}/{_PLACES[place]}"))


def _starting(words: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _listed(words: Iterable[str], incomplete: str) -> Items:
    """Complete the last word of A,B,..."""
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(f"{before}{comma}{word}") for word in words if word.startswith(last)]
