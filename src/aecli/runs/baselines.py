"""What a reconstruction must be compared with: the mean image, PCA and the best linear code of the same length."""

from collections.abc import Callable, Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecli.data.format import Images
from aecli.models.linear.code import LinearCode
from aecli.models.linear.fit import LinearCodes


@dataclass(frozen=True)
class Baselines:
    """The mean image (H, W, C), the first principal components (k, H * W * C), and the best code, of training images.

    `best_linear` is the linear code of the same length that the validation images prefer; runs of earlier versions have
    none.
    """

    mean: Images
    components: NDArray[np.float32]
    best_linear: LinearCode | None = None

    def reconstruct_mean(self, images: Images) -> Images:
        """Return the mean image once for each image."""
        return np.broadcast_to(self.mean, images.shape)

    def reconstruct_pca(self, images: Images) -> Images:
        """Return the images projected on the components: (N, H, W, C), not clipped to [0, 1]."""
        scale = np.ones(len(self.components), np.float32)
        return LinearCode(BASELINES["pca"], self.mean, self.components, scale).reconstruct(images)

    @property
    def reconstructions(self) -> dict[str, Callable[[Images], Images]]:
        """How each baseline reconstructs images (N, H, W, C), by its row in BASELINES."""
        best = {} if self.best_linear is None else {"best_linear": self.best_linear.reconstruct}
        return {**best, "pca": self.reconstruct_pca, "mean_image": self.reconstruct_mean}


def baselines_of(codes: LinearCodes, code_length: int) -> Baselines:
    """Return the baselines of a code length."""
    components = codes.pca.code(code_length).directions
    return Baselines(codes.mean, components, codes.best(code_length).code(code_length))


BASELINES = {"best_linear": "best linear code", "pca": "PCA", "mean_image": "mean image"}
"""The rows that stand below a model's in every table, and what they are called."""


def row_titles(run_name: str, components: int, rows: Container[str]) -> dict[str, str]:
    """Return what the rows of a run's tables are called: the model's, and those of the baselines that there are."""
    titles = {"model": run_name, **BASELINES, "pca": f"{BASELINES['pca']}-{components}"}
    return {row: title for row, title in titles.items() if row in rows}
