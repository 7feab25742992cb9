"""The pieces that the configs of model families are made of."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, Strict

from aecli.core.schema import Choice, ChoiceOf, Parameter
from aecli.models.activations import ACTIVATIONS, ALIASES, find_activation


def _activation_defaults(name: str) -> tuple[str, Mapping[str, Parameter]]:
    row = find_activation(name)
    return row.name, row.parameters


ActivationChoice = Annotated[Choice, ChoiceOf((*ACTIVATIONS, *ALIASES), _activation_defaults)]


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
