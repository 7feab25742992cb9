"""Trackers beside a training: what they are given, the same bits with and without, and failures that end nothing."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core.errors import TrainingError
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.training.artifacts import STUDY
from aecli.training.progress import Both, NullProgress
from aecli.training.tracking import tracker
from aecli.training.tracking.pictures import side_by_side
from aecli.training.tracking.settings import flat_settings
from aecli.training.tracking.tracked import TrackedProgress
from aecli.training.tracking.tracker import TRACKERS, TrackerSource
from aecli.training.trainer import Trainer
from aecli.training.verify import verify
from tests.conftest import python

TINY = ("model.latent_dim=4", "model.hidden=[12]", "training.epochs=4", "training.batch_size=256")
CONFIG = load_config(None, (*TINY, "model.dropout=0.1", "training.checkpoint_seconds=0")).config
TRAINER = Trainer(artifacts=STUDY)
"""Shared by the tests: what is compiled serves the next."""


class Kept(NullProgress):
    """Keeps what it is told."""

    def __init__(self, stop_after=None):
        self.notes, self.stop_after = [], stop_after

    def note(self, message):
        self.notes.append(message)

    @property
    def failures(self):
        return [note for note in self.notes if note.startswith("--track")]

    def advance(self, done, epochs):
        if self.stop_after is not None and done > self.stop_after:
            raise KeyboardInterrupt


def tracked(name, folder, stop_after=None, **options):
    told = Kept(stop_after)
    progress = Both(told, TrackedProgress(TRACKERS[name], told.note))
    try:
        run = TRAINER.train(CONFIG, Path(folder), progress=progress, **options)
    except KeyboardInterrupt:
        run = Run(Path(folder))
    finally:
        progress.close()
    return run, told


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return TRAINER.train(CONFIG, tmp_path_factory.mktemp("plain") / "run")


def events_of(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.tensorboard_folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    return events


def scalars_of(run, name):
    return [(event.step, event.value) for event in events_of(run).Scalars(name)]


def same_bits(run, plain):
    return (
        run.metrics["weights_sha256"] == plain.metrics["weights_sha256"]
        and [(r.epoch, r.loss, r.val_loss) for r in run.history] == [(r.epoch, r.loss, r.val_loss) for r in plain.history]
    )  # fmt: skip


def test_tensorboard_is_told_every_epoch_and_changes_no_bit(plain):
    run, told = tracked("tensorboard", "run")
    assert same_bits(run, plain)
    assert told.failures == []
    events = events_of(run)
    names = {"epoch/learning_rate", "epoch/seconds", "layers/dead/encoder_0", "layers/gradient_norm/decoder_1"}
    assert names <= {*events.Tags()["scalars"]}
    for name in ("loss", "val_loss"):
        recorded = [(record.epoch, np.float32(getattr(record, name))) for record in run.history]
        assert scalars_of(run, f"epoch/{name}") == recorded
    psnr = run.metrics["splits"]["validation"]["pca"]["psnr"]
    assert scalars_of(run, "final/validation/pca/psnr") == [(4, np.float32(psnr))]
    assert [image.step for image in events.Images("reconstructions")] == [1, 2, 3, 4]
    picture = Image.open(io.BytesIO(events.Images("reconstructions")[0].encoded_image_string))
    assert picture.size == (8 * 66 - 2, 2 * 66 - 2)
    [text] = events.Tensors("config")
    assert "latent_dim: 4" in text.tensor_proto.string_val[0].decode()


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.code={gaussian: {beta: 1, warmup: 1}}", "model.dropout=0.2", "training.corruption={gaussian: 0.1}"),
        ("model.family=conv", "model.channels=[4]", "model.latent_dim=4", "training.early_stopping={patience: 2}"),
    ],
    ids=["Gaussian code", "convolutional"],
)
def test_what_is_drawn_at_random_is_the_same_with_pictures_as_without(overrides):
    config = load_config(None, ("training.epochs=2", "training.batch_size=256", *overrides)).config
    without = TRAINER.train(config, Path("without"))
    told = Kept()
    progress = Both(told, TrackedProgress(TRACKERS["tensorboard"], told.note))
    run = TRAINER.train(config, Path("run"), progress=progress)
    progress.close()
    assert told.failures == []
    assert same_bits(run, without)
    assert len(events_of(run).Images("reconstructions")) == 2
    assert verify(run, config, NullProgress()).difference is None


def test_the_settings_stand_on_the_page_of_hyperparameters(plain):
    from tensorboard.plugins.hparams import metadata

    run, _ = tracked("tensorboard", "run")
    content = events_of(run).summary_metadata["_hparams_/session_start_info"].plugin_data.content
    given = metadata.parse_session_start_info_plugin_data(content).hparams
    assert {key: value.number_value for key, value in given.items()}["model.latent_dim"] == 4
    assert {*given} == {*flat_settings(CONFIG)}
    end = events_of(run).summary_metadata["_hparams_/session_end_info"].plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(end).status == 1  # success


def test_a_resumed_run_goes_on_in_the_same_record(plain):
    for stop_after in (2.2, 3.2):
        run, _ = tracked("tensorboard", "run", stop_after, resume=True)
    run, _ = tracked("tensorboard", "run", resume=True)
    assert same_bits(run, plain)
    assert len([*run.tensorboard_folder.iterdir()]) == 3
    assert scalars_of(run, "epoch/loss") == [(r.epoch, np.float32(r.loss)) for r in run.history]
    assert [image.step for image in events_of(run).Images("reconstructions")] == [1, 2, 3, 4]


def test_what_a_killed_training_told_of_later_epochs_is_not_shown_twice():
    run, _ = tracked("tensorboard", "run", 3.2)
    for file in run.checkpoint_files:
        file.unlink()
    run, _ = tracked("tensorboard", "run", resume=True)  # from the beginning
    assert scalars_of(run, "epoch/loss") == [(r.epoch, np.float32(r.loss)) for r in run.history]


def test_a_run_that_is_tracked_from_its_middle_on_has_all_its_epochs():
    with pytest.raises(KeyboardInterrupt):
        TRAINER.train(CONFIG, Path("run"), progress=Kept(2.2))
    run, _ = tracked("tensorboard", "run", resume=True)
    assert scalars_of(run, "epoch/loss") == [(r.epoch, np.float32(r.loss)) for r in run.history]


def test_an_overwritten_run_loses_its_record():
    run, _ = tracked("tensorboard", "run")
    [before] = run.tensorboard_folder.iterdir()
    TRAINER.train(CONFIG, run.path, overwrite=True)
    assert not before.exists()
    assert not run.tensorboard_folder.exists()


def test_mlflow_is_told_every_epoch_in_a_folder_without_a_network(plain, monkeypatch):
    import socket

    def connect(*_):
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(socket.socket, "connect", connect)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    told = []
    for stop_after in (2.2, None):
        run, heard = tracked("mlflow", "run", stop_after, resume=stop_after is None)
        told += heard.failures
    assert told == []
    assert same_bits(run, plain)

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=Path("mlruns").absolute().as_uri())
    [found] = client.search_runs([client.get_experiment_by_name("aecli").experiment_id])
    assert found.info.run_id == json.loads(run.mlflow_file.read_text())["run_id"]
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert found.data.params["model.latent_dim"] == "4"
    for name in ("loss", "val_loss"):
        history = [(one.step, one.value) for one in client.get_metric_history(found.info.run_id, name)]
        assert history == [(r.epoch, getattr(r, name)) for r in run.history]
    assert found.data.metrics["final/validation/model/ssim"] == run.metrics["splits"]["validation"]["model"]["ssim"]
    pictures = client.list_artifacts(found.info.run_id, "reconstructions")
    assert [Path(file.path).name for file in pictures] == [f"epoch-00000{epoch}.png" for epoch in (1, 2, 3, 4)]

    shutil.copy(run.mlflow_file, "kept.json")
    tracked("mlflow", "run", overwrite=True)
    again = client.search_runs([client.get_experiment_by_name("aecli").experiment_id])
    assert len(again) == 2
    assert json.loads(run.mlflow_file.read_text()) != json.loads(Path("kept.json").read_text())


def test_a_stopped_run_is_a_killed_one_to_mlflow(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    from mlflow import MlflowClient

    run, _ = tracked("mlflow", "run", 1.2)
    client = MlflowClient(tracking_uri=Path("mlruns").absolute().as_uri())
    assert client.get_run(json.loads(run.mlflow_file.read_text())["run_id"]).info.status == "KILLED"


def test_a_server_that_is_away_is_one_line(plain, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    run, told = tracked("mlflow", "run")
    [line] = told.failures
    assert line.startswith("--track mlflow: ")
    assert line.endswith(": the training goes on without it")
    assert "secret" not in line
    assert same_bits(run, plain)


class Breaking:
    """A tracker that fails in one of its calls."""

    def __init__(self, call):
        self.call, self.called = call, []

    def __getattr__(self, name):
        def told(*_):
            self.called.append(name)
            if name == self.call:
                raise OSError(28, "No space left on device")

        return told


@pytest.mark.parametrize("call", ["load", "begin", "log", "show", "flush", "finish", "close"])
def test_a_tracker_that_fails_ends_the_tracking_alone(plain, monkeypatch, call):
    breaking, told = Breaking(call), Kept()

    def load(_):
        if call == "load":
            raise ImportError("a part of it is missing")
        return breaking

    monkeypatch.setattr(TrackerSource, "load", load)
    progress = Both(told, TrackedProgress(TRACKERS["mlflow"], told.note))
    run = TRAINER.train(CONFIG, Path("run"), progress=progress)
    progress.close()
    assert same_bits(run, plain)
    assert len(told.failures) == 1
    assert breaking.called[-1:] == ([] if call == "load" else [call])


def test_a_disk_that_is_full_ends_the_tracking_alone(plain, disk):
    place = disk(8192)

    class Elsewhere(Run):
        """A run whose record lies on the full disk."""

        tensorboard_folder = property(lambda self: place / "tensorboard")

    told = Kept()
    progress = TrackedProgress(TRACKERS["tensorboard"], told.note)
    begun = progress.begun
    progress.begun = lambda run, config, records: begun(Elsewhere(run.path), config, records)
    run = TRAINER.train(CONFIG, Path("run"), progress=progress)
    progress.close()
    assert same_bits(run, plain)
    [line] = told.failures
    assert "No space left on device" in line


def test_a_package_that_is_not_there_is_named_before_anything_is_trained(ae, monkeypatch):
    monkeypatch.setattr(tracker, "is_importable", lambda _: False)
    result = ae("train", "--track", "mlflow")
    assert result.exit_code == 1
    assert result.stderr == "ae: --track mlflow: its package is not installed: pip install 'aecli[mlflow]'\n"
    assert not Path("runs").exists()
    with pytest.raises(TrainingError, match="is not installed"):
        TRACKERS["mlflow"].require()


def test_a_tracker_that_there_is_not_is_a_usage_error(ae):
    result = ae("train", "--track", "tensorbord")
    assert result.exit_code == 2
    assert "did you mean 'tensorboard'?" in result.stderr


def test_nothing_of_a_tracker_is_loaded_where_none_was_asked_for(plain):
    """And that of TensorBoard does not bring the engine."""
    code = "import sys, aecli.training.trainer, aecli.cli.commands.train\nprint(*sys.modules)"
    assert not {"tensorboard", "mlflow", "aecli.training.tracking.tracked"} & {*python(code).stdout.split()}
    writes = (
        "import sys\nfrom pathlib import Path\nfrom aecli.runs.config_file import load_config\n"
        "from aecli.runs.run import Run\nfrom aecli.training.tracking.tracker import TRACKERS\n"
        "tracker = TRACKERS['tensorboard'].load()\nPath('run').mkdir()\n"
        "tracker.begin(Run(Path('run')), load_config(None, ()).config, [])\n"
        "tracker.log(1, {'loss': 0.5})\ntracker.close('complete')\nprint(*sys.modules)"
    )
    done = python(writes)
    assert done.returncode == 0, done.stderr
    assert not {"tensorflow", "keras"} & {*done.stdout.split()}
    assert scalars_of(Run(Path("run")), "epoch/loss") == [(1, 0.5)]


@pytest.mark.parametrize(
    ("shape", "size"), [((3, 8, 8, 1), (196, 130)), ((2, 600, 300, 3), (202, 402)), ((1, 20, 30, 2), (60, 82))]
)
def test_pictures_show_images_over_reconstructions(shape, size):
    images = np.zeros(shape, np.float32)
    picture = np.asarray(Image.open(io.BytesIO(side_by_side(images, images + 0.5))))
    assert picture.shape[1::-1] == size
    assert picture[0, 0].max() == 0
    assert picture[-1, -1].max() in (127, 128)
    assert (picture[size[1] // 2] == 255).all()
