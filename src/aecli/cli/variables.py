"""The environment variable of every option: AE_TRAIN_DEVICE for `ae train --device`.

They are named as click's `auto_envvar_prefix` would, but after the option and not after the function's argument, and
none stands for --help and --version.
"""

import click
from click.core import ParameterSource

PREFIX = "AE"

COMPLETION = "_AE_COMPLETE"
"""The variable in which a shell asks for completions; click makes it of the program's name."""


def name_variables(command: click.Command, prefix: str) -> None:
    """Let every option of a command, and of the commands in it, be read from a variable of this prefix."""
    for option in command.params:
        if isinstance(option, click.Option):
            long = next(name for name in option.opts if name.startswith("--"))
            option.envvar = f"{prefix}{long[1:]}".replace("-", "_").upper()
    for name, inner in getattr(command, "commands", {}).items():
        name_variables(inner, f"{prefix}_{name}")


def blame_variable(error: click.BadParameter) -> None:
    """Let the error of a value that came from a variable name the variable."""
    if error.ctx is None or error.param is None or error.param.name is None or error.param.envvar is None:
        return
    if error.ctx.get_parameter_source(error.param.name) is ParameterSource.ENVIRONMENT:
        error.param_hint = f"'{error.param.envvar}'"
