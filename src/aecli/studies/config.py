"""The config's section of a study: what is compared, over which seeds."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, Strict, ValidationError
from pydantic_core import CoreSchema

from aecli.core import strict_yaml
from aecli.core.config_errors import describe_error, or_hint, short_repr, suggested_keys
from aecli.core.errors import ConfigError, escaped
from aecli.core.schema import NameIn, Section, known_keys, nested_keys
from aecli.runs.config import Config
from aecli.runs.config_file import NamedConfig, load_config, sections_yaml

_SHARED = (
    "data.train", "data.test", "data.test_split", "data.size", "data.fit", "data.color", "data.frames", "data.axes",
    "data.only_label", "training.seed", "data.split_seed",
)  # fmt: skip
"""Keys that decide which images a study compares on: they belong to all its variants."""


_OWN_DATA = ("data.augment", "data.memory_budget")
"""Keys of the data that a whole config of a study brings; the others say which images, and how to read them."""

_LONGEST_NAME = 100


def belongs_to_all(key: str) -> bool:
    """Whether a key is the study's own where its rows are whole configs."""
    return key == "training.seed" or (key.startswith("data.") and key not in _OWN_DATA)


def own_keys(config: Config) -> dict[str, dict[str, Any]]:
    """Return a config as a study holds it: complete, by section, without the keys that belong to all its rows."""
    content = config.model_dump(mode="json")
    return {
        section: {key: value for key, value in keys.items() if not belongs_to_all(f"{section}.{key}")}
        for section, keys in content.items()
    }


def folder_name(name: str) -> str:
    """Return the folder's name of a variant: letters, digits and what reads well."""
    return re.sub(r"[^\w.=+-]+", "_", name).strip("_")


def config_name(text: str) -> str:
    """Return what the row of a config is called that is given by name or as a file."""
    return Path(text).stem


def configs_by_name(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the configs of a study by the names of their rows; ValueError where two rows could not be told apart."""
    named: dict[str, Any] = {}
    folders: dict[str, str] = {}
    for name, config in pairs:
        # In a file system that takes `Conv` and `conv` for the same, their runs would be too.
        folder = folder_name(name).casefold()
        if not re.search(r"\w", folder) or not name.isprintable() or len(name) > _LONGEST_NAME:
            raise ValueError(f"'{escaped(name)[:60]}' is no name for a row: give it one, {{NAME: FILE}}")
        if folder in folders:
            first = folders[folder]
            if named[first] == config:
                raise ValueError(f"{name} is there twice: name every config once")
            both = name if first == name else f"{first} and {name}"
            what = "two configs are called" if first == name else "the runs would have the same folder of"
            raise ValueError(f"{what} {both}: give one another name, {{NAME: FILE}}")
        named[name], folders[folder] = config, name
    return named


def _configs(value: Any) -> dict[str, Any]:
    """Return what the rows of a study are: names and files, and contents of configs, each by the name of its row."""
    wanted = "a list of names and files of configs, e.g. [relu, mine.yaml], or {NAME: FILE}"
    if isinstance(value, list | tuple):
        if not value or not all(isinstance(item, str) for item in value):
            raise ValueError(f"expected {wanted}, received {short_repr(value)}")
        value = configs_by_name((config_name(item), item) for item in value)
    if not isinstance(value, dict):
        raise ValueError(f"expected {wanted}, received {short_repr(value)}")
    named = configs_by_name((str(name), config) for name, config in value.items())
    return {name: config if isinstance(config, str) else _whole(name, config) for name, config in named.items()}


def _whole(name: str, content: Any) -> dict[str, dict[str, Any]]:
    """Return the complete keys of a row whose content stands in the study; ValueError says what is wrong with them."""
    if not isinstance(content, dict):
        raise ValueError(f"{name}: expected a file or the sections of a config, received {short_repr(content)}")
    content = {section: keys for section, keys in content.items() if keys is not None}
    for section, keys in content.items():
        for key in keys if isinstance(keys, dict) else ():
            if belongs_to_all(f"{section}.{key}"):
                raise ValueError(f"{name}: {section}.{key}: belongs to all configs, say it outside of study.configs")
    try:
        return own_keys(Config.model_validate(content))
    except ValidationError as error:
        problems = [describe_error(Config, content, detail, {}) for detail in error.errors(include_url=False)]
        raise ValueError("; ".join(f"{name}: {problem}" for problem in problems)) from error


class _ConfigsSchema:
    """Says in the schema what `_configs` takes."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        one = {"anyOf": [{"type": "string"}, {"type": "object"}]}
        named = {"type": "object", "additionalProperties": one}
        return {"anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 1}, named]}


def _complete_keys(values: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return the values under complete keys; `learning_rate` alone is `training.learning_rate`."""
    known = [*known_keys(Config), *nested_keys(Config)]
    complete = {}
    for key, choices in values.items():
        matches = [name for name in known if key in (name, name.partition(".")[2])]
        if not matches:
            raise ValueError(f"unknown key '{key}'{or_hint(suggested_keys(Config, key)) or ': see ae config init'}")
        if matches[0] in _SHARED:
            raise ValueError(f"{key}: belongs to all variants, it cannot vary")
        complete[matches[0]] = choices
    return complete


class _Keys:
    """Says in the schema of a grid which keys it may have."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        complete = [key for key in (*known_keys(Config), *nested_keys(Config)) if key not in _SHARED]
        short = [key.partition(".")[2] for key in complete]
        return {**handler(schema), "propertyNames": {"enum": list(dict.fromkeys([*complete, *short]))}}


def _metric_names() -> Iterable[str]:
    # Imported when a config names a metric: other configs, and their errors, need no NumPy.
    from aecli.runs.metrics import comparable

    return comparable()


_Values = Annotated[tuple[Any, ...], Strict(False), Field(min_length=1)]


class StudyConfig(Section):
    """What ae compare compares; ae train does not use it."""

    configs: Annotated[dict[str, Any], BeforeValidator(_configs), _ConfigsSchema()] = Field(default_factory=dict)
    """whole configs to compare, by name or file, e.g. [relu, mine.yaml], or {name: file}; vary then varies each"""
    vary: Annotated[dict[str, _Values], AfterValidator(_complete_keys), _Keys()] = Field(default_factory=dict)
    """key: [values], e.g. {model.latent_dim: [8, 16]}; several make a grid; no key, no configs: eight activations"""
    tune: Annotated[dict[str, _Values], AfterValidator(_complete_keys), _Keys()] = Field(default_factory=dict)
    """key: [values], of which each variant takes its own best by the validation images"""
    seeds: Annotated[int, Field(gt=0, le=10_000)] = 5
    """runs of every variant, with the seeds training.seed, training.seed + 1, ..."""
    split: Literal["per_seed", "fixed"] = "per_seed"
    """per_seed: each seed draws the split anew; fixed: all seeds share that of the first"""
    metric: Annotated[str, NameIn(_metric_names)] = "mse"
    """what the variants are compared by, on the test images"""


class StudyFile(Config):
    """What a config file holds: everything a training depends on, and what a study makes of it."""

    study: StudyConfig = StudyConfig()
    """what ae compare compares"""

    @property
    def run_config(self) -> Config:
        """The config of a run by itself."""
        return Config(data=self.data, model=self.model, training=self.training)


def load_run_config(path: Path | None, overrides: Iterable[str] = ()) -> NamedConfig[Config]:
    """Read a config file for a run by itself: its study section is validated, and left out."""
    named = load_config(path, overrides, StudyFile)
    return NamedConfig(named.config.run_config, named.name, named.origin)


def study_yaml(config: StudyFile) -> str:
    """Return a study's config as its folder holds it, complete.

    Where its rows are whole configs it has no network of its own; where it names none, it has no key for them.
    """
    content = config.model_dump(mode="json")
    if config.study.configs:
        content = {**content, "training": {"seed": config.training.seed}}
        content["data"] = {key: value for key, value in content["data"].items() if belongs_to_all(f"data.{key}")}
        del content["model"]
    else:
        del content["study"]["configs"]
    return sections_yaml(content)


def parse_configs(text: str, option: str) -> dict[str, str]:
    """Read `A,B,...`, names and files of configs, or NAME=FILE; raises ConfigError that names the option."""
    parts = [[part.strip() for part in item.split("=", 1)] for item in text.split(",")]
    if not all(map(all, parts)):
        raise ConfigError(
            [f"{option} {text}: expected A,B,..., names and files of configs, e.g. {option} relu,my.yaml"]
        )
    try:
        return configs_by_name((config_name(part[0]) if len(part) == 1 else part[0], part[-1]) for part in parts)
    except ValueError as error:
        raise ConfigError([f"{option}: {str(error).replace('{NAME: FILE}', f'{option} NAME=FILE')}"]) from error


def parse_values(assignments: Iterable[str], option: str) -> dict[str, list[Any]]:
    """Read `KEY=A,B,...`, or `KEY=[A,B,...]`, into {key: [values]}; raises ConfigError that names the option."""
    values = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        document = strict_yaml.parse(f"[{text}]", f"{option} {key}")
        if document.problems or not (equals and key and isinstance(document.data, list) and document.data):
            raise ConfigError([f"{option} {assignment}: expected KEY=A,B,..., e.g. {option} model.latent_dim=8,16"])
        (first, *others) = document.data
        # Numbers alone are one value, such as the widths of model.hidden.
        is_list = not others and isinstance(first, list) and not all(isinstance(item, int) for item in first)
        values[key] = first if is_list else document.data
    return values
