"""The typed config: YAML and --set in, one frozen object with every default out.

Every key lives here (or in its model family) once; all problems of a config are reported together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, Strict, ValidationError

from aecli.core import strict_yaml
from aecli.core.config_errors import brief, dotted, in_order, is_other_alternative, problem
from aecli.core.errors import ConfigError, did_you_mean, unreadable
from aecli.core.files import packaged
from aecli.core.schema import Choice, ChoiceOf, Parameter, Section, parse_choice
from aecli.core.strict_yaml import Key
from aecli.data.config import DataConfig
from aecli.data.corruption import Corruption
from aecli.models.dense import DenseModel

DEFAULT_NAME = "default"


_ADAM: Mapping[str, Parameter] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
_CLIP: Mapping[str, Parameter] = {"clipnorm": None}

OPTIMIZERS: Mapping[str, tuple[str, Mapping[str, Parameter]]] = MappingProxyType(
    {
        "adam": ("Adam", {**_ADAM, "amsgrad": False, **_CLIP}),
        "adamw": ("AdamW", {"weight_decay": 0.004, **_ADAM, "amsgrad": False, **_CLIP}),
        "sgd": ("SGD", {"momentum": 0.0, "nesterov": False, **_CLIP}),
        "rmsprop": ("RMSprop", {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False, **_CLIP}),
        "nadam": ("Nadam", {**_ADAM, **_CLIP}),
    }
)
"""Name -> class in `keras.optimizers` and the settings it takes, with Keras's defaults."""


def _optimizer_defaults(name: str) -> tuple[str, Mapping[str, Parameter]]:
    if name not in OPTIMIZERS:
        hint = did_you_mean(name, OPTIMIZERS) or f": expected one of {', '.join(OPTIMIZERS)}"
        raise ValueError(f"unknown optimizer '{name}'{hint}")
    return name, OPTIMIZERS[name][1]


_SHARED = ("data.train", "data.size", "data.fit", "data.color", "training.seed", "data.split_seed")
"""Keys that decide which images a study compares on."""


def _known_keys(values: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return the values under complete keys; `learning_rate` alone is `training.learning_rate`."""
    known = [f"{section}.{key}" for section in ("data", "model", "training") for key in _keys(section)]
    complete = {}
    for key, choices in values.items():
        matches = [name for name in known if key in (name, name.partition(".")[2])]
        if not matches:
            raise ValueError(f"unknown key '{key}'{did_you_mean(key, known) or ': see ae config init'}")
        if matches[0] in _SHARED:
            raise ValueError(f"{key}: belongs to all variants, it cannot vary")
        complete[matches[0]] = choices
    return complete


def _keys(section: str) -> list[str]:
    return list(type(getattr(Config(), section)).model_fields)


Values = Annotated[tuple[Any, ...], Strict(False), Field(min_length=1)]


class EarlyStopping(Section):
    """Stop when the validation loss no longer falls, and keep the best weights."""

    patience: Annotated[int, Field(gt=0)] = 10
    """epochs without improvement before training stops"""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """the smallest fall that counts as improvement"""


class TrainingConfig(Section):
    """How the network is trained."""

    loss: Literal["mse", "mae", "huber", "binary_crossentropy"] = "mse"
    """mse, mae, huber or binary_crossentropy"""
    optimizer: Annotated[Choice, ChoiceOf(tuple(OPTIMIZERS), _optimizer_defaults)] = parse_choice(
        "adam", _optimizer_defaults
    )
    """adam, adamw, sgd, rmsprop or nadam; settings as {name: sgd, momentum: 0.9}"""
    learning_rate: Annotated[float, Field(gt=0, le=1e6)] = 1e-3
    """the step size, at the start where schedule lowers it"""
    schedule: Literal["constant", "cosine"] = "constant"
    """constant, or cosine: falls to 0 over the epochs"""
    epochs: Annotated[int, Field(gt=0, le=10**9)] = 100
    """passes over the training images"""
    batch_size: Annotated[int, Field(gt=0, le=10**9)] = 32
    """images in one step"""
    early_stopping: EarlyStopping | None = None
    """null: train all epochs; or {patience: 10, min_delta: 0}"""
    corruption: Corruption | None = None
    """what spoils the input but not the target, e.g. {gaussian: 0.2}; val_loss too is of spoilt input; null: nothing"""
    precision: Literal["float32", "mixed"] = "float32"
    """float32, or mixed: bfloat16 with float32 weights, on GPUs that have it; a CPU trains in float32"""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    """how often to write what --resume goes on from; results do not depend on it"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """decides split, initial weights, order, dropout, augmentation and corruption"""


class StudyConfig(Section):
    """What ae compare compares; ae train pays no heed to it."""

    vary: Annotated[dict[str, Values], AfterValidator(_known_keys)] = Field(default_factory=dict)
    """key: [values], e.g. {model.latent_dim: [8, 16]}; several keys make a grid; none: eight activations"""
    tune: Annotated[dict[str, Values], AfterValidator(_known_keys)] = Field(default_factory=dict)
    """key: [values], of which each variant takes its own best by the validation images"""
    seeds: Annotated[int, Field(gt=0, le=10_000)] = 5
    """runs of every variant, with the seeds training.seed, training.seed + 1, ..."""
    split: Literal["per_seed", "fixed"] = "per_seed"
    """per_seed: each seed draws the split anew; fixed: all seeds share that of the first"""
    metric: Literal["mse", "mae", "psnr", "ssim"] = "mse"
    """what the variants are compared by, on the test images"""


class Config(Section):
    """Everything a training depends on."""

    data: DataConfig = DataConfig()
    """which images, and how to read them"""
    model: DenseModel = DenseModel()
    """the autoencoder"""
    training: TrainingConfig = TrainingConfig()
    """how it is trained"""
    study: StudyConfig = StudyConfig()
    """what ae compare compares"""

    @property
    def split_seed(self) -> int:
        """The seed of the split, resolved."""
        return self.training.seed if self.data.split_seed is None else self.data.split_seed

    def alone(self) -> "Config":
        """Return the config of a run by itself, without what a study makes of it."""
        return self.model_copy(update={"study": StudyConfig()})


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
