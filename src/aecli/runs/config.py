"""The typed config: YAML and --set in, one frozen object with every default out.

Every key lives here (or in its model family) once; all problems of a config are reported together.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, Strict

from aecli.core.errors import did_you_mean
from aecli.core.schema import Choice, ChoiceOf, Parameter, Section, parse_choice
from aecli.data.config import DataConfig
from aecli.data.corruption import Corruption
from aecli.models.dense import DenseModel

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
