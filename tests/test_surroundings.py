"""Whatever a user's machine has set for other programs, `ae` does what it does elsewhere."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core.errors import warnings_end_nothing
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.training.artifacts import FULL
from aecli.training.progress import NullProgress
from aecli.training.trainer import train
from aecli.views.plot_table import PLOTS, Plot
from aecli.views.plots import draw_plots
from tests.conftest import DIGITS, SMALL

SETTINGS = [part for key in (*SMALL, "training.epochs=1") for part in ("--set", key)]


def ae_in(surroundings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, with these environment variables."""
    environment = {**os.environ, **surroundings}
    command = [sys.executable, "-m", "aecli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


# -- Keras ---------------------------------------------------------------------------------------


KERAS_FILES = {
    "halves": {"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first", "backend": "theano"},
    "a bad floatx": {"floatx": "bfloat16"},
    "a bad epsilon": {"epsilon": 1},
    "a bad format": {"image_data_format": "channels", "nnx_enabled": True},
    "a list": [],
}


def keras_home(content: object) -> dict[str, str]:
    Path("keras_home").mkdir()
    Path("keras_home/keras.json").write_text(json.dumps(content))
    return {"KERAS_HOME": "keras_home", "KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "x", "KERAS_NNX_ENABLED": "1"}


def test_a_training_takes_no_setting_of_keras_or_matplotlib_from_the_user(trained):
    surroundings = {**keras_home(KERAS_FILES["halves"]), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    Path("defaults.yaml").write_text("{}")
    done = ae_in(surroundings, "train", "--config", "defaults.yaml", *SETTINGS, "--run", "here")
    assert done.returncode == 0, done.stderr
    assert "could not be drawn" not in done.stderr
    for before, after in zip(trained.history, Run(Path("here")).history, strict=False):
        assert after.loss == pytest.approx(before.loss, rel=1e-3)


@pytest.mark.parametrize("content", KERAS_FILES.values(), ids=KERAS_FILES)
def test_keras_has_our_settings_whatever_its_file_says(content, monkeypatch):
    for name, value in {**keras_home(content), "KERAS_BACKEND": ""}.items():
        monkeypatch.setenv(name, value)
    code = (
        "from aecli.models.backend import keras; c = keras.config; import keras.src.backend.config as home\n"
        "print(c.floatx(), c.epsilon(), c.image_data_format(), home.keras_home())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["float32", "1e-07", "channels_last", "keras_home"], done.stderr


def test_keras_writes_no_settings_into_the_home_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    subprocess.run([sys.executable, "-c", "import aecli.models.backend"], check=True)
    assert not (tmp_path / ".keras").exists()


# -- Matplotlib ----------------------------------------------------------------------------------


MATPLOTLIBRC = """image.origin: lower
image.lut: 2
image.cmap: jet
savefig.dpi: 10
savefig.bbox: tight
text.usetex: true
font.size: 30
figure.facecolor: red
axes.facecolor: green
lines.linewidth: 9
nonsense: 3
backend: nonsense
"""


def pixels(name: str) -> np.ndarray:
    with Image.open(name) as image:
        return np.asarray(image)


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "tkagg", "", "pdf"])
def test_a_plot_is_drawn_whatever_the_backend(run, backend):
    done = ae_in({"MPLBACKEND": backend}, "plot", "history", "--output", "a.png")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("place", ["here", "named", "in a folder"])
def test_a_matplotlibrc_changes_no_picture(run, place):
    for kind in ("reconstructions", "filters"):
        assert not ae_in({}, "plot", kind, "--output", f"{kind}.png").returncode
    file = Path({"here": "matplotlibrc", "named": "settings.txt", "in a folder": "folder/matplotlibrc"}[place])
    file.parent.mkdir(exist_ok=True)
    file.write_text(MATPLOTLIBRC)
    named = {"here": {}, "named": {"MATPLOTLIBRC": "settings.txt"}, "in a folder": {"MPLCONFIGDIR": "folder"}}[place]
    for kind in ("reconstructions", "filters"):
        done = ae_in(named, "plot", kind, "--output", f"{kind}2.png")
        assert done.returncode == 0, done.stderr
        assert "Bad" not in done.stderr
        np.testing.assert_array_equal(pixels(f"{kind}2.png"), pixels(f"{kind}.png"))


def test_a_contact_sheet_and_a_report_are_drawn_with_our_settings(run):
    Path("matplotlibrc").write_text(MATPLOTLIBRC)
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save("a.png")
    for command in (["check", "a.png", "--sheet", "sheet.png"], ["report", "runs/small"]):
        done = ae_in({}, *command)
        assert "Traceback" not in done.stderr, done.stderr
    assert pixels("sheet.png")[0, 0].tolist() == [255] * 4


def test_a_matplotlibrc_that_is_no_text_is_one_line(run):
    Path("matplotlibrc").write_bytes("backend: agg".encode("utf-16"))
    done = ae_in({}, "plot", "history")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ae: matplotlib: cannot read its settings")


class Notes(NullProgress):
    """Keeps what the user is told."""

    def __init__(self, notes: list[str]) -> None:
        self.note = notes.append  # type: ignore[method-assign]


def broken(_: Run) -> object:
    raise RuntimeError("latex could not be found")


def test_a_plot_that_fails_is_a_note_and_the_training_is_complete(monkeypatch, tmp_path):
    monkeypatch.setitem(PLOTS, "broken", Plot("broken", "nothing", f"{__name__}:broken"))
    notes: list[str] = []
    config = load_config(None, (*SMALL, "training.epochs=1")).config
    run = train(config, tmp_path / "run", artifacts=(*FULL, draw_plots), progress=Notes(notes))
    assert run.state == "complete"
    assert run.metrics["splits"]
    assert [note for note in notes if note.startswith("broken: could not be drawn (latex")]
    assert any(f"ae plot broken --run {run.path}" in note for note in notes)
    assert (run.plots_folder / "history.png").is_file()


# -- warnings ------------------------------------------------------------------------------------


COMMANDS = (
    "check a.npy", "train --data a.npy --run r", "compare a.npy --seeds 1 --activations relu --output s",
    "reconstruct a.npy", "evaluate a.npy", "encode a.npy", "plot filters", "plot errors", "report runs/small",
    "import a.npy --output b.npy", "verify runs/small --quick", "export runs/small --to litert --int8",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_warning_of_a_library_ends_no_command(run, command):
    np.save("a.npy", np.load(DIGITS)[:60])
    words = command.split()
    options = SETTINGS if words[0] in ("train", "compare") else []
    done = ae_in({"PYTHONWARNINGS": "error"}, *words, *options)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr + done.stdout


def test_a_warning_of_a_library_ends_no_call(run):
    code = f"import aecli; aecli.train({str(DIGITS)!r}, set={{'training.epochs': 1, 'model.hidden': [8]}}, folder='r')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_warnings_of_a_caller_stay_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with warnings_end_nothing():
            warnings.warn("of a library", DeprecationWarning, stacklevel=1)
        with pytest.raises(DeprecationWarning):
            warnings.warn("of the caller", DeprecationWarning, stacklevel=1)
