"""The wheel carries what the program needs, and declares every package it imports."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml

from aecli import __version__
from tests.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


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


def names_of(requirements):
    return {re.split(r"[<>=\[]", requirement)[0] for requirement in requirements}


def test_every_imported_package_is_declared():
    declared = names_of([*PYPROJECT["project"]["dependencies"], *EXTRAS["train"]])
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


def test_what_uses_a_run_needs_nothing_that_trains():
    assert names_of(EXTRAS["train"]) == {"keras", "tensorflow"}
    assert not names_of(PYPROJECT["project"]["dependencies"]) & names_of(EXTRAS["train"])


def test_who_trains_has_the_same_versions_wherever_they_stand():
    assert set(EXTRAS["train"]) <= group("test")
    on_gpus = [requirement.replace("[and-cuda]", "") for requirement in EXTRAS["gpu"]]
    assert set(on_gpus) == {"aecli[train]", *(one for one in EXTRAS["train"] if one.startswith("tensorflow"))}


def group(name):
    included = (group(entry["include-group"]) for entry in entries(name) if isinstance(entry, dict))
    return {entry for entry in entries(name) if isinstance(entry, str)}.union(*included)


def entries(name):
    return PYPROJECT["dependency-groups"][name]


def test_tools_for_work_on_ae_are_groups_and_no_extras():
    assert set(EXTRAS) & set(PYPROJECT["dependency-groups"]) == set()
    assert group("dev") == group("test") | group("lint") | group("docs")


@pytest.mark.parametrize("name", ["test", "lint", "docs", "dev", "bench"])
def test_a_group_names_a_requirement_once(name):
    requirements = sorted(re.split(r"[<>=]", requirement)[0] for requirement in group(name))
    assert requirements == sorted(set(requirements))


def test_the_makefile_installs_the_group_with_a_pip_that_knows_groups():
    recipe = (ROOT / "Makefile").read_text().partition(".venv/installed-dev: .venv/python")[2]
    assert "--upgrade 'pip>=25.1'" in recipe.partition("--group dev")[0]


def test_python_m_aecli_is_ae():
    command = [sys.executable, "-m", "aecli"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
    assert version == f"ae, version {__version__}\n"
    usage = subprocess.run([*command, "train", "--no-such"], capture_output=True, text=True, check=False)
    assert usage.returncode == 2
    assert usage.stderr.startswith("Usage: ae train")


def test_the_citation_is_of_this_version_by_these_authors():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["version"] == PYPROJECT["project"]["version"] == __version__
    assert citation["authors"] == PYPROJECT["project"]["authors"]
    assert citation["authors"][0]["name"] in (ROOT / "LICENSE").read_text()
    assert citation["license"] == "MIT"
    assert citation["repository-code"] == PYPROJECT["project"]["urls"]["Repository"]
