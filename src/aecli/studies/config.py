"""The config's section of a study: what is compared, over which seeds."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, Strict
from pydantic_core import CoreSchema

from aecli.core import strict_yaml
from aecli.core.errors import ConfigError, did_you_mean
from aecli.core.schema import NameIn, Section
from aecli.runs.config import Config
from aecli.runs.config_file import NamedConfig, known_keys, load_config

_SHARED = (
    "data.train", "data.test", "data.test_split", "data.size", "data.fit", "data.color", "data.frames", "data.axes",
    "training.seed", "data.split_seed",
)  # fmt: skip
"""Keys that decide which images a study compares on: they belong to all its variants."""


def _complete_keys(values: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return the values under complete keys; `learning_rate` alone is `training.learning_rate`."""
    known = known_keys(Config)
    complete = {}
    for key, choices in values.items():
        matches = [name for name in known if key in (name, name.partition(".")[2])]
        if not matches:
            raise ValueError(f"unknown key '{key}'{did_you_mean(key, known) or ': see ae config init'}")
        if matches[0] in _SHARED:
            raise ValueError(f"{key}: belongs to all variants, it cannot vary")
        complete[matches[0]] = choices
    return complete


class _Keys:
    """Says in the schema of a grid which keys it may have."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        complete = [key for key in known_keys(Config) if key not in _SHARED]
        short = [key.partition(".")[2] for key in complete]
        return {**handler(schema), "propertyNames": {"enum": list(dict.fromkeys([*complete, *short]))}}


def _metric_names() -> Iterable[str]:
    # Imported when a config names a metric: other configs, and their errors, need no NumPy.
    from aecli.runs.metrics import comparable

    return comparable()


_Values = Annotated[tuple[Any, ...], Strict(False), Field(min_length=1)]


class StudyConfig(Section):
    """What ae compare compares; ae train does not use it."""

    vary: Annotated[dict[str, _Values], AfterValidator(_complete_keys), _Keys()] = Field(default_factory=dict)
    """key: [values], e.g. {model.latent_dim: [8, 16]}; several keys make a grid; none: eight activations"""
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
