"""An error names arguments, not options of a command."""

import pytest

from aecli.core.errors import AeError, ConfigError, RunError
from aecli.python.words import in_python_words

SAID = {
    "a: a run is already there: give another --run, continue it with --resume, or add --overwrite":
        "a: a run is already there: give another folder=..., continue it with resume=True, or add overwrite=True",
    "a: is incomplete: continue it with ae train --resume --run a": "a: is incomplete: continue it with ae train --resume --run a",
    "--by mze: unknown metric": "by mze: unknown metric",
    "ae evaluate --keep makes it, --held-out IMAGES takes others": "ae evaluate --keep makes it, held_out=... takes others",
    "name images with --images FILE": "name images with images=...",
    "--index 7: its rows are 0 to 3; --images draws any": "index 7: its rows are 0 to 3; images=... draws any",
    "their size with data.image_shape, e.g. --set data.image_shape=[2,3]": 'their size with data.image_shape, e.g. set={"data.image_shape": [2,3]}',
    "--device gpu:7: there is no GPU: give --device cpu": 'device="gpu:7": there is no GPU: give device="cpu"',
    "3 -- 4 - 5, a-b": "3 -- 4 - 5, a-b",
}  # fmt: skip


@pytest.mark.parametrize("message", SAID)
def test_options_become_arguments(message):
    @in_python_words
    def fails():
        raise RunError(message)

    with pytest.raises(RunError) as caught:
        fails()
    assert str(caught.value) == SAID[message]


def test_every_problem_of_a_config_is_said_so():
    @in_python_words
    def fails():
        raise ConfigError(["--set a: one", "two"])

    with pytest.raises(AeError) as caught:
        fails()
    assert caught.value.problems == ("set a: one", "two")
    assert str(caught.value) == "set a: one\ntwo"


def test_other_errors_and_what_is_returned_pass():
    @in_python_words
    def divides(a: int, b: int = 1) -> float:
        """Divide."""
        return a / b

    assert divides(4, b=2) == 2
    assert divides.__doc__ == "Divide."
    with pytest.raises(ZeroDivisionError):
        divides(1, 0)
