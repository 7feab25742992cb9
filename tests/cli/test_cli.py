"""Whole commands: what they write, print and refuse."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml

from aecli.runs.config import Config
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from tests.conftest import DIGITS, SMALL, python

SETS = [part for key in SMALL for part in ("--set", key)]


def test_train_writes_a_run_named_after_the_config(ae):
    Path("mine.yaml").write_text("training: {epochs: 1}")
    result = ae("train", "--config", "mine.yaml")
    assert result.exit_code == 0
    assert Path("runs/mine/metrics.json").is_file()
    assert "PCA-16" in result.stdout


def test_train_without_anything_says_what_it_trains(ae):
    result = ae("train", "--set", "training.epochs=1")
    assert "no --config: chosen for these images: family dense, 16 latents" in result.stderr
    assert "digits that come with ae" in result.stderr
    assert Path("runs/default/metrics.json").is_file()


def test_train_in_a_file_writes_plain_lines_to_stderr_and_the_table_to_stdout(ae):
    result = ae("train", *SETS)
    assert "epoch 1/3  loss" in result.stderr
    assert "epoch 3/3  loss" in result.stderr
    assert "\x1b" not in result.stderr + result.stdout
    assert "epoch" not in result.stdout


def test_quiet_leaves_stderr_empty(ae):
    result = ae("train", "--quiet", *SETS)
    assert result.exit_code == 0
    assert result.stderr == ""


@pytest.mark.parametrize("words", [("images.npy",), ("--data", "images.npy")], ids=" ".join)
def test_images_are_given_as_in_every_command_or_by_data(ae, digits, words):
    np.save("images.npy", digits[:50])
    ae("train", *words, *SETS, "--set", "training.schedule=constant")
    saved = load_config(Path("runs/default/config.yaml")).config
    assert saved.data.train == Path("images.npy").absolute()
    more = ae("train", *words, "--resume", "--set", "training.epochs=4")
    assert more.exit_code == 0, more.stderr
    assert [record.epoch for record in Run(Path("runs/default")).history] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("a.npy", "--data", "b.npy"), "IMAGES and --data exclude each other: give one of them"),
        (("prelu",), "prelu: no such file; did you mean --config prelu?"),
        (("a.npy", "b.npy"), "Got unexpected extra argument (b.npy)"),
    ],
)
def test_images_of_a_training_are_given_once(ae, words, says):
    result = ae("train", *words)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: {says}"
    assert not Path("runs").exists()


def test_a_config_that_comes_with_ae_is_told_in_one_line_that_is_no_error(ae):
    result = ae("train", "--config", "relu", *SETS)
    assert result.stderr.splitlines()[0] == "--config relu: the config that comes with ae"


def test_profile_prints_where_the_time_went_and_the_run_keeps_it(ae):
    done = ae("train", "--set", "training.epochs=2", "--profile")
    seconds = Run(Path("runs/default")).environment["seconds"]
    before = ["start-up", "reading images", "loading TensorFlow", "fitting linear codes", "building"]
    fitting = ["compiling", "training", "validating", "checkpointing"]
    assert list(seconds) == [*before, *fitting, "exporting", "measuring", "plotting"]
    assert all(value >= 0 for value in seconds.values())
    assert all(stage in done.stdout for stage in seconds)


def test_a_device_that_is_not_there_is_named_with_the_cure(ae):
    done = ae("train", "--device", "gpu:999")
    assert done.exit_code == 1
    assert "ae: --device gpu:999: " in done.stderr
    assert "give " in done.stderr
    assert not Path("runs").exists()


def test_threads_are_those_asked_for():
    run_ae = "import sys; from aecli.cli.main import main; sys.argv[0] = 'ae'; main()"
    done = python(run_ae, "train", "--threads", "1", "--set", "training.epochs=1")
    assert done.returncode == 0, done.stderr
    assert Run(Path("runs/default")).environment["machine"]["threads"] == 1


def test_an_existing_run_is_refused_before_the_data_is_looked_at(ae, run):
    result = ae("train", "--run", run.path, "--data", "missing.npy")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"ae: {run.path}: a run is already there")


def test_reconstruct_writes_the_same_layout_a_picture_and_a_summary(ae, run, digits):
    np.save("images.npy", digits[:40].astype(np.float64).reshape(40, 64) / 255)
    result = ae("reconstruct", "images.npy")
    assert result.exit_code == 0
    written = np.load("images_reconstructed.npy")
    assert (written.shape, written.dtype) == ((40, 64), np.float64)
    assert 0 <= written.min() <= written.max() <= 1
    assert Path("images_reconstructed.png").read_bytes().startswith(b"\x89PNG")
    assert "using the run runs/small" in result.stderr
    assert "worst images: #" in result.stdout


def test_reconstruct_as_json(ae, run):
    result = ae("reconstruct", DIGITS, "--json")
    content = json.loads(result.stdout)
    assert {"mse", "mae", "sse_per_image", "psnr", "ssim", "fvu"} <= set(content)
    errors = [w["mse"] for w in content["worst"]]
    assert errors == sorted(errors, reverse=True)


def test_an_output_is_not_overwritten_without_being_asked(ae, run):
    Path("out.npy").write_text("mine")
    result = ae("reconstruct", DIGITS, "--output", "out.npy")
    assert result.exit_code == 1
    assert Path("out.npy").read_text() == "mine"
    assert ae("reconstruct", DIGITS, "--output", "out.npy", "--overwrite").exit_code == 0


@pytest.mark.parametrize("command", ["reconstruct", "encode", "decode"])
def test_the_input_is_never_the_output(ae, run, command, digits):
    np.save("a.npy", digits[:5] if command != "decode" else np.zeros((5, 8), np.float32))
    before = Path("a.npy").read_bytes()
    result = ae(command, "a.npy", "--output", "a.npy", "--overwrite")
    assert result.exit_code == 1
    assert "is the input" in result.stderr
    assert Path("a.npy").read_bytes() == before


def test_encode_then_decode_is_reconstruct(ae, run):
    ae("encode", DIGITS)
    ae("decode", "digits_latents.npy", "--output", "decoded.npy")
    ae("reconstruct", DIGITS)
    assert np.load("digits_latents.npy").shape == (1797, 8)
    np.testing.assert_array_equal(np.load("decoded.npy"), np.load("digits_reconstructed.npy"))


def test_evaluate_agrees_with_the_run(ae, run, digits):
    np.save("validation.npy", digits[run.split.validation])
    content = json.loads(ae("evaluate", "validation.npy", "--json").stdout)
    for row in ("model", "pca", "mean_image"):
        assert content[row] == pytest.approx(run.metrics["splits"]["validation"][row], rel=1e-5)


def test_evaluate_writes_every_image(ae, run):
    result = ae("evaluate", DIGITS, "--per-image", "errors.csv")
    assert "mean image" in result.stdout
    assert "a window of 7 x 7" in result.stderr
    assert len(Path("errors.csv").read_text().splitlines()) == 1798


@pytest.mark.parametrize("kind", ["reconstructions", "history", "errors", "filters", "health"])
def test_plot_draws_every_kind(ae, run, kind):
    (run.plots_folder / f"{kind}.png").unlink()
    assert ae("plot", kind).exit_code == 0
    assert (run.plots_folder / f"{kind}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", [("--index", "3,7"), ("--worst", "12"), ("--best", "2"), ("--count", "3")])
def test_plot_chooses_images(ae, run, option):
    assert ae("plot", "--images", DIGITS, *option, "--output", "a.svg").exit_code == 0
    assert "<svg" in Path("a.svg").read_text()[:2000]


@pytest.mark.parametrize(
    "arguments",
    [
        ("plot", "pie"), ("plot", "--index", "a"), ("plot", "--index", "-3"), ("plot", "--worst", "0"),
        ("plot", "--worst", "3", "--best", "3"), ("plot", "history", "--worst", "3"),
        ("train", "--device", "cuda"), ("train", "--threads", "0"), ("train", "--epochs", "3"), ("trian",), ("reconstruct",), ("evaluate", "a.npy", "b.npy"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(ae, run, arguments):
    assert ae(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reconstruct", "missing.npy"), "missing.npy: no such file"),
        (("reconstruct", "."), ".: holds no pictures"),
        (("reconstruct", DIGITS, "--run", "nowhere"), "nowhere: no such run"),
        (("reconstruct", DIGITS, "--run", "."), ".: is not a run's folder"),
        (("reconstruct", DIGITS, "--output", "no/where.npy"), "no/where.npy: the folder no does not exist"),
        (("encode", DIGITS, "--output", "runs"), "runs: is written as .npy"),
        (("decode", DIGITS), "expects latents (N, 8)"),
        (("plot", "--index", "5000", "--images", DIGITS), "--index 5000: not a row"),
        (("plot", "--output", "a.bmp"), "a.bmp: unknown suffix '.bmp'"),
        (("train", "--config", "missing.yaml"), "missing.yaml: no such file"),
        (("train", "--set", "training.epochs=x"), "--set training.epochs=x: expected int"),
        (("train", "--data", "missing.npy"), "missing.npy: no such file"),
        (("reconstruct", DIGITS, "--output", "both.png"), "both.png: is written as .npy"),
        (("evaluate", DIGITS, "--per-image", "/dev/null", "--overwrite"), "/dev/null: is not a regular file"),
        (("runs", "nowhere"), "nowhere: no such folder"),
        (("train", "--data", b"bad\xff.npy"), "the name is not UTF-8"),
        (("train", "--data", "new\nline.npy"), "new line.npy: no such file"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_1_and_changes_nothing(ae, run, arguments, message):
    before = sorted((p, p.stat().st_mtime_ns) for p in Path().rglob("*") if p.is_file())
    result = ae(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("ae: ")]) == 1
    assert result.stdout == ""
    assert sorted((p, p.stat().st_mtime_ns) for p in Path().rglob("*") if p.is_file()) == before


def test_a_picture_of_chosen_images_does_not_replace_the_runs_own(ae, run):
    before = (run.plots_folder / "reconstructions.png").read_bytes()
    result = ae("plot", "--worst", "3")
    assert (run.plots_folder / "reconstructions.png").read_bytes() == before
    assert result.stdout.strip().endswith("reconstructions_worst.png")


def test_images_in_other_units_than_the_runs_are_refused(ae, digits):
    np.save("unit.npy", digits[:50] / 255)
    np.save("bytes.npy", digits[:50].astype(float))
    ae("train", "--data", "unit.npy", *SETS)
    result = ae("evaluate", "bytes.npy")
    assert result.exit_code == 1
    assert "far outside the run's value range [0, 1]" in result.stderr


def test_a_damaged_run_does_not_hide_a_complete_one(ae, run):
    import shutil

    shutil.copytree(run.path, "runs/zz")
    Path("runs/zz/metrics.json").unlink()
    Path("runs/zz/failure.json").write_text("x")
    assert ae("evaluate", DIGITS).exit_code == 0


def test_tables_are_not_folded_in_a_narrow_terminal(ae, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert len(ae("runs").stdout.splitlines()) == 2


def test_config_show_prints_what_train_would_use(ae):
    result = ae("config", "show", "--set", "training.epochs=7")
    Path("shown.yaml").write_text(result.stdout)
    assert load_config(Path("shown.yaml")).config == load_config(None, ["training.epochs=7"]).config


def test_config_init_writes_a_config_that_loads(ae):
    assert ae("config", "init", "--output", "mine.yaml").exit_code == 0
    assert load_config(Path("mine.yaml")).config == Config()
    assert ae("config", "init", "--output", "mine.yaml").exit_code == 1


def test_config_init_writes_the_schema_that_its_first_line_names(ae):
    assert ae("config", "init", "--output", "mine.yaml").exit_code == 0
    first = Path("mine.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=ae.schema.json"
    assert Path("ae.schema.json").read_text() == ae("config", "schema").stdout
    jsonschema.validate(yaml.safe_load(Path("mine.yaml").read_text()), json.loads(Path("ae.schema.json").read_text()))
    # One schema serves every config beside it.
    assert ae("config", "init", "--output", "other.yaml").exit_code == 0


def test_config_init_keeps_another_schema_unless_it_is_asked(ae):
    Path("ae.schema.json").write_text("mine")
    refused = ae("config", "init", "--output", "mine.yaml")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("ae: ae.schema.json: exists already")
    assert Path("ae.schema.json").read_text() == "mine"
    assert not Path("mine.yaml").exists()
    assert ae("config", "init", "--output", "mine.yaml", "--overwrite").exit_code == 0
    assert json.loads(Path("ae.schema.json").read_text())["properties"]
    assert ae("config", "init", "--output", "ae.schema.json", "--overwrite").exit_code == 1


def test_config_schema_describes_every_key(ae):
    schema = json.loads(ae("config", "schema").stdout)
    assert set(schema["properties"]) == {*Config.model_fields, "study"}


def test_runs_lists_every_state(ae, run):
    import shutil

    shutil.copytree(run.path, "runs/unfinished")
    Path("runs/unfinished/metrics.json").unlink()
    shutil.copytree(run.path, "runs/broken")
    Path("runs/broken/config.yaml").write_text("nonsense: 1")
    rows = {row["run"]: row for row in json.loads(ae("runs", "--json").stdout)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "small": "complete", "unfinished": "incomplete", "broken": "damaged",
    }  # fmt: skip
    assert rows["small"]["latent_dim"] == 8
    assert "incomplete" in ae("runs").stdout


def test_runs_where_there_are_none(ae):
    result = ae("runs")
    assert result.exit_code == 0
    assert "no runs here" in result.stderr
