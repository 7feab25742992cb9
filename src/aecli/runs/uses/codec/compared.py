"""A run's codec beside the others, on the images that it compressed."""

from dataclasses import dataclass
from math import ceil

from aecli.core.errors import unreadable
from aecli.core.machine import one_blas_thread
from aecli.data.dataset import ImageDataset
from aecli.runs.baselines import Baselines
from aecli.runs.model import Model
from aecli.runs.run import Run
from aecli.runs.uses.codec.beside import Measured, PcaCodec, coefficients_of, lossless, picture_rows
from aecli.runs.uses.codec.compress import Sample
from aecli.runs.uses.codec.steps import Levels, Steps


@dataclass(frozen=True)
class Comparison:
    """The codec of a run, PCA's in as many bytes, the others, and why some are not there.

    `step` is None for codes that have levels; `measured` images have their PSNR measured.
    """

    own: Measured
    pca: Measured | None
    others: tuple[Measured, ...]
    reasons: tuple[str, ...]
    decoder_bytes: int
    measured: int
    step: float | None
    quantiser: str

    def pays_from(self, other: Measured) -> int | None:
        """Return from how many images this codec and its decoder take less than another; None where never."""
        saved = other.bytes - self.own.bytes
        return ceil(self.decoder_bytes / saved) if saved > 0 else None


def compare_codecs(
    run: Run,
    model: Model,
    baselines: Baselines,
    source: ImageDataset,
    sample: Sample,
    quantiser: Steps | Levels,
    size: int,
) -> Comparison:
    """Measure the other codecs on images that a run's codec has taken `size` bytes for.

    PCA's codec has as many bytes as the run's, pictures have as much PSNR. `baselines` are the run's.
    """
    count = len(source)
    restored = quantiser.to_latents(quantiser.to_integers(sample.of_images))
    own = Measured(run.name, size / count, sample.quality(model.decode, restored))
    others, reasons = [], []
    pca = PcaCodec(baselines)
    with one_blas_thread():
        at_bytes = pca.at_bytes(own.bytes, sample, coefficients_of(source, pca, sample), count)
    if at_bytes is None:
        reasons.append(f"{pca.title}: not measured, its file takes more bytes than that whatever its steps")
    for row in picture_rows(sample.images, own.psnr or 0.0):
        if isinstance(row, str):
            reasons.append(row)
        else:
            others.append(row)
    others.append(lossless(source.file.take(sample.rows)))
    step = quantiser.step if isinstance(quantiser, Steps) else None
    said = f"{quantiser.levels} levels" if isinstance(quantiser, Levels) else f"a step of {quantiser.step:.4g}"
    return Comparison(own, at_bytes, tuple(others), tuple(reasons), _size_of(run), len(sample.rows), step, said)


def _size_of(run: Run) -> int:
    try:
        return int(run.decoder_file.stat().st_size)
    except OSError as error:
        raise unreadable(run.decoder_file, error) from error
