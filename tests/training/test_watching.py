"""What a run in training shows to who watches it: tables that are whole, and the time that is left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aecli.core.errors import WriteError
from aecli.core.locks import is_held
from aecli.runs.config_file import load_config
from aecli.runs.diagnosis import dead_units_of_code
from aecli.runs.records import LayerHealth
from aecli.runs.run import Run
from aecli.training import session
from aecli.training.progress import NullProgress
from aecli.training.trainer import train

TINY = ("model.latent_dim=4", "training.epochs=4", "model.hidden=[]", "training.batch_size=256")


class Watching(NullProgress):
    """Reads the folder of a run in training after each stretch of steps."""

    def __init__(self, run: Run, look=lambda: None):
        self.run, self.seen, self.look, self.ended = run, [], look, 0

    def epoch(self, record, epochs):
        self.ended = record.epoch

    def advance(self, done, epochs):
        if self.run.history_file.is_file():
            self.seen.append(([r.epoch for r in self.run.history], {h.epoch for h in self.run.health}, self.ended))
            self.look()


def watched(folder: Path, look=lambda: None) -> Watching:
    watching = Watching(Run(folder), look)
    train(load_config(None, TINY).config, folder, progress=watching)
    return watching


def test_the_tables_are_whole_after_every_epoch(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "_SECONDS_BETWEEN_TABLES", 0.0)
    watching = watched(tmp_path / "run")
    assert {len(epochs) for epochs, _, _ in watching.seen} >= {1, 2, 3}
    for epochs, of_health, ended in watching.seen:
        assert epochs == [*range(1, len(epochs) + 1)]
        assert of_health == {*epochs}
        assert ended - len(epochs) <= 1
    assert [record.epoch for record in watching.run.history] == [1, 2, 3, 4]


def test_short_epochs_are_not_written_one_by_one(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "_SECONDS_BETWEEN_TABLES", 10**6)
    watching = watched(tmp_path / "run")
    assert {len(epochs) for epochs, _, _ in watching.seen} <= {1}
    assert len(watching.run.history) == 4


def test_watching_changes_no_bit(monkeypatch, tmp_path):
    hashes = set()
    for seconds in (0.0, 10**6):
        monkeypatch.setattr(session, "_SECONDS_BETWEEN_TABLES", seconds)
        hashes.add(watched(tmp_path / str(seconds)).run.metrics["weights_sha256"])
    assert len(hashes) == 1


def test_a_run_in_training_shows_its_epochs_and_the_time_left(monkeypatch, tmp_path, ae):
    monkeypatch.setattr(session, "_SECONDS_BETWEEN_TABLES", 0.0)
    rows = []

    def look():
        rows.extend(json.loads(ae("runs", tmp_path, "--json").stdout))

    watched(tmp_path / "run", look)
    training = [row for row in rows if row["state"] == "training"]
    assert {row["epochs"] for row in training} >= {1, 2, 3}
    assert all(row["seconds_left"] >= 0 for row in training)
    assert {(row["data"], row["family"]) for row in rows} == {("digits", "dense")}
    assert training[-1]["mse"] is None
    assert {row["may_stop_early"] for row in training if row["epochs"]} == {False}
    assert {row["dead_latents"] for row in training if row["epochs"]} == {0}
    after = ae("runs", tmp_path)
    assert "complete" in after.stdout
    assert "left" not in after.stdout


def test_the_time_left_is_at_most_that_where_early_stopping_may_end_it(monkeypatch, tmp_path, ae):
    monkeypatch.setattr(session, "_SECONDS_BETWEEN_TABLES", 0.0)
    tables, folder = [], tmp_path / "run"
    look = lambda: tables.append(ae("runs", tmp_path).stdout)  # noqa: E731
    sets = (*TINY, "training.early_stopping={patience: 2}", "model.code={quantised: {levels: 5}}")
    train(load_config(None, sets).config, folder, progress=Watching(Run(folder), look))
    begun = [table.splitlines()[1].split() for table in tables if " training " in table]
    assert any("at most" in table for table in tables)
    # Of a code that is quantised it is not known before the end.
    place = tables[0].splitlines()[0].split().index("dead")
    assert {line[place + 1] for line in begun} == {"-"}  # "dense, quantised" are two words


@pytest.mark.parametrize("last", ["encoder_1", "code_0"])  # a convolutional network's is called so
def test_the_dead_units_of_the_code_are_those_of_the_last_layer_of_the_encoder(last):
    layers = [("encoder_0", 0.5), (last, 0.25), ("decoder_start_0", 0.75)]
    records = [
        LayerHealth(epoch, name, "relu", 8, dead / epoch, None, None, 1.0, 1.0)
        for epoch in (1, 2)
        for name, dead in layers
    ]
    assert dead_units_of_code(records) == 0.125
    assert dead_units_of_code([]) is None


def test_a_resumed_run_has_each_epoch_once(monkeypatch, tmp_path):
    """Also where the tables were ahead of the checkpoint that it goes on from."""
    monkeypatch.setattr(session, "_SECONDS_BETWEEN_TABLES", 0.0)
    folder, config = tmp_path / "run", load_config(None, TINY).config
    whole = train(config, tmp_path / "whole").history
    run = Run(folder)

    def stop():
        if len(run.history) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, folder, progress=Watching(run, stop))
    assert [record.epoch for record in run.history] == [1, 2, 3]
    watching = Watching(run)
    train(config, folder, progress=watching, resume=True)
    for epochs, of_health, _ in watching.seen:
        assert epochs == [*range(1, len(epochs) + 1)]
        assert of_health <= {1, 2, 3, 4}
    losses = [(record.epoch, record.loss) for record in whole]
    assert [(record.epoch, record.loss) for record in run.history] == losses
    assert [record.epoch for record in run.health][::2] == [1, 2, 3, 4]


KILLED = """
import os, signal, sys
from pathlib import Path
from aecli.core import files
from aecli.runs.config_file import load_config
from aecli.training import session
from aecli.training.trainer import train
session._SECONDS_BETWEEN_TABLES = 0.0
replace, times = os.replace, 0
def dying(before, after):
    global times
    times += Path(after).name == "health.csv"
    if times == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(before, after)
files.os.replace = dying
train(load_config(None, sys.argv[1:]).config, Path("runs/killed"))
"""


@pytest.mark.skipif(os.name == "nt", reason="nothing is killed there")
def test_a_run_killed_while_a_table_is_written_has_whole_tables(ae):
    done = subprocess.run([sys.executable, "-c", KILLED, *TINY], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    run = Run(Path("runs/killed"))
    assert [record.epoch for record in run.history] == [1, 2, 3]
    assert {record.epoch for record in run.health} == {1, 2}
    [row] = json.loads(ae("runs", "--json").stdout)
    assert (row["state"], row["epochs"], row["seconds_left"]) == ("incomplete", None, None)
    for kind in ("history", "health"):
        assert ae("plot", kind, "--run", "killed").exit_code == 0
    assert ae("train", "--resume", "--quiet").exit_code == 0
    assert [record.epoch for record in run.history] == [1, 2, 3, 4]
    assert not [path.name for path in run.path.rglob(".*")]


class Filling(Watching):
    """Fills the disk when so many epochs stand in the tables."""

    def advance(self, done, epochs):
        super().advance(done, epochs)
        if self.run.history_file.is_file() and len(self.run.history) == 2:
            with contextlib.suppress(OSError), open(self.run.path.parent / "filling", "wb", 0) as file:
                while True:
                    file.write(bytes(4096))


def test_a_disk_that_fills_up_under_the_tables_is_one_line_and_the_run_goes_on(monkeypatch, disk, ae):
    monkeypatch.setattr(session, "_SECONDS_BETWEEN_TABLES", 0.0)
    whole = train(load_config(None, TINY).config, Path("whole"))
    place, config = disk(10**6), load_config(None, TINY).config
    run = Run(place / "run")
    with pytest.raises(WriteError, match=r"(history|health)\.csv: cannot be written \(No space left on device\)"):
        train(config, run.path, progress=Filling(run))
    assert len(run.history) >= 2
    assert json.loads(ae("runs", place, "--json").stdout)[0]["state"] in ("interrupted", "incomplete")
    (place / "filling").unlink()
    assert train(config, run.path, resume=True).metrics["weights_sha256"] == whole.metrics["weights_sha256"]
    assert [record.epoch for record in run.history] == [1, 2, 3, 4]


@pytest.mark.skipif(os.name == "nt", reason="flock is not there")
def test_a_lock_is_held_while_its_owner_has_it(tmp_path):
    run = Run(tmp_path / "run")
    assert is_held(run.lock_file) is False
    with run.locked():
        assert is_held(run.lock_file) is True
    assert is_held(run.lock_file) is False
