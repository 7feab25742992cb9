"""A network rebuilt from a run's config and weights: the run's own, and nothing that another file says."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from aecli.core.errors import RunError
from aecli.models.layers import predict
from aecli.models.linear.start import MARGINS, Start
from aecli.runs.config_file import load_recorded
from aecli.runs.model import load_model
from aecli.training.export.rebuilding import rebuild

IMAGES = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
WEIGHTS = "model.weights.h5"


def test_it_computes_what_the_run_does(trained):
    np.testing.assert_allclose(
        predict(rebuild(trained).model, IMAGES), load_model(trained).reconstruct(IMAGES), atol=1e-6
    )


@pytest.mark.parametrize("margin", MARGINS)
def test_outputs_begin_as_near_to_a_bound_as_they_did(run, margin):
    """Nothing but the description of the network says how near that was."""
    network = load_recorded(run.config_file).config.model.build((8, 8, 1), 0, Start(margin=margin))
    network.model.save(run.model_file)
    np.testing.assert_array_equal(predict(rebuild(run).model, IMAGES), predict(network.model, IMAGES))


def members(run):
    with zipfile.ZipFile(run.model_file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(run, content, **options):
    with zipfile.ZipFile(run.model_file, "w", **options) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def change(run, changed):
    """Let a function change the HDF5 file in model.keras; it is given the name of an array of weights too."""
    content = members(run)
    buffer = io.BytesIO(content[WEIGHTS])
    with h5py.File(buffer, "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        changed(file, names[0])
    write(run, {**content, WEIGHTS: buffer.getvalue()})


def replaced(file, name, **options):
    values = file[name][...]
    del file[name]
    file.create_dataset(name, data=values, **options)


def with_shape(file, name):
    """It claims terabytes, and holds none."""
    del file[name]
    file.create_dataset(name, shape=(10**6, 10**6), dtype="f4")


def moved(file, name, link):
    file.move(name, "elsewhere")
    file[name] = link


CHANGES = {
    "another shape": with_shape,
    "packed": lambda file, name: replaced(file, name, compression="gzip", chunks=True),
    "of another type": lambda file, name: replaced(file, name, dtype="f8"),
    "missing": lambda file, name: file.__delitem__(name),
    "a link": lambda file, name: moved(file, name, h5py.SoftLink("/elsewhere")),
    "a link to another file": lambda file, name: moved(file, name, h5py.ExternalLink("other.h5", "/elsewhere")),
}


@pytest.mark.parametrize("about", CHANGES)
def test_arrays_that_are_not_those_of_the_config_are_refused(run, about):
    change(run, CHANGES[about])
    with pytest.raises(RunError, match=r"model\.keras: is damaged, or of another config .*: export --to onnx"):
        rebuild(run)


def test_arrays_beside_them_are_not_read(run):
    before = predict(rebuild(run).model, IMAGES)
    change(run, lambda file, name: file.create_dataset("more", shape=(10**6, 10**6), dtype="f4"))
    np.testing.assert_array_equal(predict(rebuild(run).model, IMAGES), before)


def test_a_description_names_no_class_that_is_made(run, ae):
    """Keras would make a layer of it, or refuse to."""
    content = members(run)
    write(run, {**content, "config.json": '{"class_name": "Lambda", "module": "os", "config": {}}'})
    rebuild(run)


@pytest.mark.parametrize(
    "description", ["", "[", "[" * 10**6, '{"class_name": "InverseActivation", "config": {"low": 0.3, "high": 0.6}}']
)
def test_a_damaged_description_is_named(run, description):
    write(run, {**members(run), "config.json": description})
    with pytest.raises(RunError, match="is damaged"):
        rebuild(run)


def test_packed_members_are_refused(run):
    write(run, members(run), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(RunError, match="it is packed"):
        rebuild(run)


def test_a_config_of_more_weights_than_the_file_has_is_refused_before_they_are_made(run):
    run.config_file.write_text(run.config_file.read_text().replace("hidden: [24]", "hidden: [1000000, 1000000]"))
    with pytest.raises(RunError, match="it has fewer weights than its config"):
        rebuild(run)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\3\4" + bytes(100)])
def test_no_zip_is_named(run, content):
    run.model_file.write_bytes(content)
    with pytest.raises(RunError, match="is damaged"):
        rebuild(run)


def test_a_cut_file_is_named(run):
    run.model_file.write_bytes(run.model_file.read_bytes()[:-1000])
    with pytest.raises(RunError, match="is damaged"):
        rebuild(run)


def test_a_missing_file_is_named(run, ae):
    run.model_file.unlink()
    with pytest.raises(RunError, match="is missing from the run: export --to onnx, which needs none"):
        rebuild(run)
    assert ae("export", run.path, "--to", "onnx").exit_code == 0
