"""A linear code: the images projected on a few orthonormal directions, which every network must beat."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from aecli.data.format import Images

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class LinearCode:
    """The mean image (H, W, C), orthonormal directions (k, H * W * C), and the spread of the training images' codes.

    `name` says which directions they are. `scale` (k,) is the standard deviation of the training images along each.
    """

    name: str
    mean: Images
    directions: Matrix
    scale: Matrix

    def reconstruct(self, images: Images) -> Images:
        """Return the images projected on the directions: (N, H, W, C), not clipped to [0, 1]."""
        centred = (images - self.mean).reshape(len(images), -1)
        projected = centred @ self.directions.T @ self.directions
        return np.asarray(projected.reshape(images.shape) + self.mean, np.float32)

    def encoder(self, code_length: int) -> tuple[Matrix, Matrix]:
        """Return the weights (H * W * C, k) and the bias (k,) of a layer that gives codes of unit variance.

        Where the code is longer than there are directions, the rest of it is zero.
        """
        weights = np.zeros((self.directions.shape[1], code_length), np.float32)
        weights[:, : len(self.directions)] = self.directions.T / self.scale
        return weights, -self.mean.reshape(-1) @ weights

    def decoder(self, code_length: int) -> tuple[Matrix, Matrix]:
        """Return the weights (k, H * W * C) and the bias (H * W * C,) of a layer that decodes such codes."""
        weights = np.zeros((code_length, self.directions.shape[1]), np.float32)
        weights[: len(self.directions)] = self.directions * self.scale[:, None]
        return weights, self.mean.reshape(-1)


def empty_code(image_shape: tuple[int, int, int]) -> LinearCode:
    """Return a code of no directions about black."""
    none = np.zeros((0, prod(image_shape)), np.float32)
    return LinearCode("none", np.zeros(image_shape, np.float32), none, none[:, 0])
