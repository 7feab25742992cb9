"""The floors of the design: who may import what, and what a command loads."""

import ast
from pathlib import Path

import pytest

from aecli.cli.main import COMMANDS
from tests.conftest import DIGITS, ROOT, python

SOURCE = ROOT / "src" / "aecli"
MODULES = sorted(SOURCE.rglob("*.py"))
FLOORS = [
    ("errors",),
    ("seeds", "activations", "images", "history", "health", "package_files", "strict_yaml", "files", "machine", "kept"),
    ("onnx_file",),
    ("decoding", "cache"),
    ("progress", "parallel", "sheet", "draws", "arrays", "lock", "npz", "stopping"),
    ("checkpoint",),
    ("manifest",),
    ("pictures", "packed"),
    ("decoded",),
    ("sources",),
    ("metrics", "baselines", "stats", "data", "fields", "labels"),
    ("feed", "corruption", "importing", "run_content"),
    ("augmentation",),
    ("models", "config_problems"),
    ("config",),
    ("nn",),
    ("run", "findings"),
    ("infer", "denoising"),
    ("plots", "prepare", "provenance"),
    ("resuming",),
    ("fitting",),
    ("finishing",),
    ("training", "check"),
    ("workers", "study", "verifying"),
    ("summary",),
    ("tables",),
    ("comparing",),
    ("report",),
    ("api",),
    ("cli",),
    ("__main__",),
]


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def piece(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def floor(name: str) -> int:
    return next(i for i, names in enumerate(FLOORS) if name in names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_only_nn_imports_keras_and_tensorflow(path):
    found = {name.split(".")[0] for name in imported(path)} & {"keras", "tensorflow", "tf2onnx"}
    assert not found or path.parent.name == "nn"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_only_cli_imports_click_or_rich_or_prints(path):
    if path.parent.name == "cli":
        return
    assert not {name.split(".")[0] for name in imported(path)} & {"click", "rich"}
    calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    assert not any(isinstance(f, ast.Name) and f.id == "print" for f in calls)


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if p.parent != SOURCE or p.stem != "__init__"],
    ids=lambda p: str(p.relative_to(SOURCE)),
)
def test_imports_go_down(path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for name in imported(path):
        if name.startswith("aecli.") and piece(name) in {n for names in FLOORS for n in names}:
            # A family's `build` is the one place where a lower floor calls up, into nn, when it runs.
            assert piece(name) == own or floor(piece(name)) < floor(own) or (own, piece(name)) == ("models", "nn"), name


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["reconstruct", str(DIGITS)], ["encode", str(DIGITS)], ["evaluate", str(DIGITS)], ["plot"], ["plot", "filters"],
        ["plot", "errors"], ["plot", "history"], ["report", "runs/small"], ["runs"], ["config", "show"], ["decode", "latents.npy"],
    ],
    ids=lambda a: " ".join(Path(x).name for x in a),
)  # fmt: skip
def test_using_a_run_never_loads_tensorflow(run, arguments):
    import numpy as np

    np.save("latents.npy", np.zeros((3, 8), np.float32))
    loaded = loaded_by(*arguments)
    assert not loaded & {"tensorflow", "keras"}
    assert "numpy" in loaded or arguments[0] == "config"


def test_a_refused_run_never_loads_tensorflow(run):
    assert not loaded_by("train", "--run", str(run.path)) & {"tensorflow", "keras"}
