"""data.only_label: training on the images of one class."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core.errors import AeError
from aecli.data.split import split_indices
from aecli.runs.config_file import load_config
from aecli.runs.provenance import run_fingerprint
from aecli.training.trainer import train
from tests.conftest import SMALL


@pytest.fixture
def labelled(digits):
    """600 digits in images.npy, every third of class 2; their labels lie beside them."""
    np.save("images.npy", digits[:600])
    np.save("images_labels.npy", np.arange(600) % 3)


def config(*keys):
    return load_config(None, [*SMALL, "data.train=images.npy", "data.only_label=2", *keys]).config


def test_all_parts_are_of_the_class_and_evaluate_knows_them(ae, labelled):
    run = train(config("data.test_split=0.2"), Path("runs/a"))
    parts = run.split.train, run.split.validation, run.split.test
    assert [len(rows) for rows in parts] == [140, 20, 40]
    assert sorted(np.concatenate(parts).tolist()) == list(range(2, 600, 3))
    np.testing.assert_array_equal(run.split.train, 2 + 3 * split_indices("", 200, 0.1, 0, 0.2).train)
    content = json.loads(ae("evaluate", "images.npy", "--json").stdout)
    for part in ("train", "validation", "test"):
        assert content["splits"][part]["model"]["mse"] == pytest.approx(run.metrics["splits"][part]["model"]["mse"])


def test_it_is_the_training_on_these_images_alone(labelled, digits):
    np.save("alone.npy", digits[2:600:3])
    one = train(config(), Path("runs/one"))
    other = train(load_config(None, [*SMALL, "data.train=alone.npy"]).config, Path("runs/other"))
    assert one.metrics["weights_sha256"] == other.metrics["weights_sha256"]
    assert one.metrics["splits"]["validation"] == other.metrics["splits"]["validation"]


def test_it_is_verified_and_goes_on_exactly(ae, labelled):
    whole = train(config("training.epochs=4"), Path("runs/whole"))
    train(config("training.epochs=2"), Path("runs/part"))
    part = train(config("training.epochs=4"), Path("runs/part"), resume=True)
    assert part.metrics["weights_sha256"] == whole.metrics["weights_sha256"]
    assert "identical" in ae("verify", "runs/whole").stdout


def test_with_other_labels_it_does_not_go_on(ae, labelled):
    train(config("training.epochs=2"), Path("runs/a"))
    np.save("images_labels.npy", np.arange(600) % 4)
    done = ae("train", "--resume", "--run", "runs/a", "--set", "training.epochs=3")
    assert done.exit_code == 1
    assert "runs/a/split.npz: holds other rows than the labels beside the images give now" in done.stderr
    assert "the rows for train" in ae("verify", "runs/a").stdout


def test_the_identity_hangs_on_it_and_stays_what_it_was_without():
    data = {"data": {"sha256": "x"}, "test": None}
    plain = load_config(None, []).config
    with_key = {"data.only_label=1", "data.only_label=2"}
    others = {run_fingerprint(load_config(None, [key]).config, data) for key in with_key}
    assert len(others | {run_fingerprint(plain, data)}) == 3


def test_the_option_is_the_key_and_what_it_trained_on_is_normal(ae, labelled, digits):
    done = ae(
        "train", "--data", "images.npy", "--only-label", "2", "--run", "runs/b", *(a for k in SMALL for a in ("-s", k))
    )
    assert done.exit_code == 0, done.stderr
    assert "data.only_label 2: 200 of 600 images" in done.stderr
    np.save("new.npy", digits[600:900])
    np.save("new_labels.npy", np.arange(300) % 3)
    done = ae("score", "new.npy", "--false-alarms", "0.1")
    assert "300 images, 100 normal" in done.stdout
    assert "--normal" not in done.stderr


def test_folders_are_classes(digits):
    for i, image in enumerate(digits[:40]):
        Path(f"photos/{'ab'[i % 2]}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(f"photos/{'ab'[i % 2]}/{i}.png")
    keys = [*SMALL, "training.epochs=1", "data.train=photos", "data.only_label=b"]
    run = train(load_config(None, keys).config, Path("runs/c"))
    assert len(run.split.train) + len(run.split.validation) == 20
    assert min(run.split.train) >= 20


def test_a_check_looks_for_leaks_among_what_is_trained_on(ae, digits):
    images = digits[:200].copy()
    images[:100] = images[100:]
    np.save("images.npy", images)
    np.save("images_labels.npy", np.arange(200) // 100)
    done = ae("check", "images.npy", "--set", "data.only_label=1", "--json")
    kinds = {finding["name"] for finding in json.loads(done.stdout)["findings"]}
    assert "duplicates" in kinds
    assert "leak_validation" not in kinds


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["data.only_label=7"], r"images.npy: data.only_label: no image is labelled '7': they are 0, 1, 2"),
        (
            ["data.test=images.npy"],
            r"data.only_label: 2, while the test images are of every class: leave out data.test",
        ),
        (["data.only_label=true"], r"data.only_label"),
        (["data.only_label=''"], r"data.only_label"),
    ],
)
def test_what_cannot_be_is_one_line(labelled, keys, says):
    with pytest.raises(AeError, match=says):
        train(config(*keys), Path("runs/d"))
    assert not Path("runs/d").exists()


def test_images_without_labels_have_no_class(labelled):
    shutil.move("images_labels.npy", "elsewhere.npy")
    with pytest.raises(
        AeError, match=r"data.only_label 2: there is no images_labels.npy beside images.npy: put labels"
    ):
        train(config(), Path("runs/e"))
