"""A model family: the config keys that every one has, and what it must know of itself."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, Strict

from aecli.core.schema import Choice, ChoiceOf, Section, parse_choice
from aecli.models.activations import ACTIVATIONS, ALIASES, Activation, find_activation
from aecli.models.objective import Objective, latent_l1, reconstruction

if TYPE_CHECKING:
    from aecli.models.autoencoder import Autoencoder

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
    """activation of the hidden layers, and of the code unless latent_activation says otherwise"""
    latent_activation: ActivationChoice | None = None
    """activation of the code; null: the same as activation"""
    output_activation: ActivationChoice = parse_choice("sigmoid", find_activation)
    """activation of the reconstruction; it must be able to reach the images' values"""
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

    @property
    def code_activation(self) -> Choice[Activation]:
        """The activation of the code, resolved."""
        return self.latent_activation or self.activation

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
    def build(self, image_shape: tuple[int, int, int], seed: int) -> Autoencoder:
        """Build the untrained network; its initial weights and dropout depend on `seed` alone."""

    @abstractmethod
    def parameter_count(self, image_shape: tuple[int, int, int]) -> int:
        """Return how many weights the network has, without building it."""

    @abstractmethod
    def products(self, image_shape: tuple[int, int, int]) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass, first layer first: most of what a step costs."""

    def objective(self, loss: str) -> Objective:
        """Return what a training minimises where the reconstructions are measured by this loss of Keras."""
        sparse = (latent_l1(self.activity_l1),) if self.activity_l1 else ()
        return Objective((reconstruction(loss), *sparse), penalised=bool(self.l1 or self.l2))
