"""Structural similarity as a loss: 1 - SSIM of every image, single scale."""

from typing import Any

from aecli.models.losses.window import C1, C2, gaussian_band, ssim_window
from aecli.models.objective import Outputs, Term


def structure(weight: float) -> Term:
    """Return the term 1 - SSIM (Wang et al. 2004), the mean over channels and window positions, from 0 to 2.

    It is the metric `ssim`, with the same window. Local variances are clamped at 0, where rounding leaves less, and
    no root is taken of anything, so that its gradient is finite for black images, flat ones and exact copies too.
    """
    from aecli.models.backend import keras

    ops = keras.ops

    def per_image(images: Any, outputs: Outputs) -> Any:
        # In the sum and the difference of the images: see `runs.metrics`.
        x, y = (ops.cast(values, "float32") for values in (images, outputs["reconstructions"]))
        total, difference = x + y, x - y
        maps = ops.stack([total, difference, ops.square(total), ops.square(difference)])
        mean, deviation, square, square_deviation = _filtered(maps)
        variance = ops.maximum(square - ops.square(mean), 0.0)
        variance_deviation = ops.maximum(square_deviation - ops.square(deviation), 0.0)
        # Squared again, not shared: gradients of what three others are made of are summed in the order in which
        # threads are done with them, which changes bits from run to run.
        mean, deviation = ops.square(mean), ops.square(deviation)
        similarity = (mean - deviation + 2 * C1) * (variance - variance_deviation + 2 * C2)
        similarity /= (mean + deviation + 2 * C1) * (variance + variance_deviation + 2 * C2)
        return 1 - ops.mean(similarity, axis=(1, 2, 3))

    def _filtered(maps: Any) -> list[Any]:
        """Return maps (K, N, H, W, C) where all of the window is inside, (K, N, C, W', H'): two matrix products."""
        height, width = maps.shape[2:4]
        window = ssim_window(height, width)
        down, across = (gaussian_band(side - window + 1, window).T for side in (height, width))
        along = ops.matmul(ops.transpose(maps, (0, 1, 4, 2, 3)), across)
        return list(ops.unstack(ops.matmul(ops.swapaxes(along, 3, 4), down), 4))

    return Term("ssim", per_image, weight, reconstructs=True)
