"""A shell completes commands, options, configs, keys, values, runs and studies; asked as a shell asks."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aecli.cli.completion import config_keys
from aecli.cli.main import COMMANDS
from aecli.core.schema import known_keys, nested_keys
from aecli.models.activations import ACTIVATIONS, ALIASES
from aecli.runs.config_file import load_config
from aecli.studies.config import StudyFile
from tests.conftest import ROOT, python

CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))


@pytest.fixture
def here():
    """Runs and a study, as far as their names go."""
    for folder, file in (("runs/relu", "config.yaml"), ("runs/small", "config.yaml"), ("studies/digits", "study.yaml")):
        Path(folder).mkdir(parents=True)
        Path(folder, file).touch()
    Path("runs/other").mkdir()
    Path("mine.yaml").touch()


def completed(words: str, index: int, shell: str = "bash") -> list[str]:
    """Return what a process of `ae` answers a shell, in bash's form without the kind of each word."""
    asked = {"_AE_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
    command = [sys.executable, "-m", "aecli"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line.startswith("plain,")]


@pytest.mark.parametrize(
    ("words", "index", "expected"),
    [
        ("ae", 1, [*COMMANDS]),
        ("ae re", 1, ["reconstruct", "report"]),
        ("ae config ", 2, ["init", "schema", "show"]),
        ("ae train --co", 2, ["--config"]),
        ("ae train --config", 3, [*CONFIGS, "mine.yaml"]),
        ("ae train --config pre", 3, ["prelu"]),
        ("ae train --config = pre", 4, ["prelu"]),
        ("ae compare --configs relu,conv_v", 3, ["relu,conv_vae"]),
        ("ae train --set training.ep", 3, ["training.epochs="]),
        ("ae train --set model.upsampling=", 3, ["model.upsampling=resize", "model.upsampling=shuffle", "model.upsampling=transposed"]),
        ("ae train --set model.upsampling =", 4, ["resize", "shuffle", "transposed"]),
        ("ae train --set model.upsampling = s", 5, ["shuffle"]),
        ("ae train --set model.code.gaussian.beta = ", 5, []),
        ("ae compare a.npy --vary model.norm = none,g", 6, ["none,group"]),
        ("ae compare --activations relu,prel", 3, ["relu,prelu"]),
        ("ae compare --by ss", 3, ["sse_per_image", "ssim"]),
        ("ae train --device gpu :", 4, ["0"]),
        ("ae encode a.npy --run ", 4, ["relu", "small"]),
        ("ae encode a.npy --run runs/s", 4, ["runs/small"]),
        ("ae verify", 2, ["relu", "small"]),
        ("ae report", 2, ["digits", "relu", "small"]),
        ("ae report studies/", 2, ["studies/digits"]),
        ("ae plot hi", 2, ["history"]),
        ("ae train --track m", 3, ["mlflow"]),
        ("ae completion", 2, ["bash", "zsh", "fish"]),
        ("ae trian --", 2, ["--version", "--help"]),
    ],
)  # fmt: skip
def test_a_word_is_completed(here, words, index, expected):
    assert completed(words, index) == expected


def test_no_name_is_completed_that_a_shell_would_run(here):
    for name in ("$(touch hit)", "a;b", "a b", "`x`", "-x", "new\nline"):
        Path("runs", name).mkdir()
        Path("runs", name, "config.yaml").touch()
        Path(f"{name}.yaml").touch()
    assert completed("ae encode a.npy --run ", 4) == ["relu", "small"]
    assert completed("ae train --config", 3) == [*CONFIGS, "mine.yaml"]


def test_what_is_no_word_of_ae_is_a_file_or_a_folder(here):
    asked = {"_AE_COMPLETE": "bash_complete", "COMP_WORDS": "ae reconstruct", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "aecli"]
    assert (
        subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True).stdout == "file,\n"
    )
    asked["COMP_WORDS"], asked["COMP_CWORD"] = "ae encode a.npy --run ../", "4"
    assert (
        subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True).stdout
        == "dir,../\n"
    )


def test_the_keys_are_those_of_the_config_and_the_words_are_values():
    keys = config_keys()
    assert set(keys) == {*known_keys(StudyFile), *nested_keys(StudyFile)}
    assert set(keys["model.activation"]) == {*ACTIVATIONS, *ALIASES}
    for key, words in keys.items():
        family = ["model.family=conv"] if key in ("model.upsampling", "model.norm") else []
        for word in words:
            if key != "training.precision":
                load_config(None, [*family, f"{key}={word}"], StudyFile)


@pytest.mark.parametrize("words", ["ae", "ae train --set tr", "ae train --config", "ae plot", "ae encode a --run"])
def test_a_completion_loads_nothing_that_takes_time(here, words):
    code = (
        "import atexit, os, sys\n"
        "atexit.register(lambda: print('LOADED', *{name.split('.')[0] for name in sys.modules}))\n"
        f"os.environ |= {{'_AE_COMPLETE': 'bash_complete', 'COMP_WORDS': {words!r}, 'COMP_CWORD': '{len(words.split())}'}}\n"
        "from aecli.cli.main import main\nmain()\n"
    )
    loaded = set(python(code).stdout.split("LOADED")[1].split())
    assert not loaded & {"numpy", "tensorflow", "keras", "pydantic", "yaml", "matplotlib", "rich", "onnxruntime"}


def test_the_script_is_printed_for_each_shell_with_where_it_goes(ae):
    for shell, place in (("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", "completions/ae.fish")):
        script = ae("completion", shell).stdout
        assert f"_AE_COMPLETE={shell}_complete" in script
        assert place in script.splitlines()[-1]
    assert "did you mean 'bash'?" in ae("completion", "bsh").stderr


# -- in a real shell -----------------------------------------------------------------------------

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
LOADS = {
    "bash": "bind 'set enable-bracketed-paste off'; source ./script",
    "zsh": "autoload -U compinit; compinit -u; source ./script",
    "fish": "source ./script",
}
LONGEST = 60.0
"""Seconds after which a shell that says nothing more is given up."""


class Shell:
    """An interactive shell in a terminal of its own, in which `ae` is this program."""

    def __init__(self, name: str) -> None:
        Path("bin").mkdir()
        Path("bin/ae").write_text(f'#!/bin/sh\nexec {sys.executable} -m aecli "$@"\n')
        Path("bin/ae").chmod(0o755)
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            path = f"{os.getcwd()}/bin:{os.environ['PATH']}"
            os.execvpe(
                name, SHELLS[name], os.environ | {"PATH": path, "TERM": "xterm", "PS1": "$ ", "HOME": os.getcwd()}
            )

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def wait_for(self, file: str) -> str:
        """Return what a file says when it has come."""
        until = time.monotonic() + LONGEST
        while not (Path(file).is_file() and Path(file).read_text().endswith("\n")) and time.monotonic() < until:
            if select.select([self.terminal], [], [], 0.1)[0]:
                os.read(self.terminal, 65536)
        return Path(file).read_text()

    def close(self) -> None:
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize("name", SHELLS)
def test_a_real_shell_completes_a_line(ae, here, name):
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}, which is not installed")
    Path("script").write_text(ae("completion", name).stdout)
    shell = Shell(name)
    try:
        shell.type(f"{LOADS[name]}; echo ready > ready\n")
        assert shell.wait_for("ready") == "ready\n"
        # What was completed is what runs, and tells by what it writes.
        shell.type("ae compl\tba\t > one\n")
        assert "_AE_COMPLETE=bash_complete" in shell.wait_for("one")
        shell.type(
            "ae config show --set training.sch\tcos\t --set model.upsampling=shuff\t --set model.family=c\t > two\n"
        )
        shown = shell.wait_for("two")
        assert "schedule: cosine" in shown
        assert "upsampling: shuffle" in shown
        shell.type("ae config show --config=pre\t --set training.ep\t7 > three\n")
        shown = shell.wait_for("three")
        assert "epochs: 7" in shown
        assert "activation: prelu" in shown or "name: prelu" in shown
    finally:
        shell.close()
