"""The config of a training that names no config: what suits its images, beside what the user has said of it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Generic, TypeVar

from aecli.core.errors import ConfigError
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.dataset import ImageDataset
from aecli.models.families import FAMILIES
from aecli.runs.config import Config
from aecli.runs.config_file import change_config, in_a_line, parse_override
from aecli.training.check.findings import count_of
from aecli.training.prepare import check_paths, open_data
from aecli.training.suggest.suggest import MINUTES, ImageShape, Reason, Suggestion, channels_for, suggest

_C = TypeVar("_C", bound=Config)


@dataclass(frozen=True)
class SuggestedConfig(Generic[_C]):
    """A config, the suggestion that it follows where the user has said nothing, and the images that it is for."""

    config: _C
    suggestion: Suggestion
    images: ImageDataset

    def in_a_line(self) -> str:
        """Return what was chosen for want of a config, in one line."""
        return f"no --config: {self.chosen()}"

    def chosen(self) -> str:
        """Return what was chosen."""
        model, training = self.config.model, self.config.training
        length = model.code_length(self.images.format.image_shape)
        return (
            f"chosen for these images: family {model.family}, {count_of(length, 'latent')}, batches of "
            f"{training.batch_size}, {count_of(training.epochs, 'epoch')} (ae suggest says why)"
        )


def keys_of(overrides: Sequence[str]) -> list[str]:
    """Return the keys that `KEY=VALUE` overrides say, those inside of a whole section too."""
    return [key for name, value in map(parse_override, overrides) for key in keys_in({".".join(name): value})]


def keys_in(changes: Mapping[str, Any]) -> list[str]:
    """Return the keys that changes of a config say, those inside of a whole section too."""
    sections = {name: value for name, value in changes.items() if "." not in name and isinstance(value, Mapping)}
    inside = [f"{name}.{key}" for name, section in sections.items() for key in section]
    return [*(name for name in changes if name not in sections), *inside]


def suggest_config(
    config: _C,
    said: Collection[str] = (),
    *,
    minutes: float = MINUTES,
    code_length: int | None = None,
    on_progress: ProgressCallback = no_progress,
) -> SuggestedConfig[_C]:
    """Return the config with what suits its images in all keys but those that the user has said.

    Raises AeError where the images cannot be opened, or have fewer values than `code_length`.
    """
    check_paths(config)
    images, _ = open_data(config, on_progress)
    values = prod(images.format.image_shape)
    if code_length is not None and code_length > values:
        raise ConfigError([f"a code of {code_length:,} values: an image has {values:,}: give fewer"])
    if _is_said(f"model.{config.model.code_key}", said):
        said = [*said, "model.latent_dim"]
        code_length = _code_length(config, said, images.format.image_shape)
    suggestion = suggest(config, images, minutes, code_length, _family_said(config, said))
    changes = {reason.key: reason.value for reason in suggestion.reasons if not _is_said(reason.key, said)}
    chosen = change_config(config, changes, "suggested")
    return SuggestedConfig(chosen, replace(suggestion, reasons=tuple(_beside(suggestion, chosen, said))), images)


def _beside(suggestion: Suggestion, chosen: Config, said: Collection[str]) -> Iterator[Reason]:
    """Yield the reasons, with what the user has said in the place of what was suggested for it."""
    keys = dict.fromkeys(".".join(name.split(".")[:2]) for name in said if not name.startswith("data.train"))
    asked = {key: Reason(key, _value(chosen, key), "as asked") for key in keys if "." in key}
    yield from [asked.pop(reason.key, reason) for reason in suggestion.reasons]
    yield from asked.values()


def _value(config: Config, key: str) -> Any:
    section, name = key.split(".")
    return config.model_dump(mode="json")[section][name]


def _code_length(config: Config, said: Collection[str], shape: ImageShape) -> int:
    """Return how long the code is that the user has said; that of a map depends on the levels."""
    model = config.model
    if "channels" in type(model).model_fields and not _is_said("model.channels", said):
        model = model.model_copy(update={"channels": channels_for(shape)})
    return model.code_length(shape)


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
    lines = [f"# {_printable(line)}".rstrip() for line in head]
    sections: dict[str, list[str]] = {}
    for reason in suggestion.reasons:
        section, key = reason.key.split(".")
        sections.setdefault(section, []).extend([f"  # {reason.why}", f"  {key}: {in_a_line(reason.value)}"])
    for section, keys in sections.items():
        lines += [f"{section}:", *keys]
    return "\n".join(lines) + "\n"


def _printable(line: str) -> str:
    """Return a line without what would end it, or is no part of YAML: the name of a file may have both."""
    return "".join(character if character.isprintable() else "?" for character in line)
