"""Errors in the words of Python: what is an option of a command is an argument here."""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from aecli.core.errors import AeError, ConfigError

_P = ParamSpec("_P")
_T = TypeVar("_T")

_WORDS = {
    "--overwrite": "overwrite=True", "--resume": "resume=True", "--run": "folder=...", "--output": "folder=...",
    "--images FILE": "images=...", "--images": "images=...", "--data": "data=...", "--held-out IMAGES": "held_out=...",
    "--device": "device=...", "--workers": "workers=...", "--seeds": "seeds=...",
}  # fmt: skip
"""Option of a command, with its value where it stands there in capitals, -> the argument; of others the name stays."""

_SET = re.compile(r"--set ([\w.]+)=(\[[^\]]*\]|[^\s,:;]+)")
_DEVICE = re.compile(r"--device (auto|cpu|gpu(?::\d+(?:,\d+)*)?)\b")
_OPTION = re.compile(r"(?P<command>\b(?:ae|dask|pip) [a-z]+[^,;:]*)|--[a-z][a-z0-9-]*(?: [A-Z]+(?![a-z]))?")
"""An option; those of a command that a message names are its own."""


def in_python_words(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let the errors of a function name arguments where they name options of a command."""

    @functools.wraps(function)
    def called(*given: _P.args, **named: _P.kwargs) -> _T:
        with reworded(_said):
            return function(*given, **named)

    return called


@contextmanager
def reworded(change: Callable[[str], str]) -> Iterator[None]:
    """Let the errors of a block say what a function makes of their messages."""
    try:
        yield
    except ConfigError as error:
        error.problems = tuple(map(change, error.problems))
        error.args = ("\n".join(error.problems),)
        raise
    except AeError as error:
        error.args = tuple(change(part) if isinstance(part, str) else part for part in error.args)
        raise


def _said(message: str) -> str:
    for words in ("give another --run", "give another --output"):
        message = message.replace(words, "give another folder=...")
    message = _DEVICE.sub(r'device="\1"', message)
    return _OPTION.sub(_argument, _SET.sub(r'set={"\1": \2}', message))


def _argument(option: re.Match[str]) -> str:
    whole, name = option[0], option[0].split(" ")[0]
    if option["command"]:
        return whole
    if whole in _WORDS:
        return _WORDS[whole]
    return whole.replace(name, _WORDS.get(name, name[2:].replace("-", "_")))
