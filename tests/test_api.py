"""The Python door gives what the commands give."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aecli
from aecli.core.errors import AeError, ConfigError

KEYS = {"model.latent_dim": 4, "training.epochs": 2, "training.batch_size": 256}


def test_images_from_memory_train_like_those_of_a_file(digits):
    from_memory = aecli.train(digits, set=KEYS, folder="a")
    np.save("digits.npy", digits)
    from_file = aecli.train("digits.npy", set=KEYS, folder="b")
    assert from_memory.metrics["splits"] == from_file.metrics["splits"]
    assert aecli.load_run("a").metrics == from_memory.metrics


def test_a_packaged_config_goes_by_its_name(digits):
    run = aecli.train(digits, config="prelu", set=KEYS)
    assert run.path == Path("runs/prelu")
    assert aecli.load_run().path == run.path


def test_compare_returns_the_study(digits):
    compared = aecli.compare(digits, activations=["relu", "linear"], seeds=2, set=KEYS, workers=1)
    assert [result.variant for result in compared.results] == ["relu", "relu", "linear", "linear"]
    assert compared.study.report_file.is_file()
    assert compared.summary.verdict
    assert compared.study.path == Path("studies/images")
    again = aecli.compare(digits, activations=["relu", "linear"], seeds=2, set=KEYS)
    assert again.results == compared.results


SCRIPT = """
import sys, aecli, numpy as np
open("started", "a").write("once ")
images = np.random.default_rng(0).integers(0, 256, (30, 4, 4)).astype(np.uint8)
study = aecli.compare(images, activations=["relu"], seeds=1, set={"training.epochs": 1, "model.latent_dim": 2})
print([result.state in ('complete', 'collapsed') for result in study.results])
"""


@pytest.mark.parametrize(
    "way",
    [
        "script.py",
        *(pytest.param(way, marks=pytest.mark.long) for way in ("-m script", "-c", "a notebook's cell")),
        "stdin",
    ],
)
def test_a_script_needs_no_guard(way):
    Path("script.py").write_text(SCRIPT)
    ways = {
        "script.py": ["script.py"], "-m script": ["-m", "script"], "-c": ["-c", SCRIPT], "stdin": ["-"],
        "a notebook's cell": ["-c", f"exec(compile({SCRIPT!r}, 'cell', 'exec'))"],
    }  # fmt: skip
    done = subprocess.run([sys.executable, *ways[way]], input=SCRIPT, capture_output=True, text=True, check=False)
    assert done.stdout == "[True]\n", done.stderr
    assert Path("started").read_text() == "once "


def test_a_wrong_key_is_named(digits):
    with pytest.raises(ConfigError, match=r"set: model.latent_dm=4: unknown key; did you mean 'latent_dim'"):
        aecli.train(digits, set={"model.latent_dm": 4})


def ragged() -> np.ndarray:
    array = np.empty(2, object)
    array[:] = [np.zeros((4, 4)), np.zeros((5, 4))]
    return array


REFUSED = {
    "a ragged object array": (ragged(), "images: expected real numbers, found Python objects: save"),
    "a ragged list": ([np.zeros((4, 4)), np.zeros((5, 4))], "images: are no array .they differ in shape"),
    "text": (np.array(["a", "b"]), "images: expected real numbers, found text"),
    "complex numbers": (np.zeros((20, 4, 4), complex), "images: expected real numbers, found complex"),
    "records": (np.zeros(20, [("a", "f4")]), "images: expected real numbers, found records"),
    "nothing": (None, "images: expected real numbers, found Python objects"),
    "one number": (3.0, "images: expected an array of images, found a single number"),
    "no images": (np.zeros((0, 4, 4)), "images: holds 0 images"),
    "no pixels": (np.zeros((20, 0, 4)), "images: shape .* has no values"),
    "NaN": (np.full((20, 4, 4), np.nan), "NaN or infinite"),
    "five axes": (np.zeros((20, 1, 1, 4, 4)), "expected images as"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("door", [aecli.train, aecli.compare])
def test_an_array_that_is_refused_is_named_and_leaves_no_file(door, name):
    images, says = REFUSED[name]
    with pytest.raises(AeError, match=says) as caught:
        door(images, set=KEYS)
    assert "\n" not in str(caught.value)
    assert list(Path().iterdir()) == []


def test_too_few_images_leave_no_file():
    with pytest.raises(AeError, match="holds 1 image"):
        aecli.train(np.zeros((1, 4, 4)), set=KEYS)
    assert list(Path().iterdir()) == []


def test_a_wrong_study_leaves_no_file(digits):
    Path("kept").mkdir()
    with pytest.raises(ConfigError):
        aecli.compare(digits, vary={"model.latent_dm": [1]}, set=KEYS, folder="kept/study")
    assert list(Path("kept").iterdir()) == []


def test_importing_the_package_loads_nothing_heavy():
    from tests.conftest import python

    done = python("import sys, aecli; print(*{n.split('.')[0] for n in sys.modules})")
    assert not set(done.stdout.split()) & {"numpy", "tensorflow", "keras", "pydantic"}
