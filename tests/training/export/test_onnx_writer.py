"""What is written as ONNX: equal to Keras, read by other programs, and by the check of strangers' files."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from aecli.core.errors import TrainingError
from aecli.models.activations import ACTIVATIONS, find_activation
from aecli.runs.config_file import load_config
from aecli.runs.onnx_check import read_graph
from aecli.runs.onnx_operators import OPERATORS
from aecli.training.export.onnx_graph import Graph
from aecli.training.export.onnx_writer import LAYERS, write_onnx
from tests.conftest import DIGITS, PLAIN, ROOT, python
from tests.hostile import graph as hostile_graph
from tests.training.export.spatial_models import EVERY_LAYER, spatial_model

OLD_FILES = sorted((ROOT / "tests" / "old_runs").glob("*/*.onnx"))
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}
CHANGES = {
    "default": lambda value: value,
    "larger": lambda value: 1.5 * value + 0.1,
    "negative": lambda value: -1.5 * value - 0.1,
}
"""What is made of an activation's parameters, but of those that must be positive."""
POSITIVE = ("alpha", "b", "negative_slope")


def parameters(name: str, change: str) -> dict[str, float]:
    keep = POSITIVE if change == "negative" else ()
    return {
        key: value if key in keep else CHANGES[change](value) for key, value in ACTIVATIONS[name].parameters.items()
    }


CASES = [
    (name, change)
    for name, row in ACTIVATIONS.items()
    for change in CHANGES
    if change == "default" or parameters(name, change) != row.parameters
]


@dataclass(frozen=True)
class Written:
    """A Keras model and its file."""

    model: Any
    path: Path

    @property
    def proto(self) -> Any:
        return onnx.load(self.path)

    def run(self, images: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(read_graph(self.path).content, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {"images": images})[0])


def written(model: Any, path: Path) -> Written:
    write_onnx(model, path, "images", ["reconstructions"], {"config": "x"})
    return Written(model, path)


def autoencoder(name: str, change: str = "default") -> Any:
    """A dense autoencoder of one activation, with weights and biases as after a training."""
    choice = ", ".join([f"name: {name}", *(f"{key}: {value}" for key, value in parameters(name, change).items())])
    sets = (f"model.activation={{{choice}}}", "model.hidden=[6]", "model.latent_dim=4", "model.dropout=0.1")
    return with_weights(load_config(None, (*PLAIN, *sets)).config.model.build((8, 8, 1), 0).model)


INVERTIBLE = [name for name, row in ACTIVATIONS.items() if row.inverse is not None]


def with_linear_path(output: str) -> Any:
    """A dense autoencoder of this output that corrects a linear code, with weights and biases as after a training."""
    sets = (f"model.output_activation={output}", "model.hidden=[6]", "model.latent_dim=4")
    return with_weights(load_config(None, sets).config.model.build((8, 8, 1), 0).model)


def with_weights(model: Any) -> Any:
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.4, weights.shape) for weights in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Written]:
    folder = tmp_path_factory.mktemp("onnx")
    return {case: written(autoencoder(*case), folder / f"{'-'.join(case)}.onnx") for case in CASES}


def pixels(count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).random((count, 8, 8, 1), np.float32)


def keras_output(model: Any, images: np.ndarray) -> np.ndarray:
    from aecli.models.layers import predict

    return np.asarray(predict(model, images))


def layers(model: Any) -> Iterator[Any]:
    yield model
    for layer in model.layers:
        yield from layers(layer) if hasattr(layer, "layers") else [layer]


every_case = pytest.mark.parametrize("case", CASES, ids="-".join)


@every_case
def test_onnx_runtime_computes_what_keras_does(files, case):
    np.testing.assert_allclose(files[case].run(pixels()), keras_output(files[case].model, pixels()), **TOLERANCE)


@every_case
def test_small_and_large_values_are_those_of_keras(case, tmp_path):
    from aecli.core.schema import parse_choice
    from aecli.models.backend import keras
    from aecli.models.layers import activation_layer

    x = np.concatenate([np.linspace(-200, 200, 4001), np.linspace(-2, 2, 4001)]).astype(np.float32).reshape(-1, 1)
    inputs = keras.Input((1,))
    choice = parse_choice({"name": case[0], **parameters(*case)}, find_activation)
    model = keras.Model(inputs, activation_layer(choice)(keras.layers.Dense(1, kernel_initializer="ones")(inputs)))
    expected = keras_output(model, x)
    assert not np.isnan(expected).any()
    # Where x and its root cancel out, nothing but Keras's own rounding is left, that of numbers of 200.
    atol = 2e-5 if case[0] == "squareplus" else 1e-6
    np.testing.assert_allclose(written(model, tmp_path / "m.onnx").run(x), expected, rtol=1e-6, atol=atol)


@every_case
def test_every_file_passes_the_full_check(files, case):
    onnx.checker.check_model(files[case].proto, full_check=True)


@every_case
def test_opencv_reads_every_file(files, case):
    cv2 = pytest.importorskip("cv2")
    for count in (1, 3):
        net = cv2.dnn.readNetFromONNX(str(files[case].path))
        net.setInput(pixels(count), "images")
        np.testing.assert_allclose(net.forward(), files[case].run(pixels(count)), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def with_path(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    folder = tmp_path_factory.mktemp("path")
    return {name: written(with_linear_path(name), folder / f"{name}.onnx") for name in INVERTIBLE}


@pytest.mark.parametrize("output", INVERTIBLE)
def test_a_linear_path_is_read_and_computes_what_keras_does(with_path, output):
    file = with_path[output]
    onnx.checker.check_model(file.proto, full_check=True)
    np.testing.assert_allclose(file.run(pixels()), keras_output(file.model, pixels()), rtol=1e-5, atol=2e-6)


NETWORKS = {
    "dense": ("model.hidden=[6]", "model.latent_dim=4"),
    "vector": ("model.family=conv", "model.channels=[4]", "model.latent_dim=4"),
    "map": ("model.family=conv", "model.channels=[4]", "model.latent_channels=3"),
}
CODES = {
    "gaussian": "model.code={gaussian: {}}",
    "eight levels": "model.code={quantised: {levels: 8}}",
    "three levels": "model.code={quantised: {levels: 3}}",
}


@pytest.fixture(scope="module")
def with_codes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Written]:
    """The halves of networks with every kind of code."""
    folder, halves = tmp_path_factory.mktemp("codes"), {}
    for case in itertools.product(NETWORKS, CODES):
        network = load_config(None, (*NETWORKS[case[0]], CODES[case[1]])).config.model.build((8, 8, 1), 0)
        for half, given, made in (
            (network.encoder, "images", network.code_names),
            (network.decoder, "latents", ["images"]),
        ):
            path = folder / f"{'-'.join(case)}-{half.name}.onnx"
            write_onnx(with_weights(half), path, given, made, {})
            halves[*case, half.name] = Written(half, path)
    return halves


@pytest.mark.parametrize("case", itertools.product(NETWORKS, CODES), ids="-".join)
def test_a_code_is_read_and_computes_what_keras_does(with_codes, case):
    encoder, path = with_codes[*case, "encoder"].model, with_codes[*case, "encoder"].path
    session = onnxruntime.InferenceSession(read_graph(path).content, providers=["CPUExecutionProvider"])
    expected = encoder(pixels(), training=False)
    given = session.run(None, {"images": pixels()})
    for ours, theirs in zip(given, expected if case[1] == "gaussian" else [expected], strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=5e-6)


@pytest.fixture(scope="module")
def every_file(files, with_path, with_codes, tmp_path_factory) -> list[Written]:
    folder = tmp_path_factory.mktemp("conv")
    return [
        *files.values(),
        *with_path.values(),
        *with_codes.values(),
        *(written(spatial_model(*sets), folder / f"{i}.onnx") for i, sets in enumerate(EVERY_LAYER)),
    ]


def test_what_is_written_is_what_may_be_read(every_file):
    """In both directions: a row of OPERATORS is written, or kept for the files of earlier versions."""
    seen = {node.op_type for file in every_file for node in file.proto.graph.node}
    assert seen == {row.name for row in OPERATORS.values() if not row.earlier}


def test_every_row_for_a_layer_is_tested(every_file):
    seen = {type(layer).__name__ for file in every_file for layer in layers(file.model)}
    assert seen - {"InputLayer"} == set(LAYERS)


def test_the_file_says_what_it_is(files):
    proto = files["relu", "default"].proto
    assert (proto.ir_version, proto.producer_name) == (8, "ae")
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert [(row.key, row.value) for row in proto.metadata_props] == [("config", '"x"')]
    for value, name in ((proto.graph.input[0], "images"), (proto.graph.output[0], "reconstructions")):
        shape = [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        assert (value.name, shape) == (name, ["N", 8, 8, 1])


def test_equal_weights_give_equal_bytes(files, tmp_path):
    again = written(autoencoder("prelu"), tmp_path / "again.onnx")
    assert again.path.read_bytes() == files["prelu", "default"].path.read_bytes()


def test_slopes_belong_to_their_units(files):
    slopes = [layer.get_weights()[0] for layer in layers(files["prelu", "default"].model) if "prelu" in layer.name]
    constants = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in files["prelu", "default"].proto.graph.initializer
    }
    found = [constants[node.input[1]] for node in files["prelu", "default"].proto.graph.node if node.op_type == "PRelu"]
    assert [list(x) for x in found] == [list(x) for x in slopes]


def test_writing_needs_neither_keras_nor_an_engine():
    done = python(
        "import sys, aecli.training.export.onnx_writer; print({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules))"
    )
    assert done.stdout == "set()\n", done.stderr


def branch() -> Any:
    """Two dense layers on the same input, multiplied, and used twice after."""
    from aecli.models.backend import keras

    inputs = keras.Input((8,))
    both = keras.layers.Multiply()([keras.layers.Dense(5)(inputs), keras.layers.Dense(5, activation="tanh")(inputs)])
    hidden = keras.layers.Dense(5, use_bias=False)(both)
    return keras.Model(inputs, keras.layers.Multiply()([both, hidden]))


def test_a_row_makes_a_layer_of_a_branch(tmp_path, monkeypatch):
    monkeypatch.setitem(LAYERS, "Multiply", lambda graph, layer, *inputs: graph.add("Mul", *inputs))
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    file = written(branch(), tmp_path / "m.onnx")
    np.testing.assert_allclose(file.run(x), keras_output(file.model, x), **TOLERANCE)


def test_an_output_may_be_used_inside_too(tmp_path, monkeypatch):
    """A value that is named anew has its name wherever it is taken."""
    graph = Graph()
    first = graph.add("Relu", "images")
    graph.add("Neg", first)
    graph.rename(first, "latents")
    given, made = (helper.make_tensor_value_info(name, 1, ["N", 2]) for name in ("images", "latents"))
    graph.write(tmp_path / "m.onnx", given, [made], {})
    assert [list(node.input) for node in onnx.load(tmp_path / "m.onnx").graph.node] == [["images"], ["latents"]]


def test_a_layer_without_a_row_is_named_with_the_cure(tmp_path):
    with pytest.raises(
        TrainingError, match=r"^layer 'multiply\w*': a Multiply cannot be written as ONNX: add a row to LAYERS"
    ):
        written(branch(), tmp_path / "m.onnx")


def test_an_activation_without_a_row_is_named_with_the_cure(tmp_path):
    from aecli.models.backend import keras

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5, activation="softmax", name="odd")])
    model = keras.Model(model.inputs, model.outputs)
    with pytest.raises(TrainingError, match=r"^layer 'odd': the activation 'softmax' cannot be written .* ACTIVATIONS"):
        written(model, tmp_path / "m.onnx")


def test_no_operator_is_written_that_could_not_be_read():
    with pytest.raises(TrainingError, match=r"^layer '': the operator Loop is not in OPERATORS .*: add a row there"):
        Graph().add("Loop", "images")


@pytest.mark.parametrize("path", OLD_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_of_earlier_versions_are_read(path):
    assert read_graph(path).content == path.read_bytes()


def node(operator: str, *names: str, **attributes: Any) -> Any:
    *inputs, output = names
    return helper.make_node(operator, inputs, [output], **attributes)


def constant(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


FLAT = node("Flatten", "images", "x")
UNBOUNDED = {
    "each image times every other": (
        [FLAT, node("Gemm", "x", "x", "latents", transB=1)], [], "multiplies what it has computed"
    ),
    "twice as much from each product": (
        [FLAT, node("MatMul", "x", "w", "y"), node("MatMul", "y", "w", "latents")], [constant("w", 2, 64, 64)],
        "more than 2 axes",
    ),
    "an axis from each constant": (
        [FLAT, node("Add", "x", "w", "latents")], [constant("w", 2, 1, 1)], "more than 1 axes",
    ),
    "every pixel times every pixel": (
        [FLAT, node("Reshape", "images", "s", "y"), node("Mul", "x", "y", "latents")],
        [numpy_helper.from_array(np.array([-1, 1]), "s")], "reshapes across its images",
    ),
    "an axis between layers": (
        [FLAT, node("Neg", "x", "y"), node("Reshape", "y", "s", "z"), node("Neg", "z", "latents")],
        [numpy_helper.from_array(np.array([-1, 1]), "s")], "reshapes across its images",
    ),
    "values from nothing": (
        [node("ConstantOfShape", "s", "latents")], [numpy_helper.from_array(np.array([9]), "s")], "a size of its own",
    ),
    "an operator of no row": ([node("Tile", "images", "s", "latents")], [], "not one that ae exports"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNBOUNDED)
def test_a_graph_that_could_grow_is_refused(case, tmp_path):
    nodes, tensors, says = UNBOUNDED[case]
    (tmp_path / "m.onnx").write_bytes(hostile_graph(*nodes, tensors=tensors))
    with pytest.raises(ValueError, match=says):
        read_graph(tmp_path / "m.onnx")


def test_filters_are_the_same_however_the_weights_lie(run, ae):
    assert ae("plot", "filters", "--output", "before.png").exit_code == 0
    proto = onnx.load(run.encoder_file)
    first = next(node for node in proto.graph.node if node.op_type == "Gemm")
    weights = next(tensor for tensor in proto.graph.initializer if tensor.name == first.input[1])
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(weights).T), weights.name))
    first.attribute.append(helper.make_attribute("transB", 1))
    onnx.save(proto, run.encoder_file)
    assert ae("encode", str(DIGITS)).exit_code == 0
    assert ae("plot", "filters", "--output", "after.png").exit_code == 0
    assert Path("before.png").read_bytes() == Path("after.png").read_bytes()
