"""A run's autoencoder or its halves as files for other programs, measured beside the run before they are kept."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aecli.core.errors import AeError, TrainingError, WriteError, one_line
from aecli.core.files import refuse_output, written_whole
from aecli.data.format import Images
from aecli.runs.config_file import load_recorded
from aecli.runs.metrics import RunningMeans, per_image
from aecli.runs.model import Model, load_model
from aecli.runs.run import Run
from aecli.training.engines.engine import DEFAULT_ENGINE, EngineSource, NotInstalledError
from aecli.training.export.exporter import Exporter, Values
from aecli.training.export.kinds import PARTS, SUFFIXES, Part
from aecli.training.export.metadata import metadata_of
from aecli.training.export.onnx_exporter import OnnxExporter
from aecli.training.export.samples import Sample, sample_of

_TOLERANCE = 1e-4
"""By how much a float32 file may differ from the run, of its largest value or of 1."""


@dataclass(frozen=True)
class Measured:
    """A file's bytes, and the images that it reconstructs, with the run's other half where it is one.

    `difference` is the largest absolute one between what it and the run make, of latents where it is an encoder; `mse`
    and `psnr` are means over the images, None where each is an exact copy.
    """

    bytes: int
    difference: float
    mse: float | None
    psnr: float | None


@dataclass(frozen=True)
class ExportedFile:
    """A file, or the folder of a SavedModel, that was written; `float32` is that of the same part where it is int8."""

    part: str
    path: Path
    measured: Measured
    float32: Measured | None = None


@dataclass(frozen=True)
class Export:
    """What was written, the images that it was measured on, and the run itself on them."""

    sample: Sample
    run: Measured
    files: tuple[ExportedFile, ...]


@dataclass(frozen=True)
class ExportOptions:
    """What to export: `to` names the kind of file, `parts` those of PARTS, `folder` is where the files go."""

    to: str
    parts: Sequence[str]
    folder: Path
    int8: bool = False
    overwrite: bool = False
    data: Path | None = None


def export_folder(run: Run) -> Path:
    """Return the folder that a run is exported into where no other is named: here, by the run's name."""
    return Path(f"{run.path.resolve().name}_exported")


def export_run(run: Run, options: ExportOptions, engine: EngineSource = DEFAULT_ENGINE) -> Export:
    """Write parts of a complete run, and return what they are and how near they come to it.

    Raises AeError where a file would be overwritten without being asked, where the engine that the kind needs is not
    installed, where a float32 file differs from the run, and where its network has no such form; nothing is left then.
    """
    run.require_complete()
    _refuse_folder(run, options)
    ending = f"{'_int8' if options.int8 else ''}{SUFFIXES[options.to]}"
    paths = [options.folder / f"{name}{ending}" for name in options.parts]
    with _folder(options.folder), tempfile.TemporaryDirectory() as temporary:
        for path in paths:
            _refuse(path, options.overwrite)
        reference = _Reference.of(run, load_model(run), options.data)
        exporter = _exporter(run, options, engine)
        made = [
            _export(PARTS[name], Path(temporary), path, reference, exporter, options.int8)
            for name, path in zip(options.parts, paths, strict=True)
        ]
        for file in made:
            _keep(Path(temporary) / file.path.name, file.path)
    return Export(reference.sample, reference.own, tuple(made))


@dataclass(frozen=True)
class _Reference:
    """What the run makes of the images that its files are measured on."""

    run: Run
    model: Model
    sample: Sample
    latents: Values
    reconstructions: Images
    strict: bool
    """Whether all images must come out as the run's; where codes are rounded, some may lie on an edge: half must."""

    @classmethod
    def of(cls, run: Run, model: Model, data: Path | None) -> "_Reference":
        sample = sample_of(run, data)
        latents = model.encode(sample.images)
        code = load_recorded(run.config_file).config.model.code
        strict = code is None or code.quantised is None
        return cls(run, model, sample, latents, model.decode(latents), strict)

    @property
    def own(self) -> Measured:
        """The run's files themselves."""
        size = sum(file.stat().st_size for file in (self.run.encoder_file, self.run.decoder_file))
        return self._measured(size, 0.0, self.reconstructions)

    def metadata(self, part: Part) -> dict[str, Any]:
        """Return what a file of a part says of itself."""
        run = self.run
        return metadata_of(part, run.config_name, run.image_format, run.decoding, self.model.latent_dim)

    def given(self, part: Part) -> Values:
        """Return what a part is given."""
        return self.latents if part.given == "latents" else self.sample.images

    def wanted(self, part: Part) -> Values:
        """Return what the run makes of that."""
        return self.latents if part.made == "latents" else self.reconstructions

    def measure(self, part: Part, made: Values, size: int) -> Measured:
        """Measure what a file of so many bytes makes."""
        images = self.model.decode(made) if part.made == "latents" else made
        return self._measured(size, float(np.abs(made - self.wanted(part)).max()), images)

    def _measured(self, size: int, difference: float, reconstructions: Images) -> Measured:
        means = RunningMeans(("mse", "psnr"))
        means.add(per_image(self.sample.images, reconstructions, ("mse", "psnr")))
        summary = means.summary(1.0)
        return Measured(size, difference, summary["mse"], summary["psnr"])

    def require_equal(self, part: Part, made: Values, name: str) -> None:
        """Raise TrainingError where a float32 file makes something else."""
        wanted = self.wanted(part)
        differences = np.abs(made - wanted).reshape(len(made), -1).max(axis=1)
        difference = float(np.quantile(differences, 1.0 if self.strict else 0.5))
        if not difference <= _TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            raise TrainingError(
                f"{name}: differs from the run by {difference:.2g} on {self.sample.about}, and was not written: "
                f"train the run again, or export --to onnx"
            )


def _exporter(run: Run, options: ExportOptions, engine: EngineSource) -> Exporter:
    if options.to == "onnx":
        return OnnxExporter(run)
    try:
        loaded = engine.load()
    except NotInstalledError as error:
        raise NotInstalledError(error.package, f"--to {options.to}") from error
    from aecli.training.export.rebuilding import rebuild

    return loaded.exporters(rebuild(run))[options.to]


def _export(
    part: Part, temporary: Path, path: Path, reference: _Reference, exporter: Exporter, int8: bool
) -> ExportedFile:
    """Write a part into a temporary folder and measure it; in int8 beside float32, which is not kept."""
    given, metadata = reference.given(part), reference.metadata(part)

    def write(name: str, calibration: Values | None) -> tuple[Values, Measured]:
        precision = "float32" if calibration is None else "int8"
        file = temporary / name
        exporter.write(part, file, {**metadata, "precision": precision}, calibration)
        made = exporter.compute(part, file, given)
        return made, reference.measure(part, made, _bytes_of(file))

    made, float32 = write(f"float32_{path.name}" if int8 else path.name, None)
    reference.require_equal(part, made, path.name)
    if not int8:
        return ExportedFile(part.name, path, float32)
    return ExportedFile(part.name, path, write(path.name, given)[1], float32)


def _bytes_of(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def _refuse_folder(run: Run, options: ExportOptions) -> None:
    """Raise AeError where files would not go into a folder, or into the run, whose halves have the same names."""
    folder = options.folder
    if folder.exists() and not folder.is_dir():
        raise AeError(f"{folder}: is a file, expected a folder: give another --output")
    if folder.exists() and folder.samefile(run.path):
        raise AeError(f"{folder}: is the run itself, whose files have these names: give another --output")
    if not folder.absolute().parent.is_dir():
        raise AeError(f"{folder}: the folder {folder.parent} does not exist: create it first")


def _refuse(path: Path, overwrite: bool) -> None:
    """Raise AeError where a file, or a folder of another content, is in the way."""
    if not path.is_dir():
        refuse_output(path, overwrite)
    elif not (path / "saved_model.pb").is_file():
        raise AeError(f"{path}: is a folder of other files: give another --output")
    elif not overwrite:
        raise AeError(f"{path}: exists already: give another --output or add --overwrite")


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make the folder, and take it away again where the block fails and leaves nothing in it."""
    existed = folder.is_dir()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written ({error.strerror}): give another --output") from error
    try:
        yield
    except BaseException:
        if not existed and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _keep(made: Path, path: Path) -> None:
    """Bring what was made to its place, whole."""
    if made.is_file():
        with written_whole(path) as temporary:
            shutil.copyfile(made, temporary)
        return
    beside = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        shutil.copytree(made, beside)
        if path.exists():
            shutil.rmtree(path)
        os.replace(beside, path)
    except OSError as error:  # `shutil.Error` holds those of several files: (from, to, reason) each
        reason = error.strerror or one_line(Exception(error.args[0][0][2]))
        raise WriteError(f"{path}: cannot be written ({reason}): check the folder and the disk") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
