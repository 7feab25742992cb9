"""The whole configs of a study: read from their files, so that the study holds all that its runs depend on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aecli.core.errors import ConfigError, escaped
from aecli.core.progress import ProgressCallback, no_progress
from aecli.runs.config import Config
from aecli.runs.config_file import NamedConfig, change_config, load_config
from aecli.studies.config import StudyConfig, StudyFile, belongs_to_all, own_keys

SUGGESTED = "suggested"
"""The name that stands for what suits the images, where no file has it."""

Note = Callable[[str], None]


def _no_note(_: str) -> None: ...


def load_with_configs(
    path: Path | None, changes: Mapping[str, Any], configs: Mapping[str, Any] | Sequence[str] | None, place: str
) -> tuple[NamedConfig[StudyFile], dict[str, Any]] | None:
    """Read the config file of a study of whole configs; return it, and those of the changes that are for every row.

    `configs` are the rows where they are given beside the file, `changes` keys and values for which errors say
    `place`. None where neither file nor changes name configs: then the study has a network of its own.
    """
    shared, for_rows = _by_owner(changes)
    try:
        named = load_config(path, (), StudyFile)
        config = change_config(named.config, shared, place)
        if configs is not None:
            config = change_config(config, {"study.configs": configs}, place)
    except ConfigError:
        if configs is None:
            return None  # what is wrong is said by who reads it as a config with a network
        raise
    if not config.study.configs:
        return None
    return NamedConfig(config, named.name, named.origin), for_rows


def _by_owner(changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the changes of the study's own keys, and those of the keys that every row has."""
    keys: dict[str, Any] = {}
    for name, value in changes.items():
        inside = name in ("data", "training") and isinstance(value, Mapping)
        keys |= {f"{name}.{key}": item for key, item in value.items()} if inside else {name: value}
    shared = {key: value for key, value in keys.items() if key.partition(".")[0] == "study" or belongs_to_all(key)}
    return shared, {key: value for key, value in keys.items() if key not in shared}


def read_configs(
    config: StudyFile,
    changes: Mapping[str, Any] = MappingProxyType({}),
    note: Note = _no_note,
    on_progress: ProgressCallback = no_progress,
) -> StudyFile:
    """Return a study with the content of every config that it names, and without a network of its own.

    `changes` are made to each of them. `note` hears which keys of a file are not used, since they belong to all. Raises
    ConfigError where a file is none, or a change is not for a config, which it names.
    """
    rows, plain = config.study.configs, _without_network(config)
    if plain != _without_study(config):
        note("study: its rows are whole configs, so its own network and training are not used")
    read = {name: _read(name, row, plain, note) for name, row in rows.items() if not _is_suggested(row)}
    if changes:
        read = {name: change_config(row, changes, name) for name, row in read.items()}
    for name in rows.keys() - read.keys():  # last: it is the images that take time
        read[name] = change_config(_suggested(name, plain, note, on_progress), changes, name)
    study = config.study.model_copy(update={"configs": {name: own_keys(read[name]) for name in rows}})
    return plain.model_copy(update={"study": study})


def _without_network(config: StudyFile) -> StudyFile:
    """Return the keys of a study of whole configs that belong to all, and defaults for the others."""
    content = config.model_dump(mode="json", exclude={"study", "model"})
    shared = {
        section: {key: value for key, value in keys.items() if belongs_to_all(f"{section}.{key}")}
        for section, keys in content.items()
    }
    return StudyFile.model_validate(shared)


def _without_study(config: StudyFile) -> StudyFile:
    return config.model_copy(update={"study": StudyConfig()})


def _is_suggested(row: Any) -> bool:
    return row == SUGGESTED and not Path(SUGGESTED).is_file()


def _read(name: str, row: Any, plain: StudyFile, note: Note) -> Config:
    """Return the config of a row."""
    if not isinstance(row, str):
        return Config.model_validate(row)
    config = load_config(Path(row), (), StudyFile).config
    unused = [*_of_all(config, plain), *(["study"] if config.study != StudyConfig() else [])]
    if unused:
        note(
            f"{escaped(row)}: not used, since all configs of a study share them: {', '.join(unused)} (--set gives them)"
        )
    return config.run_config


def _of_all(config: Config, plain: StudyFile) -> list[str]:
    """Return the keys of a file that belong to all rows, and say something else than the study does."""
    ours, theirs, default = (each.model_dump(mode="json") for each in (plain, config, Config()))
    return [
        f"{section}.{key}"
        for section, keys in default.items()
        for key, value in keys.items()
        if belongs_to_all(f"{section}.{key}") and theirs[section][key] not in (value, ours[section][key])
    ]


def _suggested(name: str, plain: StudyFile, note: Note, on_progress: ProgressCallback) -> Config:
    """Return what suits the study's images."""
    from aecli.training.suggest.config import suggest_config

    suggested = suggest_config(plain, on_progress=on_progress)
    note(f"{name}: {suggested.chosen()}")
    return suggested.config.run_config


def with_config(config: StudyFile, row: Mapping[str, Mapping[str, Any]]) -> StudyFile:
    """Return the study's config with the network and the training of a row, and no other rows."""
    content = config.model_dump(mode="json", exclude={"study": {"configs"}})
    content["data"] |= row["data"]
    content["model"], content["training"] = row["model"], {**row["training"], "seed": config.training.seed}
    return StudyFile.model_validate(content)
