"""What linear codes of some lengths reach: how long a code the images need, and which directions suit them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from aecli.data.dataset import ImageDataset
from aecli.data.split import Split
from aecli.models.linear.fit import FITTED_ON, LinearCodes, fit_linear_codes, some

LENGTHS = (4, 8, 16, 32, 64, 128, 256, 512)
"""Code lengths to choose from."""

_MEASURED_ON = 2_000
"""Validation images that it takes to know how long a code must be, at most."""


@dataclass(frozen=True)
class SpectrumRow:
    """The best linear code of a length: its mse over the validation images, that of PCA, and what it is."""

    length: int
    mse: float
    pca: float
    name: str

    @property
    def psnr(self) -> float:
        """The mse in decibels."""
        return -10 * log10(max(self.mse, 1e-30))


def linear_codes(source: ImageDataset, split: Split, longest: int) -> LinearCodes:
    """Fit the linear codes of up to so many values to some of the training images, and measure them on some others."""
    train, validation = some(split.train, FITTED_ON), some(split.validation, _MEASURED_ON)
    return fit_linear_codes(source, train, validation, longest)


def spectrum(codes: LinearCodes, longest: int) -> tuple[SpectrumRow, ...]:
    """Return what codes of 4, 8, 16, ... values reach, up to the longest."""
    lengths = [length for length in LENGTHS if length < longest] + [longest]
    bests = [(length, codes.best(length)) for length in lengths]
    return tuple(SpectrumRow(n, best.error(n), codes.pca.error(n), best.name) for n, best in bests)


def spectrum_lines(rows: Sequence[SpectrumRow]) -> list[str]:
    """Return a small table of them."""
    header = f"{'values':>6}  {'mse':>8}  {'psnr dB':>7}  {'PCA mse':>8}  best linear code"
    return [header, *(f"{r.length:6}  {r.mse:8.5f}  {r.psnr:7.2f}  {r.pca:8.5f}  {r.name}" for r in rows)]
