"""ae sample: what it writes, prints and refuses, and the plots of codes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.training.trainer import train
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def kept(trained, tmp_path_factory):
    """The sampler that the shared run would keep, of two Gaussians."""
    from aecli.runs.model import load_model
    from aecli.runs.uses.sampling.fitting import fit_sampler
    from aecli.runs.uses.sampling.kept import keep_sampler

    run = Run(Path(shutil.copytree(trained.path, tmp_path_factory.mktemp("kept") / "small")))
    keep_sampler(run, fit_sampler(run, load_model(run), 2))
    return run.sampler_file.read_bytes()


def test_it_writes_images_in_the_training_units_a_picture_and_a_table(ae, run):
    done = ae("sample", "--components", "2")
    assert done.exit_code == 0, done.stderr
    images = np.load("small_samples.npy")
    assert (images.shape, images.dtype) == ((64, 8, 8), np.uint8)
    assert images.max() > 100
    assert Path("small_samples.png").read_bytes().startswith(b"\x89PNG")
    assert run.sampler_file.is_file()
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["90", "validation", "images", "coverage", "recall", "copies"]
    assert [line.split("  ")[0] for line in lines[1:5]] == [
        "other validation images", "mixture of 2", "PCA-8, mixture of 2", "one Gaussian",
    ]  # fmt: skip
    assert lines[5:] == ["64 samples of the mixture of 2: small_samples.npy", "picture: small_samples.png"]
    assert "by 5 neighbours in PCA-64 of pixels; copies: nearer to one of 1,617 training images" in done.stderr


def test_the_same_seed_gives_the_same_bits_and_the_kept_sampler_the_same_table(ae, run, kept):
    run.sampler_file.write_bytes(kept)
    first = ae("sample", "--output", "a.npy")
    second = ae("sample", "--output", "b.npy")
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert first.stdout.replace("a.", "b.") == second.stdout
    assert "runs/small/sampler.npz: the mixture of 2 that the run keeps" in second.stderr
    ae("sample", "--seed", "1", "--output", "c.npy")
    assert not np.array_equal(np.load("a.npy"), np.load("c.npy"))
    ae("sample", "--count", "9", "--output", "d.npy")
    np.testing.assert_array_equal(np.load("d.npy"), np.load("a.npy")[:9])
    assert run.sampler_file.read_bytes() == kept


def test_fitted_twice_it_is_the_same(ae, run):
    assert ae("sample", "--output", "a.npy", "--components", "3").exit_code == 0
    before = run.sampler_file.read_bytes()
    run.sampler_file.unlink()
    assert ae("sample", "--output", "b.npy", "--components", "3").exit_code == 0
    assert run.sampler_file.read_bytes() == before
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()


def test_as_json(ae, run, kept):
    run.sampler_file.write_bytes(kept)
    done = ae("sample", "--json", "--quiet", "--count", "5")
    assert done.stderr == ""
    content = json.loads(done.stdout)
    assert (content["images"], content["seed"], content["output"]) == (5, 0, "small_samples.npy")
    assert content["sampler"] == {"title": "mixture of 2", "chosen": False, "codes": 1617, "kept": True}
    assert content["measured"]["part"] == "validation"
    assert list(content["measured"]["rows"]) == ["held_out", "sampler", "pca", "gaussian"]
    assert content["measured"]["rows"]["pca"]["title"] == "PCA-8, mixture of 2"


def test_more_samples_than_a_picture_shows(ae, run, kept):
    run.sampler_file.write_bytes(kept)
    assert ae("sample", "--count", "3000").exit_code == 0
    assert len(np.load("small_samples.npy")) == 3000


def test_nothing_is_overwritten_without_being_asked(ae, run, kept):
    run.sampler_file.write_bytes(kept)
    Path("small_samples.png").write_text("mine")
    done = ae("sample")
    assert done.exit_code == 1
    assert "small_samples.png: exists already" in done.stderr
    assert not Path("small_samples.npy").exists()
    assert ae("sample", "--overwrite").exit_code == 0


def test_a_run_without_its_images_is_one_line_with_the_cure(ae, run):
    environment = json.loads(run.environment_file.read_text())
    environment["data"]["file"] = str(Path("gone.npy").absolute())
    run.environment_file.write_text(json.dumps(environment))
    done = ae("sample")
    assert done.exit_code == 1
    assert done.stdout == ""
    [line] = [line for line in done.stderr.splitlines() if line.startswith("ae: ")]
    assert line.endswith(
        "gone.npy: what the run was trained or tested on is no longer there: put it back for its codes, or train the "
        "run again"
    )
    assert not run.sampler_file.exists()


@pytest.mark.parametrize("value", ["0", "501", "few", "-3", "1.5"])
def test_a_number_of_components_that_is_none(ae, run, value):
    done = ae("sample", f"--components={value}")
    assert done.exit_code == 2
    assert f"expected 1 to 500, or auto, received '{value}'" in done.stderr


def test_few_held_out_images_are_not_measured_against_and_it_says_so(ae):
    images = np.random.default_rng(0).random((40, 5, 4, 3))
    np.save("colour.npy", images)
    train(load_config(None, [*SMALL, "training.epochs=1", "data.train=colour.npy"]).config, Path("runs/c"))
    done = ae("sample", "--count", "7")
    assert done.stdout == "7 samples of the one Gaussian: c_samples.npy\npicture: c_samples.png\n"
    assert "not measured: they need two halves of 50 held-out images, the run has 2 for each" in done.stderr
    drawn = np.load("c_samples.npy")
    assert (drawn.shape, drawn.dtype) == ((7, 5, 4, 3), images.dtype)
    assert json.loads(ae("sample", "--overwrite", "--json").stdout)["measured"] is None


@pytest.mark.long
def test_samples_of_mnist_reach_most_of_its_test_images(ae, shared_data):
    keys = [
        "model.hidden=[256]", "model.latent_dim=16", "model.activation=prelu", "model.latent_activation=linear",
        "training.epochs=12", "training.batch_size=256",
        f"data.train={shared_data}/mnist_train.npy", f"data.test={shared_data}/mnist_test.npy",
    ]  # fmt: skip
    train(load_config(None, keys).config, Path("runs/mnist"))
    content = json.loads(ae("sample", "--components", "10", "--json").stdout)
    rows = content["measured"]["rows"]
    assert rows["sampler"]["coverage"] >= 0.75
    assert rows["sampler"]["recall"] >= 0.6
    assert rows["sampler"]["copies"] < 0.02
    assert rows["sampler"]["coverage"] > rows["gaussian"]["coverage"] + 0.2
    assert rows["sampler"]["recall"] > rows["pca"]["recall"] + 0.2
