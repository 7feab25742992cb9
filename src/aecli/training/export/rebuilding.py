"""A run's Keras network, rebuilt from its config; of model.keras no more than the weights are taken.

Nothing of a stranger's file is run: its network is that of config.yaml, and of its HDF5 only the arrays are read that
such a network has, in their shapes.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aecli.core.errors import AeError, RunError, one_line, unreadable
from aecli.models.autoencoder import Autoencoder
from aecli.models.family import Family
from aecli.models.linear.start import MARGINS, Start, reachable
from aecli.runs.config_file import load_recorded
from aecli.runs.run import Run
from aecli.training.prepare import network_for

_MOST_TEXT = 16 * 2**20
"""Bytes of the description of a network in its file."""


def rebuild(run: Run) -> Autoencoder:
    """Return the network of a complete run with its weights; RunError where model.keras is not of its config."""
    path, image_shape = run.model_file, run.image_format.image_shape
    config = load_recorded(run.config_file).config
    family = network_for(config.model, image_shape)
    try:
        if 4 * family.parameter_count(image_shape) > path.stat().st_size:
            raise ValueError("it has fewer weights than its config")
        with zipfile.ZipFile(path) as archive:
            network = family.build(image_shape, config.training.seed, Start(margin=_margin(family, archive)))
            _load_weights(network.model, _member(archive, "model.weights.h5"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: is missing from the run: export --to onnx, which needs none") from error
    except (AeError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:
            raise _damaged(path, error) from error
        raise unreadable(path, error) from error
    except Exception as error:  # a damaged file can fail its parser in any way
        raise _damaged(path, error) from error
    return network


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path}: is damaged, or of another config ({one_line(error)[:120]}): export --to onnx")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member of an archive that is no larger than the archive itself."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is packed")
    return archive.read(info)


def _margin(family: Family, archive: zipfile.ZipFile) -> float:
    """Return how near the outputs of a network began to a bound, which nothing but its description says."""
    if archive.getinfo("config.json").file_size > _MOST_TEXT:
        raise ValueError("its description is too long")
    bounds = [*_bounds(json.loads(_member(archive, "config.json")))]
    if not bounds:
        return MARGINS[0]
    output = family.output_activation
    return next(margin for margin in MARGINS if np.allclose(bounds, reachable(output, margin), rtol=0, atol=1e-9))


def _bounds(content: Any) -> Iterator[tuple[float, float]]:
    """Yield the bounds of every inverse activation in the description of a network."""
    if isinstance(content, dict):
        if content.get("class_name") == "InverseActivation":
            yield float(content["config"]["low"]), float(content["config"]["high"])
        content = [*content.values()]
    if isinstance(content, list):
        for item in content:
            yield from _bounds(item)


def _load_weights(model: Any, content: bytes) -> None:
    """Set the weights of a model to those of an HDF5 file: of its arrays by their names, all others left alone."""
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "model.weights.h5"
        model.save_weights(own)
        with h5py.File(own, "r+") as file, h5py.File(io.BytesIO(content), "r") as given:
            for name, array in _arrays(file).items():
                array[...] = _array(given, name, array.shape)
        model.load_weights(own)


def _arrays(file: Any) -> dict[str, Any]:
    """Return the arrays of an HDF5 file of our own by name."""
    import h5py

    arrays: dict[str, Any] = {}
    file.visititems(lambda name, item: arrays.update({name: item} if isinstance(item, h5py.Dataset) else {}))
    return arrays


def _array(file: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Return an array of this shape that lies in the file itself, as it is; ValueError for any other."""
    import h5py

    found = file
    for step in name.split("/"):
        link = found.get(step, getlink=True) if isinstance(found, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"it has no array '{name}'")
        found = found[step]
    plain = isinstance(found, h5py.Dataset) and not (found.is_virtual or found.external or found.chunks)
    if not plain or found.shape != shape or found.dtype != np.float32:
        raise ValueError(f"its array '{name}' is not that of its config")
    return found[...]
