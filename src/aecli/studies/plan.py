"""What a study trains: the grid of its variants, and their seeds."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aecli.core.errors import AeError
from aecli.runs.config import Config
from aecli.runs.config_file import change_config
from aecli.studies.config import StudyFile
from aecli.studies.configs import read_configs, with_config
from aecli.studies.parts.part import Part

_DEFAULT_ACTIVATIONS = ("relu", "leaky_relu", "prelu", "sigmoid", "tanh", "elu", "gelu", "linear")
"""What is compared where the config varies nothing."""


_TEST_SPLIT = 0.1
"""Share of the images kept for the test where there is no file of test images and the config says nothing."""


@dataclass(frozen=True)
class Variant:
    """One cell of the grid: what was changed in the config, and the config that came of it.

    `tuned` are the changes of which each variant keeps its own best; `label` is the name of the variant without them.
    `of` is the name of the config that was changed where the study names whole configs, "" where it has one.
    """

    changes: tuple[tuple[str, Any], ...]
    tuned: tuple[tuple[str, Any], ...]
    config: StudyFile
    of: str = ""

    @property
    def label(self) -> str:
        """The name of the table's row: its config where there are several, and the values that vary."""
        return ", ".join(part for part in (self.of, _name(self.changes)) if part) or "config"

    @property
    def name(self) -> str:
        """The name of the variant: its row, and the tuned values."""
        return ", ".join(part for part in (self.of, _name(self.changes), _name(self.tuned)) if part) or "config"

    def at(self, seed: int) -> Config:
        """Return the config of the run with this seed."""
        keys: dict[str, Any] = {"training.seed": seed}
        if self.config.study.split == "fixed":
            keys["data.split_seed"] = self.config.split_seed
        return change_config(self.config, keys, self.name).run_config


def complete_study(config: StudyFile) -> StudyFile:
    """Return the config of a study with all that it compares: whole configs read, eight activations for nothing."""
    if config.study.configs:
        return read_configs(config)
    if config.study.vary:
        return config
    return change_config(config, {"study.vary": {"model.activation": list(_DEFAULT_ACTIVATIONS)}}, "study")


def plan(config: StudyFile) -> tuple[Variant, ...]:
    """Return the variants of a config's study; raises ConfigError for a value that its key cannot have."""
    config = complete_study(config)
    study = config.study
    if not (config.data.test or config.data.test_split):
        config = change_config(config, {"data.test_split": _TEST_SPLIT}, "study")
    bases = {name: with_config(config, row) for name, row in study.configs.items()} or {"": config}
    variants = []
    for name, base in bases.items():
        for changes in _combinations(study.vary):
            for tuned in _combinations(study.tune):
                merged = dict([*changes, *tuned])
                place = f"study: {name}" if name else "study"
                variants.append(Variant(changes, tuned, change_config(base, merged, place), name))
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AeError(f"study: the variant {twice} is there twice: name every value once")
    return tuple(variants)


def seeds(config: StudyFile) -> range:
    """Return the seeds of a config's study."""
    return range(config.training.seed, config.training.seed + config.study.seeds)


def planned_runs(config: StudyFile, part: Part | None = None) -> list[tuple[Variant, int]]:
    """Return the runs of a config's study, variants with seeds, in order; of a part, those of its share."""
    groups = [[(variant, seed) for seed in seeds(config)] for variant in plan(config)]
    return (part or Part(1, 1)).share(groups)


def _combinations(values: Mapping[str, Iterable[Any]]) -> list[tuple[tuple[str, Any], ...]]:
    return [tuple(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def _name(changes: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(
        _text(value) if key == "model.activation" else f"{key.partition('.')[2]}={_text(value)}"
        for key, value in changes
    )


def _text(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        parameters = ", ".join(f"{k}={_text(v)}" for k, v in value.items() if k != "name")
        return f"{value['name']}({parameters})" if parameters else str(value["name"])
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
    if value is None:
        return "null"
    if isinstance(value, list):
        return "-".join(map(_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
