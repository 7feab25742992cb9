"""A second family, a dense one whose decoder is tied to its encoder, of one class, one layer and a row each."""

import csv
import json
import re
from math import prod
from typing import Literal

import numpy as np
import pytest
import yaml

from aecli.core.errors import ConfigError
from aecli.core.schema import known_keys
from aecli.models.autoencoder import WatchedLayer
from aecli.models.backend import keras
from aecli.models.families import FAMILIES
from aecli.models.family import Family, Product
from aecli.models.layers import (
    LayerSpec,
    NetworkSpec,
    Stack,
    activation_layer,
    flatten,
    image_input,
    join,
    mlp,
    to_image,
    vector_input,
)
from aecli.runs.config_file import change_config, load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.studies.config import StudyFile
from aecli.training.artifacts import FULL
from aecli.training.check.checking import check
from aecli.training.export.onnx_writer import LAYERS
from aecli.training.progress import NullProgress
from aecli.training.trainer import train
from aecli.training.verify import verify
from aecli.views.plots import draw_plots
from aecli.views.report.report import write_study_report
from tests.models import test_families as of_every_family
from tests.test_seam_executor import study_of


@keras.saving.register_keras_serializable("tests")
class TiedDense(keras.layers.Layer):
    """Multiplies by another layer's kernel, transposed. Loaded from a file, it has a kernel of its own."""

    def __init__(self, units, use_bias=True, tied_to=None, **options):
        super().__init__(**options)
        self.units, self.use_bias, self.tied_to, self.own = units, use_bias, tied_to, None

    @property
    def kernel(self):
        return self.own if self.tied_to is None else self.tied_to.kernel

    def build(self, shape):
        if self.tied_to is None:
            self.own = self.add_weight((self.units, shape[-1]), name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias") if self.use_bias else None

    def call(self, x):
        y = keras.ops.matmul(x, keras.ops.transpose(self.kernel))
        return y if self.bias is None else y + self.bias

    def get_config(self):
        return {**super().get_config(), "units": self.units, "use_bias": self.use_bias}

    def save_own_variables(self, store):
        store["kernel"] = self.kernel
        if self.bias is not None:
            store["bias"] = self.bias

    def load_own_variables(self, store):
        self.kernel.assign(store["kernel"])
        if self.bias is not None:
            self.bias.assign(store["bias"])


class Tied(Family):
    """A dense autoencoder of one layer a side; the decoder multiplies by the encoder's weights, transposed."""

    family: Literal["tied"] = "tied"
    """the kind of network"""
    bias: bool = True
    """whether each pixel has a bias of its own"""

    def products(self, image_shape):
        size = prod(image_shape)
        return Product(size, self.latent_dim), Product(self.latent_dim, size), *self.code_products(image_shape)

    def code_product(self, image_shape):
        return Product(prod(image_shape), self.latent_dim)

    def parameter_count(self, image_shape):
        size = prod(image_shape)
        code = self.latent_dim * (2 if self.code_activation.row.learned_slope else 1)
        output = size * (self.bias + (self.output_activation.row.learned_slope is not None))
        return size * self.latent_dim + code + output + self.code_weights(image_shape)

    def _no_path(self):
        return "a decoder tied to its encoder has none: set model.family: dense"

    def build(self, image_shape, seed, start=None):
        network = NetworkSpec(self.initializer, self.dropout, self.l1, self.l2, seed)
        pictures, codes = image_input(image_shape), vector_input(self.latent_dim)
        latents = mlp(flatten(pictures), [LayerSpec(self.latent_dim, self.code_activation)], network, "encoder")
        tied = TiedDense(prod(image_shape), self.bias, latents.layers[0].layer, name="decoder_0", dtype="float32")
        activation = activation_layer(self.output_activation, "decoder_0_output", "float32")
        pixels = Stack(activation(tied(codes)), (WatchedLayer(tied, activation, self.output_activation),))
        return join(pictures, latents, codes, to_image(pixels, image_shape), self.code, 0.0)


def write_tied(graph, layer, x):
    bias = () if layer.bias is None else (np.asarray(layer.bias),)
    return graph.add("Gemm", x, np.asarray(layer.kernel).T, *bias)


TINY = ("model.latent_dim=8", "training.epochs=3", "training.batch_size=32", "training.learning_rate=0.01")
TIED = ("model.family=tied", *TINY)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "tied", Tied)
        patch.setitem(LAYERS, "TiedDense", write_tied)
        yield


@pytest.fixture(scope="module")
def tied(tmp_path_factory, _registered):
    """A complete run of the second family; read it, never write to it."""
    folder = tmp_path_factory.mktemp("tied") / "run"
    return train(load_config(None, TIED).config, folder, artifacts=(*FULL, draw_plots))


@pytest.fixture
def here(tied, tmp_path):
    """A copy of it under ./runs."""
    import shutil

    return Run(shutil.copytree(tied.path, tmp_path / "runs" / "tied"))


# -- config ---------------------------------------------------------------------------------------


def problems(*overrides):
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    return caught.value.problems


def test_its_config_has_its_keys_and_is_read_back():
    config = load_config(None, ("model.family=tied", "model.bias=false", "model.activation=relu")).config
    assert isinstance(config.model, Tied)
    assert type(config).model_validate(config.model_dump(mode="json")) == config


def test_its_keys_are_known_to_errors():
    [problem] = problems("model.family=tied", "model.bia=false")
    assert problem == "--set model.bia=false: unknown key; did you mean 'bias'?"
    [problem] = problems("model.family=tied", "model.xyz=9")
    assert problem.startswith("--set model.xyz=9: unknown key; expected one of family, latent_dim, ")
    assert problem.endswith("bias")
    [problem] = problems("model.family=tied", "model.hidden=[9]")
    assert problem == "--set model.hidden=[9]: unknown key; model.family=dense has it"
    [problem] = problems("model.bias=false")
    assert problem == "--set model.bias=false: unknown key; model.family=tied has it"
    [problem] = problems("model.xyz=false")
    assert ", bias" not in problem
    [problem] = problems("model.family=tied", "model.bias=1")
    assert problem == "--set model.bias=1: expected true or false, received 1"


def test_a_linear_path_is_left_out_or_refused_where_a_family_has_none():
    assert load_config(None, ("model.family=tied",)).config.model.path == "none"
    [problem] = problems("model.family=tied", "model.linear_path=pca")
    cure = "a decoder tied to its encoder has none: set model.family: dense, or model.linear_path: none"
    assert problem.endswith(f": linear_path pca: {cure}")


def test_an_unknown_family_is_answered_with_all_names():
    [problem] = problems("model.family=tide")
    assert (
        problem == "--set model.family=tide: expected one of dense, conv, tied, received 'tide'; did you mean 'tied'?"
    )


def test_a_starter_config_shows_every_key_of_every_family(ae):
    text = ae("config", "init").stdout
    assert StudyFile.model_validate(yaml.safe_load(text)) == StudyFile()
    for key in known_keys(StudyFile):
        assert re.search(rf"^  (# )?{key.partition('.')[2]}: ", text, re.MULTILINE), key
    assert "\n  # family: tied\n" in text


def matching(schema, section):
    """Return the families whose alternative in the schema admits a section's keys."""
    found = []
    sections, _ = schema["properties"]["model"]["anyOf"]  # or null, for a section with nothing in it
    for alternative in sections["anyOf"]:
        content = alternative.get("allOf", [alternative])[0]
        definition = {**schema["$defs"].get(content.get("$ref", "").rpartition("/")[2], content), **alternative}
        name = definition["properties"]["family"]["const"]
        named = section.get("family", name) == name and set(definition.get("required", ())) <= set(section)
        if named and set(section) <= set(definition["properties"]):
            found.append(name)
    return found


def test_the_schema_admits_each_section_once(ae):
    schema = json.loads(ae("config", "schema").stdout)
    assert matching(schema, {}) == ["dense"]
    assert matching(schema, {"latent_dim": 8}) == ["dense"]
    assert matching(schema, {"family": "tied", "bias": False}) == ["tied"]
    assert matching(schema, {"bias": False}) == matching(schema, {"family": "tied", "hidden": [9]}) == []


def test_the_documentation_has_a_table_of_its_keys():
    from scripts import docs

    page = docs.keys()
    assert "### `model` of family `tied`" in page
    assert "| `model.bias` | `true` | true or false | whether each pixel has a bias of its own |" in page


def test_changing_the_family_drops_the_keys_that_the_other_lacks():
    dense = load_config(None, ("model.hidden=[24]", "model.latent_dim=5")).config
    changed = change_config(dense, {"model.family": "tied"}, "here")
    assert isinstance(changed.model, Tied)
    assert changed.model.latent_dim == 5
    with pytest.raises(ConfigError, match=r"here: model.hidden=.*unknown key"):
        change_config(dense, {"model.family": "tied", "model.hidden": [9]}, "here")


# -- network --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "arguments"),
    [
        (of_every_family.test_images_become_latents_become_images, [(5, 7, 3)]),
        (of_every_family.test_the_number_of_weights_is_known_before_the_network_is_built, ["prelu", "auto"]),
        (of_every_family.test_the_model_is_the_decoder_after_the_encoder, []),
        (of_every_family.test_initial_weights_are_a_function_of_the_seed, []),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_true_of_every_family(check, arguments):
    check("tied", *arguments)


def test_penalties_count_shared_weights_once():
    network = load_config(None, (*TIED, "model.l2=0.5")).config.model.build((4, 4, 1), 0)
    kernel = network.layers[0].kernel.numpy()
    assert float(network.penalties) == pytest.approx(0.5 * (kernel**2).sum(), rel=1e-6)


# -- a run ----------------------------------------------------------------------------------------


def test_it_trains_and_is_measured(tied):
    model = tied.metrics["splits"]["validation"]["model"]
    assert model["fvu"] < 0.9
    losses = [record.loss for record in tied.history]
    assert losses == sorted(losses, reverse=True)


def test_its_layers_are_watched(tied):
    last = [layer for layer in tied.health if layer.epoch == 3]
    assert [(layer.layer, layer.units) for layer in last] == [("encoder_0", 8), ("decoder_0", 64)]
    assert last[0].weight_norm == last[1].weight_norm
    assert all(layer.gradient_norm > 0 for layer in last)


def test_its_exported_models_compute_what_keras_does(tied, digits):
    model = keras.models.load_model(tied.model_file)
    images = tied.image_format.to_contract(digits[:20])
    np.testing.assert_allclose(load_model(tied).reconstruct(images), np.asarray(model(images)), atol=1e-5)


def test_a_layer_without_a_row_is_named(monkeypatch, tmp_path):
    from aecli.core.errors import TrainingError

    monkeypatch.delitem(LAYERS, "TiedDense")
    with pytest.raises(TrainingError, match="layer 'decoder_0': a TiedDense cannot be written as ONNX"):
        train(load_config(None, (*TIED, "training.epochs=1")).config, tmp_path / "run")


def test_it_resumes_to_the_same_weights(tied):
    config = load_config(None, (*TIED, "training.epochs=2")).config
    begun = train(config, tied.path.with_name("resumed"))
    assert begun.metrics["epochs"] == 2
    gone_on = train(load_config(None, TIED).config, begun.path, resume=True)
    assert gone_on.metrics["weights_sha256"] == tied.metrics["weights_sha256"]
    assert verify(gone_on, load_config(gone_on.config_file).config, NullProgress()).difference is None


def test_every_command_reads_its_run(here, ae, digits):
    np.save("images.npy", digits[:50])
    for command in (
        ["evaluate", "images.npy"], ["encode", "images.npy", "--output", "latents.npy"], ["decode", "latents.npy"],
        ["reconstruct", "images.npy"], ["plot", "filters"], ["plot", "errors"], ["report", here.path], ["runs"],
    ):  # fmt: skip
        done = ae(*map(str, command))
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert np.load("latents.npy").shape == (50, 8)


def test_its_filters_are_those_of_the_encoder_twice(tied):
    from aecli.views.filters import first_weights, last_weights

    looks, paints = first_weights(tied.encoder_file), last_weights(tied.decoder_file)
    np.testing.assert_array_equal(looks.T, paints)
    assert (tied.plots_folder / "filters.png").is_file()


def test_what_it_costs_is_known_before():
    findings = {finding.name: finding for finding in check(load_config(None, TIED).config).findings}
    assert findings["memory"].data["weights"] == 64 * 8 + 8 + 64
    assert findings["time"].data["seconds_per_epoch"] > 0


def test_it_is_compared_and_reported():
    study, _ = study_of("study.vary={model.family: [dense, tied]}", "study.seeds=2", "model.hidden=[24]", *TINY)
    assert {row.name for row in study.summary.rows} == {"family=dense", "family=tied"}
    page = write_study_report(study.study).read_text()
    assert "family=tied" in page
    rows = list(csv.DictReader(study.study.results_file.read_text().splitlines()))
    assert [row["variant"] for row in rows] == ["family=dense"] * 2 + ["family=tied"] * 2
    configs = [load_config(study.study.path / row["run"] / "config.yaml").config.model for row in rows[::2]]
    assert [type(config).__name__ for config in configs] == ["Dense", "Tied"]
