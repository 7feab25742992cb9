"""ae import, and commands that take pictures themselves."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.data.dataset import open_images
from tests.conftest import python
from tests.data.files.test_open import IMAGES, idx, save_pictures


def classes(**counts: int) -> None:
    """Make a folder `p` with a folder for each class; every picture has its own brightness."""
    brightness = iter(range(10, 250))
    for name, count in counts.items():
        Path("p", name).mkdir(parents=True)
        for i in range(count):
            Image.new("L", (8, 8), next(brightness)).save(f"p/{name}/{i}.png")


def manifest(name: str) -> dict:
    return json.loads(Path(name).read_text())


def test_folders_become_labels_and_rows_know_their_files(ae):
    classes(dog=3, cat=2)
    result = ae("import", "p", "--output", "a.npy")
    assert result.exit_code == 0
    assert "5 images of 8 x 8, uint8: a.npy" in result.stdout
    images, labels, about = np.load("a.npy"), np.load("a_labels.npy"), manifest("a.json")
    assert about["classes"] == ["cat", "dog"]
    assert list(labels) == [0, 0, 1, 1, 1]
    assert about["files"] == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png", "dog/2.png"]
    for row, file in enumerate(about["files"]):
        np.testing.assert_array_equal(images[row], np.asarray(Image.open(f"p/{file}")))


def test_several_folders_are_classes_too(ae):
    classes(dog=2, cat=2)
    assert ae("import", "p/dog", "p/cat", "-o", "a.npy").exit_code == 0
    assert manifest("a.json")["classes"] == ["cat", "dog"]
    assert list(np.load("a_labels.npy")) == [1, 1, 0, 0]
    assert manifest("a.json")["files"][0] == "p/dog/0.png"


def test_pictures_side_by_side_have_no_labels(ae):
    save_pictures(3)
    assert ae("import", "p").exit_code == 0
    assert not Path("p_labels.npy").exists()
    assert manifest("p.json")["classes"] is None


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_bring_their_labels(ae, packed):
    import gzip

    labels = np.arange(20, dtype=np.uint8) % 3
    for name, array in (("a-images-idx3-ubyte", IMAGES), ("a-labels-idx1-ubyte", labels)):
        Path(name + ".gz" * packed).write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    assert ae("import", "a-images-idx3-ubyte" + ".gz" * packed, "-o", "a.npy").exit_code == 0
    np.testing.assert_array_equal(np.load("a.npy"), IMAGES)
    np.testing.assert_array_equal(np.load("a_labels.npy"), labels)
    assert np.load("a_labels.npy").dtype == np.int64


def test_an_array_of_an_npz_brings_its_labels(ae):
    np.savez("mnist.npz", x_train=IMAGES, y_train=np.arange(20) % 4, x_test=IMAGES[:2], y_test=np.arange(2))
    assert ae("import", "mnist.npz", "--key", "x_train", "-o", "a.npy").exit_code == 0
    np.testing.assert_array_equal(np.load("a_labels.npy"), np.arange(20) % 4)
    assert "no array 'x_trian'; did you mean 'x_train'?" in ae("import", "mnist.npz", "--key", "x_trian").stderr


def test_labels_that_do_not_fit_are_refused(ae):
    Path("a-images-idx3-ubyte").write_bytes(idx(IMAGES))
    Path("a-labels-idx1-ubyte").write_bytes(idx(np.zeros(19, np.uint8)))
    result = ae("import", "a-images-idx3-ubyte", "-o", "a.npy")
    assert result.exit_code == 1
    assert "a-labels-idx1-ubyte: expected 20 labels" in result.stderr
    assert not Path("a.npy").exists()


def test_shuffle_and_limit_keep_images_labels_and_names_together(ae):
    classes(a=20, b=20)
    for seed in ("1", "2"):
        assert ae("import", "p", "-o", f"{seed}.npy", "--shuffle", seed, "--limit", "12").exit_code == 0
    assert ae("import", "p", "-o", "again.npy", "--shuffle", "1", "--limit", "12").exit_code == 0
    assert Path("1.npy").read_bytes() == Path("again.npy").read_bytes() != Path("2.npy").read_bytes()
    images, labels, files = np.load("1.npy"), np.load("1_labels.npy"), manifest("1.json")["files"]
    assert len(images) == len(labels) == len(set(files)) == 12
    for image, label, file in zip(images, labels, files, strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(f"p/{file}")))
        assert file.startswith("ab"[label])


def test_arrays_are_joined_shuffled_and_their_rows_named(ae):
    np.save("a.npy", IMAGES[:12])
    Path("b-idx3-ubyte").write_bytes(idx(IMAGES[12:]))
    assert ae("import", "a.npy", "b-idx3-ubyte", "-o", "all.npy", "--shuffle", "5").exit_code == 0
    images, files = np.load("all.npy"), manifest("all.json")["files"]
    assert sorted(image.tobytes() for image in images) == sorted(image.tobytes() for image in IMAGES)
    for image, file in zip(images, files, strict=True):
        name, row = file.removesuffix("]").split("[")
        np.testing.assert_array_equal(image, IMAGES[int(row) + 12 * (name == "b-idx3-ubyte")])


def test_what_was_imported_is_imported_again_with_its_labels_and_classes(ae):
    classes(dog=3, cat=2)
    ae("import", "p", "-o", "a.npy")
    assert ae("import", "a.npy", "-o", "b.npy", "--shuffle", "0").exit_code == 0
    names = [manifest("b.json")["classes"][label] for label in np.load("b_labels.npy")]
    rows = [int(file.removesuffix("]").split("[")[1]) for file in manifest("b.json")["files"]]
    assert names == [manifest("a.json")["files"][row].split("/")[0] for row in rows]


def test_options_and_skipped_files_are_said(ae):
    save_pictures(3)
    Image.new("RGBA", (30, 20), (9, 9, 9, 0)).save("p/alpha.png")
    Path("p/broken.png").write_bytes(b"\x89PNG")
    Path("p/notes.md").write_text("")
    result = ae("import", "p", "--size", "6x4", "--fit", "pad", "--rgb", "-o", "a.npy")
    assert np.load("a.npy").shape == (4, 6, 4, 3)
    for words in (
        "4 pictures of 2 sizes, 8 x 8 to 20 x 30 (height x width), scaled and padded to 6 x 4, in colour",
        "1 with an alpha channel laid over white",
        "1 file could not be read and is left out: broken.png (not a picture, or damaged)",
        "passed over 1 that is no picture: 1 .md",
    ):
        assert words in result.stderr
    assert manifest("a.json")["skipped"] == [["broken.png", "not a picture, or damaged"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["p", "--strict"], "p/broken.png: not a picture, or damaged: mend or remove it"),
        (["p", "a.npy"], "a.npy: is an array, p has pictures"),
        (["a.npy"], "a.npy: is the input"),
        (["p", "-o", "a.npy"], "a.npy: exists already"),
        (["p", "-o", "b.npy"], "b.json: exists already"),
        (["p", "-o", "images.png"], "is written as .npy"),
        (["nothing"], "nothing: no such file"),
        (["a.npy", "--size", "9", "-o", "c.npy"], "only pictures are brought to a size"),
        (["a.npy", "d.npy", "-o", "c.npy"], "import them one after the other"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(ae, arguments, message):
    save_pictures(2)
    Path("p/broken.png").write_bytes(b"\x89PNG")
    np.save("a.npy", IMAGES)
    np.save("d.npy", IMAGES.astype(float))
    Path("b.json").write_text("{}")
    before = sorted(os.listdir())
    result = ae("import", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\nae: ") + result.stderr.startswith("ae: ") == 1
    assert sorted(os.listdir()) == before


def test_labels_of_other_images_are_not_left_beside_new_ones(ae):
    classes(dog=3, cat=2)
    save_pictures(2, "q")
    ae("import", "p", "-o", "a.npy")
    before = Path("a.npy").read_bytes()
    result = ae("import", "q", "-o", "a.npy", "--overwrite")
    assert "a_labels.npy: is of other images" in result.stderr
    assert Path("a.npy").read_bytes() == before


KILLED = """
import os, signal, sys
from aecli.cli.main import main
replace, left = os.replace, int(sys.argv.pop(1))
def killing(*names):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    replace(*names)
os.replace = killing
main()
"""


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_an_import_killed_at_its_end_leaves_no_images_beside_labels_of_others(ae, renamed):
    classes(dog=3, cat=2)
    assert ae("import", "p", "-o", "a.npy").exit_code == 0
    whole = [np.load(name) for name in ("a.npy", "a_labels.npy")]
    assert ae("import", "p", "-o", "a.npy", "--shuffle", "1", "--overwrite").exit_code == 0
    former = [np.load(name) for name in ("a.npy", "a_labels.npy")]
    assert not np.array_equal(whole[1], former[1])
    assert python(KILLED, str(renamed), "import", "p", "-o", "a.npy", "--overwrite").returncode == -signal.SIGKILL
    if Path("a.npy").exists():
        for name, values in zip(("a.npy", "a_labels.npy"), former, strict=True):
            np.testing.assert_array_equal(np.load(name), values)
    assert ae("import", "p", "-o", "a.npy", "--overwrite").exit_code == 0
    for name, values in zip(("a.npy", "a_labels.npy"), whole, strict=True):
        np.testing.assert_array_equal(np.load(name), values)


@pytest.mark.parametrize("size", ["0", "64x", "x", "1e3", "999999"])
def test_a_size_is_pixels(ae, size):
    assert ae("import", "p", "--size", size).exit_code == 2


def test_a_manifest_of_another_array_names_nothing(ae):
    save_pictures(3)
    ae("import", "p", "-o", "a.npy")
    assert open_images(Path("a.npy")).name(1) == "001.png"
    np.save("a.npy", np.load("a.npy")[::-1])
    assert open_images(Path("a.npy")).name(1) is None
    Path("a.json").write_text('{"ae_manifest": 1, "files": [[[[')
    assert open_images(Path("a.npy")).name(1) is None


@pytest.fixture
def pictures(digits) -> Path:
    """A folder of 40 digits as larger PNG pictures."""
    Path("digits").mkdir()
    for i, image in enumerate(digits[:40]):
        height, width = image.shape
        larger = Image.fromarray((image.astype(float) * (255 / digits.max())).astype(np.uint8))
        larger.resize((3 * width + i % 4, 3 * height)).save(f"digits/{i:02}.png")
    return Path("digits")


def test_a_run_takes_a_folder_and_brings_it_to_its_own_size(ae, run, pictures):
    result = ae("reconstruct", pictures, "--json")
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert np.load("digits_reconstructed.npy").shape == (40, *run.image_format.image_shape[:2])
    assert {w["file"] for w in content["worst"]} <= {path.name for path in pictures.iterdir()}
    assert ae("evaluate", pictures, "--per-image", "each.csv").exit_code == 0
    assert Path("each.csv").read_text().splitlines()[1].startswith("0,00.png,")
    assert ae("encode", pictures).exit_code == 0
    assert len(np.load("digits_latents.npy")) == 40
    assert ae("plot", "--images", pictures, "--worst", "3").exit_code == 0


def test_a_folder_goes_to_a_trained_model_and_is_found_again(ae, pictures):
    options = ["data.size=[6, 9]", "data.fit=stretch", "model.latent_dim=3", "training.epochs=1"]
    result = ae("train", "--data", pictures, *(word for option in options for word in ("--set", option)))
    assert result.exit_code == 0
    assert "40 images of 6 x 9 x 1" in result.stderr
    assert ae("plot").exit_code == 0
    assert ae("reconstruct", pictures).exit_code == 0
    assert np.load("digits_reconstructed.npy").shape == (40, 6, 9)
    again = ["--config", "runs/default/config.yaml", "--run", "runs/again"]
    assert ae("train", *again).exit_code == 0
    first, second = (
        Path(f"runs/{name}/history.csv").read_text().splitlines()[1].split(",")[1:3] for name in ("default", "again")
    )
    assert first == second
    (pictures / "03.png").unlink()
    assert "has changed since" in ae("plot").stderr


@pytest.mark.parametrize(("value", "size"), [("32", (32, 32)), ("[8, 9]", (8, 9)), ("", None)])
def test_the_size_of_a_config(value, size):
    from aecli.runs.config_file import load_config

    assert load_config(None, [f"data.size={value}"]).config.data.size == size


@pytest.mark.parametrize("value", ["big", "[1]", "[1, 2, 3]", "true", "0", "1.5"])
def test_a_size_that_is_none_is_one_line(value):
    from aecli.core.errors import ConfigError
    from aecli.runs.config_file import load_config

    with pytest.raises(ConfigError) as caught:
        load_config(None, [f"data.size={value}"])
    assert len(caught.value.problems) == 1
    assert "data.size" in str(caught.value)


def test_the_cache_is_shown_and_cleared(ae):
    save_pictures(3)
    ae("import", "p")
    assert "0 entries" in ae("cache").stdout
    open_images(Path("p"))
    assert json.loads(ae("cache", "--json").stdout)["entries"] == 2
    assert ae("cache", "clear").exit_code == 0
    assert json.loads(ae("cache", "--json").stdout)["bytes"] == 0


def test_an_import_killed_just_before_the_images_appear_is_given_again(ae):
    classes(cats=2, dogs=1)
    assert ae("import", "p", "--output", "a.npy").exit_code == 0
    expected = np.load("a.npy")
    Path("a.npy").unlink()
    refused = ae("import", "p/cats", "--output", "a.npy")
    assert "a.json: exists already" in refused.stderr
    assert ae("import", "p", "--output", "a.npy").exit_code == 0
    np.testing.assert_array_equal(np.load("a.npy"), expected)
    assert np.load("a_labels.npy").tolist() == [0, 0, 1]
