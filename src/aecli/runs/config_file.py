"""Configs in files and on the command line: YAML and --set in, one frozen object out, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from aecli.core import strict_yaml
from aecli.core.config_errors import brief, dotted, in_order, is_other_alternative, problem
from aecli.core.errors import ConfigError, did_you_mean, unreadable
from aecli.core.files import packaged
from aecli.core.strict_yaml import Key
from aecli.runs.config import Config

DEFAULT_NAME = "default"


@dataclass(frozen=True)
class NamedConfig:
    """A config and the name its run gets by default; `origin` is its file, None for the defaults."""

    config: Config
    name: str
    origin: Path | None

    def with_training_images(self, path: Path | None) -> "NamedConfig":
        """Return the config with `data.train` set to this path, unchanged for None."""
        if path is None:
            return self
        data = self.config.data.model_copy(update={"train": path})
        return replace(self, config=self.config.model_copy(update={"data": data}))


def load_config(path: Path | None, overrides: Iterable[str] = ()) -> NamedConfig:
    """Read a YAML file, apply `KEY=VALUE` overrides, validate. Raises ConfigError with every problem."""
    if path is None:
        document, origin = strict_yaml.Document({}), None
    else:
        origin = find_config(path)
        document = strict_yaml.parse(_read(origin), str(path))
    problems = list(document.problems)
    if not isinstance(document.data, dict):
        raise ConfigError([f"{path}: expected keys and values, received {brief(document.data)}: see 'ae config init'"])
    # A section with nothing under it is the section with its defaults.
    data = {key: value for key, value in document.data.items() if value is not None}
    places = {key: f"{path}:{line}: {dotted(key)}" for key, line in document.lines.items()}
    for override in overrides:
        try:
            key, value = _parse_override(override)
            _put(data, key, value)
            places |= {(*key, *inner): f"--set {override}" for inner in _paths(value)}
        except ConfigError as error:
            problems += error.problems
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems += [problem(Config, detail, places) for detail in details if not is_other_alternative(detail)]
        raise ConfigError(in_order(problems)) from error
    if problems:
        raise ConfigError(in_order(problems))
    return NamedConfig(config, origin.stem if origin else DEFAULT_NAME, origin)


def varied(config: Config, changes: Mapping[str, Any], where: str) -> Config:
    """Return the config with these keys changed, e.g. {"model.latent_dim": 8}; ConfigError says `where: key=value`."""
    data = config.model_dump(mode="json")
    places: dict[Key, str] = {}
    for name, value in changes.items():
        key = tuple(name.split("."))
        _put(data, key, value)
        places |= {(*key, *inner): f"{where}: {name}={brief(value)}" for inner in _paths(value)}
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError(
            in_order([problem(Config, detail, places) for detail in details if not is_other_alternative(detail)])
        ) from error


def find_config(path: Path) -> Path:
    """Return the file itself, or the packaged config of that name when there is no such file."""
    if path.is_file():
        return path
    ours = packaged("configs") / f"{path.stem}.yaml"
    if path.parent == Path() and path.suffix in ("", ".yaml") and ours.is_file():
        return ours
    if path.is_dir():
        raise ConfigError([f"{path}: is a folder, expected a YAML file: give a file"])
    names = [p.name for p in packaged("configs").glob("*.yaml")] if path.parent == Path() else []
    hint = did_you_mean(path.name, names) or "; write one with 'ae config init'"
    raise ConfigError([f"{path}: no such file{hint}"])


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
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=100)


def starter_yaml() -> str:
    """Return a commented config with every key at its default."""
    lines = ["# A config for ae train; every key is optional and shown with its default."]
    for name, info in Config.model_fields.items():
        section = getattr(Config(), name)
        lines += ["", f"{name}:  # {info.description}"]
        for key, field in type(section).model_fields.items():
            dumped = yaml.safe_dump(
                section.model_dump(mode="json")[key], default_flow_style=True, sort_keys=False, width=1000
            )
            value = dumped.removesuffix("...\n").strip()
            lines += [f"  # {field.description}", f"  {key}: {value}"]
    return "\n".join(lines) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a config, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def _parse_override(override: str) -> tuple[tuple[str, ...], Any]:
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError([f"--set {override}: expected KEY=VALUE, e.g. --set training.epochs=20"])
    document = strict_yaml.parse(text, f"--set {name}")
    if document.problems:
        raise ConfigError(document.problems)
    # An empty value is the empty document; in a config it means null.
    return tuple(name.split(".")), document.data if text.strip() else None


def _put(data: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    *parents, last = key
    default: Any = Config().model_dump(mode="json")
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


def _paths(value: Any) -> list[Key]:
    if isinstance(value, dict):
        return [(), *((key, *inner) for key, item in value.items() for inner in _paths(item))]
    return [()]
