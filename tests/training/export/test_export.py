"""`ae export`: files that compute what the run does, and say so; what they cost in int8; what is refused."""

import errno
import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from aecli.core.errors import AeError
from aecli.data.files.options import DecodeOptions
from aecli.models.activations import ACTIVATIONS
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.training.artifacts import STUDY
from aecli.training.engines.engine import DEFAULT_ENGINE
from aecli.training.export import export as exporting
from aecli.training.export.export import ExportOptions, export_run
from aecli.training.export.kinds import PARTS, SUFFIXES
from aecli.training.export.metadata import metadata_of
from aecli.training.export.onnx_exporter import OnnxExporter
from aecli.training.export.rebuilding import rebuild
from aecli.training.export.samples import sample_of
from aecli.training.trainer import train
from tests.conftest import DIGITS
from tests.training.export.spatial_models import SMALL

TINY = ("training.epochs=1", "training.batch_size=64", "model.latent_dim=4")
OTHERS = {
    "variational": (*SMALL, "model.norm=group", "model.code={gaussian: {beta: 1}}"),
    "quantised": ("model.hidden=[24]", "model.code={quantised: {levels: 5}}"),
}
NETWORKS = ["dense", "conv", *OTHERS]
KINDS = [*SUFFIXES]
INT8 = ["onnx", "litert"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, trained, coloured):
    """Run by name of NETWORKS; the images of "conv" have colours, and those of OTHERS are runs of studies."""
    folder = tmp_path_factory.mktemp("exported")
    np.save(folder / "digits.npy", np.load(DIGITS)[:300])

    def train_on(name: str) -> Run:
        config = load_config(None, (*OTHERS[name], *TINY, f"data.train={folder / 'digits.npy'}")).config
        return train(config, folder / "runs" / name, name=name, artifacts=STUDY)

    return {"dense": trained, "conv": coloured, **{name: train_on(name) for name in OTHERS}}


def options(to, *parts, **more):
    return ExportOptions(to, parts or ("autoencoder",), Path("out"), **more)


def exporter(run, kind):
    return OnnxExporter(run) if kind == "onnx" else DEFAULT_ENGINE.load().exporters(rebuild(run))[kind]


def metadata(path, kind):
    if kind == "onnx":
        return {row.key: json.loads(row.value) for row in onnx.load(path).metadata_props}
    if kind == "litert":
        return json.loads(zipfile.ZipFile(path).read("metadata.json"))
    return json.loads((path / "metadata.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_autoencoder_is_the_run_on_any_images(runs, name, kind):
    export = export_run(runs[name], options(kind))
    [file] = export.files
    assert file.path == Path("out") / f"autoencoder{SUFFIXES[kind]}"
    assert export.sample.about == f"{180 if name == 'dense' else 30} validation images"
    assert file.measured.psnr == pytest.approx(export.run.psnr, abs=1e-3)
    assert file.measured.difference < 1e-5
    model = load_model(runs[name])
    images = np.random.default_rng(1).random((3, *model.image_shape), np.float32)
    made = exporter(runs[name], kind).compute(PARTS["autoencoder"], file.path, images)
    np.testing.assert_allclose(made, model.reconstruct(images), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["dense", "variational"])
def test_halves_are_those_of_the_run_the_mean_of_a_gaussian_code(runs, name, kind):
    export = export_run(runs[name], options(kind, "encoder", "decoder"))
    model, writer = load_model(runs[name]), exporter(runs[name], kind)
    images = np.random.default_rng(1).random((3, *model.image_shape), np.float32)
    encoder, decoder = (file.path for file in export.files)
    latents = writer.compute(PARTS["encoder"], encoder, images)
    np.testing.assert_allclose(latents, model.encode(images), atol=1e-5)
    np.testing.assert_allclose(writer.compute(PARTS["decoder"], decoder, latents), model.decode(latents), atol=1e-5)
    if kind == "onnx":
        assert [value.name for value in onnx.load(encoder).graph.output] == ["latents"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_says_what_it_takes_to_use_it(runs, kind):
    for file in export_run(runs["conv"], options(kind, *PARTS)).files:
        part = PARTS[file.part]
        assert metadata(file.path, kind) == {
            "config": "conv", "part": part.name, "precision": "float32", "inputs": [part.given], "outputs": [part.made],
            "image_shape": [8, 8, 3], "axes": "NHWC", "size": [8, 8], "fit": "crop", "channels": 3, "color": "rgb",
            "value_range": [0.0, 255.0], "latent_dim": 4,
        }  # fmt: skip


@pytest.mark.parametrize("kind", INT8)
@pytest.mark.parametrize("name", NETWORKS)
def test_int8_costs_little_and_is_measured_beside_float32(runs, name, kind):
    export = export_run(runs[name], options(kind, int8=True))
    [file] = export.files
    assert [path.name for path in Path("out").iterdir()] == [f"autoencoder_int8{SUFFIXES[kind]}"]
    assert metadata(file.path, kind)["precision"] == "int8"
    assert file.float32.psnr == pytest.approx(export.run.psnr, abs=1e-3)
    assert file.float32.psnr - 0.5 < file.measured.psnr < file.float32.psnr + 0.5
    assert file.measured.difference > file.float32.difference


@pytest.mark.parametrize("kind", INT8)
def test_int8_is_smaller(trained, kind):
    [file] = export_run(trained, options(kind, int8=True)).files
    assert file.measured.bytes < file.float32.bytes


@pytest.mark.long
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_can_be_exported_for_litert(name, tmp_path):
    sets = (f"model.activation={name}", "model.hidden=[6]", "model.latent_dim=4")
    network = load_config(None, sets).config.model.build((8, 8, 1), 0)
    writer = DEFAULT_ENGINE.load().exporters(network)["litert"]
    writer.write(PARTS["autoencoder"], tmp_path / "a.tflite", {}, None)
    images = np.random.default_rng(1).random((3, 8, 8, 1), np.float32)
    made = writer.compute(PARTS["autoencoder"], tmp_path / "a.tflite", images)
    np.testing.assert_allclose(made, network.model(images), atol=1e-5)


def test_the_fit_is_what_was_asked_of_pictures(runs):
    image_format = runs["conv"].image_format
    said = metadata_of(PARTS["encoder"], "a", image_format, DecodeOptions((8, 8), "pad"), 4)
    assert (said["fit"], said["size"], said["outputs"]) == ("pad", [8, 8], ["latents"])


# -- what it is measured on -----------------------------------------------------------------------


@pytest.fixture
def gone(run):
    """The complete run, whose images are no longer where they were."""
    environment = json.loads(run.environment_file.read_text())
    environment["data"]["file"] = "/nowhere/digits.npy"
    run.environment_file.write_text(json.dumps(environment))
    return Run(run.path)


def test_where_the_images_are_gone_their_reconstructions_are_kept(gone, ae):
    sample = sample_of(gone)
    assert sample.about == "reconstructions of 180 validation images"
    assert "/nowhere/digits.npy: what the run was trained or tested on is no longer there" in sample.reason
    np.testing.assert_allclose(255 * sample.images[..., 0], np.load(gone.reconstructions_file), atol=1e-4)
    done = ae("export", gone.path, "--to", "onnx")
    assert done.exit_code == 0
    assert "measured on what the run keeps" in done.stderr
    assert "on reconstructions of 180 validation images" in done.stdout


def test_where_those_are_gone_too_images_are_drawn_from_the_linear_code(gone):
    gone.reconstructions_file.unlink()
    sample = sample_of(gone)
    assert sample.about == "64 images drawn from the run's linear code"
    assert sample.images.shape == (64, 8, 8, 1)
    assert 0 <= sample.images.min() < sample.images.max() <= 1
    np.testing.assert_array_equal(sample.images, sample_of(gone).images)
    assert np.abs(sample.images.mean(axis=0) - gone.baselines.mean).mean() < 0.1
    [file] = export_run(gone, options("onnx", int8=True)).files
    assert file.measured.bytes < file.float32.bytes


def test_data_says_where_the_images_are_now(gone, ae, digits):
    assert sample_of(gone, DIGITS).about == "180 validation images"
    np.save("other.npy", digits[::-1])
    done = ae("export", gone.path, "--to", "onnx", "--data", "other.npy")
    assert done.exit_code == 1
    assert done.stderr.startswith("ae: other.npy: what the run was trained or tested on has changed since: ")
    assert not Path("small_exported").exists()


# -- the command ----------------------------------------------------------------------------------


def test_the_command_says_what_it_wrote_and_how_near_it_comes(run, ae):
    done = ae("export", run.path, "--to", "onnx", "--int8", "--part", "all")
    assert done.exit_code == 0, done.stderr
    names = [f"{part}_int8.onnx" for part in PARTS]
    assert sorted(path.name for path in Path("small_exported").iterdir()) == sorted(names)
    for name in names:
        assert f"{name}: " in done.stdout
    assert "bytes of float32" in done.stdout
    said = json.loads(ae("export", run.path, "--to", "onnx", "--json", "--output", "again").stdout)
    assert said["files"][0]["path"] == "again/autoencoder.onnx"
    assert said["original"]["psnr"] == pytest.approx(said["files"][0]["measured"]["psnr"], abs=1e-4)


def test_a_halves_difference_is_of_latents(run, ae):
    done = ae("export", run.path, "--to", "onnx", "--part", "encoder")
    assert "0 of latents" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overwritten_without_being_asked(run, kind):
    [file] = export_run(run, options(kind)).files
    with pytest.raises(AeError, match="exists already"):
        export_run(run, options(kind))
    [again] = export_run(run, options(kind, overwrite=True)).files
    assert again.path == file.path
    assert len([*Path("out").iterdir()]) == 1


def test_what_is_in_the_way_is_named(run, ae):
    before = run.encoder_file.read_bytes()
    Path("file").write_text("mine")
    Path("out/autoencoder_savedmodel").mkdir(parents=True)
    Path("out/autoencoder_savedmodel/mine").write_text("mine")
    for output, more, says in (
        (run.path, (), "is the run itself"),
        ("file", (), "is a file, expected a folder"),
        ("none/here", (), "the folder none does not exist"),
        ("out", ("--to", "savedmodel"), "is a folder of other files"),
    ):
        done = ae("export", run.path, "--to", "onnx", "--part", "all", "--overwrite", "--output", output, *more)
        assert done.exit_code == 1
        [line] = done.stderr.splitlines()
        assert says in line
    assert run.encoder_file.read_bytes() == before
    assert Path("out/autoencoder_savedmodel/mine").read_text() == "mine"


def test_a_savedmodel_in_int8_is_wrong_usage(run, ae):
    done = ae("export", run.path, "--to", "savedmodel", "--int8")
    assert done.exit_code == 2
    assert "a SavedModel has no such form: export --to litert or --to onnx" in done.stderr


@pytest.mark.parametrize("kind", ["onnx", "savedmodel"])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(run, ae, monkeypatch, kind):
    [file] = export_run(run, options(kind)).files
    before = sorted(Path("out").rglob("*"))

    def full(made, to, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(to))

    monkeypatch.setattr(shutil, "copyfile", full)
    done = ae("export", run.path, "--to", kind, "--output", "out", "--overwrite")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"ae: {file.path}: cannot be written (")
    assert "No space left on device" in done.stderr
    assert sorted(Path("out").rglob("*")) == before


class Other(OnnxExporter):
    """Writes files that make something else."""

    def compute(self, part, path, given):
        return super().compute(part, path, given) + np.float32(0.01)


def test_a_file_that_differs_from_the_run_is_not_left(run, ae, monkeypatch):
    monkeypatch.setattr(exporting, "OnnxExporter", Other)
    done = ae("export", run.path, "--to", "onnx")
    assert done.exit_code == 1
    assert done.stderr.startswith("ae: autoencoder.onnx: differs from the run by 0.01 on 180 validation images")
    assert not Path("small_exported").exists()


def test_what_the_converter_cannot_write_is_one_line(run, ae, monkeypatch):
    def refuse(*_):
        raise RuntimeError("Could not translate\nop 'tf.Strange'")

    Path("mine").mkdir()
    monkeypatch.setattr("aecli.training.engines.tensorflow.exporters._converted", refuse)
    done = ae("export", run.path, "--to", "litert", "--output", "mine")
    assert done.exit_code == 1
    assert done.stderr == (
        "ae: --to litert: the converter cannot write this network (Could not translate op 'tf.Strange'): "
        "export --to onnx\n"
    )
    assert [*Path("mine").iterdir()] == []  # the folder was there before


def test_halves_that_cannot_be_joined_are_one_line(run, ae):
    decoder = onnx.load(run.decoder_file)
    decoder.opset_import[0].version = 15
    onnx.save(decoder, run.decoder_file)
    done = ae("export", run.path, "--to", "onnx")
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"ae: --to onnx: {run.path}: cannot be written (")
    assert line.endswith(": train the run again")


class AtAnEdge(OnnxExporter):
    """Of every third image the code falls to the other side of an edge."""

    def compute(self, part, path, given):
        made = super().compute(part, path, given).copy()
        made[::3] += np.float32(0.01)
        return made


def test_some_images_of_a_quantised_code_may_fall_to_the_other_side(runs, run, monkeypatch):
    monkeypatch.setattr(exporting, "OnnxExporter", AtAnEdge)
    assert export_run(runs["quantised"], options("onnx")).files[0].measured.difference > 0.009
    with pytest.raises(AeError, match="differs from the run"):
        export_run(run, replace(options("onnx"), folder=Path("other")))


def test_a_run_that_is_not_complete_is_refused(run, ae):
    run.metrics_file.unlink()
    done = ae("export", run.path, "--to", "onnx")
    assert done.exit_code == 1
    assert "continue it with ae train --resume" in done.stderr


def test_a_damaged_half_is_one_line(run, ae):
    shutil.copy(run.decoder_file, run.encoder_file)
    done = ae("export", run.path, "--to", "onnx")
    assert done.exit_code == 1
    assert "train the run again" in done.stderr
    assert not Path("small_exported").exists()
