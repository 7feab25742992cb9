"""Convolutional networks as ONNX: equal to Keras, one Resize for each doubling, read by the check of strangers' files."""

from itertools import product

import numpy as np
import onnx
import onnxruntime
import pytest

from aecli.core.errors import TrainingError
from aecli.models.activations import ACTIVATIONS
from aecli.models.backend import keras
from aecli.models.layers import predict
from aecli.runs.onnx_check import read_graph
from aecli.training.export.onnx_writer import write_onnx
from tests.training.export.spatial_models import spatial_model

UPSAMPLING, CODES = ("resize", "shuffle", "transposed"), ("latent_dim=5", "latent_channels=2")
SHAPES = ((1, 7, 1), (28, 23, 1), (35, 35, 4), (16, 8, 3))


def compare(model, path, shape, count=3):
    """Require that both compute the same of some images."""
    write_onnx(model, path, "images", ["reconstructions"], {})
    images = np.random.default_rng(1).random((count, *shape), np.float32)
    session = onnxruntime.InferenceSession(read_graph(path).content, providers=["CPUExecutionProvider"])
    expected = predict(model, images)
    np.testing.assert_allclose(session.run(None, {"images": images})[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("upsampling", "code", "norm"), [*product(UPSAMPLING, CODES, ("none", "group"))])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_onnx_runtime_computes_what_keras_does(upsampling, code, norm, shape, tmp_path):
    sets = (f"model.upsampling={upsampling}", f"model.{code}", f"model.norm={norm}")
    compare(spatial_model(*sets, shape=shape), tmp_path / "m.onnx", shape)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_that_of_keras(name, tmp_path):
    compare(spatial_model(f"model.activation={name}", "model.dropout=0.1"), tmp_path / "m.onnx", (9, 7, 1))


def test_a_doubling_is_one_node(tmp_path):
    write_onnx(
        spatial_model("model.linear_path=none", shape=(16, 8, 1)),
        tmp_path / "m.onnx",
        "images",
        ["reconstructions"],
        {},
    )
    operators = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert operators.count("Resize") == 2
    assert operators.count("Slice") == 0
    assert operators.count("Transpose") == 4  # at the ends, and where images become codes and codes images


@pytest.mark.parametrize("upsampling", UPSAMPLING)
def test_opencv_reads_it(upsampling, tmp_path):
    cv2 = pytest.importorskip("cv2")
    write_onnx(spatial_model(f"model.upsampling={upsampling}"), tmp_path / "m.onnx", "images", ["reconstructions"], {})
    images = np.random.default_rng(1).random((1, 9, 7, 1), np.float32)
    net = cv2.dnn.readNetFromONNX(str(tmp_path / "m.onnx"))
    net.setInput(images, "images")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(net.forward(), session.run(None, {"images": images})[0], rtol=1e-5, atol=1e-5)


def test_the_largest_value_inside_is_known(tmp_path):
    write_onnx(
        spatial_model("model.linear_path=none", shape=(16, 16, 1)),
        tmp_path / "m.onnx",
        "images",
        ["reconstructions"],
        {},
    )
    assert read_graph(tmp_path / "m.onnx").largest == 4 * 16 * 16


def test_other_convolutions_are_refused_with_the_cure(tmp_path):
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="odd")(inputs))
    with pytest.raises(TrainingError, match=r"^layer 'odd': only convolutions with padding 'same'.*: give it a row"):
        write_onnx(model, tmp_path / "m.onnx", "images", ["reconstructions"], {})
