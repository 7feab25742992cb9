"""The promises of SECURITY.md that are more than one line for one bad file."""

import html
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import RunError
from aecli.runs.onnx_check import read_graph
from aecli.studies.results import Result, read_results
from aecli.studies.study import Study
from tests.conftest import DIGITS, ROOT, python
from tests.hostile import Evil, dense, external, npy_bytes

USES = [
    ("encode", DIGITS), ("reconstruct", DIGITS), ("evaluate", DIGITS), ("plot",), ("plot", "filters"), ("plot", "health"),
    ("plot", "history"), ("plot", "errors"), ("report", "runs/small"), ("runs",),
    ("sample", "--components", "1", "--output", "digits_samples.npy"), ("plot", "samples"), ("plot", "latents"),
]  # fmt: skip


def test_a_run_is_used_without_its_keras_model_and_without_unpickling(run):
    """Neither is there to be called: the file is gone, and unpickling ends the process."""
    run.model_file.unlink()
    code = (
        "import pickle, sys\n"
        "def refuse(*_, **__): raise SystemExit('unpickled')\n"
        "pickle.load = pickle.loads = pickle.Unpickler = refuse\n"
        "from click.testing import CliRunner\n"
        "from aecli.cli.main import cli\n"
        "import json\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    result = CliRunner().invoke(cli, [*command, *([] if command[0] in ('runs', 'report') else ['--run', 'runs/small'])])\n"
        "    assert result.exit_code == 0, (command, result.output)\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )
    done = python(code, json.dumps([[str(part) for part in command] for command in USES]))
    assert done.returncode == 0, done.stderr


def test_the_pickle_of_the_tests_would_run():
    """The cases with one prove something."""
    Path("evil.npy").write_bytes(npy_bytes(np.array([Evil()]), allow_pickle=True))
    np.load("evil.npy", allow_pickle=True)
    assert Path("pwned").is_dir()


def test_weights_outside_are_refused_before_they_are_looked_for(run, ae):
    """Opening the pipe would wait for ever."""
    os.mkfifo(run.path / "pipe")
    run.encoder_file.write_bytes(dense(external("pipe")))
    with pytest.raises(ValueError, match="lie in another file"):
        read_graph(run.encoder_file)
    assert ae("encode", DIGITS).exit_code == 1


def test_what_a_run_says_is_escaped_in_its_page(run, ae):
    script = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    content = json.loads(run.environment_file.read_text())
    content["versions"][script] = script
    content["machine"]["processor"] = script
    content["data"] |= {"file": f"/nowhere/{script}", "sha256": script}
    run.environment_file.write_text(json.dumps(content))
    run.config_file.write_text(run.config_file.read_text() + f"# {script}\n")
    metrics = json.loads(run.metrics_file.read_text())
    run.metrics_file.write_text(json.dumps({**metrics, "finished": script}))
    run.health_file.write_text(run.health_file.read_text().replace("encoder_0", "<b>x</b>"))
    assert ae("report", "runs/small").exit_code == 0
    page = run.report_file.read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>x</b>" not in page
    assert html.escape("<script>alert(1)") in page


@pytest.mark.parametrize("command", USES, ids=lambda c: " ".join(Path(p).name for p in c))
def test_nothing_is_written_but_into_the_run_and_where_told(run, ae, tmp_path, command):
    """Every file that is there before is the same afterwards, but those of pictures and pages in the run."""
    Path("mine").mkdir()
    Path("mine/a.txt").write_text("mine")
    for name in ("report.html", "reconstructions.npy"):
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).symlink_to(tmp_path / "mine" / "a.txt")
    for name in ("reconstructions", "history", "errors", "filters", "health"):
        (run.plots_folder / f"{name}.png").unlink(missing_ok=True)
        (run.plots_folder / f"{name}.png").symlink_to(tmp_path / "mine" / "a.txt")
    assert ae(*command).exit_code == 0
    assert Path("mine/a.txt").read_text() == "mine"
    new = {path.name for path in Path().iterdir()} - {"mine", "runs"}
    assert all(name.startswith("digits_") for name in new)


@pytest.mark.parametrize("run", ["../other", "/etc", "runs/../../other"])
def test_a_study_has_its_runs_inside(run):
    Path("s").mkdir()
    study = Study(Path("s"))
    study.write_results([Result("relu", "relu", 0, "complete", run=run)])
    with pytest.raises(RunError, match=r"is damaged .a run lies outside the study"):
        read_results(study.results_file)


@pytest.mark.long
def test_the_fuzzing_goes_round():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "fuzz.py", "--minutes", "0", "--only", "npy"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0 findings" in done.stdout
