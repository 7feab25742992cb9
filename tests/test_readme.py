"""The README says what the program does."""

import re

import pytest
import yaml
from click.testing import CliRunner

from aecli.cli.main import COMMANDS, cli
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
HELP_BLOCKS = re.findall(r"```\n\$ ae (.*--help)\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("arguments", "shown"), HELP_BLOCKS, ids=[arguments for arguments, _ in HELP_BLOCKS])
def test_a_help_block_is_what_the_program_prints(arguments, shown):
    printed = CliRunner().invoke(cli, arguments.split(), prog_name="ae", terminal_width=80).output
    assert shown == printed


def test_the_main_help_is_shown():
    assert "--help" in [arguments for arguments, _ in HELP_BLOCKS]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command):
    assert f"`ae {command}" in README or f"ae {command} " in README


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "configs").glob("*.yaml")))
def test_every_config_is_listed(name):
    assert f"\n| `{name.removesuffix('.yaml')}` |" in README


def test_every_option_in_the_readme_exists():
    def options(command):
        found = {name for parameter in command.params for name in parameter.opts}
        return found.union(*(options(c) for c in getattr(command, "commands", {}).values()))

    known = {"--help", "--version"}.union(*(options(cli.get_command(None, name)) for name in COMMANDS))
    blocks = "\n".join(re.findall(r"^ +ae .*$", README, re.MULTILINE))
    assert set(re.findall(r"--[a-z-]+", blocks)) <= known


def test_the_yaml_in_the_readme_is_a_config():
    from aecli.runs.config import Config

    for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL):
        Config.model_validate(yaml.safe_load(block.replace("1e-3", "0.001")))


def test_the_python_in_the_readme_runs(run, digits):
    import numpy as np

    np.save("images.npy", digits)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(
            block.replace("runs/prelu", "runs/small").replace('"prelu"', '"linear"').replace("epochs=50", "epochs=1"),
            {},
        )
