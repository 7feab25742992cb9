"""Configs in files and on the command line: YAML and --set in, one frozen object out, and back."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar, overload

import yaml
from pydantic import BaseModel, ValidationError

from aecli.core import strict_yaml
from aecli.core.config_errors import describe_error, dotted_key, names_another_alternative, short_repr, sort_problems
from aecli.core.errors import ConfigError, did_you_mean, unreadable
from aecli.core.files import packaged
from aecli.core.schema import ConfigJsonSchema, section_of, sections_of
from aecli.core.strict_yaml import KeyPath
from aecli.runs.config import ABSENT, Config

SCHEMA_FILE = "ae.schema.json"
"""The JSON schema of a config, beside the configs that come with the package and those that ae config init writes."""

_DEFAULT_NAME = "default"


_C = TypeVar("_C", bound=Config)

_NO_PART_OF_A_RUN = "study"
"""A section of config files, and of runs that earlier versions wrote, which no training depends on."""


@dataclass(frozen=True)
class NamedConfig(Generic[_C]):
    """A config and the name its run gets by default; `origin` is its file, None for the defaults."""

    config: _C
    name: str
    origin: Path | None

    def with_training_images(self, path: Path | None) -> "NamedConfig[_C]":
        """Return the config with `data.train` set to this path, unchanged for None."""
        if path is None:
            return self
        data = self.config.data.model_copy(update={"train": path})
        return replace(self, config=self.config.model_copy(update={"data": data}))


@overload
def load_config(path: Path | None, overrides: Iterable[str] = ...) -> NamedConfig[Config]: ...
@overload
def load_config(
    path: Path | None,
    overrides: Iterable[str],
    schema: type[_C],
    defaults: Mapping[str, Mapping[str, Any]] = ...,
    last: Iterable[str] = ...,
) -> NamedConfig[_C]: ...
def load_config(
    path: Path | None,
    overrides: Iterable[str] = (),
    schema: Any = Config,
    defaults: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    last: Iterable[str] = (),
) -> NamedConfig[Any]:
    """Read a YAML file, apply `KEY=VALUE` overrides, validate. Raises ConfigError with every problem.

    `defaults` are keys by section that take the place of the schema's own, `last` the keys that the file must have.
    """
    if path is None:
        document, origin = strict_yaml.Document({}), None
    else:
        origin = find_config(path)
        document = strict_yaml.parse(_read(origin), str(path))
    problems = list(document.problems)
    if not problems:
        missing = next((key for key in last if tuple(key.split(".")) not in document.lines), None)
        if missing:
            problems.append(f"{path}: is damaged (it ends before {missing}): train it again with --overwrite")
    if not isinstance(document.data, dict):
        received = short_repr(document.data)
        raise ConfigError([f"{path}: expected keys and values, received {received}: see 'ae config init'"])
    # A section with nothing under it is the section with its defaults.
    data = {key: value for key, value in document.data.items() if value is not None}
    for section, values in defaults.items():
        given = data.setdefault(section, {})
        if isinstance(given, dict):
            data[section] = {**values, **given}
    places = {key: f"{path}:{line}: {dotted_key(key)}" for key, line in document.lines.items()}
    for override in overrides:
        try:
            key, value = parse_override(override)
            _put(schema, data, key, value)
            places |= {(*key, *inner): f"--set {override}" for inner in _paths(value)}
        except ConfigError as error:
            problems += error.problems
    if _NO_PART_OF_A_RUN not in schema.model_fields:
        data.pop(_NO_PART_OF_A_RUN, None)
    config = _validate(schema, data, places, problems)
    return NamedConfig(config, origin.stem if origin else _DEFAULT_NAME, origin)


@overload
def load_recorded(path: Path, overrides: Iterable[str] = ...) -> NamedConfig[Config]: ...
@overload
def load_recorded(path: Path, overrides: Iterable[str], schema: type[_C]) -> NamedConfig[_C]: ...
def load_recorded(path: Path, overrides: Iterable[str] = (), schema: Any = Config) -> NamedConfig[Any]:
    """Read the config that a run or a study holds, which names every key that its version had.

    What is cut off would be taken for today's defaults: the last keys must be there.
    """
    last = ("training.seed", _NO_PART_OF_A_RUN) if _NO_PART_OF_A_RUN in schema.model_fields else ("training.seed",)
    return load_config(path, overrides, schema, ABSENT, last)


def change_config(config: _C, changes: Mapping[str, Any], place: str) -> _C:
    """Return the config with these keys changed, e.g. {"model.latent_dim": 8}; ConfigError says `where: key=value`.

    Where a section becomes another one, such as that of another family, it keeps the keys that it has too.
    """
    schema, data = type(config), config.model_dump(mode="json")
    places: dict[KeyPath, str] = {}
    for name, value in changes.items():
        key = tuple(name.split("."))
        _put(schema, data, key, value)
        places |= {(*key, *inner): f"{place}: {name}={short_repr(value)}" for inner in _paths(value)}
    for name, info in schema.model_fields.items():
        section = section_of(info, data[name])
        if section is not None and section is not type(getattr(config, name)):
            changed = {key.split(".")[1] for key in changes if key.startswith(f"{name}.")}
            data[name] = {k: v for k, v in data[name].items() if k in changed or k in section.model_fields}
    return _validate(schema, data, places, [])


def _validate(schema: type[_C], data: dict[str, Any], places: Mapping[KeyPath, str], problems: list[str]) -> _C:
    try:
        config = schema.model_validate(data)
    except ValidationError as error:
        details = [d for d in error.errors(include_url=False) if not names_another_alternative(d)]
        problems = problems + [describe_error(schema, data, detail, places) for detail in details]
        raise ConfigError(sort_problems(problems)) from error
    if problems:
        raise ConfigError(sort_problems(problems))
    return config


def is_packaged(path: Path) -> bool:
    """Whether a config of this name comes with the package."""
    ours = packaged("configs") / f"{path.stem}.yaml"
    return path.parent == Path() and path.suffix in ("", ".yaml") and ours.is_file()


def find_config(path: Path) -> Path:
    """Return the file itself, or the packaged config of that name when there is no such file."""
    if path.is_file():
        return path
    if is_packaged(path):
        return packaged("configs") / f"{path.stem}.yaml"
    if path.is_dir():
        raise ConfigError([f"{path}: is a folder, expected a YAML file: give a file"])
    hint = _near_config(path) or "; write one with 'ae config init'"
    raise ConfigError([f"{path}: no such file{hint}"])


def _near_config(path: Path) -> str:
    """Return which file beside it, or which packaged config, was probably meant."""
    here = [file.name for file in path.parent.glob("*.y*ml")]
    if path.suffix or path.parent != Path():
        ours = [] if path.parent != Path() else [file.name for file in packaged("configs").glob("*.yaml")]
        return did_you_mean(path.name, [*ours, *here])
    return did_you_mean(path.name, [file.stem for file in packaged("configs").glob("*.yaml")]) or did_you_mean(
        f"{path.name}.yaml", here
    )


def _read(path: Path) -> str:
    try:
        # One byte more than a config may have is enough to refuse it.
        with path.open("rb") as file:
            return file.read(strict_yaml.MAX_BYTES + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text: save it as UTF-8"]) from error
    except OSError as error:
        raise unreadable(path, error) from error


def to_yaml(config: Config) -> str:
    """Return the complete config, every default written out."""
    return sections_yaml(config.model_dump(mode="json"))


def sections_yaml(content: Mapping[str, Any]) -> str:
    """Return sections of keys as a config file has them."""
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)


def starter_yaml(schema: type[Config]) -> str:
    """Return a commented config with every key at its default."""
    lines = [
        f"# yaml-language-server: $schema={SCHEMA_FILE}",
        "# A config for ae train; every key is optional and shown with its default.",
    ]
    for name, info in schema.model_fields.items():
        lines += ["", f"{name}:  # {info.description}"]
        first, *others = sections_of(info)
        lines += _starter_lines(first, first.model_fields, "  ")
        for other in others:
            lines += ["", "  # Or another kind:"]
            lines += _starter_lines(other, [key for key in other.model_fields if _is_own(other, key, first)], "  # ")
    return "\n".join(lines) + "\n"


def _starter_lines(section: type[BaseModel], keys: Iterable[str], margin: str) -> Iterator[str]:
    """Yield what each of these keys means, and the key with its default."""
    defaults = section().model_dump(mode="json")
    for key in keys:
        yield f"  # {section.model_fields[key].description}"
        yield f"{margin}{key}: {in_a_line(defaults[key])}"


def in_a_line(value: Any) -> str:
    """Return a value as YAML in one line."""
    dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return str(dumped).removesuffix("...\n").strip()


def _is_own(section: type[BaseModel], key: str, first: type[BaseModel]) -> bool:
    """Whether a key is not among those of the first section of its kind, or not with this default."""
    field = first.model_fields.get(key)
    return field is None or field.default != section.model_fields[key].default


def json_schema(schema: type[Config]) -> dict[str, Any]:
    """Return the JSON schema of a config, for editors."""
    content = schema.model_json_schema(schema_generator=ConfigJsonSchema)
    # A section with nothing under it is the section with its defaults.
    sections = {name: _or_null(section) for name, section in content["properties"].items()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content, "properties": sections}


def schema_text(schema: type[Config]) -> str:
    """Return the JSON schema of a config as a file."""
    return json.dumps(json_schema(schema), indent=2, allow_nan=False) + "\n"


def _or_null(section: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: section[key] for key in ("description", "default") if key in section}
    own = {key: value for key, value in section.items() if key not in said}
    return {"anyOf": [own, {"type": "null"}], **said}


def parse_override(override: str) -> tuple[tuple[str, ...], Any]:
    """Return the parts of the key and the value of `KEY=VALUE`; ConfigError where it is none."""
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError([f"--set {override}: expected KEY=VALUE, e.g. --set training.epochs=20"])
    document = strict_yaml.parse(text, f"--set {name}")
    if document.problems:
        raise ConfigError(document.problems)
    # An empty value is the empty document; in a config it means null.
    return tuple(name.split(".")), document.data if text.strip() else None


def _put(schema: type[Config], data: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    *parents, last = key
    default: Any = _defaults(schema, data)
    for parent in parents:
        default = default.get(parent) if isinstance(default, dict) else None
        inner = data.get(parent, default)
        if isinstance(inner, dict) and parent not in data:
            # The default's choice, whose other parameters come from its table; not a section's keys.
            inner = {"name": inner["name"]} if "name" in inner else {}
        elif isinstance(inner, str):
            # `--set model.activation.alpha=2` on `activation: elu` names a parameter of that choice.
            inner = {"name": inner}
        section: dict[str, Any] = inner if isinstance(inner, dict) else {}
        data[parent] = section
        data = section
    data[last] = value


def _defaults(schema: type[Config], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of the sections that the data name."""
    sections = {name: section_of(info, data.get(name)) for name, info in schema.model_fields.items()}
    return {name: section().model_dump(mode="json") for name, section in sections.items() if section is not None}


def _paths(value: Any) -> list[KeyPath]:
    if isinstance(value, dict):
        return [(), *((key, *inner) for key, item in value.items() for inner in _paths(item))]
    return [()]
