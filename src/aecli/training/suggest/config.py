"""The config of a training that names no config: what suits its images, and what the user has said of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import yaml

from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.dataset import ImageDataset
from aecli.runs.config import Config
from aecli.runs.config_file import NamedConfig, load_config
from aecli.training.prepare import check_paths, open_data
from aecli.training.suggest.suggest import MINUTES, Suggestion, suggest

_C = TypeVar("_C", bound=Config)


@dataclass(frozen=True)
class SuggestedConfig(Generic[_C]):
    """A config, the suggestion that it follows where the user has said nothing, and the images that it is for."""

    named: NamedConfig[_C]
    suggestion: Suggestion
    images: ImageDataset

    def in_a_line(self) -> str:
        """Return what was chosen, in one line."""
        model, training = self.named.config.model, self.named.config.training
        length = model.code_length(self.images.format.image_shape)
        return (
            f"no --config: chosen for these images: family {model.family}, {length:,} latents, batches of "
            f"{training.batch_size}, {training.epochs} epochs (ae suggest says why)"
        )


def load_suggested(
    base: NamedConfig[_C],
    overrides: Sequence[str] = (),
    *,
    minutes: float = MINUTES,
    code_length: int | None = None,
    on_progress: ProgressCallback = no_progress,
) -> SuggestedConfig[_C]:
    """Return the config that suits the images of `base`, the config of these overrides alone; they come before it.

    Raises AeError where the images cannot be opened.
    """
    said = {override.partition("=")[0] for override in overrides}
    check_paths(base.config)
    images, _ = open_data(base.config, on_progress)
    model = base.config.model
    if said & {"model.latent_dim", "model.latent_channels"}:
        code_length = model.code_length(images.format.image_shape)
    family = model.family if "model.family" in said else None
    suggestion = suggest(base.config, images, minutes, code_length, family)
    sections: dict[str, dict[str, Any]] = {}
    for reason in suggestion.reasons:
        section, key = reason.key.split(".")
        if reason.key not in said:
            sections.setdefault(section, {})[key] = reason.value
    config = load_config(None, overrides, type(base.config), sections).config
    paths = {"train": base.config.data.train, "test": base.config.data.test}
    config = config.model_copy(update={"data": config.data.model_copy(update=paths)})
    return SuggestedConfig(NamedConfig(config, base.name, None), suggestion, images)


def as_yaml(suggestion: Suggestion, head: Iterable[str]) -> str:
    """Return the suggestion as a config file: a comment of these lines, and every key with its reason."""
    lines = [f"# {line}".rstrip() for line in head]
    sections: dict[str, list[str]] = {}
    for reason in suggestion.reasons:
        section, key = reason.key.split(".")
        value = yaml.safe_dump(reason.value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
        sections.setdefault(section, []).extend([f"  # {reason.why}", f"  {key}: {value}"])
    for section, keys in sections.items():
        lines += [f"{section}:", *keys]
    return "\n".join(lines) + "\n"
