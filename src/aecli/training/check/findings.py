"""What will go wrong or surprise with these images under this config, as far as it shows without reading them again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from aecli.core.machine import memory_size
from aecli.data.axes import looks_like
from aecli.data.dataset import ROWS_NAMED, ImageDataset, Rows
from aecli.runs.config import Config

Level = Literal["error", "warning", "note"]

_FEW_IMAGES = 100
"""Fewer training images than this say little, whatever is trained on them."""

BYTES_A_WEIGHT = 16
"""A float32 weight, its gradient and the two moments that Adam keeps of it."""


@dataclass(frozen=True)
class Finding:
    """One thing found; `text` is one line, with the cure where there is one, `data` the same as plain values.

    An error is what `ae train` would refuse, a warning what will probably spoil a training or its numbers.
    """

    level: Level
    name: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


def row_name(source: ImageDataset, row: int) -> str:
    """Return how an image of a source is named to the user: its row, and its file where that is known."""
    return " ".join(part for part in (f"#{row}", source.name(row)) if part)


def name_rows(source: ImageDataset, rows: Sequence[int] | Rows, count: int | None = None) -> str:
    """Return the first of these rows by name, and how many more there are of `count`, by default all."""
    named = [row_name(source, int(row)) for row in rows[:ROWS_NAMED]]
    more = (len(rows) if count is None else count) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more > 0 else "")


def plain_rows(rows: Sequence[int] | Rows) -> list[int]:
    """Return the first of these rows as plain numbers."""
    return [int(row) for row in rows[:ROWS_NAMED]]


def count_of(count: int, thing: str = "image") -> str:
    """Return "1 image", "2,000 images"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def before_training(config: Config, source: ImageDataset, train_count: int, validation_count: int) -> list[Finding]:
    """Return the warnings that config, format, counts and extremes give rise to; hardly an image is read."""
    findings_by_kind = (
        _code_length(config, source, train_count),
        _counts(config, train_count, validation_count),
        _guessed_range(config, source),
        _weights(config, source),
        _other_axes(source),
    )
    return [finding for findings in findings_by_kind for finding in findings]


def _code_length(config: Config, source: ImageDataset, train_count: int) -> Iterable[Finding]:
    size, length = prod(source.format.image_shape), config.model.code_length(source.format.image_shape)
    if length >= size:
        yield Finding(
            "warning",
            "code_not_smaller",
            f"{code_name(config, length)} is not smaller than the {size} values of an image: "
            f"nothing is compressed, and PCA reconstructs exactly",
            {"latent_dim": length, "values": size},
        )
    elif length >= train_count and config.model.path == "none":
        yield Finding(
            "warning",
            "code_not_smaller_than_images",
            f"{code_name(config, length)} is not smaller than the number of training images, {train_count}: "
            f"they can be learned by heart, and PCA reconstructs them exactly: "
            f"set a smaller model.{config.model.code_key}, or give more images",
            {"latent_dim": length, "images": train_count},
        )


def code_name(config: Config, length: int) -> str:
    """Return the key that decides the length of the code with its value, and the length where it is another number."""
    value = getattr(config.model, config.model.code_key)
    return f"model.{config.model.code_key} {value}" + (f" (a code of {length:,})" if value != length else "")


def _counts(config: Config, train_count: int, validation_count: int) -> Iterable[Finding]:
    batch_size = config.training.batch_size
    if batch_size > train_count:
        yield Finding(
            "warning",
            "batch_larger_than_images",
            f"training.batch_size {batch_size} is more than the {count_of(train_count, 'training image')}: "
            f"every epoch is one step: set a smaller training.batch_size",
            {"batch_size": batch_size, "images": train_count},
        )
    if train_count < _FEW_IMAGES:
        yield Finding(
            "warning",
            "few_images",
            f"{count_of(train_count, 'training image')} and {validation_count} to validate on are few: they are soon "
            f"learned by heart, and the metrics hang on single images: give more, or compare seeds with ae compare",
            {"train": train_count, "validation": validation_count},
        )


def constant_images(source: ImageDataset, rows: Sequence[int], count: int | None = None) -> list[Finding]:
    """Return what there is to say of images of a single value: these rows, the first of `count`, by default all."""
    count = len(rows) if count is None else count
    if not count or prod(source.format.image_shape) == 1:
        return []
    return [
        Finding(
            "warning",
            "constant_images",
            f"{source.file.path}: {count_of(count)} of {len(source):,} "
            f"{'has' if count == 1 else 'have'} the same value in all pixels ({name_rows(source, rows, count)}): "
            f"remove {'it' if count == 1 else 'them'} if that is a mistake",
            {"count": count, "rows": plain_rows(rows)},
        )
    ]


def guessed_range(config: Config, source: ImageDataset) -> bool:
    """Return whether black and white are merely the smallest and the largest value that there is."""
    extremes = (source.scan.low, source.scan.high)
    known = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
    return (
        config.data.value_range == "auto"
        and source.file.dtype.kind in "if"
        and source.format.value_range == extremes
        and extremes not in known
        and (source.file.dtype.kind == "f" or extremes[0] < 0)
    )


def _other_axes(source: ImageDataset) -> Iterable[Finding]:
    """Yield a warning where the axes of an array seem to be others than those it is read with."""
    file = source.file
    if file.manifest is not None or file.arrangement is not None:
        return
    axes = looks_like(file)
    if axes is not None:
        shape = f"({', '.join(axes)})"
        yield Finding(
            "warning",
            "other_axes",
            f"{file.path}: shape {list(file.shape)} looks like {shape}, and is read as {len(source):,} images of "
            f"{' x '.join(map(str, source.format.image_shape))}: set data.axes: {axes}, if that is what it is",
            {"axes": axes, "shape": list(file.shape)},
        )


def _guessed_range(config: Config, source: ImageDataset) -> Iterable[Finding]:
    if guessed_range(config, source):
        low, high = source.format.value_range
        yield Finding(
            "warning",
            "range_guessed",
            f"{source.file.path}: {source.file.dtype.name} values from {low:g} to {high:g} are no usual range: these "
            f"extremes are taken for 0 and 1, and other images will have others: set data.value_range: [LOW, HIGH]",
            {"value_range": [low, high]},
        )


def _weights(config: Config, source: ImageDataset) -> Iterable[Finding]:
    shape = source.format.image_shape
    count = config.model.parameter_count(shape)
    size, memory = BYTES_A_WEIGHT * count, memory_size()
    if size <= memory // 4:
        return
    will = "will not fit" if size > memory else "may not fit"
    yield Finding(
        "warning",
        "weights_too_large",
        f"model: {count / 1e6:,.0f} million weights for images of {' x '.join(map(str, shape))} take "
        f"{size / 1e9:,.1f} GB in training and {will} in the {memory / 1e9:,.0f} GB of this machine: "
        f"give smaller images, or set a smaller model",
        {"weights": count, "bytes": size, "memory": memory},
    )
