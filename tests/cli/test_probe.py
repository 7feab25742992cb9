"""ae probe: what it prints, writes and refuses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import DIGITS


@pytest.fixture
def bright(digits):
    """Labels of all digits, words: whether they are brighter above than below."""
    rows = digits.mean(axis=2)
    np.save("bright.npy", np.where(rows[:, :4].sum(axis=1) > rows[:, 4:].sum(axis=1), "above", "below"))


def test_it_prints_a_table_and_a_sentence_of_the_runs_held_out_images(ae, run, bright):
    done = ae("probe", DIGITS, "--labels", "bright.npy", "--predictions", "p.csv")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["180", "test", "images", "by"]
    assert [line.split("  ")[0] for line in lines[1:10]] == [
        "latents-8", "latents-8", "PCA-8", "PCA-8", "random projection-8", "random projection-8", "64 pixels", "64 pixels",
        "most frequent class",
    ]  # fmt: skip
    assert max(map(len, lines[:10])) <= 80
    assert lines[10].startswith("A linear probe on the latents is right for ")
    assert lines[11] == "predictions: p.csv"
    assert "test images: 180: the run's own validation images" in done.stderr
    assert "training images: 1,617; 2 classes" in done.stderr
    header, *rows = csv.reader(Path("p.csv").read_text().splitlines())
    assert header[:4] == ["image", "label", "latents_linear", "latents_neighbours"]
    assert header[-1] == "most_frequent"
    assert [int(row[0]) for row in rows] == run.split.validation.tolist()
    right = np.mean([row[1] == row[2] for row in rows])
    assert lines[1].split()[2] == f"{100 * right:.1f}"
    assert {row[2] for row in rows} == {"above", "below"}


def test_the_same_as_json_twice_alike(ae, run, bright):
    command = ("probe", DIGITS, "--labels", "bright.npy", "--labels-per-class", "20", "--json", "--quiet")
    done = ae(*command)
    assert done.stderr == ""
    content = json.loads(done.stdout)
    assert (content["training_images"], content["test_images"], content["classes"]) == (40, 180, ["above", "below"])
    assert content["labels_per_class"] == 20
    assert len(content["rows"]) == 9
    first = content["rows"][0]
    assert (first["features"], first["by"]) == ("latents", "linear")
    assert first["right"]["low"] < first["right"]["estimate"] < first["right"]["high"]
    assert content["rows"][2]["to_pca"] is None
    assert ae(*command).stdout == done.stdout
    assert ae(*command, "--seed", "1").stdout != done.stdout


def test_pictures_in_folders_and_other_test_images(ae, run, digits):
    for i in range(60):
        path = Path("p", "up" if i % 2 else "down", f"{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits[i] if i % 2 else 255 - digits[i]).save(path)
    np.save("t.npy", digits[:30])
    np.save("t_labels.npy", np.repeat(["up", "left"], 15))
    done = ae("probe", "p", "--test", "t.npy", "--json", "--predictions", "p.csv")
    assert done.exit_code == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["classes"], content["unknown_class"]) == (["down", "up"], 15)
    assert content["rows"][0]["right"]["estimate"] <= 0.5
    assert "15 test images are of classes that no training image has: they count as wrong" in done.stderr
    assert "left" in Path("p.csv").read_text()
    assert ae("probe", "p", "--predictions", "q.csv").exit_code == 0
    assert Path("q.csv").read_text().startswith("image,file,label,")
    assert len(Path("q.csv").read_text().splitlines()) == 13


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "has no labels (there is no digits_labels.npy beside digits.npy)"),
        (("--labels", "short.npy"), "short.npy: holds 5 labels, and"),
        (("--labels", "none.npy"), "none.npy: no such file"),
        (("--labels", "one.npy"), "every training image is of class 'a': give images of two classes or more"),
        (("--labels", "bright.npy", "--labels-per-class", "8000"), "--labels-per-class 8,000: 16,000 training images, more than 15,000: ask for at most 7,500"),
        (("--labels", "bright.npy", "--labels-per-class", "1500"), "training images, --labels-per-class 1,500 asks for more"),
        (("--labels", "bright.npy", "--test-labels", "one.npy"), "there are no test images: name them with --test"),
        (("--labels", "bright.npy", "--test", DIGITS), "has no labels"),
        (("--labels", "bright.npy", "--predictions", "bright.npy"), "bright.npy: is the input"),
        (("--labels", "bright.npy", "--predictions", "old.csv"), "old.csv: exists already"),
    ],
    ids=lambda value: " ".join(map(str, value[-2:])) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_cannot_be_probed_gets_one_line(ae, run, bright, arguments, says):
    np.save("short.npy", np.arange(5))
    np.save("one.npy", np.full(1797, "a"))
    Path("old.csv").write_text("mine")
    done = ae("probe", DIGITS, *arguments, "--quiet")
    assert done.exit_code == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert Path("old.csv").read_text() == "mine"
