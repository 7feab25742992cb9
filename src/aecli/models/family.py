"""A model family: the config keys that every one has, and what it must know of itself."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from aecli.core.schema import Choice, ChoiceOf, Section, parse_choice
from aecli.models.activations import ACTIVATIONS, ALIASES, Activation, find_activation
from aecli.models.code import Code, GaussianCode
from aecli.models.losses.config import Loss
from aecli.models.losses.variational import variational
from aecli.models.objective import Objective, latent_l1

if TYPE_CHECKING:
    from aecli.models.autoencoder import Autoencoder
    from aecli.models.linear.code import Matrix
    from aecli.models.linear.start import Start

ActivationChoice = Annotated[Choice[Activation], ChoiceOf(find_activation, lambda: (*ACTIVATIONS, *ALIASES))]

Width = Annotated[int, Field(gt=0, le=1_000_000)]
"""Units of a layer, or pixels of a side."""

Widths = Annotated[tuple[Width, ...], Strict(False)]

Initializer = Literal[
    "matched",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
]


LARGEST_PATH = 64 * 10**6
"""Weights of a linear path that a network may have without being asked: 256 MB, several times over in a training."""

LinearPathKind = Literal["none", "auto", "pca", "patches", "dct"]


@dataclass(frozen=True)
class Product:
    """A matrix product of a forward pass: for each image (rows, inputs) times (inputs, units)."""

    inputs: int
    units: int
    rows: int = 1


class Family(Section):
    """The keys of every family. A family is a file: a class like this, its layers, and a row in `families.FAMILIES`."""

    family: str
    """the kind of network"""
    latent_dim: Width = 16
    """length of the code"""
    activation: ActivationChoice = parse_choice("relu", find_activation)
    """activation of the hidden layers"""
    latent_activation: ActivationChoice | None = parse_choice("linear", find_activation)
    """activation of the code; linear: all values, nothing cut off; null: the same as activation"""
    output_activation: ActivationChoice = parse_choice("sigmoid", find_activation)
    """activation of the reconstruction; it must be able to reach the images' values"""
    linear_path: LinearPathKind = "auto"
    """the linear code to begin with, which the network then corrects: pca, patches, dct; auto: the best; none"""
    output_bias: Literal["mean", "zero"] = "mean"
    """where the output begins without a linear path: mean: at the mean of the training images; zero: at grey"""
    initializer: Initializer = "matched"
    """initial weights; matched: He for ReLU-likes, LeCun for SELU, Glorot for the others"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of units dropped in training, after each hidden layer and after the code"""
    l1: Annotated[float, Field(ge=0)] = 0.0
    """L1 penalty on the weights"""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty on the weights"""
    activity_l1: Annotated[float, Field(ge=0)] = 0.0
    """L1 penalty on the code, for sparse codes"""
    code: Code | None = None
    """null: plain numbers; {gaussian: {beta: 1}}: variational; {quantised: {levels: 8}}: few values, counted bits"""

    @property
    def code_activation(self) -> Choice[Activation]:
        """The activation of the code, resolved."""
        return self.latent_activation or self.activation

    @property
    def path(self) -> LinearPathKind:
        """The linear path, resolved: auto is none where the code or the output cannot begin at a linear code."""
        return "none" if self.linear_path == "auto" and self._no_path() else self.linear_path

    def _no_path(self) -> str | None:
        """Return what keeps the network from beginning at a linear code."""
        if self.code_activation.name != "linear":
            return f"latent_activation {self.code_activation} cuts the code off: set model.latent_activation: linear"
        if self.output_activation.row.inverse is None:
            return f"output_activation {self.output_activation} has no inverse: set model.output_activation: sigmoid"
        return None

    @model_validator(mode="after")
    def _path_is_possible(self) -> Self:
        reason = self._no_path()
        if self.linear_path not in ("none", "auto") and reason:
            raise ValueError(f"linear_path {self.linear_path}: {reason}, or model.linear_path: none")
        return self

    @property
    def kind(self) -> str:
        """What kind of network it is in a few words: its family, and its code where that is no plain one."""
        return ", ".join([self.family, *(name for name, kind in self.code or () if kind is not None)])

    @property
    def variational(self) -> GaussianCode | None:
        """What says how the code of a variational network is trained, None for other networks."""
        return self.code.gaussian if self.code else None

    @model_validator(mode="after")
    def _code_is_not_cut_off(self) -> Self:
        kinds = [name for name, kind in self.code or () if kind is not None]
        if kinds and self.code_activation.name != "linear":
            cut = f"latent_activation {self.code_activation} cuts it off"
            raise ValueError(f"code {kinds[0]}: {cut}: set model.latent_activation: linear")
        return self

    def code_products(self, image_shape: tuple[int, int, int]) -> tuple[Product, ...]:
        """Return the matrix product that gives the log-variances of a Gaussian code, none for others."""
        return (self.code_product(image_shape),) if self.variational else ()

    def code_weights(self, image_shape: tuple[int, int, int]) -> int:
        """Return how many weights a Gaussian code has beside those of its means: a scale, and those of the product."""
        return sum(product.inputs * product.units + product.units + 1 for product in self.code_products(image_shape))

    def path_products(self, image_shape: tuple[int, int, int]) -> tuple[Product, ...]:
        """Return the matrix products of the linear path, none where there is none."""
        if self.path == "none":
            return ()
        size, length = prod(image_shape), self.code_length(image_shape)
        return Product(size, length), Product(length, size)

    def path_weights(self, image_shape: tuple[int, int, int]) -> int:
        """Return how many weights the linear path has."""
        return sum(product.inputs * product.units + product.units for product in self.path_products(image_shape))

    def completed(self, start: Start | None, image_shape: tuple[int, int, int]) -> Start:
        """Return a start that has a linear code just where the network has a path for it: an empty one for want of it.

        So the layers, and their weights, follow from the config alone.
        """
        from aecli.models.linear.code import empty_code
        from aecli.models.linear.start import Start

        start = start or Start()
        if self.path == "none":
            return replace(start, code=None)
        return start if start.code else replace(start, code=empty_code(image_shape))

    def first_bias(self, start: Start, shared: bool = False) -> Matrix | None:
        """Return the bias that the output begins with, (H * W * C,), or (C,) where all pixels share it; None for 0."""
        from aecli.models.linear.start import output_bias

        if start.code is not None or start.mean is None or self.output_bias == "zero":
            return None
        bias = output_bias(self.output_activation, start.mean.mean(axis=(0, 1)) if shared else start.mean)
        return None if bias is None else bias.reshape(-1)

    def code_length(self, image_shape: tuple[int, int, int]) -> int:
        """Return how many numbers the code of an image has."""
        return self.latent_dim

    @property
    def code_key(self) -> str:
        """The key that decides how long the code is."""
        return "latent_dim"

    def problem(self, image_shape: tuple[int, int, int]) -> str | None:
        """Return why no such network can be built for images of this shape, "key: what is wrong: what to do"."""
        return None

    @abstractmethod
    def build(self, image_shape: tuple[int, int, int], seed: int, start: Start | None = None) -> Autoencoder:
        """Build the untrained network; its weights depend on `seed` and `start` alone, its dropout on `seed`."""

    @abstractmethod
    def parameter_count(self, image_shape: tuple[int, int, int]) -> int:
        """Return how many weights the network has, without building it."""

    @abstractmethod
    def products(self, image_shape: tuple[int, int, int]) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass, first layer first: most of what a step costs."""

    @abstractmethod
    def code_product(self, image_shape: tuple[int, int, int]) -> Product:
        """Return the matrix product of the layer that makes the code."""

    def objective(self, loss: Loss) -> Objective:
        """Return what a training minimises where the reconstructions are measured by this loss."""
        from aecli.models.losses.terms import reconstruction_terms

        sparse = (latent_l1(self.activity_l1),) if self.activity_l1 else ()
        gaussian = self.variational
        if gaussian and isinstance(loss, str):
            base = variational(loss, gaussian.beta, gaussian.warmup, gaussian.free_bits)
        else:
            base = Objective(reconstruction_terms(loss))
        return replace(base, terms=(*base.terms, *sparse), penalised=bool(self.l1 or self.l2))
