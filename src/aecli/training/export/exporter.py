"""What writes the parts of a run as files of one kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aecli.training.export.kinds import Part

Values = NDArray[np.float32]
"""Images (N, H, W, C) or latents (N, latent_dim)."""


class Exporter(Protocol):
    """Writes the parts of one network as files, or folders, of one kind, and computes what they do."""

    def write(self, part: Part, path: Path, metadata: Mapping[str, Any], calibration: Values | None) -> None:
        """Write a part: in float32, or with values to calibrate by in int8. Raises TrainingError where it cannot."""

    def compute(self, part: Part, path: Path, given: Values) -> Values:
        """Return what a file that it has written makes of images or latents."""
