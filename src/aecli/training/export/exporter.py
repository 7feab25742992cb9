"""What can be exported of a run, and what writes it as files of one kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
"""Images (N, H, W, C) or latents (N, latent_dim)."""


@dataclass(frozen=True)
class Part:
    """An autoencoder or a half of it, by the name of what it is given and of what it makes of that."""

    name: str
    given: str
    made: str


PARTS = MappingProxyType(
    {
        part.name: part
        for part in (
            Part("autoencoder", "images", "reconstructions"),
            Part("encoder", "images", "latents"),
            Part("decoder", "latents", "images"),
        )
    }
)
"""What can be exported, by name."""

SUFFIXES = MappingProxyType({"onnx": ".onnx", "litert": ".tflite", "savedmodel": "_savedmodel"})
"""Kind of file -> how its name ends."""


class Exporter(Protocol):
    """Writes the parts of one network as files, or folders, of one kind, and computes what they do."""

    def write(self, part: Part, path: Path, metadata: Mapping[str, Any], calibration: Values | None) -> None:
        """Write a part: in float32, or with values to calibrate by in int8. Raises TrainingError where it cannot."""

    def compute(self, part: Part, path: Path, given: Values) -> Values:
        """Return what a file that it has written makes of images or latents."""
