"""`ae suggest`, and what the commands do with a suggestion where no --config is given."""

import json
import sys
from pathlib import Path
from subprocess import run as run_process

import numpy as np
import pytest
import yaml

from aecli.data.dataset import open_images
from aecli.models.linear.fit import fit_linear_codes
from aecli.runs.config_file import load_config
from aecli.studies.config import StudyFile
from aecli.training.prepare import split_of
from aecli.training.suggest.config import suggest_config

ONE_EPOCH = ("--set", "training.epochs=1")


@pytest.fixture(autouse=True)
def _images():
    """Smooth images of 9 x 7 as ./images.npy."""
    coarse = np.random.default_rng(0).integers(0, 256, (90, 3, 3)).astype(np.uint8)
    np.save("images.npy", coarse.repeat(3, axis=1).repeat(3, axis=2)[:, :, :7])


def untimed(text):
    """Return the lines but for that which is of this machine at this moment."""
    return [line for line in text.splitlines() if not line.startswith("# All epochs take ")]


def files():
    return sorted(str(path) for path in Path().rglob("*"))


# -- the file -------------------------------------------------------------------------------------


def test_the_same_images_give_the_same_text_in_every_process(ae):
    first, again = ae("suggest", "images.npy"), ae("suggest", "images.npy")
    other = run_process(
        [sys.executable, "-m", "aecli.cli.main", "suggest", "images.npy"], capture_output=True, text=True
    )
    assert (first.exit_code, other.returncode) == (0, 0)
    assert untimed(first.stdout) == untimed(again.stdout) == untimed(other.stdout)
    assert len(untimed(first.stdout)) == len(first.stdout.splitlines()) - 1
    assert files() == ["images.npy"]


def test_the_file_is_what_train_takes_without_one_and_what_config_show_prints(ae):
    assert ae("suggest", "images.npy", "--output", "suggested.yaml").stdout == "suggested.yaml\n"
    given = ae("train", "--config", "suggested.yaml", "--data", "images.npy", *ONE_EPOCH, "--run", "given")
    found = ae("train", "--data", "images.npy", *ONE_EPOCH, "--run", "found")
    assert (given.exit_code, found.exit_code) == (0, 0), given.stderr + found.stderr
    assert "no --config: chosen for these images: family dense, 8 latents, batches of 16, 1 epoch" in found.stderr
    assert Path("given/config.yaml").read_text() == Path("found/config.yaml").read_text()
    assert (
        json.loads(Path("given/metrics.json").read_text())["weights_sha256"]
        == (json.loads(Path("found/metrics.json").read_text())["weights_sha256"])
    )
    shown = yaml.safe_load(ae("config", "show", "--data", "images.npy", *ONE_EPOCH).stdout)
    kept = yaml.safe_load(Path("found/config.yaml").read_text())
    for config in (shown, kept):
        del config["data"]["train"]
    assert {name: shown[name] for name in kept} == kept


def test_keys_that_are_said_are_in_the_file(ae):
    sets = ("model.hidden=[5]", "model.activation=elu", "model.activation.alpha=2", "training.epochs=1")
    options = [word for key in sets for word in ("--set", key)]
    ae("suggest", "images.npy", *options, "--output", "suggested.yaml")
    written = yaml.safe_load(Path("suggested.yaml").read_text())
    assert written["model"]["family"] == "dense"
    assert (written["model"]["hidden"], written["training"]["epochs"]) == ([5], 1)
    assert written["model"]["activation"] == {"name": "elu", "alpha": 2}
    shown = yaml.safe_load(ae("config", "show", "--data", "images.npy", *options).stdout)
    assert yaml.safe_load(ae("config", "show", "--config", "suggested.yaml").stdout)["model"] == shown["model"]


def test_the_table_is_of_the_lengths_up_to_that_of_the_code(ae):
    lines = ae("suggest", "images.npy", "--code", "11").stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[1:2] == ["values"])
    assert [line.split()[1] for line in lines[start + 1 : start + 4]] == ["4", "8", "11"]


def test_a_name_of_several_lines_stays_in_the_comment(ae):
    name = "a\nmodel: {latent_dim: 1}\x1b.npy"
    Path("images.npy").rename(name)
    ae("suggest", name, "--output", "suggested.yaml")
    assert load_config(Path("suggested.yaml")).config.model.latent_dim == 8


def test_nothing_is_written_over(ae):
    Path("suggested.yaml").write_text("mine")
    refused = ae("suggest", "images.npy", "--output", "suggested.yaml")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1].startswith("ae: suggested.yaml: exists")
    assert Path("suggested.yaml").read_text() == "mine"
    assert ae("suggest", "images.npy", "--output", "suggested.yaml", "--overwrite").exit_code == 0
    assert load_config(Path("suggested.yaml")).config.model.latent_dim == 8
    assert files() == ["images.npy", "suggested.yaml"]


# -- what is refused ------------------------------------------------------------------------------


def test_a_code_longer_than_an_image_is_one_line_with_the_cure(ae):
    refused = ae("suggest", "images.npy", "--code", "64", "--quiet")
    assert refused.exit_code == 1
    assert refused.stderr == "ae: a code of 64 values: an image has 63: give fewer\n"


def damaged():
    Path("bad.npy").write_bytes(Path("images.npy").read_bytes()[:200])


def missing():
    pass


def not_finite():
    np.save("bad.npy", np.full((20, 9, 7), np.nan))


def one():
    np.save("bad.npy", np.load("images.npy")[:1])


def rows():
    np.save("bad.npy", np.load("images.npy").reshape(90, -1))


@pytest.mark.parametrize("spoil", [damaged, missing, not_finite, one, rows])
def test_what_cannot_be_read_is_said_in_the_line_that_a_config_gets(spoil, ae):
    spoil()
    lines = {}
    for name, arguments in {
        "suggest": ("suggest", "bad.npy"),
        "train": ("train", "--data", "bad.npy"),
        "with a config": ("train", "--config", "relu", "--data", "bad.npy"),
        "show": ("config", "show", "--data", "bad.npy"),
        "compare": ("compare", "bad.npy"),
    }.items():
        result = ae(*arguments)
        assert result.exit_code == 1
        lines[name] = result.stderr.splitlines()[-1].replace(f"{Path.cwd()}/", "")
    assert len(set(lines.values())) == 1, lines
    plain, given = ae("check", "bad.npy"), ae("check", "bad.npy", "--config", "relu")
    assert (plain.exit_code, given.exit_code) == (1, 1)
    assert [line for line in plain.stdout.splitlines() if line.startswith("error")] == [
        line for line in given.stdout.splitlines() if line.startswith("error")
    ]
    assert not Path("runs").exists()
    assert not Path("studies").exists()


# -- check and compare ----------------------------------------------------------------------------


def test_check_reports_on_the_config_that_is_suggested(ae):
    checked = ae("check", "images.npy", "--json")
    assert checked.exit_code == 0, checked.stderr
    findings = {finding["name"]: finding for finding in json.loads(checked.stdout)["findings"]}
    config = load_config(None, ()).with_training_images(Path("images.npy")).config
    model = suggest_config(config).config.model
    weights = model.parameter_count((9, 7, 1))
    assert findings["memory"]["data"]["weights"] == weights
    assert f"{weights:,} weights for 81 images take " in findings["memory"]["text"]
    assert findings["compression"]["data"]["latent_dim"] == model.latent_dim == 8
    assert findings["time"]["data"]["epochs"] == 200
    assert "no --config: chosen for these images: family dense" in checked.stderr


@pytest.mark.parametrize("options", [(), ("--config", "relu"), ("--set", "model.latent_dim=70")], ids=" ".join)
def test_check_says_what_linear_codes_reach(options, ae):
    findings = json.loads(ae("check", "images.npy", "--json", *options).stdout)["findings"]
    [found] = [finding for finding in findings if finding["name"] == "linear_codes"]
    source = open_images(Path("images.npy"))
    split = split_of(load_config(None, ()).config, source, None)
    longest = found["data"]["codes"][-1]["length"]
    codes = fit_linear_codes(source, split.train, split.validation, longest)
    assert longest == {(): 8, ("--config", "relu"): 64}.get(options, 70)
    assert [code["length"] for code in found["data"]["codes"]] == [n for n in (4, 8, 16, 32, 64) if n < longest] + [longest]  # fmt: skip
    for code in found["data"]["codes"]:
        best = codes.best(code["length"])
        assert code["mse"] == pytest.approx(best.error(code["length"]), rel=1e-6, abs=1e-12)
        assert code["pca"] == pytest.approx(codes.pca.error(code["length"]), rel=1e-6, abs=1e-12)
        assert f"{code['length']} {code['mse']:.3g} ({code['name']})" in found["text"]


def test_compare_begins_with_the_config_that_is_suggested(ae):
    done = ae("compare", "images.npy", "--activations", "relu", "--seeds", "1", "--workers", "1", *ONE_EPOCH)
    assert done.exit_code == 0, done.stderr
    kept = load_config(Path("studies/images/study.yaml"), (), StudyFile).config
    base = load_config(None, (ONE_EPOCH[1],), StudyFile).with_training_images(Path("images.npy")).config
    expected = suggest_config(base, ["training.epochs"]).config
    assert (kept.model, kept.training) == (expected.model, expected.training)
    assert kept.data.augment == expected.data.augment
    assert "no --config: chosen for these images: family dense" in done.stderr


def test_the_python_door_takes_it_too():
    import aecli

    run = aecli.train("images.npy", set={"model": {"latent_dim": 3}, "training.epochs": 1}, folder="run")
    config = load_config(run.config_file).config
    assert (config.model.latent_dim, str(config.model.activation), config.training.schedule) == (3, "silu", "cosine")
