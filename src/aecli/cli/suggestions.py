"""What a misspelt command, choice or option was probably meant to be, in the words that config keys are answered in."""

import shlex
from itertools import pairwise
from typing import Any

import click

from aecli.core.errors import did_you_mean, nearest


class Group(click.Group):
    """A group of commands that names the nearest one where there is none of the name given."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        ctx.meta[_WORDS] = args
        if not (name.startswith("-") or ctx.resilient_parsing) and self.get_command(ctx, name) is None:
            hint = did_you_mean(name, self.list_commands(ctx)) or f"; see {ctx.command_path} --help"
            ctx.fail(f"No such command '{name}'{hint}")
        return super().resolve_command(ctx, args)


class Choice(click.Choice):  # type: ignore[type-arg]  # generic in newer releases of click only
    """One of a few words, the nearest of which is named where another is given."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        words = [str(word) for word in self.choices]
        if str(value) not in words:
            self.fail(f"expected one of {', '.join(words)}, received '{value}'{did_you_mean(str(value), words)}")
        return super().convert(value, param, ctx)


def explain_option(error: click.NoSuchOption) -> click.UsageError:
    """Return the error of an option that there is not, with the option or the config key that was probably meant."""
    name, context = error.option_name, error.ctx
    parameters = context.command.params if context is not None else []
    options = [option for parameter in parameters for option in parameter.opts if option.startswith("--")]
    hint = ""
    if name.startswith("--"):
        keys = _keys(name, context) if context is not None and "--set" in options else []
        hint = _near_option(name, options, keys) or _setting(keys, name, context)
    return click.UsageError(f"No such option '{name}'{hint or '; see --help'}", context)


_WORDS = "aecli.words"
"""Where a context keeps the words of the command line, among which is the value of an option that there is not."""

_OF_STUDIES = ("compare", "show")
"""The commands that read the keys of studies."""


def _as_key(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _near_option(name: str, options: list[str], keys: list[str]) -> str:
    """Return the hint at the nearest option, "" where there is none or the last part of a key is nearer."""
    words = {_as_key(option): option for option in options}
    near = nearest(_as_key(name), [*(key.rpartition(".")[2] for key in keys), *words])
    return f"; did you mean '{words[near]}'?" if near in words else ""


def _keys(option: str, context: click.Context) -> list[str]:
    """Return the config keys that an option was probably named for."""
    from aecli.core.config_errors import suggested_keys
    from aecli.runs.config import Config
    from aecli.studies.config import StudyFile

    return suggested_keys(StudyFile if context.info_name in _OF_STUDIES else Config, _as_key(option))


def _setting(keys: list[str], option: str, context: click.Context | None) -> str:
    """Return the hint that says how these keys are set, with the value that the option was given."""
    words: list[str] = context.meta.get(_WORDS, []) if context is not None else []
    given = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    given += [after for word, after in pairwise(words) if word == option and not after.startswith("--")]
    value = given[0] if given else "VALUE"
    settings = " or ".join(f"--set {shlex.quote(f'{key}={value}')}" for key in keys)
    return f"; did you mean {settings}?" if settings else ""
