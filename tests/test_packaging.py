"""The wheel carries what the program needs, and declares every package it imports."""

import ast
import json
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


def test_the_wheel_carries_the_schema_of_a_config(wheel):
    assert "aecli/configs/ae.schema.json" in wheel


def test_the_wheel_carries_every_module(wheel):
    modules = {f"aecli/{path.relative_to(ROOT / 'src' / 'aecli')}" for path in (ROOT / "src" / "aecli").rglob("*.py")}
    assert modules <= set(wheel)


def names_of(requirements):
    return {re.split(r"[<>=\[]", requirement)[0] for requirement in requirements}


def test_every_imported_package_is_declared():
    extras = [requirement for extra in EXTRAS.values() for requirement in extra]
    declared = names_of([*PYPROJECT["project"]["dependencies"], *extras])
    names = {"PIL": "pillow", "yaml": "pyyaml", "pydantic_core": "pydantic", "mlflow": "mlflow-skinny"}
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


# -- containers and workflows -----------------------------------------------------------------------

DOCKERFILE = (ROOT / "Dockerfile").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_image_is_made_of_files_that_are_there_and_not_left_out():
    sources = [word for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(sources) == let_in
    assert all((ROOT / source).exists() for source in sources)
    forced = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = [*forced, *packages, *PYPROJECT["project"]["license-files"], PYPROJECT["project"]["readme"]]
    assert {path.split("/")[0] for path in needed} <= let_in


def test_the_image_trains_on_cpus_with_the_versions_of_the_extra():
    assert all(f'"{one}"' in DOCKERFILE.replace("${TENSORFLOW}", "tensorflow") for one in EXTRAS["train"])
    assert "ARG TENSORFLOW=tensorflow-cpu\n" in DOCKERFILE


def test_the_image_has_a_slim_base_and_no_root_and_keeps_no_downloads():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.1[123]-slim-\w+", base) for base in bases)
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["1000"]
    assert all(
        "--no-cache-dir" in line for line in DOCKERFILE.splitlines() if re.search(r"\bpip (install|wheel)\b", line)
    )
    assert DOCKERFILE.rstrip().endswith('ENTRYPOINT ["ae"]\nCMD ["--help"]')


def test_the_development_container_makes_what_the_makefile_knows():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    target = container["postCreateCommand"].rpartition("make ")[2]
    assert f"\n{target}: " in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_no_more_and_its_actions_are_pinned(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert set(job["permissions"].items()) <= {("contents", "read")}
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
            assert "checkout" not in step.get("uses", "") or step["with"]["persist-credentials"] is False


def test_the_workflow_does_what_runs_on_every_change_on_every_python_with_the_wheel():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    supported = [line.split(" :: ")[-1] for line in PYPROJECT["project"]["classifiers"] if " :: 3." in line]
    assert jobs["test"]["strategy"]["matrix"]["python"] == supported
    commands = [step.get("run", "") for step in jobs["test"]["steps"]]
    assert any(re.fullmatch(r'WHEEL="\$\(echo dist/\*\.whl\)" bash \.ci/run', command) for command in commands)
    scripts = [
        word for job in jobs.values() for step in job["steps"] for word in step.get("run", "").split() if "/" in word
    ]
    assert all((ROOT / word).exists() for word in scripts if word.startswith("scripts/"))


def test_a_wheel_takes_the_place_of_the_folder_where_it_is_named():
    for wheel, wanted in (("", "-e '.[train]'"), ("dist/a.whl", "'dist/a.whl[train]'")):
        command = ["make", "--dry-run", "--always-make", f"WHEEL={wheel}", ".venv/installed"]
        recipe = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert f" install {wanted}\n" in recipe
