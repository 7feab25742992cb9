"""The typed config of a run: one frozen object that holds everything a training depends on, every default included.

Every key lives once: in the section of its room.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from aecli.core.errors import did_you_mean
from aecli.core.schema import Choice, ChoiceOf, Parameter, Section, parse_choice
from aecli.data.config import DataConfig
from aecli.data.corruption import Corruption
from aecli.models.families import DEFAULT_FAMILY, AnyFamily
from aecli.models.losses.config import AnyLoss

_ADAM: Mapping[str, Parameter] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
_CLIP: Mapping[str, Parameter] = {"clipnorm": None}


@dataclass(frozen=True)
class Optimizer:
    """An optimizer: its class in `keras.optimizers`, and the settings it takes with Keras's defaults.

    One setting is ours, `hidden_only` of Muon: see `aecli.training.engines.optimizer`.
    """

    name: str
    keras_class: str
    parameters: Mapping[str, Parameter]


_OPTIMIZER_ROWS = (
    Optimizer("adam", "Adam", {**_ADAM, "amsgrad": False, **_CLIP}),
    Optimizer("adamw", "AdamW", {"weight_decay": 0.004, **_ADAM, "amsgrad": False, **_CLIP}),
    Optimizer("sgd", "SGD", {"momentum": 0.0, "nesterov": False, **_CLIP}),
    Optimizer("rmsprop", "RMSprop", {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False, **_CLIP}),
    Optimizer("nadam", "Nadam", {**_ADAM, **_CLIP}),
    Optimizer("lion", "Lion", {"weight_decay": None, "beta_1": 0.9, "beta_2": 0.99, **_CLIP}),
    Optimizer("muon", "Muon", {"weight_decay": 0.004, "momentum": 0.95, "nesterov": True, "hidden_only": True,
                               "adam_beta_1": 0.9, "adam_beta_2": 0.999, "epsilon": 1e-7, **_CLIP}),
)  # fmt: skip
OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType({row.name: row for row in _OPTIMIZER_ROWS})


def find_optimizer(name: str) -> Optimizer:
    """Return the row of an optimizer; ValueError says why a name is none."""
    if name not in OPTIMIZERS:
        hint = did_you_mean(name, OPTIMIZERS) or f": expected one of {', '.join(OPTIMIZERS)}"
        raise ValueError(f"unknown optimizer '{name}'{hint}")
    return OPTIMIZERS[name]


OptimizerChoice = Annotated[Choice[Optimizer], ChoiceOf(find_optimizer, lambda: OPTIMIZERS)]


class EarlyStopping(Section):
    """Stop when the validation loss no longer falls, and keep the best weights."""

    patience: Annotated[int, Field(gt=0)] = 10
    """epochs without improvement before training stops"""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """the smallest fall that counts as improvement"""


class Adversarial(Section):
    """A discriminator that learns to tell reconstructions from originals, and the network to deceive it: sharp images.

    The loss stays. Without early stopping the last epoch's weights are kept.
    """

    weight: Annotated[float, Field(gt=0, le=1000)] = 0.5
    """how strongly it pulls at the reconstructions, as a multiple of what the loss does"""
    start: Annotated[int, Field(gt=0)] = 5
    """epochs in which the discriminator learns alone, before the network has to deceive it"""


class TrainingConfig(Section):
    """How the network is trained."""

    loss: AnyLoss = "mse"
    """mse, mae, huber or binary_crossentropy, or weights of several, e.g. {mse: 1, ssim: 0.02, features: 0.1}"""
    adversarial: Adversarial | None = None
    """null, or a discriminator for sharper images, e.g. {weight: 0.5, start: 5}"""
    optimizer: OptimizerChoice = parse_choice("adam", find_optimizer)
    """adam, adamw, sgd, rmsprop, nadam, lion or muon; settings as {name: sgd, momentum: 0.9}"""
    clipnorm: Annotated[float, Field(gt=0)] | None = None
    """longest that the gradient of all weights together may be, longer ones are shortened; null: any length"""
    learning_rate: Annotated[float, Field(gt=0, le=1e6)] = 1e-3
    """the step size, at the start where schedule lowers it"""
    warmup: Annotated[float, Field(ge=0, le=10**9)] = 0.0
    """epochs, parts of one too, in which the step size first grows from 0 to learning_rate"""
    schedule: Literal["constant", "cosine", "linear_tail"] = "constant"
    """constant; cosine: falls to 0 over the epochs; linear_tail: constant, then falls to 0 in a line"""
    tail: Annotated[float, Field(gt=0, le=1)] = 0.2
    """the last share of the epochs, in which linear_tail falls"""
    epochs: Annotated[int, Field(gt=0, le=10**9)] = 100
    """passes over the training images"""
    batch_size: Annotated[int, Field(gt=0, le=10**9)] = 32
    """images in one step"""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """what the average of the weights keeps of itself in a step, e.g. 0.999; it is what is validated and saved"""
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

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup >= self.epochs:
            raise ValueError(
                f"warmup {self.warmup:g} of {self.epochs} epochs leaves none at the full learning_rate: set a shorter "
                f"one, or more training.epochs"
            )
        return self

    @model_validator(mode="after")
    def _one_clipnorm(self) -> Self:
        if self.clipnorm is not None and self.optimizer.parameters.get("clipnorm") is not None:
            raise ValueError(
                "clipnorm and that of the optimizer, which shortens the gradient of each weight by itself, are both "
                "given: leave out one"
            )
        return self

    @model_validator(mode="after")
    def _adversary_counts(self) -> Self:
        if self.adversarial and self.adversarial.start >= self.epochs:
            raise ValueError(
                f"adversarial.start {self.adversarial.start} leaves none of {self.epochs} epochs in which the "
                f"discriminator counts: set a smaller one, or more training.epochs"
            )
        return self


ABSENT: Mapping[str, Mapping[str, Any]] = MappingProxyType({"model": {"linear_path": "none", "output_bias": "zero"}})
"""What a key stands for where the config of a run does not name it, being of a version that did not have it."""

FORMER: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"model": {**ABSENT["model"], "hidden": [], "latent_activation": None}}
)
"""The values that a run's identity leaves out as defaults: those of the first version, so that it stays what it was."""


_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "training.lr": "training.learning_rate",
        "training.criterion": "training.loss",
        "model.bottleneck": "model.latent_dim",
        "model.code_length": "model.latent_dim",
        "model.z_dim": "model.latent_dim",
        "model.layers": "model.hidden",
        "model.filters": "model.channels",
    }
)
"""What keys are called elsewhere -> what they are called here. A key that is renamed stands here by its former name."""


class Config(Section):
    """Everything a training depends on."""

    other_names: ClassVar[Mapping[str, str]] = _OTHER_NAMES

    data: DataConfig = DataConfig()
    """which images, and how to read them"""
    model: AnyFamily = DEFAULT_FAMILY
    """the autoencoder"""
    training: TrainingConfig = TrainingConfig()
    """how it is trained"""

    @property
    def split_seed(self) -> int:
        """The seed of the split, resolved."""
        return self.training.seed if self.data.split_seed is None else self.data.split_seed
