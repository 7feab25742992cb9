"""What suits some images: the keys of a config that their number, their shape and their linear codes decide.

No network is trained for it, and the same images give the same config on every machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images
from aecli.models.families import FAMILIES
from aecli.models.family import LARGEST_PATH, Family
from aecli.models.linear.fit import LinearCodes
from aecli.runs.config import Config
from aecli.training.prepare import split_of
from aecli.training.suggest.spectrum import LENGTHS, linear_codes

ImageShape = tuple[int, int, int]

MINUTES = 1.0
"""How long a training is to take where nobody says it."""

_UNEXPLAINED = 0.16
"""The share of the variance that the best linear code may leave; networks with that code reach about half of it."""

_RATES = {"dense": 200e9, "conv": 40e9}
"""Floating-point operations a second that a step of each family makes on two cores, about."""

_DETAILED = 24
"""Pixels of a side from which convolutions pay."""

_CHANNELS = (16, 32, 64)

_FEW = 2_000
"""Training images up to which they are augmented."""

_ALIKE = 1.1
"""How much larger the error of a changed image may be for the change to be one that such images have."""


@dataclass(frozen=True)
class Reason:
    """A key, the value that suits the images, and why."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True)
class Suggestion:
    """What suits some images, and the linear codes it rests on."""

    reasons: tuple[Reason, ...]
    codes: LinearCodes


def suggest(
    config: Config, source: ImageDataset, minutes: float = MINUTES, code_length: int | None = None,
    family: str | None = None,
) -> Suggestion:  # fmt: skip
    """Return what suits these images in a training of about so many minutes; `config` says how they are split.

    `code_length` and `family` are taken as they are where they are given.
    """
    split = split_of(config, source, None)
    shape, count = source.format.image_shape, len(split.train)
    values = prod(shape)
    most = min(values // 4, (LARGEST_PATH - values) // (2 * values + 1))
    lengths = [length for length in LENGTHS if length <= most] or [1]
    longest = max(*lengths, min(code_length or 1, values))
    codes = linear_codes(source, split, longest)
    length = code_length or _length(codes, lengths)
    model = _model(family or _family(shape, count, minutes), length, shape)
    reasons = [*_model_reasons(model, shape, codes), *_training_reasons(model, shape, count, minutes)]
    if count <= _FEW:
        reasons += _augmentation(source, split.validation, codes, count)
    return Suggestion(tuple(reasons), codes)


def _model_reasons(model: Family, shape: ImageShape, codes: LinearCodes) -> Iterator[Reason]:
    length = model.code_length(shape)
    best = codes.best(length)
    left = best.error(length) / max(best.error(0), 1e-30)
    why = {
        "conv": "details look alike at every place, and ten epochs of convolutions fit into the time",
        "dense": "the images are small, or too many for convolutions in the time",
    }
    yield Reason("model.family", model.family, why.get(model.family, "as asked"))
    yield Reason("model.latent_dim", length, f"{best.name} leaves {left:.0%} of the variance with so many values")
    if "channels" in type(model).model_fields:
        channels = model.model_dump(mode="json")["channels"]
        yield Reason("model.channels", channels, "more gain little beside a linear code, and take time")
    yield Reason("model.activation", "silu", "ahead of ReLU and PReLU beside a linear code where they were compared")


def _training_reasons(model: Family, shape: ImageShape, count: int, minutes: float) -> Iterator[Reason]:
    batch_size = min(128, max(16, 2 ** round(np.log2(max(1, count / 50)))))
    yield Reason("training.batch_size", batch_size, f"about fifty steps an epoch of {count:,} images, within 16 to 128")
    yield Reason("training.learning_rate", 2e-3, "large steps, since they fall to 0 over the epochs")
    yield Reason("training.schedule", "cosine", "the last steps are small ones")
    epochs = _epochs(model, shape, count, minutes)
    yield Reason("training.epochs", epochs, f"what {minutes:g} min allow on two cores, about, within 10 to 200")
    yield Reason("training.early_stopping", {"patience": max(10, epochs // 4)}, "a quarter of the epochs without gain")


def _length(codes: LinearCodes, lengths: list[int]) -> int:
    """Return the shortest of these lengths whose best linear code explains enough."""
    enough = (n for n in lengths if codes.best(n).error(n) <= _UNEXPLAINED * codes.best(n).error(0))
    return next(enough, lengths[-1])


def _family(shape: ImageShape, count: int, minutes: float) -> str:
    if min(shape[:2]) < _DETAILED:
        return "dense"
    work = _work(_model("conv", 16, shape), shape, count)
    return "conv" if 10 * work <= 60 * minutes * _RATES["conv"] else "dense"


def _model(family: str, length: int, shape: ImageShape) -> Family:
    keys: dict[str, Any] = {"channels": channels_for(shape)} if family == "conv" else {}
    return FAMILIES[family].model_validate({"latent_dim": length, **keys})


def channels_for(shape: ImageShape) -> tuple[int, ...]:
    """Return the channels of the levels that suit images of this shape: few that halve it far enough."""
    return _CHANNELS[: max(1, int(np.log2(max(shape[:2]))) - 2)]


def _work(model: Family, shape: ImageShape, count: int) -> float:
    """Return the floating-point operations of an epoch: two a product forward, twice that backward."""
    return 6.0 * count * sum(p.rows * p.inputs * p.units for p in model.products(shape))


def _epochs(model: Family, shape: ImageShape, count: int, minutes: float) -> int:
    seconds = _work(model, shape, count) / _RATES.get(model.family, _RATES["dense"])
    epochs = int(min(200, max(10, 0.7 * 60 * minutes / seconds)))
    return epochs if epochs < 20 else epochs // 10 * 10


def _augmentation(source: ImageDataset, unseen: Rows, codes: LinearCodes, count: int) -> Iterator[Reason]:
    """Yield the changes that give images which PCA, as it has seen neither, reconstructs as well as the others."""
    images = source.sample(unseen)
    code = codes.pca.code(16)

    def error(changed: Images) -> float:
        return float(np.square(code.reconstruct(changed) - changed).mean())

    limit = _ALIKE * error(images)
    step = max(1, round(images.shape[2] / 16))
    moved = images[:, :, np.clip(np.arange(images.shape[2]) - step, 0, None)]
    changes = {"flip": ("horizontal", images[:, :, ::-1]), "shift": (0.06, moved)}
    augment = {key: value for key, (value, changed) in changes.items() if error(changed) <= limit}
    if augment:
        yield Reason("data.augment", augment, f"{count:,} images are few, and these changes give others of their kind")
