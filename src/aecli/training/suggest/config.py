"""The config of a training that names no config: what suits its images, beside what the user has said of it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Generic, TypeVar

from aecli.core.errors import ConfigError
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.dataset import ImageDataset
from aecli.models.families import FAMILIES
from aecli.runs.config import Config
from aecli.runs.config_file import change_config, in_a_line
from aecli.training.prepare import check_paths, open_data
from aecli.training.suggest.suggest import MINUTES, Suggestion, suggest

_C = TypeVar("_C", bound=Config)


@dataclass(frozen=True)
class SuggestedConfig(Generic[_C]):
    """A config, the suggestion that it follows where the user has said nothing, and the images that it is for."""

    config: _C
    suggestion: Suggestion
    images: ImageDataset

    def in_a_line(self) -> str:
        """Return what was chosen, in one line."""
        model, training = self.config.model, self.config.training
        length = model.code_length(self.images.format.image_shape)
        return (
            f"no --config: chosen for these images: family {model.family}, {length:,} latents, batches of "
            f"{training.batch_size}, {training.epochs} epochs (ae suggest says why)"
        )


def keys_of(overrides: Sequence[str]) -> list[str]:
    """Return the keys that `KEY=VALUE` overrides name."""
    return [override.partition("=")[0] for override in overrides]


def suggest_config(
    config: _C,
    said: Collection[str] = (),
    *,
    minutes: float = MINUTES,
    code_length: int | None = None,
    on_progress: ProgressCallback = no_progress,
) -> SuggestedConfig[_C]:
    """Return the config with what suits its images in all keys but those that the user has said.

    Raises AeError where the images cannot be opened, or have no `code_length` values.
    """
    check_paths(config)
    images, _ = open_data(config, on_progress)
    values = prod(images.format.image_shape)
    if code_length is not None and code_length > values:
        raise ConfigError([f"a code of {code_length:,} values: an image has {values:,}: give fewer"])
    if _is_said("model.latent_dim", said) or _is_said("model.latent_channels", said):
        code_length = config.model.code_length(images.format.image_shape)
    suggestion = suggest(config, images, minutes, code_length, _family_said(config, said))
    changes = {reason.key: reason.value for reason in suggestion.reasons if not _is_said(reason.key, said)}
    return SuggestedConfig(change_config(config, changes, "suggested"), suggestion, images)


def _is_said(key: str, said: Collection[str]) -> bool:
    """Whether the user has said a key or something of it, as `model.activation.alpha` says the activation."""
    return any(f"{name}.".startswith(f"{key}.") for name in said)


def _family_said(config: Config, said: Collection[str]) -> str | None:
    """Return the family that the user has said, also by a key that not all have; None for any."""
    keys = {name.split(".")[1] for name in said if name.startswith("model.")}
    by_key = any(not keys <= set(family.model_fields) for family in FAMILIES.values())
    return config.model.family if "family" in keys or by_key else None


def as_yaml(suggestion: Suggestion, head: Iterable[str]) -> str:
    """Return the suggestion as a config file: a comment of these lines, and every key with its reason."""
    lines = [f"# {line}".rstrip() for line in head]
    sections: dict[str, list[str]] = {}
    for reason in suggestion.reasons:
        section, key = reason.key.split(".")
        sections.setdefault(section, []).extend([f"  # {reason.why}", f"  {key}: {in_a_line(reason.value)}"])
    for section, keys in sections.items():
        lines += [f"{section}:", *keys]
    return "\n".join(lines) + "\n"
