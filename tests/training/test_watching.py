"""What a run in training shows to who watches it: tables that are whole, and the time that is left."""

import json
import os
from pathlib import Path

import pytest

from aecli.core.locks import is_held
from aecli.runs.config_file import load_config
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
    after = ae("runs", tmp_path)
    assert "complete" in after.stdout
    assert "left" not in after.stdout


@pytest.mark.skipif(os.name == "nt", reason="flock is not there")
def test_a_lock_is_held_while_its_owner_has_it(tmp_path):
    run = Run(tmp_path / "run")
    assert is_held(run.lock_file) is False
    with run.locked():
        assert is_held(run.lock_file) is True
    assert is_held(run.lock_file) is False
