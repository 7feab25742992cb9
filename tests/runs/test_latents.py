"""Dead latents: found where a run is measured, and named wherever it is used."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import RunError
from aecli.data import dataset
from aecli.data.dataset import open_images
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.evaluate import evaluate
from aecli.runs.uses.latents import LatentSpread, dead_latents_note, image_movement
from aecli.training.trainer import train
from aecli.views.report.report import write_run_report
from tests.conftest import DIGITS, SMALL


@dataclass(frozen=True)
class Given:
    """A model whose latents are the images' own values; it decodes nothing."""

    def encode(self, images):
        return images.reshape(len(images), -1)

    def decode(self, latents):
        return latents


def spread_over(*latents):
    spread = LatentSpread(Given())
    for part in latents:
        spread.reconstruct(np.asarray(part, np.float32))
    return spread


def test_a_latent_that_does_not_vary_over_all_chunks_is_dead():
    assert spread_over([[0, 5, 1], [0, 5, 2]], [[0, 5, 3]]).dead == [0, 1]
    assert spread_over([[0, 5, 1]], [[0, 6, 1]]).dead == [0, 2]


def test_what_varies_by_a_millionth_of_another_is_dead():
    assert spread_over([[0, 0, 0], [1e-4, 1e-2, 1e4]]).dead == [0, 1]
    assert spread_over([[0, 0, 0], [1e-4, 1e-2, 1e2]]).dead == [0]


def test_of_all_alike_all_are_dead_and_of_one_image_nothing_is_known():
    assert spread_over([[3, 3], [3, 3]]).dead == [0, 1]
    assert spread_over([[3, 3]]).dead is None


def test_it_reconstructs_to_the_last_bit_as_the_model_does(trained, monkeypatch):
    monkeypatch.setattr(dataset, "_CHUNK_BYTES", 50 * 8 * 8 * 4)
    source, model = open_images(DIGITS), load_model(trained)
    spread = LatentSpread(model)
    watched = evaluate(spread.reconstruct, source, trained.baselines, trained.split.validation)
    assert watched.summary == evaluate(model.reconstruct, source, trained.baselines, trained.split.validation).summary
    latents = model.encode(source.format.to_contract(np.load(DIGITS)[trained.split.validation]))
    assert spread.count == len(latents)
    assert spread.dead == np.flatnonzero(np.ptp(latents, axis=0) == 0).tolist() == trained.metrics["dead_latents"]


def test_the_movement_of_the_image_is_that_of_each_latent_alone(trained, monkeypatch):
    model, images = load_model(trained), open_images(DIGITS)
    codes = np.concatenate([*images.map(model.encode)])
    mean, (low, high) = codes.mean(axis=0), np.quantile(codes, (0.05, 0.95), axis=0).astype(np.float32)
    moved = image_movement(model, mean, low, high)
    for latent in range(8):
        ends = np.repeat(mean[None], 2, axis=0)
        ends[:, latent] = low[latent], high[latent]
        before, after = model.decode(ends)
        assert moved[latent] == pytest.approx(((after - before) ** 2).mean(), rel=1e-4)
    monkeypatch.setattr(dataset, "_CHUNK_BYTES", 3 * 4 * 64)  # three latents at a time
    np.testing.assert_allclose(image_movement(model, mean, low, high), moved, rtol=1e-4)
    assert image_movement(model, mean, low, low).tolist() == [0] * 8


def dead(run: Run, latents) -> Run:
    """Write into a run which of its latents are dead."""
    metrics = json.loads(run.metrics_file.read_text())
    run.metrics_file.write_text(json.dumps(metrics | {"dead_latents": latents}))
    return Run(run.path)


def test_the_note_counts_names_and_cures(run):
    assert dead_latents_note(dead(run, [4, 7, 1])) == (
        "3 of 8 latents do not vary over the validation images (4, 7, 1): they carry nothing: "
        "a smaller model.latent_dim loses nothing"
    )
    assert dead_latents_note(dead(run, [4])).startswith("1 of 8 latents does not vary")
    assert "(0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more)" in dead_latents_note(dead(run, [*range(12)]))
    assert dead_latents_note(dead(run, [])) is None
    run.config_file.write_text("model: {latent_activation: relu}\ntraining: {seed: 0}")
    assert dead_latents_note(dead(run, [4])).endswith("it carries nothing: try model.latent_activation linear")


def test_a_run_that_does_not_say_it_is_read_as_ever(run, ae):
    metrics = json.loads(run.metrics_file.read_text())
    metrics.pop("dead_latents")
    run.metrics_file.write_text(json.dumps(metrics))
    assert dead_latents_note(run) is None
    assert json.loads(ae("runs", "--json").stdout)[0]["dead_latents"] is None
    assert "latents do" not in ae("encode", DIGITS).stderr


@pytest.mark.parametrize("content", ["x", 3, [0.5], [-1], ["<b>"], [True], {"a": 1}])
def test_other_content_is_damage(run, content):
    with pytest.raises(RunError, match=r"metrics\.json: is damaged"):
        _ = dead(run, content).metrics


def test_every_use_of_a_run_names_them_first_and_once_on_stderr(run, ae):
    dead(run, [4, 7])
    np.save("labels.npy", np.arange(1797) % 2)
    for command in (
        ("encode", DIGITS), ("decode", "digits_latents.npy"), ("evaluate", DIGITS), ("reconstruct", DIGITS),
        ("score", DIGITS), ("probe", DIGITS, "--labels", "labels.npy"), ("compress", DIGITS),
        ("decompress", "digits.aez"), ("sample", "--components", "1"),
    ):  # fmt: skip
        done = ae(*command)
        assert done.stderr.count("latents do not vary") == 1, command
        using, named = done.stderr.splitlines()[:2]
        assert using == "using the run runs/small"
        assert named == dead_latents_note(run)
        assert "latents do not vary" not in done.stdout
        assert ae(*command, "--quiet", *([] if command[0] == "evaluate" else ["--overwrite"])).stderr == ""


def test_ae_runs_and_the_page_of_a_run_have_them(run, ae):
    dead(run, [4, 7])
    assert json.loads(ae("runs", "--json").stdout)[0]["dead_latents"] == 2
    header, row = ae("runs").stdout.splitlines()
    assert row[: header.index("dead") + len("dead")].endswith(" 2")
    assert "2 of 8 latents do not vary over the validation images (4, 7)" in write_run_report(run).read_text()


def test_a_training_names_them(ae):
    keys = [*SMALL, "model.latent_activation=relu", "training.learning_rate=0.3", "training.epochs=2"]
    done = ae("train", *(part for key in keys for part in ("--set", key)))
    found = Run(Path("runs/default")).metrics["dead_latents"]
    assert found
    assert f"{len(found)} of 8 latents do" in done.stderr


def test_a_run_with_one_validation_image_does_not_say(digits):
    np.save("few.npy", digits[:4])
    run = train(load_config(None, [*SMALL, "data.train=few.npy"]).config, Path("r"))
    assert run.metrics["dead_latents"] is None
