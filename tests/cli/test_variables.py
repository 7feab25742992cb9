"""Every option has an environment variable, which the command line overrules."""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from aecli.cli.main import COMMANDS, cli
from aecli.data.files import cache
from tests.conftest import DIGITS


def options(command: click.Command) -> Iterator[click.Option]:
    yield from (parameter for parameter in command.params if isinstance(parameter, click.Option))
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_variable_of_its_own_called_after_command_and_option(name):
    command = cli.get_command(click.Context(cli), name)
    found = list(options(command))
    names = [option.envvar for option in found]
    assert len(set(names)) == len(names)
    for option in found:
        words = "_".join(max(option.opts, key=len).strip("-").split("-")).upper()
        assert option.envvar.startswith(f"AE_{name.upper()}_")
        assert option.envvar.endswith(f"_{words}")
    assert "AE_CACHE_GB" not in names  # which is the cache's own, whatever command uses it


def test_a_variable_is_an_option(ae, run, monkeypatch, digits):
    np.save("a.npy", digits[:20])
    monkeypatch.setenv("AE_ENCODE_RUN", "runs/small")
    monkeypatch.setenv("AE_ENCODE_OUTPUT", "there.npy")
    monkeypatch.setenv("AE_ENCODE_QUIET", "1")
    result = ae("encode", "a.npy")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert Path("there.npy").is_file()


def test_the_command_line_overrules_a_variable(ae, monkeypatch):
    monkeypatch.setenv("AE_CONFIG_SHOW_SET", "training.epochs=7 model.latent_dim=5")
    monkeypatch.setenv("AE_CONFIG_SHOW_JSON", "0")
    shown = ae("config", "show").stdout
    assert "epochs: 7" in shown
    assert "latent_dim: 5" in shown
    assert "epochs: 9" in ae("config", "show", "--set", "training.epochs=9").stdout


def test_images_overrule_the_variable_of_data(ae, monkeypatch):
    monkeypatch.setenv("AE_TRAIN_DATA", "variable.npy")
    assert "ae: variable.npy: no such file" in ae("train").stderr
    assert "ae: images.npy: no such file" in ae("train", "images.npy").stderr


@pytest.mark.parametrize(
    ("command", "variable", "value"),
    [
        ("train", "AE_TRAIN_DEVICE", "tpu"), ("train", "AE_TRAIN_THREADS", "many"), ("train", "AE_TRAIN_RESUME", "maybe"),
        ("compare", "AE_COMPARE_TABLE", "latx"), ("score", "AE_SCORE_FALSE_ALARMS", "2"),
    ],
)  # fmt: skip
def test_a_bad_value_names_its_variable(ae, run, monkeypatch, command, variable, value):
    monkeypatch.setenv(variable, value)
    result = ae(command, DIGITS)
    assert result.exit_code == 2
    assert f"Error: Invalid value for '{variable}': " in result.stderr


def test_an_empty_variable_and_those_of_others_say_nothing(ae, monkeypatch):
    for name in ("AE_CONFIG_SHOW_SET", "AE_TRAIN_DEVICE"):
        monkeypatch.setenv(name, "")
    for name in ("AE_HELP", "AE_VERSION", "AE_CONFIG", "AE_CONFIG_SHOW_HELP", "AE_CONFIG_SHOW_AS_JSON", "AE_SET"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("AE_CACHE_GB", "2")
    assert ae("config", "show").stdout.startswith("data:")
    assert cache.cache_limit() == 2e9
