"""The window of structural similarity (Wang et al. 2004), which the metric and the loss share."""

import numpy as np
from numpy.typing import NDArray

SSIM_WINDOW = 11
_SIGMA = 1.5
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)
"""What keeps the two ratios finite where images are black or flat, for pixels in [0, 1]."""


def ssim_window(height: int, width: int) -> int:
    """Return the side of SSIM's window for images of this size: 11, or the largest odd one that fits."""
    return min(SSIM_WINDOW, height - 1 + height % 2, width - 1 + width % 2)


def gaussian_band(size: int, window: int) -> NDArray[np.float32]:
    """Return (size, size + window - 1): each row is the window, normalised, one pixel further on."""
    offsets = np.arange(window) - window // 2
    weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights /= weights.sum()
    band = np.zeros((size, size + window - 1), np.float32)
    for row in range(size):
        band[row, row : row + window] = weights
    return band
