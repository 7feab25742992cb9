"""The wheel carries what the program needs, and declares every package it imports."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path).namelist()


def test_the_wheel_carries_the_digits_and_their_licence(wheel):
    assert {"aecli/data/digits.npy", "aecli/data/DIGITS.md"} <= set(wheel)


def test_the_wheel_carries_every_config(wheel):
    assert {f"aecli/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")} <= set(wheel)


def test_the_wheel_carries_every_module(wheel):
    modules = {f"aecli/{path.relative_to(ROOT / 'src' / 'aecli')}" for path in (ROOT / "src" / "aecli").rglob("*.py")}
    assert modules <= set(wheel)


def test_every_imported_package_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=]", requirement)[0] for requirement in project["dependencies"]}
    names = {"PIL": "pillow", "yaml": "pyyaml", "pydantic_core": "pydantic"}
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"aecli"}
    assert {names.get(name, name) for name in third_party} <= declared
