"""The README and the pages of docs/ say what the program does."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from aecli.cli.main import COMMANDS, cli
from aecli.runs.model import load_model
from aecli.studies.config import StudyFile
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
TEXTS = {"the README": README, **PAGES}
HELP_BLOCKS = re.findall(r"```\n\$ ae ([^\n]*--help)\n(.*?)```", PAGES["commands.md"], re.DOTALL)
DOCUMENTED = [arguments for arguments, _ in HELP_BLOCKS]


def blocks(language, *names):
    """Return the fenced blocks of a language, each with the name of its page and its number there."""
    return [
        pytest.param(block, id=f"{name}-{number}")
        for name in names
        for number, block in enumerate(re.findall(rf"```{language}\n(.*?)```", TEXTS[name], re.DOTALL), 1)
    ]


@pytest.mark.parametrize(("arguments", "shown"), HELP_BLOCKS, ids=DOCUMENTED)
def test_a_help_block_is_what_the_program_prints(arguments, shown):
    printed = CliRunner().invoke(cli, arguments.split(), prog_name="ae", terminal_width=80).output
    assert shown == printed


def test_the_main_help_is_shown():
    assert "--help" in DOCUMENTED


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command):
    assert f"{command} --help" in DOCUMENTED
    assert f"\n| `ae {command}" in PAGES["commands.md"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_table_by_task(command):
    table = README.partition("\n## Commands\n")[2].partition("\n## ")[0]
    assert re.search(rf"`ae {command}[` ]", table)


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "configs").glob("*.yaml")))
def test_every_config_is_listed(name):
    assert f"\n| `{name}` |" in PAGES["config.md"]
    assert f"\n| `{name}` |" in PAGES["results.md"]


def options_of(command):
    found = {name for parameter in command.params for name in parameter.opts}
    return found.union(*(options_of(inner) for inner in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("name", TEXTS)
def test_every_option_in_the_text_exists(name):
    known = {"--help", "--version"}.union(*(options_of(cli.get_command(None, command)) for command in COMMANDS))
    lines = "\n".join(re.findall(r"^(?: +|\$ )ae .*$|`ae .*?`", TEXTS[name], re.MULTILINE))
    assert set(re.findall(r"--[a-z0-9-]+", lines)) <= known


@pytest.mark.parametrize("block", blocks("yaml", *TEXTS))
def test_the_yaml_in_the_text_is_a_config(block):
    StudyFile.model_validate(yaml.safe_load(block.replace("1e-3", "0.001")))


def test_there_is_yaml_to_look_at():
    assert len(blocks("yaml", *TEXTS)) >= 2


@pytest.mark.parametrize("block", blocks("python", "the README", "python.md"))
def test_the_python_in_the_text_runs(block, run, digits, tmp_path):
    save(digits)
    quick = block.replace("runs/prelu", "runs/small").replace('"prelu"', '"linear"').replace("seeds=5", "seeds=2")
    for epochs in ("epochs=50", 'epochs": 50'):
        quick = quick.replace(epochs, epochs.replace("50", "1"))
    run_block(quick, tmp_path)


def save(images):
    """Save images under the names that the texts have for them."""
    Path("data").mkdir()
    for name in ("images.npy", "data/digits.npy"):
        np.save(name, images)


@pytest.mark.long
def test_the_python_of_the_readme_runs_as_it_stands(tmp_path):
    (tmp_path / "data").symlink_to(ROOT / "data")
    run_block("".join(param.values[0] for param in blocks("python", "the README")), tmp_path)


@pytest.mark.parametrize("name", ["the README", "python.md"])
@pytest.mark.parametrize("colours", [False, True], ids=["grey", "colour"])
def test_the_onnx_lines_reconstruct_grey_images_and_colour(name, colours, trained, coloured, digits, tmp_path):
    run, images = (coloured, np.load(coloured.path.parent / "colour.npy")) if colours else (trained, digits)
    save(images)
    [block] = [param.values[0] for param in blocks("python", name) if "decoder" in param.values[0]]
    result = re.findall(r"^(\w+) = ", block, re.MULTILINE)[-1]
    run_block(f"{block.replace('runs/prelu', str(run.path))}np.save('restored.npy', {result})\n", tmp_path)
    wanted = 255 * load_model(run).reconstruct(run.image_format.to_contract(images))
    np.testing.assert_allclose(np.load("restored.npy"), wanted, atol=1e-3)


@pytest.mark.parametrize("block", blocks("python", "extending.md"))
def test_the_python_about_extending_runs(block, run, tmp_path):
    run_block(block, tmp_path)


def run_block(block, folder):
    """Run a block as a script of its own."""
    script = folder / "block.py"
    script.write_text(block)
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_is_python_to_run():
    assert len(blocks("python", "the README")) == 2
    assert len(blocks("python", "python.md")) >= 3
    assert len(blocks("python", "extending.md")) >= 6
