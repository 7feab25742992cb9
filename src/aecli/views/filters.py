"""What the first and the last layer of a run's model learned, as images."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import NotInRunError, RunError, one_line, unreadable
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.views.canvas import Figure, default_settings
from aecli.views.mosaic import INK, draw_weights
from aecli.views.plots import plain

_FILTERS = 64


@default_settings()
def filters(run: Run) -> Figure:
    """Draw what each unit of the first layer looks for, and what each of the last paints, or each latent."""
    shape = run.image_format.image_shape
    looks, looks_title = _looks(run, shape)
    paints, paints_title = _paints(run, shape)
    figure = Figure(figsize=(9.2, 5.2), layout="constrained")
    figure.suptitle(f"run {plain(run.name)}: weights of each unit, blue negative, white 0, red positive", fontsize=10)
    if shape[2] == 3:
        figure.suptitle(f"run {plain(run.name)}: weights of each unit, mid-grey 0", fontsize=10)
    panels: Any = figure.subfigures(1, 2, wspace=0.04)
    for panel, images, title in zip(panels, (looks, paints), (looks_title, paints_title), strict=True):
        panel.suptitle(title, fontsize=9, color=INK)
        draw_weights(panel.subplots(), images)
    return figure


def _looks(run: Run, shape: tuple[int, int, int]) -> tuple[NDArray[np.float32], str]:
    """Return the weights of the first layer as images (units, H, W, C), of a convolution its kernels, and a title."""
    weights = first_weights(run.encoder_file)
    if weights.ndim == 4:
        shown = weights[:_FILTERS].transpose(0, 2, 3, 1)
        return shown, f"first layer: {len(shown)} of {len(weights)} kernels"
    return _as_images(run, weights.T, shape), f"first layer: {_some(weights.shape[1])} units"


def _paints(run: Run, shape: tuple[int, int, int]) -> tuple[NDArray[np.float32], str]:
    """Return the weights of the last layer as images (units, H, W, C), where it is a convolution what latents change.

    The kernels that paint pixels say little; the answer to one latent is what the decoder makes of it.
    """
    weights = last_weights(run.decoder_file)
    if weights.ndim != 4:
        return _as_images(run, weights, shape), f"last layer: {_some(len(weights))} units"
    model = load_model(run)
    length = model.latent_dim
    # Of a map there are many alike, channel by channel at every place: some of all are shown.
    chosen = np.unique(np.linspace(0, length - 1, min(length, _FILTERS)).astype(int))
    codes = np.zeros((1 + len(chosen), length), np.float32)
    codes[1 + np.arange(len(chosen)), chosen] = 1
    images = model.decode(codes)
    return images[1:] - images[0], f"decoder: what 1 instead of 0 changes, {len(chosen)} of {length} latents"


def _some(count: int) -> str:
    return f"{min(count, _FILTERS)} of {count}"


def _as_images(run: Run, units: NDArray[np.float32], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    if units.shape[1] != np.prod(shape):
        raise NotInRunError(f"{run.path}: its first or last layer sees no whole images, so its filters are none")
    return units[:_FILTERS].reshape(-1, *shape)


def first_weights(path: Path) -> NDArray[np.float32]:
    """Return the weights of the first layer of an ONNX file, (inputs, units) or (channels, inputs, height, width)."""
    return _weights(path, 0)


def last_weights(path: Path) -> NDArray[np.float32]:
    """Return the weights of the last layer of an ONNX file, (inputs, units) or (channels, inputs, height, width)."""
    return _weights(path, -1)


def _weights(path: Path, place: int) -> NDArray[np.float32]:
    import onnx

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except FileNotFoundError as error:
        raise RunError(f"{path}: is missing from the run: train it again with ae train --overwrite") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # protobuf's decoding errors share no base class of their own
        raise RunError(f"{path}: is damaged ({one_line(error)[:120]}): train the run again") from error
    constants = {tensor.name: tensor for tensor in graph.initializer}
    products = [n for n in graph.node if n.op_type in ("MatMul", "Gemm", "Conv") and n.input[1] in constants]
    if not products:
        raise NotInRunError(f"{path}: has no layer of weights: there are no filters to be drawn")
    product = products[place]
    weights = np.asarray(onnx.numpy_helper.to_array(constants[product.input[1]]), np.float32)
    transposed = any(attribute.name == "transB" and attribute.i for attribute in product.attribute)
    return weights.T if transposed else weights
