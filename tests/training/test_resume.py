"""Going on with a run: the same bits as without a stop, wherever it was, and refused where it cannot be."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from aecli.core.errors import AeError, ReadError, RunError
from aecli.core.signals import Interrupted, Signals, exit_code
from aecli.data import loader as loader_module
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.studies.executors.executor import Task, study_trainer, train_task
from aecli.training.checkpoints import Cursor, read_checkpoint
from aecli.training.progress import NullProgress
from aecli.training.resume import can_go_on
from aecli.training.trainer import Trainer, train
from tests.conftest import DIGITS, PLAIN, python
from tests.hostile import shaped, zipped

AE = [sys.executable, "-m", "aecli.cli.main"]
TINY = ("model.latent_dim=4", "model.hidden=[12]", "training.epochs=4", "training.batch_size=64")
OFTEN = "training.checkpoint_seconds=0"


BRIEF, WHOLE = study_trainer(), Trainer()
"""Shared by the tests: what is compiled serves the next."""


def run_training(folder, *overrides, trainer=BRIEF, **options):
    return trainer.train(load_config(None, (*TINY, OFTEN, *overrides)).config, Path(folder), **options)


def result(run):
    """All that must not depend on stops: the weights' hash, the epoch kept, the history and the health."""
    history = [(r.epoch, r.loss, r.val_loss, r.learning_rate, r.terms) for r in run.history]
    return run.metrics["weights_sha256"], run.metrics["best_epoch"], history, run.health_file.read_text()


class Stopping(NullProgress):
    """Ends a training like Ctrl-C after so many pauses."""

    def __init__(self, after):
        self.left, self.notes = after, []

    def note(self, message):
        self.notes.append(message)

    def advance(self, done, epochs):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def stopped(folder, *overrides, after=30, progress=None, **options):
    """A run stopped after so many steps, and pauses between epochs: every step is a call of its own."""
    from aecli.training.engines.tensorflow import step as program

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program._Pace, "adapt", lambda pace, *_: setattr(pace, "steps", 1))
        with pytest.raises(KeyboardInterrupt):
            run_training(folder, *overrides, progress=progress or Stopping(after), **options)
    return Run(Path(folder))


@pytest.fixture
def windows(monkeypatch):
    """Makes a file of a megabyte large enough to be streamed, in several windows."""
    monkeypatch.setattr(loader_module, "WINDOW_BYTES", 4 * 10**5)
    images = np.random.default_rng(0).integers(0, 256, (20_000, 8, 8)).astype(np.uint8)
    np.save("large.npy", images)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.dropout=0.3", "training.early_stopping={patience: 2}", "training.learning_rate=0.03", "training.epochs=9"),
        (*PLAIN, "model.hidden=[12]", "training.schedule=cosine", "training.optimizer={name: sgd, momentum: 0.9}"),
        (
            "data.train=large.npy", "data.memory_budget=1", "training.epochs=2", "model.dropout=0.1",
            "data.augment={shift: 0.2, noise: 0.1}", "training.corruption={masking: 0.2}",
        ),
        ("model.code={gaussian: {beta: 2, warmup: 2}}", "training.early_stopping={patience: 1}"),
        (
            "data.train=large.npy", "data.memory_budget=1", "training.epochs=2", "training.schedule=linear_tail",
            "training.optimizer=lion", "training.warmup=0.3", "training.clipnorm=0.1", "training.ema=0.9",
            "data.augment={probability: 0.5, shift: 0.1, subpixel: true, scale: 0.1, shear: 0.1, mixup: 0.2}",
        ),
        ("model.code={quantised: {levels: 5}}",),
    ],
    ids=[
        "dropout, early stopping", "cosine, without a linear path", "streamed, augmented, corrupted", "Gaussian code",
        "streamed, averaged, mixed",
        "quantised code",
    ],
)  # fmt: skip
def test_a_training_stopped_again_and_again_ends_with_the_same_bits(windows, overrides):
    expected = result(run_training("whole", *overrides))
    for after in (1, 40, 17, 5):
        stopped("parts", *overrides, after=after, resume=True)
    run = run_training("parts", *overrides, resume=True)
    assert result(run) == expected


class StoppingInValidation(NullProgress):
    """Ends a training in the first epoch, when its training images have been visited and some to validate with."""

    left = 2

    def advance(self, done, epochs):
        self.left -= done == 1
        if not self.left:
            raise KeyboardInterrupt


def test_a_training_stops_before_its_first_step_too():
    """While it is measured how the network begins, which decides whether any epoch is better."""
    expected = result(run_training("whole"))
    run = stopped("parts", after=1)
    state = read_checkpoint(run.checkpoint_files[-1]).state
    assert (state.cursor, state.best.weights) == (Cursor(), None)
    run = stopped("parts", after=6, resume=True)
    best = read_checkpoint(run.checkpoint_files[-1]).state.best
    assert best.epoch == 0
    assert best.start == best.val_loss > 0
    assert result(run_training("parts", resume=True)) == expected


def test_a_training_stops_in_the_middle_of_validation_too():
    corrupted = ("training.corruption={masking: 0.2}", "data.validation_split=0.3")
    expected = result(run_training("whole", *corrupted))
    run = stopped("parts", *corrupted, progress=StoppingInValidation())
    checkpoint = read_checkpoint(run.checkpoint_files[-1])
    assert (checkpoint.state.cursor.epoch, checkpoint.records) == (1, ())
    assert result(run_training("parts", *corrupted, resume=True)) == expected


def test_a_complete_run_is_extended_as_if_it_had_never_ended():
    longer = ("model.dropout=0.3", "training.early_stopping={patience: 5}", "training.epochs=9")
    expected = result(run_training("long", *longer, trainer=WHOLE))
    run_training("short", *longer, "training.epochs=3", trainer=WHOLE)
    run = run_training("short", *longer, resume=True, trainer=WHOLE)
    assert result(run) == expected
    assert len(run.checkpoint_files) == 1
    assert load_config(run.config_file).config.training.epochs == 9


def test_a_study_goes_on_with_a_run_that_was_cut_short(digits):
    expected = result(run_training("whole"))
    np.save("other.npy", digits[::-1])
    for name, images in (("parts", "null"), ("other", "other.npy")):
        stopped(name, f"data.train={images}", after=60)
        heard, listener = [], NullProgress()
        listener.epoch = lambda record, _, heard=heard: heard.append(record.epoch)
        train_task(BRIEF, Task("group", load_config(None, (*TINY, OFTEN)).config, Path(name), "name"), listener)
        assert (heard[0] == 1) == (name == "other")  # a run of other images begins anew
        assert result(Run(Path(name))) == expected
        assert Run(Path(name)).checkpoint_files == []


def test_a_study_does_not_train_a_run_anew_because_its_disk_fails():
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs /proc/self/mem, whose first byte is an input/output error")
    run = stopped("parts")
    config = load_config(run.config_file).config
    assert can_go_on(run, config)
    run.config_file.unlink()
    run.config_file.symlink_to("/proc/self/mem")
    with pytest.raises(ReadError, match="Input/output error"):
        can_go_on(run, config)


def test_a_complete_run_is_left_as_it_is(trained):
    before = trained.metrics_file.stat().st_mtime_ns
    assert train(load_config(trained.config_file).config, trained.path, resume=True).metrics == trained.metrics
    assert trained.metrics_file.stat().st_mtime_ns == before


def test_the_last_two_checkpoints_are_kept_and_a_torn_one_is_left_out():
    expected = result(run_training("whole"))
    run = stopped("parts", after=40)
    _, newest = run.checkpoint_files
    torn = newest.read_bytes()
    newest.write_bytes(torn[: len(torn) // 2])
    listener = Stopping(1000)
    assert result(run_training("parts", resume=True, progress=listener)) == expected
    assert any(str(newest) in note and "damaged" in note for note in listener.notes)
    assert any("goes on in epoch" in note for note in listener.notes)


def test_the_checkpoint_gone_on_from_is_kept_until_two_others_are_written():
    """A newer one that is damaged is worth nothing, and must not take its place."""
    run = stopped("parts", after=40)
    good, newest = run.checkpoint_files
    newest.write_bytes(b"torn")
    stopped("parts", after=1, resume=True)
    assert good in run.checkpoint_files
    assert newest not in run.checkpoint_files
    for file in run.checkpoint_files:
        read_checkpoint(file)
    assert len(run.checkpoint_files) == 2


def test_a_changed_byte_of_a_checkpoint_is_found_or_changes_nothing():
    file = stopped("parts").checkpoint_files[-1]
    whole, content = file.read_bytes(), read_checkpoint(file)
    refused = 0
    for place in np.random.default_rng(0).choice(len(whole), 60, replace=False):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            read = read_checkpoint(file)
        except RunError:
            refused += 1
        else:  # zip keeps times and attributes that say nothing of the content
            for kind in ("variables", "optimizer"):
                for a, b in zip(getattr(read.state, kind), getattr(content.state, kind), strict=True):
                    np.testing.assert_array_equal(a, b)
            assert (read.trajectory, read.records, read.state.cursor) == (
                content.trajectory,
                content.records,
                content.state.cursor,
            )
    assert refused > 30


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_checkpoint_of_a_stranger_takes_no_memory_that_it_does_not_fill(packing):
    claims = shaped("(1000000000000, 64)", "<f4")
    Path("c.npz").write_bytes(zipped(("about.npy", claims), packing=packing))
    with pytest.raises(
        RunError, match=r"c.npz: is damaged .(an array ends before its last value|its arrays are packed)"
    ):
        read_checkpoint(Path("c.npz"))


def test_a_checkpoint_of_another_training_is_left_out():
    expected = result(run_training("whole"))
    other, run = stopped("other", "training.seed=1"), stopped("parts")
    run.checkpoint_files[-1].write_bytes(other.checkpoint_files[-1].read_bytes())
    assert result(run_training("parts", resume=True)) == expected


def test_a_run_without_a_checkpoint_begins_again():
    expected = result(run_training("whole"))
    for file in stopped("parts").checkpoint_files:
        file.unlink()
    assert result(run_training("parts", resume=True)) == expected


REFUSED = {
    "model.latent_dim=5": "model.latent_dim: the run was begun with 4, not with 5",
    "training.learning_rate=0.5": "training.learning_rate: ",
    "training.epochs=3": "training.epochs: the run was begun with 4, 3 are fewer",
    "data.train=other.npy": "other.npy: its SHA-256 is [0-9a-f]{12}..., that of the images the run was begun on ",
    "data.test=other.npy": "begun without data.test",
}


def test_what_is_no_longer_as_it_was_is_refused_by_name(digits):
    np.save("other.npy", digits[::-1])
    run = stopped("a")
    files = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    for override, message in REFUSED.items():
        with pytest.raises(AeError, match=message):
            run_training("a", override, resume=True)
        assert {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == files


def test_a_moved_file_of_the_same_images_is_the_same_training(digits):
    np.save("here.npy", digits)
    expected = result(run_training("whole", "data.train=here.npy"))
    stopped("parts", "data.train=here.npy")
    Path("here.npy").rename("there.npy")
    assert result(run_training("parts", "data.train=there.npy", resume=True)) == expected


def test_a_cosine_schedule_cannot_be_extended():
    run_training("a", "training.schedule=cosine", trainer=WHOLE)
    with pytest.raises(AeError, match="cosine every step depends on how many epochs"):
        run_training("a", "training.schedule=cosine", "training.epochs=9", resume=True)


def test_a_tail_cannot_be_extended_and_warm_up_before_a_constant_rate_can():
    warmed, tailed = ("training.warmup=1.5", "training.ema=0.9"), "training.schedule=linear_tail"
    expected = result(run_training("long", *warmed, "training.epochs=6", trainer=WHOLE))
    run_training("a", *warmed, trainer=WHOLE)
    assert result(run_training("a", *warmed, "training.epochs=6", resume=True, trainer=WHOLE)) == expected
    run_training("b", tailed, trainer=WHOLE)
    with pytest.raises(AeError, match="linear_tail the last steps depend on how many epochs"):
        run_training("b", tailed, "training.epochs=9", resume=True)


def test_what_a_killed_process_left_behind_is_cleared_away():
    run = stopped("a")
    left = [
        run.path / ".checkpoint-7-0123abcd.npz",
        run.path / ".model-0123abcd.keras",
        run.plots_folder / ".x-0123abcd.png",
    ]
    for path in [*left, run.path / ".mine-0123abcd.txt"]:
        path.write_text("half")
    run_training("a", resume=True)
    assert not any(path.exists() for path in left)
    assert (run.path / ".mine-0123abcd.txt").exists()


def started(folder, *arguments):
    """A training that takes long, in a process of its own, and its lines up to the first epoch."""
    command = [*AE, "train", *(f"--set={key}" for key in TINY), "--set=training.epochs=1000000", "--run", folder]
    # A job in the background of a script inherits an ignored SIGINT; a terminal's does not.
    restore = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True, preexec_fn=restore)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch"):
            break
    return process


def test_a_signal_stops_with_a_checkpoint_and_the_command_to_go_on():
    process = started("a b", "--threads=1")
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 143
    assert said.endswith("stopped: a b keeps a checkpoint; go on with: ae train --resume --run 'a b' --threads 1\n")
    run = Run(Path("a b"))
    assert run.state == "interrupted"
    (file,) = run.checkpoint_files
    assert len(read_checkpoint(file).records) == len(run.history) > 0


def test_a_locked_run_names_its_process_and_a_dead_one_locks_nothing(ae):
    process = started("a")
    for option in ("--resume", "--overwrite"):
        refused = ae("train", option, "--run", "a")
        assert refused.exit_code == 1
        assert f"a: is being trained by process {process.pid} since 20" in refused.stderr
    process.kill()
    process.wait()
    assert (Path("a") / ".lock").exists()
    assert ae("train", "--overwrite", "--run", "a", "--set=training.epochs=1").exit_code == 0
    assert not (Path("a") / ".lock").exists()


def test_a_second_ctrl_c_ends_the_process_at_once():
    """The first is heard by a training that never pauses again, which only the second can end."""
    code = (
        "import os, signal, time\n"
        "from aecli.core.signals import Signals\n"
        "with Signals() as signals, signals.deferred():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print(signals.received, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('alive')\n"
    )
    restore = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, preexec_fn=restore)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "2\n")


def test_every_signal_has_its_exit_code():
    codes = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before = signal.signal(number, signal.SIG_DFL)  # a shell's background jobs ignore SIGINT
        try:
            with pytest.raises(Interrupted) as stopped, Signals():
                os.kill(os.getpid(), number)
        finally:
            signal.signal(number, before)
        codes.append(exit_code(stopped.value))
    assert codes == [130, 143, 129]


def test_an_ignored_signal_stays_ignored():
    code = (
        "import os, signal\n"
        "from aecli.core.signals import Signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with Signals() as signals: os.kill(os.getpid(), signal.SIGHUP)\n"
        "print(signals.received)\n"
    )
    assert python(code).stdout == "None\n"


def test_resume_without_a_name_takes_the_newest_run_and_keeps_its_name(ae):
    assert ae("train", "--resume").exit_code == 1
    options = [f"--set={key}" for key in TINY]
    assert ae("train", "--config", "elu", "--data", str(DIGITS), *options).exit_code == 0
    done = ae("train", "--resume", "--set=training.epochs=5")
    assert done.exit_code == 0
    assert "5 epochs" in done.stderr
    model = onnxruntime.InferenceSession("runs/elu/encoder.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(model["config"]) == "elu"
    assert ae("train", "--resume", "--overwrite").exit_code == 2
    assert "no such run" in ae("train", "--resume", "--run", "runs/ela").stderr
