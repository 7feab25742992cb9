"""Images that a run was trained, validated or tested on are known as that wherever they lie."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aecli.data.dataset import open_images
from aecli.runs.config_file import load_config
from aecli.runs.metrics import METRICS
from aecli.runs.model import load_model
from aecli.runs.uses.evaluate import evaluate
from aecli.runs.uses.inputs import open_images_for
from aecli.runs.uses.parts import own_parts
from aecli.training.trainer import train
from tests.conftest import DIGITS, SMALL


def test_a_copy_of_the_training_file_is_known_by_its_values(trained):
    shutil.copy(DIGITS, "renamed.npy")
    parts = own_parts(trained, open_images(Path("renamed.npy")))
    assert list(parts) == ["train", "validation"]
    np.testing.assert_array_equal(parts["validation"], trained.split.validation)


def test_as_many_other_images_are_not_the_runs(trained, digits):
    np.save("other.npy", digits[::-1])
    np.save("fewer.npy", digits[:100])
    assert own_parts(trained, open_images(Path("other.npy"))) == {}
    assert own_parts(trained, open_images(Path("fewer.npy"))) == {}


def test_pictures_are_known_too(digits):
    from PIL import Image

    Path("pictures").mkdir()
    for i, image in enumerate(digits[:30]):
        Image.fromarray(image).save(f"pictures/{i:02}.png")
    run = train(
        load_config(None, [*SMALL, "data.train=pictures", "data.size=8", "data.test_split=0.2"]).config, Path("r")
    )
    parts = own_parts(run, open_images_for(run, Path("pictures")))
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 21, "validation": 3, "test": 6}


def test_every_part_measures_as_in_training_and_all_of_them_as_without(trained):
    source, reconstruct = open_images(DIGITS), load_model(trained).reconstruct
    parts = own_parts(trained, source)
    apart = evaluate(reconstruct, source, trained.baselines, keep=METRICS, parts=parts)
    together = evaluate(reconstruct, source, trained.baselines, keep=METRICS)
    assert apart.summary == together.summary
    for name, measured in trained.metrics["splits"].items():
        assert apart.splits[name]["images"] == measured["images"]
        for row in ("model", "pca", "mean_image"):
            assert apart.splits[name][row] == pytest.approx(measured[row], rel=1e-5)
    assert apart.split.count("validation") == len(trained.split.validation)
    assert (together.splits, together.split) == ({}, ())


def test_evaluate_gives_the_parts_of_the_training_file(ae, run):
    done = ae("evaluate", DIGITS, "--per-image", "values.csv")
    assert "the run was trained on 1,617 of these 1,797 images: judge it by its validation images" in done.stderr
    lines = [line.split("  ")[0] for line in done.stdout.splitlines()[1:]]
    assert lines == ["train, 1,617"] * 4 + ["validation, 180"] * 4
    rows = list(csv.DictReader(Path("values.csv").read_text().splitlines()))
    held_out = [int(row["image"]) for row in rows if row["split"] == "validation"]
    assert held_out == run.split.validation.tolist()
    splits = json.loads(ae("evaluate", DIGITS, "--json").stdout)["splits"]
    assert splits["validation"]["pca"] == pytest.approx(run.metrics["splits"]["validation"]["pca"], rel=1e-5)


def test_other_images_have_no_parts_and_a_sentence(ae, run, digits):
    np.save("other.npy", digits[:60])
    done = ae("evaluate", "other.npy", "--per-image", "values.csv")
    assert "split" not in Path("values.csv").read_text()
    assert done.stdout.splitlines()[-1].startswith("On these images the network reconstructs ")
    assert "splits" not in json.loads(ae("evaluate", "other.npy", "--json").stdout)


def test_reconstruct_gives_the_parts_too(ae, run, digits):
    done = ae("reconstruct", DIGITS)
    assert "the run was trained on 1,617" in done.stderr
    assert "validation, 180" in done.stdout
    assert "On these images" not in done.stdout
    splits = json.loads(ae("reconstruct", DIGITS, "--json", "--overwrite").stdout)["splits"]
    assert splits["validation"]["model"] == pytest.approx(run.metrics["splits"]["validation"]["model"], rel=1e-5)
    np.save("other.npy", digits[:60])
    said = ae("evaluate", "other.npy").stdout.splitlines()[-1]
    assert ae("reconstruct", "other.npy").stdout.splitlines()[-1] == said


def test_the_test_images_of_a_run_are_held_out(ae, digits):
    np.save("train.npy", digits[:400])
    np.save("test.npy", digits[400:500])
    train(load_config(None, [*SMALL, "data.train=train.npy", "data.test=test.npy"]).config, Path("runs/a"))
    done = ae("evaluate", "test.npy")
    assert "test.npy: the run's own test images: it was not trained on them" in done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:4]] == ["test, 100"] * 3
    assert done.stdout.splitlines()[-1].startswith("On these images")


def test_a_training_ends_with_how_it_stands_on_the_validation_images(ae):
    done = ae("train", *(part for key in SMALL for part in ("--set", key)))
    assert done.stdout.splitlines()[-1].startswith("On the validation images the network reconstructs ")
