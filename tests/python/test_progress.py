"""How far a training is, who is told, and how it is stopped."""

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import aecli
from aecli.core.signals import Interrupted
from aecli.python import progress as module
from aecli.python.progress import Told, in_notebook, stoppable, training_progress
from aecli.runs.records import EpochRecord
from aecli.training.progress import Both, NullProgress
from tests.conftest import python
from tests.python.test_images import Tensor

KEYS = {"model.latent_dim": 4, "model.hidden": [8], "training.epochs": 3, "training.batch_size": 256}
RECORD = EpochRecord(2, 0.5, 0.25, 1e-3, 0.1, {"kl": 1.0, "val_kl": 2.0})


class Display:
    """Stands for IPython.display: keeps what is shown, each time that it is shown anew."""

    def __init__(self):
        self.shown = []

    def display(self, content, raw, display_id):
        assert raw
        assert display_id is True
        self.shown.append(content)
        return SimpleNamespace(update=lambda new, raw: self.shown.append(new))


@pytest.fixture
def notebook(monkeypatch):
    """Let this process look like the kernel of a notebook; return what it shows."""
    display = Display()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(module, "_SECONDS_BETWEEN", 0.0)
    return display


def test_a_process_without_ipython_is_no_notebook(monkeypatch):
    assert not in_notebook()
    shell = SimpleNamespace()  # IPython in a terminal has no kernel
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()


def test_a_notebook_shows_one_line_in_the_place_of_the_last(notebook):
    progress = training_progress(None)
    progress.note("a < b")
    progress.stage("training")
    progress.advance(1.5, 3)
    progress.epoch(RECORD, 3)
    last = notebook.shown[-1]
    assert last["text/plain"] == "a < b\nepoch 2/3  loss 0.50000  val_loss 0.25000"
    assert "<div>a &lt; b</div>" in last["text/html"]
    assert '<progress value="1.50" max="3">' in last["text/html"]
    progress.collapsed(RECORD, "why")
    progress.close()
    assert notebook.shown[-1]["text/plain"] == "a < b\nepoch 2: no better than the mean image yet: why"
    assert "<progress" not in notebook.shown[-1]["text/html"]


def test_nothing_is_shown_where_nobody_looks_unless_it_is_asked_for(capsys, notebook):
    assert isinstance(training_progress(False), NullProgress)
    assert notebook.shown == []


def test_a_script_whose_output_is_piped_says_nothing_and_lines_when_asked(capsys):
    for shown in (None, False):
        training_progress(shown).note("a note")
        assert capsys.readouterr().err == ""
    training_progress(True).note("a note")
    assert capsys.readouterr().err == "a note\n"


def test_who_is_told_of_an_epoch_has_its_row_and_others_see_it_too(notebook):
    rows = []
    told = Both(training_progress(True), Told(rows.append))
    told.note("a")
    told.epoch(RECORD, 3)
    told.close()
    assert rows == [
        {"epoch": 2, "loss": 0.5, "val_loss": 0.25, "learning_rate": 1e-3, "seconds": 0.1, "kl": 1.0, "val_kl": 2.0}
    ]
    assert any("epoch 2/3" in content["text/plain"] for content in notebook.shown)


def test_ctrl_c_keeps_a_checkpoint_and_the_same_call_goes_on(digits):
    handler = signal.getsignal(signal.SIGINT)

    def stop(row):
        if row.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        aecli.train(digits, set=KEYS, folder="a", on_epoch=stop)
    assert isinstance(stopped.value, Interrupted)
    assert str(stopped.value) == "stopped: a keeps a checkpoint: go on with the same call and resume=True"
    assert signal.getsignal(signal.SIGINT) is handler
    halfway = aecli.Run("a")
    assert (halfway.state, halfway.failure) == ("interrupted", "stopped by SIGINT")
    rows = []
    run = aecli.train(digits, set=KEYS, folder="a", resume=True, on_epoch=rows.append)
    assert (run.state, len(run.history)) == ("complete", 3)
    assert rows[-1] == run.history[-1]
    assert run.failure is None


def stopped(block):
    """Run a block that can be stopped; return what was said at once, and the error's words."""
    said = []
    with pytest.raises(Interrupted) as caught, stoppable(said.append, lambda: "kept") as signals:
        block(signals)
    return said, str(caught.value)


def test_a_second_ctrl_c_is_an_error_and_ends_no_kernel():
    def twice(signals):
        with signals.deferred():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    assert stopped(twice) == (["stopping ..."], "stopped: kept")


def test_an_error_that_a_library_makes_of_ctrl_c_is_a_stop():
    def serialise(_):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ValueError("of the library") from error

    assert stopped(serialise) == (["stopping ..."], "stopped: kept")
    with pytest.raises(ValueError, match="its own"), stoppable(lambda _: None, lambda: "kept"):
        raise ValueError("its own")


def test_a_thread_trains_images_of_other_axes_which_come_back_as_they_were(digits):
    images = np.stack([digits[:200], digits[:200, ::-1], digits[:200, :, ::-1]], axis=1)  # (N, C, H, W)
    runs = []

    def train():
        runs.append(aecli.train(Tensor(images), set={**KEYS, "data.axes": "NCHW", "training.epochs": 1}, folder="t"))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    [run] = runs
    assert run.image_format.image_shape == (8, 8, 3)
    made = run.reconstruct(images[:5])
    assert (made.shape, made.dtype) == ((5, 3, 8, 8), np.uint8)
    assert np.abs(made.astype(float) - images[:5]).mean() < 60
    np.testing.assert_array_equal(run.decode(run.encode(images[:5])), made)
    np.testing.assert_array_equal(run.decode(run.encode(images[:5])[0]), made[0])
    assert run.sample(2).shape == (2, 3, 8, 8)


def test_a_callback_that_fails_ends_the_training_with_its_own_error(digits):
    def fail(row):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        aecli.train(digits, set=KEYS, folder="a", on_epoch=fail)
    assert aecli.Run("a").failure == "mine"


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"device": "gpuu"}, "device='gpuu': expected auto, cpu or a GPU"),
        ({"resume": True, "overwrite": True}, "resume and overwrite exclude each other"),
        ({"set": ["a=b"]}, "set=.*expected config keys"),
    ],
)
def test_an_argument_that_is_none_of_the_kind_is_named(digits, named, says):
    with pytest.raises(aecli.AeError, match=says):
        aecli.train(digits, **named)


SCRIPT = """
import numpy as np, aecli
run = aecli.train(np.arange(64 * 30, dtype="uint8").reshape(30, 8, 8), set={"training.epochs": 1, "model.latent_dim": 2})
run = aecli.train(run.reconstruct(np.zeros((20, 8, 8), bool)), set={"training.epochs": 1}, folder="other")
print(run.state)
"""


@pytest.mark.long
def test_a_script_whose_output_is_piped_prints_its_own_lines_alone():
    done = python(SCRIPT)
    assert (done.stdout, done.stderr) == ("complete\n", "")


@pytest.mark.long
def test_a_study_that_is_stopped_says_that_the_same_call_goes_on(digits):
    np.save("digits.npy", digits)
    code = (
        "import aecli\n"
        'keys = {"training.epochs": 400, "model.latent_dim": 2}\n'
        'aecli.compare("digits.npy", activations=["relu", "elu"], seeds=4, set=keys, workers=1, progress=True)\n'
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("1/8"):
            process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert "stopped: studies/digits keeps what was trained: the same call goes on from there" in lines[-1]
