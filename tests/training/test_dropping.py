"""What is there twice: all of it named in JSON, and left out of a list or an array that every command reads."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.data.dataset import open_images
from aecli.data.files.manifest import read_manifest

NOISE = np.random.default_rng(0).integers(0, 256, (40, 12, 12)).astype(np.uint8)
TWICE = np.concatenate([NOISE, NOISE[:25], NOISE[30:33] ^ 1])
"""40 images, 25 of them twice, and 3 nearly so."""


def save_pictures(folder: str = "p") -> None:
    for i, image in enumerate(TWICE):
        path = Path(folder, "cat" if i % 2 else "dog", f"#{i:02} x.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def test_json_names_every_pair(ae):
    np.save("a.npy", TWICE)
    findings = {f["name"]: f["data"] for f in json.loads(ae("check", "a.npy", "--json").stdout)["findings"]}
    assert findings["duplicates"]["pairs"] == [[i, 40 + i] for i in range(25)]
    assert sorted(findings["near_duplicates"]["pairs"]) == [[30, 65], [31, 66], [32, 67]]
    assert len(findings["near_duplicates"]["correlations"]) == 3


@pytest.mark.parametrize(("drop", "kept"), [("duplicates", 43), ("near", 40)])
def test_a_list_of_the_pictures_that_stay(ae, drop, kept):
    save_pictures()
    Path("lists").mkdir()
    result = ae("check", "p", "--drop", drop, "--output", "lists/clean.txt")
    assert f"lists/clean.txt: {kept} of 68 images, {68 - kept} left out" in result.stdout
    images = open_images(Path("lists/clean.txt"))
    stored = images.file.read(0, len(images))
    assert len(np.unique(stored.reshape(kept, -1), axis=0)) == kept
    assert "could not be read" not in str(images)
    assert ae("check", "lists/clean.txt").exit_code == 0
    assert ae("import", "lists/clean.txt", "--output", "clean.npy").exit_code == 0


@pytest.mark.parametrize(("drop", "rows"), [("duplicates", [*range(40), 65, 66, 67]), ("near", [*range(40)])])
def test_an_array_of_the_rows_that_stay_with_their_labels(ae, drop, rows):
    np.save("a.npy", TWICE)
    np.save("a_labels.npy", np.arange(68) % 7)
    result = ae("check", "a.npy", "--drop", drop, "--output", "clean.npy", "--json")
    assert json.loads(result.stdout)["kept"] == len(rows)
    np.testing.assert_array_equal(np.load("clean.npy"), TWICE[rows])
    np.testing.assert_array_equal(np.load("clean_labels.npy"), np.array(rows) % 7)
    assert read_manifest(Path("clean.json")).files == tuple(f"a.npy[{row}]" for row in rows)


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (("a.npy", "--drop", "duplicates"), "--drop and --output belong together", 2),
        (("a.npy", "--output", "clean.npy"), "--drop and --output belong together", 2),
        (("a.npy", "--drop", "duplicate", "--output", "c.npy"), "did you mean 'duplicates'?", 2),
        (("a.npy", "--drop", "duplicates", "--output", "c.txt"), "c.txt: is written as .npy", 1),
        (("p", "--drop", "duplicates", "--output", "c.npy"), "c.npy: is written as .txt", 1),
        (("p", "--drop", "duplicates", "--output", "old.txt"), "old.txt: exists already", 1),
        (("a.npy", "--drop", "duplicates", "--output", "a.npy"), "a.npy: is the input", 1),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_looked_at(ae, arguments, says, code):
    np.save("a.npy", TWICE)
    save_pictures()
    Path("old.txt").write_text("mine")
    result = ae("check", *arguments)
    assert says in result.stderr
    assert result.exit_code == code
    assert Path("old.txt").read_text() == "mine"


def test_overwrite_replaces_the_list(ae):
    save_pictures()
    Path("old.txt").write_text("mine")
    assert ae("check", "p", "--drop", "duplicates", "--output", "old.txt", "--overwrite").exit_code == 0
    assert len(Path("old.txt").read_text().splitlines()) == 43


def test_a_name_that_no_list_can_hold_is_refused(ae):
    save_pictures()
    Path("p/cat/#01 x.png").rename("p/cat/!\n.png")
    result = ae("check", "p", "--drop", "duplicates", "--output", "clean.txt")
    assert "no list can hold such a name: rename the file" in result.stderr
    assert not Path("clean.txt").exists()
