"""What a misspelt command, choice or option was probably meant to be, in the words that config keys are answered in."""

from typing import Any

import click

from aecli.core.errors import did_you_mean


class Group(click.Group):
    """A group of commands that names the nearest one where there is none of the name given."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
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
    hint = did_you_mean(name, options) if name.startswith("--") else ""
    if "--set" in options and (key := _config_key(name)) is not None:
        hint = f"; did you mean --set {key}=VALUE?"
    return click.UsageError(f"No such option '{name}'{hint or '; see --help'}", context)


def _config_key(option: str) -> str | None:
    """Return the config key that an option would be called after, None where there is none."""
    from aecli.runs.config_file import known_keys
    from aecli.studies.config import StudyFile

    wanted = option.lstrip("-").replace("-", "_")
    return next((key for key in known_keys(StudyFile) if wanted in (key, key.partition(".")[2])), None)
