"""Using a run: any layout in, the same layout out, and no surprise from damaged files."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from aecli.core import machine
from aecli.core.errors import DataError, RunError
from aecli.data import dataset as data
from aecli.data.dataset import open_images, open_images_like
from aecli.runs.metrics import METRICS
from aecli.runs.model import load_model
from aecli.runs.run import find_run
from aecli.runs.uses.evaluate import evaluate
from aecli.runs.uses.inputs import decode_chunks, open_latents
from tests.conftest import DIGITS


def variants(digits):
    """The same images stored in every way that is accepted."""
    unit = digits / 255
    return {
        "uint8": digits,
        "float64 in [0, 1]": unit,
        "float32 in [0, 255]": digits.astype(np.float32),
        "big-endian": unit.astype(">f8"),
        "Fortran order": np.asfortranarray(digits),
        "flat rows": digits.reshape(len(digits), -1),
        "with a channel": digits[..., None],
        "int64": digits.astype(np.int64),
        "[-1, 1]": (unit * 2 - 1).astype(np.float32),
    }


@pytest.mark.parametrize("name", variants(np.zeros((1, 8, 8), np.uint8)))
def test_the_same_images_are_reconstructed_the_same_however_stored(trained, digits, name):
    stored = variants(digits[:300])[name]
    np.save("images.npy", stored)
    source = open_images_like(Path("images.npy"), trained.image_format)
    model = load_model(trained)
    ((images, reconstructions),) = source.map(lambda images: (images, model.reconstruct(images)))
    np.testing.assert_allclose(
        reconstructions[..., 0],
        model.reconstruct((digits[:300, ..., None] / 255).astype(np.float32))[..., 0],
        atol=1e-5,
    )
    back = source.format.from_contract(images)
    np.testing.assert_allclose(back, stored, atol=1e-4)
    assert back.dtype == stored.dtype


def test_booleans_have_their_own_range(trained, digits):
    np.save("images.npy", digits > 127)
    source = open_images_like(Path("images.npy"), trained.image_format)
    ((_, images),) = source.chunks()
    assert set(np.unique(images)) == {0.0, 1.0}


@pytest.mark.parametrize("shape", [(5, 7, 8), (5, 63), (5, 8, 8, 3), (5, 4, 16), (5, 8, 1, 8)])
def test_images_of_another_shape_say_what_was_expected_and_what_came(trained, shape):
    np.save("images.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match="the run expects images of 8 x 8 x 1, found shape"):
        open_images_like(Path("images.npy"), trained.image_format)


@pytest.mark.parametrize("shape", [(5, 7), (5, 8, 1), (8,)])
def test_latents_of_the_wrong_length(trained, shape):
    np.save("latents.npy", np.zeros(shape, np.float32))
    with pytest.raises(DataError, match=r"expects latents \(N, 8\), found shape"):
        open_latents(Path("latents.npy"), load_model(trained).latent_dim)


def test_the_metadata_is_enough_to_use_the_files_alone(trained):
    names = {"encoder": ("images", "latents"), "decoder": ("latents", "images")}
    for file in (trained.encoder_file, trained.decoder_file):
        properties = {p.key: json.loads(p.value) for p in onnx.load(file).metadata_props}
        given, made = names[file.stem]
        assert properties == {
            "config": "small", "part": file.stem, "inputs": [given], "outputs": [made],
            "image_shape": [8, 8, 1], "axes": "NHWC", "size": [8, 8], "fit": "crop", "channels": 1, "color": "grey",
            "value_range": [0.0, 255.0], "latent_dim": 8,
        }  # fmt: skip


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_any_batch_size(trained, count):
    images = np.zeros((count, 8, 8, 1), np.float32)
    assert load_model(trained).reconstruct(images).shape == images.shape


def test_the_evaluation_is_one_value_per_image_and_its_csv_too(trained, digits):
    source = open_images(Path(trained.environment["data"]["file"]))
    evaluation = evaluate(load_model(trained).reconstruct, source, trained.baselines, keep=METRICS)
    rows = list(csv.DictReader(evaluation.to_csv().splitlines()))
    assert len(rows) == len(digits)
    assert float(rows[5]["mse"]) == pytest.approx(evaluation.per_image["mse"][5])
    assert evaluation.summary["model"]["mse"] == pytest.approx(evaluation.per_image["mse"].mean())
    assert set(evaluation.summary) == {"model", "best_linear", "pca", "mean_image"}


@pytest.fixture
def many_chunks(monkeypatch):
    """Chunks of 50 digits, so that there are many of them."""
    monkeypatch.setattr(data, "_CHUNK_BYTES", 50 * 8 * 8 * 4)


def evaluate_and_write(run):
    """Evaluate on the digits; return the evaluation, and what was written, joined."""
    source, written = open_images(DIGITS), []
    reconstruct = load_model(run).reconstruct
    evaluation = evaluate(reconstruct, source, run.baselines, keep=METRICS, write=written.append)
    return evaluation, np.concatenate(written)


@pytest.mark.usefixtures("many_chunks")
def test_values_and_reconstructions_are_those_of_each_chunk_to_the_last_bit(trained, digits):
    evaluation, written = evaluate_and_write(trained)
    image_format, model = open_images(DIGITS).format, load_model(trained)
    for start in range(0, len(digits), 50):
        images = image_format.to_contract(digits[start : start + 50])
        restored = model.reconstruct(images)
        np.testing.assert_array_equal(written[start : start + 50], image_format.from_contract(restored))
        for name, metric in ((name, row.of) for name, row in METRICS.items()):
            np.testing.assert_array_equal(evaluation.per_image[name][start : start + 50], metric(images, restored))


@pytest.mark.usefixtures("many_chunks")
def test_one_thread_and_several_give_the_same_means_to_the_last_bit(trained, monkeypatch):
    several = [evaluate_and_write(trained)[0].summary for _ in range(3)]
    monkeypatch.setattr(machine, "_MOST_THREADS", 1)
    one = evaluate_and_write(trained)[0].summary
    assert several == [one] * 3


@pytest.mark.usefixtures("many_chunks")
def test_an_error_in_a_chunk_is_the_evaluations_own(trained, digits):
    def fail(images):
        raise LookupError("no such reconstruction")

    with pytest.raises(LookupError, match="no such reconstruction"):
        evaluate(fail, open_images(DIGITS), trained.baselines)


@pytest.mark.usefixtures("many_chunks")
def test_a_file_that_shrinks_while_it_is_measured_is_named(trained, digits):
    np.save("images.npy", digits)
    source = open_images(Path("images.npy"))
    with open("images.npy", "rb+") as file:
        file.truncate(1000 * 64)
    with pytest.raises(DataError, match=r"images\.npy: changed while it was read"):
        evaluate(load_model(trained).reconstruct, source, trained.baselines)


@pytest.mark.usefixtures("many_chunks")
def test_encoding_and_decoding_by_chunks_is_that_of_all_at_once(trained, digits):
    model, source = load_model(trained), open_images(DIGITS)
    latents = np.concatenate([*source.map(model.encode)])
    np.testing.assert_allclose(latents, model.encode(source.format.to_contract(digits)), atol=1e-5)
    np.save("latents.npy", latents)
    decoded = np.concatenate([*decode_chunks(model, open_latents(Path("latents.npy"), model.latent_dim))])
    np.testing.assert_allclose(decoded, model.decode(latents), atol=1e-5)


FILES = [
    "encoder.onnx",
    "decoder.onnx",
    "environment.json",
    "baselines.npz",
    "split.npz",
    "history.csv",
    "metrics.json",
]


def use(run):
    run = find_run(run.path)
    return load_model(run), run.image_format, run.baselines, run.split, run.history, run.metrics


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(run, name):
    (run.path / name).unlink()
    with pytest.raises(RunError, match=name.replace("metrics.json", "incomplete")):
        use(run)


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_named(run, name):
    path = run.path / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if name == "history.csv":
        path.write_text("epoch,loss\n1,x\n")
    with pytest.raises(RunError, match=name):
        use(run)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("dtype", {"dtype": "O"}),
        ("value range", {"value_range": [0, 0]}),
        ("sample shape", {"sample_shape": [5]}),
        ("image shape", {"image_shape": [9, 9, 1]}),
    ],
)
def test_an_edited_format_is_noticed(run, name, fields):
    content = json.loads(run.environment_file.read_text())
    content["data"]["format"] |= fields
    run.environment_file.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"environment\.json: is damaged"):
        use(run)


@pytest.mark.parametrize("data", [3, None, {"format": []}])
def test_an_edited_environment_is_noticed(run, data):
    run.environment_file.write_text(json.dumps({"data": data}))
    with pytest.raises(RunError, match=r"environment\.json: is damaged"):
        use(run)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("baselines", {"mean": np.zeros((9, 9, 1), "f4"), "components": np.zeros((8, 81), "f4")}),
        ("baselines", {"mean": np.array(["a"]), "components": np.zeros((8, 64), "f4")}),
        ("split", {"train": np.array([9999]), "validation": np.array([1])}),
        ("split", {"train": np.array([0.5]), "validation": np.array([1])}),
    ],
)
def test_edited_arrays_are_noticed(run, name, arrays):
    np.savez(run.path / f"{name}.npz", **arrays)
    with pytest.raises(RunError, match=rf"{name}\.npz: is damaged"):
        use(run)


def test_latents_beyond_float32_are_refused():
    np.save("latents.npy", np.full((2, 8), 1e300))
    with pytest.raises(DataError, match="beyond the range of float32"):
        open_latents(Path("latents.npy"), 8)


def test_an_encoder_of_another_run_is_noticed(run, digits):
    from aecli.runs.config_file import load_config
    from aecli.training.trainer import train

    other = train(load_config(None, ["model.latent_dim=3", "training.epochs=1"]).config, Path("other"))
    run.encoder_file.write_bytes(other.encoder_file.read_bytes())
    with pytest.raises(RunError, match="do not belong together"):
        load_model(run)


def test_the_newest_complete_run_is_found(run):
    import os
    import shutil

    shutil.copytree(run.path, "runs/newer")
    os.utime("runs/newer/metrics.json", (2e9, 2e9))
    shutil.copytree(run.path, "runs/unfinished")
    Path("runs/unfinished/metrics.json").unlink()
    assert find_run(None).name == "newer"


def test_no_run_says_how_to_get_one():
    with pytest.raises(RunError, match="train one with ae train"):
        find_run(None)


def test_a_run_that_is_not_there_gets_the_nearest_name(run):
    with pytest.raises(RunError, match="did you mean 'small'"):
        find_run(Path("runs/smal"))


def test_using_a_model_leaves_nothing_of_onnx_runtime_with_the_user(run):
    """Its telemetry would put a number of the user's and what is to be sent into the cache folder."""
    environment = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "CI")}
    command = [sys.executable, "-m", "aecli.cli.main", "evaluate", os.fspath(DIGITS)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert list(Path(environment["XDG_CACHE_HOME"]).iterdir()) == []
