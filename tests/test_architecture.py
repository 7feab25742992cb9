"""The rooms of the house: who may import what, and what a command loads."""

import ast
from pathlib import Path

import pytest

from aecli.cli.main import COMMANDS
from tests.conftest import DIGITS, ROOT, python

SOURCE = ROOT / "src" / "aecli"
MODULES = sorted(SOURCE.rglob("*.py"))
NAMED = {str(path.relative_to(SOURCE)): path for path in MODULES}
ROOMS = ("core", "data", "models", "runs", "training", "studies", "views", "cli", "python")
"""A room imports itself and the rooms to its left."""

BESIDE = ("__init__.py", "__main__.py", "api.py", "nn")
"""What stands beside the rooms: the Python door, and where old models look for their layers."""

ONLY_IN = {
    "yaml": "core runs", "fcntl": "core", "resource": "core", "PIL": "data", "keras": "models training",
    "tensorflow": "training/engines/tensorflow", "onnx": "training views", "onnxruntime": "runs training/export",
    "scipy": "data/files/formats runs/uses/probing runs/uses/scoring training/check studies",
    "h5py": "data/files/formats training/export", "multiprocessing": "studies",
    "dask": "studies/executors", "distributed": "studies/executors", "matplotlib": "views", "jinja2": "views", "markupsafe": "views",
    "click": "cli", "rich": "cli", "tensorboard": "training/tracking", "mlflow": "training/tracking",
}  # fmt: skip
"""Package -> the folders that may import it; a package that stands here nowhere is imported anywhere.

What exports a run makes int8 of its ONNX with ONNX Runtime, and takes the weights out of its HDF5.
"""

MOST_FILES = 12


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def room(parts: tuple[str, ...]) -> str:
    return parts[0]


def test_every_module_is_in_a_room():
    assert {Path(name).parts[0] for name in NAMED} <= {*ROOMS, *BESIDE}


@pytest.mark.parametrize("name", [n for n in NAMED if n.split("/")[0] in ROOMS])
def test_a_room_imports_only_rooms_to_its_left(name):
    own = ROOMS.index(name.split("/")[0])
    for module in imported(NAMED[name]):
        parts = module.split(".")
        if parts[0] == "aecli" and parts[1:] and parts[1] != "__version__":
            assert parts[1] in ROOMS[: own + 1], f"{name} imports {module}"


@pytest.mark.parametrize("name", NAMED)
def test_a_package_is_imported_where_it_belongs(name):
    for package in {module.split(".")[0] for module in imported(NAMED[name])} & set(ONLY_IN):
        assert any(name.startswith(f"{folder}/") for folder in ONLY_IN[package].split()), package


@pytest.mark.parametrize("name", [n for n in NAMED if n.endswith("__init__.py") and n != "__init__.py"])
def test_the_file_that_makes_a_folder_a_package_is_empty(name):
    assert not NAMED[name].read_text()


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_folder_has_few_files(folder):
    count = len([path for path in folder.glob("*.py") if path.name != "__init__.py"])
    # One file a command is the order there.
    assert count <= MOST_FILES or folder.name == "commands"


def test_the_tests_mirror_the_rooms():
    tests = ROOT / "tests"
    folders = {str(path.parent.relative_to(tests)) for path in tests.rglob("test_*.py")} - {"."}
    assert {folder.split("/")[0] for folder in folders} == set(ROOMS)
    assert all((SOURCE / folder).is_dir() for folder in folders)


@pytest.mark.parametrize("name", [n for n in NAMED if not n.startswith("cli/")])
def test_only_cli_prints(name):
    calls = [node.func for node in ast.walk(ast.parse(NAMED[name].read_text())) if isinstance(node, ast.Call)]
    assert not any(isinstance(function, ast.Name) and function.id == "print" for function in calls)


@pytest.mark.parametrize("name", NAMED)
def test_a_family_is_imported_by_the_table_of_families_alone(name):
    from aecli.models.families import FAMILIES

    if name != "models/families.py":
        assert not {family.__module__ for family in FAMILIES.values()} & set(imported(NAMED[name]))


FIRST_ENGINE = "tensorflow"


@pytest.mark.parametrize("name", sorted(str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*") if p.is_file()))
def test_an_engine_is_named_in_its_folder_and_in_its_row_alone(name):
    if name.startswith(f"training/engines/{FIRST_ENGINE}/") or name.endswith(".pyc"):
        return
    lines = (SOURCE / name).read_text(encoding="utf-8").splitlines()
    naming = [line for line in lines if FIRST_ENGINE in line.lower()]
    if name == "training/engines/engine.py":
        [row] = naming
        assert row.startswith(f'    "{FIRST_ENGINE}": EngineSource(')
    else:
        assert naming == []


def loaded_by(*arguments: str) -> set[str]:
    code = (
        "import sys\n"
        "from aecli.cli.main import cli\n"
        "try: cli(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})\n"
    )
    done = python(code, *arguments)
    assert "Traceback" not in done.stderr
    return set(done.stdout.split("LOADED")[1].split())


def modules_after(code: str) -> set[str]:
    done = python(f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})")
    assert not done.returncode, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_loads_neither_numpy_nor_tensorflow(arguments):
    assert not loaded_by(*arguments) & {"numpy", "tensorflow", "keras", "pydantic", "matplotlib", "rich"}


def test_a_config_error_loads_neither_numpy_nor_tensorflow():
    assert not loaded_by("train", "--set", "training.epochs=x") & {
        "numpy",
        "tensorflow",
        "keras",
        "matplotlib",
    }


def test_the_training_room_loads_no_pictures_and_no_pages():
    everything = "import pkgutil, importlib, aecli.training as room\nfor m in pkgutil.walk_packages(room.__path__, 'aecli.training.'): importlib.import_module(m.name)"
    loaded = modules_after(everything)
    assert "keras" in loaded
    assert not loaded & {"matplotlib", "jinja2", "click"}  # Keras itself brings rich


@pytest.mark.parametrize(
    "arguments",
    [
        ["reconstruct", str(DIGITS)], ["encode", str(DIGITS)], ["evaluate", str(DIGITS)], ["plot"], ["plot", "filters"],
        ["plot", "errors"], ["plot", "history"], ["report", "runs/small"], ["runs"], ["config", "show"], ["decode", "latents.npy"],
        ["sample", "--components", "1"], ["score", str(DIGITS)], ["evaluate", "--keep"], ["plot", "latents"], ["plot", "neighbours"],
        ["probe", str(DIGITS), "--labels", "labels.npy"],
        ["compress", str(DIGITS)], ["plot", "rate"], ["export", "runs/small", "--to", "onnx", "--int8"],
    ],
    ids=lambda a: " ".join(Path(x).name for x in a),
)  # fmt: skip
def test_using_a_run_never_loads_tensorflow(run, arguments):
    import numpy as np

    np.save("latents.npy", np.zeros((3, 8), np.float32))
    np.save("labels.npy", np.arange(len(np.load(DIGITS))) % 2)
    loaded = loaded_by(*arguments)
    assert not loaded & {"tensorflow", "keras"}
    assert "numpy" in loaded or arguments[0] == "config"


def test_the_status_of_a_study_loads_neither_tensorflow_nor_what_draws():
    from aecli.runs.config_file import load_config
    from aecli.studies.config import StudyFile, study_yaml

    Path("study").mkdir()
    Path("study/study.yaml").write_text(study_yaml(load_config(None, (), StudyFile).config))
    loaded = loaded_by("compare", "--status", "--output", "study")
    assert not loaded & {"tensorflow", "keras", "matplotlib", "onnxruntime", "scipy"}
    assert "numpy" in loaded


def test_a_refused_run_never_loads_tensorflow(run):
    assert not loaded_by("train", "--run", str(run.path)) & {"tensorflow", "keras"}
