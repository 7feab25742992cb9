"""The labels of images: found by their usual names, in every usual form, or said to be none and why."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.files.test_convert import classes
from tests.data.files.test_open import IMAGES

COUNT = len(IMAGES)
NUMBERS = np.arange(COUNT) % 4
WORDS = np.array(["cat", "dog", "eel", "fox"])[NUMBERS]


def imported(ae, *arguments: str) -> tuple[list[int] | None, list[str] | None, str]:
    """Import; return the labels, the names of the classes, and what was said on stderr."""
    result = ae("import", *arguments, "-o", "out.npy", "--overwrite")
    assert result.exit_code == 0, result.stderr
    labels = np.load("out_labels.npy").tolist() if Path("out_labels.npy").exists() else None
    return labels, json.loads(Path("out.json").read_text())["classes"], result.stderr


# -- the folders of pictures ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["{name}", "./{name}", ".//{name}", "{here}/{name}", "../{folder}/{name}", "p/../{name}", "./p/./cat/../../{name}"],
)
def test_the_folders_in_a_list_are_its_classes_however_it_is_written(ae, line, tmp_path):
    classes(cat=2, dog=3)
    names = [*(f"p/cat/{i}.png" for i in range(2)), *(f"p/dog/{i}.png" for i in range(3))]
    lines = [line.format(name=name, here=tmp_path, folder=tmp_path.name) for name in names]
    Path("list.txt").write_text("\n".join(lines))
    labels, found, _ = imported(ae, "list.txt")
    assert labels == [0, 0, 1, 1, 1]
    assert found == ["cat", "dog"]


def test_ways_of_writing_a_path_may_stand_in_one_list(ae, tmp_path):
    classes(cat=1, dog=2)
    Path("list.txt").write_text(f"p/cat/0.png\n./p/dog/0.png\n{tmp_path}/p/dog/1.png\n")
    assert imported(ae, "list.txt")[:2] == ([0, 1, 1], ["cat", "dog"])


def test_classes_below_one_more_folder_are_found(ae):
    classes(**{"train/cat": 2, "train/dog": 1})
    assert imported(ae, "p")[:2] == ([0, 0, 1], ["cat", "dog"])


def test_a_class_is_no_folder_within_it_when_few_pictures_are_taken(ae):
    classes(**{"cat/in": 1, "cat/out": 1, "dog": 1})
    labels, _, said = imported(ae, "p", "--limit", "2")
    assert labels is None
    assert "out.npy: no labels: all pictures lie in one folder" in said


@pytest.mark.parametrize("where", [".", "../{folder}", "./"])
def test_folders_named_by_dots_are_classes_too(ae, where, monkeypatch, tmp_path):
    classes(cat=1, dog=2)
    monkeypatch.chdir("p/cat")
    monkeypatch.setenv("OUT", "x")
    assert ae("import", where.format(folder="cat"), "../dog", "-o", str(tmp_path / "out.npy")).exit_code == 0
    assert np.load(tmp_path / "out_labels.npy").tolist() == [0, 1, 1]
    assert json.loads((tmp_path / "out.json").read_text())["classes"] == ["cat", "dog"]


def test_a_picture_beside_the_folders_is_named(ae):
    classes(cat=2, dog=2)
    Image.new("L", (8, 8)).save("p/cover.png")
    labels, found, said = imported(ae, "p")
    assert (labels, found) == (None, None)
    assert "out.npy: no labels: 1 picture lies beside the folders, the first is cover.png: move" in said


@pytest.mark.parametrize("where", [".", "./", "..", "../p", "p/.."])
@pytest.mark.parametrize(
    "command", [("check",), ("evaluate", "--run", "{run}"), ("encode", "--run", "{run}", "-o", "{run}/l.npy")]
)
def test_a_folder_named_by_dots_goes_by_its_own_name(ae, run, where, command, monkeypatch):
    classes(cat=40, p=40)
    monkeypatch.chdir("p")
    result = ae(*(word.format(run=run.path.absolute()) for word in command), where)
    assert result.exit_code == 0, result.stderr
    assert not [line for line in result.output.splitlines() if line.startswith((": ", "..: images", ".: the"))]


# -- arrays --------------------------------------------------------------------------------------


PAIRS = [
    ("x", "y"), ("X", "y"), ("X", "Y"), ("x_train", "y_train"), ("X_train", "y_train"), ("xtrain", "ytrain"),
    ("trainX", "trainY"), ("train_x", "train_y"), ("images", "labels"), ("image", "label"), ("train_images", "train_labels"),
    ("images_train", "labels_train"), ("data", "labels"), ("data", "target"), ("Images", "Labels"), ("IMAGES", "LABELS"),
    ("arr_0", "labels"), ("pictures", "y"), ("features", "targets"),
]  # fmt: skip


@pytest.mark.parametrize(("images", "labels"), PAIRS)
@pytest.mark.parametrize("form", ["(N,)", "(N, 1)"])
def test_labels_of_an_npz_go_by_their_usual_names(ae, images, labels, form):
    np.savez("a.npz", **{labels: NUMBERS.reshape(COUNT, 1) if form == "(N, 1)" else NUMBERS, images: IMAGES})
    assert (
        imported(ae, "a.npz", *(["--key", images] if form == "(N, 1)" and images in ("arr_0", "pictures") else []))[0]
        == NUMBERS.tolist()
    )


def test_labels_of_several_parts_are_those_of_the_part(ae):
    parts = {
        "train_images": IMAGES,
        "train_labels": NUMBERS,
        "test_images": IMAGES[:3],
        "test_labels": NUMBERS[:3][::-1],
    }
    np.savez("a.npz", **parts)
    assert imported(ae, "a.npz", "--key", "test_images")[0] == [2, 1, 0]


@pytest.mark.parametrize(
    ("images", "labels"), [("x", "y"), ("images", "labels"), ("train_images", "train_labels"), ("a", "a_labels")]
)
def test_labels_beside_an_npy_go_by_their_usual_names(ae, images, labels):
    np.save(f"{images}.npy", IMAGES)
    np.save(f"{labels}.npy", NUMBERS)
    assert imported(ae, f"{images}.npy")[0] == NUMBERS.tolist()


def test_images_that_go_by_the_name_of_labels_are_none(ae):
    np.save("x.npy", IMAGES)
    np.save("y.npy", IMAGES)
    labels, _, said = imported(ae, "x.npy")
    assert labels is None
    assert "out.npy: no labels: there is no x_labels.npy beside x.npy" in said


FORMS = {
    "bytes": (NUMBERS.astype(np.uint8), None), "a column": (NUMBERS.reshape(COUNT, 1), None), "a deep column": (NUMBERS.reshape(COUNT, 1, 1), None),
    "floats": (NUMBERS.astype("f8"), None), "halves": (NUMBERS.astype("f2"), None), "big-endian": (NUMBERS.astype(">i4"), None),
    "one-hot": (np.eye(4)[NUMBERS], list("0123")), "one-hot of five": (np.eye(5, dtype=np.uint8)[NUMBERS], list("01234")),
    "one-hot of booleans": (np.eye(4, dtype=bool)[NUMBERS], None), "words": (WORDS, ["cat", "dog", "eel", "fox"]),
    "words in bytes": (WORDS.astype("S"), ["cat", "dog", "eel", "fox"]), "words in a column": (WORDS.reshape(COUNT, 1), None),
    "numbers in words": (NUMBERS.astype("U"), list("0123")),
}  # fmt: skip


@pytest.mark.parametrize(("labels", "names"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("place", ["npz", "npy"])
def test_labels_of_every_form_are_the_same_numbers(ae, labels, names, place):
    np.savez("a.npz", x=IMAGES, y=labels)
    np.save("a.npy", IMAGES)
    np.save("a_labels.npy", labels)
    values, found, _ = imported(ae, f"a.{place}")
    assert values == NUMBERS.tolist()
    assert found == (names or found)


BAD = {
    "negative": np.where(NUMBERS == 2, -1, NUMBERS), "fractions": NUMBERS / 3, "NaN": np.full(COUNT, np.nan),
    "soft": np.full((COUNT, 4), 0.25), "several": np.ones((COUNT, 4), np.uint8), "ids": NUMBERS + 123_456,
    "none": np.zeros((COUNT, 4)), "too few": NUMBERS[:-1], "boxes of words": np.array([["a", "b"]] * COUNT),
    "objects": np.array([{"a": 1}] * COUNT),
}  # fmt: skip


@pytest.mark.parametrize("labels", BAD.values(), ids=BAD)
@pytest.mark.parametrize("place", ["npz", "npy"])
def test_what_is_no_label_is_named_and_the_images_come_without(ae, labels, place):
    np.savez("a.npz", x=IMAGES, y=labels)
    np.save("a.npy", IMAGES)
    np.save("a_labels.npy", labels)
    refused = ae("import", f"a.{place}", "-o", "out.npy")
    assert refused.exit_code == 1
    assert len(refused.stderr.splitlines()) == 1
    labels, _, said = imported(ae, f"a.{place}", "--no-labels")
    assert labels is None
    assert "labels" not in said
    np.testing.assert_array_equal(np.load("out.npy"), IMAGES)


@pytest.mark.parametrize("labels", [*BAD.values(), *(labels for labels, _ in FORMS.values())], ids=[*BAD, *FORMS])
def test_training_and_checking_ask_for_no_labels(ae, labels):
    from aecli.data.files.open import open_source

    for images in ("x", "X", "train_images"):
        np.savez("a.npz", **{images: IMAGES, {"x": "y", "X": "Y"}.get(images, "train_labels"): labels})
        assert open_source(Path("a.npz")).shape == IMAGES.shape
    assert ae("check", "a.npz").exit_code == 0


def test_words_of_several_files_are_numbered_together(ae):
    for name, words in (("a", ["cat", "dog"]), ("b", ["ant", "dog"])):
        np.save(f"{name}.npy", IMAGES[:2])
        np.save(f"{name}_labels.npy", np.array(words))
    assert imported(ae, "a.npy", "b.npy")[:2] == ([1, 2, 0, 2], ["ant", "cat", "dog"])


def test_why_there_are_none_is_said_and_not_when_quiet(ae):
    np.savez("a.npz", x=IMAGES, words=np.arange(COUNT))
    assert "out.npy: no labels: a.npz has no array y or labels beside 'x'" in imported(ae, "a.npz")[2]
    np.save("c.npy", IMAGES)
    assert "out.npy: no labels: there is no c_labels.npy beside c.npy" in imported(ae, "c.npy")[2]
    assert ae("import", "c.npy", "-o", "d.npy", "-q").stderr == ""


def test_labels_of_no_bound_are_not_read(ae):
    """A header that claims more than the file holds is refused before memory is taken."""
    np.save("a.npy", IMAGES)
    with open("a_labels.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<U100000000", "fortran_order": False, "shape": (COUNT,)})
    os.truncate("a_labels.npy", 10_000)
    assert ae("import", "a.npy", "-o", "out.npy").exit_code == 1
