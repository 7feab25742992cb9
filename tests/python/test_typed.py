"""A client's program passes `mypy --strict`: the package ships its types."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

CLIENT = """\
import aecli
import numpy as np

images = np.load("images.npy")
run = aecli.train(images, set={"training.epochs": 2}, on_epoch=lambda row: print(row.loss))
last: float = run.history[-1].val_loss
restored: np.ndarray = run.reconstruct(images)
flagged, better = run.score(images).flagged, run.evaluate(images)["model"]["mse"] < 0.1
verdict: str = aecli.compare([images[0], images[1]], activations=["relu", "prelu"], seeds=2).verdict
columns: dict[str, list[float]] = aecli.load_run(run.path).metrics.to_dict("list")
"""

WRONG = """\
import aecli

run = aecli.train("images.npy")
run.write_metrics({})
run.reconstruct(images="a", other=1)
"""


def mypy(program: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mypy", reason="needs mypy: pip install --group dev")
    Path("client.py").write_text(program)
    # The package stands among a site's packages, so that mypy takes what it says of its types and checks nothing else.
    site = Path("site").absolute()
    site.mkdir()
    (site / "aecli").symlink_to(ROOT / "src" / "aecli")
    environment = {**os.environ, "MYPYPATH": str(site)}
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "client.py", "--config-file="]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.long
def test_a_program_of_ten_lines_passes():
    assert len(CLIENT.splitlines()) == 10
    done = mypy(CLIENT)
    assert done.stdout.splitlines()[-1:] == ["Success: no issues found in 1 source file"], done.stdout + done.stderr


@pytest.mark.long
def test_a_program_that_writes_into_a_run_does_not():
    done = mypy(WRONG)
    assert '"Run" has no attribute "write_metrics"' in done.stdout
    assert 'Unexpected keyword argument "other"' in done.stdout


def test_the_types_are_shipped():
    assert (ROOT / "src" / "aecli" / "py.typed").is_file()
