"""A run as Python uses it: what was measured of it, and what its network does, in the units of the user's images."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from aecli.core.errors import AeError, did_you_mean, escaped
from aecli.data.dataset import chunk_slices
from aecli.data.files.manifest import display_name
from aecli.data.format import ImageFormat, Stored
from aecli.data.split import Split
from aecli.python.images import ImagesOrFile, images_for, in_training_axes, latents_for
from aecli.python.progress import silenced
from aecli.python.results import Evaluation, Metrics, Scores, epoch_row, layer_row
from aecli.python.tables import Table
from aecli.python.words import in_python_words
from aecli.runs.model import Latents, Model, load_model
from aecli.runs.run import Run as RunFolder
from aecli.runs.run import RunState

if TYPE_CHECKING:
    from aecli.views.canvas import Figure


class Run:
    """The folder of one training: its measurements as tables, and its network as functions.

    Images are given as to `aecli.train`: an array (N, H, W), (N, H, W, C) or (N, D), a tensor, a list of arrays, one
    image without its first axis, or a path. What comes back are NumPy arrays, images in the shape, dtype and units of
    those that were given. Whatever cannot be done raises `aecli.AeError`, in one line.
    """

    @in_python_words
    def __init__(self, path: str | Path) -> None:
        """Take the run in a folder, in whatever state; RunError where there is none."""
        self._run = RunFolder(Path(path))
        self._run.require()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._run.path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._run.name

    @property
    def state(self) -> RunState:
        """complete, failed, interrupted, or incomplete: still training, or killed."""
        return self._run.state

    @property
    def failure(self) -> str | None:
        """Why it failed or was interrupted; None where it did neither."""
        return self._run.failure[0] if self.state in ("failed", "interrupted") else None

    @property
    def config(self) -> dict[str, Any]:
        """The whole config, all defaults in it, as plain values."""
        from aecli.runs.config_file import load_recorded

        return load_recorded(self._run.config_file).config.model_dump(mode="json")

    @property
    def environment(self) -> dict[str, Any]:
        """What it was trained on: machine, versions, seconds, and the images' file with its fingerprint."""
        return self._run.environment

    @property
    def split(self) -> Split:
        """The rows of the images that were used for training, validation and test, int64 each."""
        return self._run.split

    @property
    def image_format(self) -> ImageFormat:
        """How the training images are stored: dtype, shape, and the values that stand for 0 and 1."""
        return self._run.image_format

    @property
    def encoder_file(self) -> Path:
        """The encoder as ONNX."""
        return cast(Path, self._run.encoder_file)

    @property
    def decoder_file(self) -> Path:
        """The decoder as ONNX."""
        return cast(Path, self._run.decoder_file)

    @property
    def latent_dim(self) -> int:
        """How many numbers the code of an image has."""
        return self._model.latent_dim

    # -- what was measured --------------------------------------------------------------------

    @property
    def metrics(self) -> Metrics:
        """The means of every metric, of the network and the baselines, on each part of the images."""
        return Metrics(self._run.metrics)

    @property
    def history(self) -> Table:
        """A row an epoch, from 1: epoch, loss, val_loss, learning_rate, seconds, and the terms of the losses."""
        return Table.of_rows(map(epoch_row, self._run.history))

    @property
    def health(self) -> Table:
        """A row a layer and epoch: dead units and saturated outputs as shares, norms of gradients and weights."""
        return Table.of_rows(map(layer_row, self._run.health))

    @property
    def verdict(self) -> str | None:
        """How the network stands to linear codes on the validation images, in a sentence."""
        from aecli.runs.uses.standing import standing

        return standing(self._run.metrics["splits"]["validation"], "the validation images")

    # -- what its network does ----------------------------------------------------------------

    @cached_property
    def _model(self) -> Model:
        self._run.require_complete()
        return load_model(self._run)

    @in_python_words
    def reconstruct(self, images: "ImagesOrFile") -> Stored:
        """Return the reconstructions of images, in their shape, dtype and units."""
        model, given = self._model, images_for(self._run, images)
        source = given.source
        parts = [*source.map(lambda chunk: source.format.from_contract(model.reconstruct(chunk)))]
        return given.shaped(np.concatenate(parts))

    @in_python_words
    def encode(self, images: "ImagesOrFile") -> Latents:
        """Return the latents of images, float32 (N, latent_dim), of a single one (latent_dim,)."""
        model, given = self._model, images_for(self._run, images)
        latents = np.concatenate([*given.source.map(model.encode)])
        return cast(Latents, latents[0]) if given.alone else latents

    @in_python_words
    def decode(self, latents: "ImagesOrFile") -> Stored:
        """Return the images of latents (N, latent_dim) or (latent_dim,), in shape, dtype and units of the training."""
        model = self._model
        codes, alone = latents_for(latents, model.latent_dim)
        form = self._run.image_format
        parts = [form.from_contract(model.decode(codes[part])) for part in chunk_slices(len(codes), form.image_shape)]
        images = in_training_axes(self._run, np.concatenate(parts))
        return cast(Stored, images[0]) if alone else images

    @in_python_words
    def evaluate(self, images: "ImagesOrFile") -> Evaluation:
        """Measure the network on images, beside linear codes and the mean image; pixels count in [0, 1]."""
        from aecli.runs.metrics import METRICS
        from aecli.runs.uses.evaluate import evaluate
        from aecli.runs.uses.parts import held_out, own_parts
        from aecli.runs.uses.standing import standing

        model, source = self._model, images_for(self._run, images).source
        parts = own_parts(self._run, source)
        measured = evaluate(model.reconstruct, source, self._run.baselines, keep=METRICS, parts=parts)
        usual = self._run.metrics["splits"]["validation"]
        verdict = standing(measured.summary, usual=usual) if held_out(parts) else None
        return Evaluation(measured, len(source), verdict)

    @in_python_words
    def score(
        self,
        images: "ImagesOrFile",
        *,
        false_alarms: float = 0.01,
        by: str = "mse",
        held_out: "ImagesOrFile | None" = None,
    ) -> Scores:
        """Score images by how badly the network reconstructs them: those unlike its training images score high.

        No more than the share `false_alarms` of images like those of the training are flagged, on average. `by` is the
        metric that is the score, `held_out` are normal images that decide the threshold, by default those that the run
        keeps. Raises AeError where so small a share cannot be told from so few of them.
        """
        from aecli.runs.uses.scoring.result import AskedLabels, held_out_of, own_images_note, score_images
        from aecli.runs.uses.scoring.scores import require_metric

        if not 0 < false_alarms < 1:
            raise AeError(f"false_alarms={false_alarms!r}: expected a share between 0 and 1, e.g. 0.01")
        require_metric(by)
        model, source = self._model, images_for(self._run, images).source
        compared = None if held_out is None else images_for(self._run, held_out).source
        known = held_out_of(self._run, model, by, compared, ())
        scored = score_images(self._run, model, source, by, known, AskedLabels(), false_alarms)
        return Scores(scored, source, own_images_note(self._run, source))

    @in_python_words
    def sample(self, count: int = 64, *, seed: int = 0) -> Stored:
        """Return new images, in shape, dtype and units of the training's, as `ae sample` draws them.

        Their codes come from the prior of a variational code, else from a mixture of Gaussians, which is fitted to the
        training images once and kept in the run.
        """
        from aecli.runs.uses.sampling.kept import keep_sampler, sampler_of
        from aecli.runs.uses.sampling.sampler import decoder_of, draw_images

        if count < 1 or seed < 0:
            raise AeError(f"sample: expected a count of at least 1 and a seed of at least 0, received {count}, {seed}")
        model, form = self._model, self._run.image_format
        fitted = sampler_of(self._run, model)
        keep_sampler(self._run, fitted)
        drawn = draw_images(fitted.sampler, decoder_of(self._run, model), form.image_shape, count, seed)
        return in_training_axes(self._run, np.concatenate([form.from_contract(images) for images in drawn]))

    # -- pictures, files, networks ------------------------------------------------------------

    @in_python_words
    def plot(
        self,
        kind: str = "reconstructions",
        images: "ImagesOrFile | None" = None,
        *,
        index: int | Sequence[int] | None = None,
        worst: int | None = None,
        best: int | None = None,
        count: int | None = None,
    ) -> "Figure":
        """Draw a picture as `ae plot` does; return Matplotlib's figure, which a notebook shows.

        The kinds are those of `ae plot --help`. `images` are those to draw from, by default the validation images;
        `index`, `worst`, `best` or `count` choose among them where a kind shows single ones.
        """
        from aecli.python.pictures import figure_of

        rows = [index] if isinstance(index, int) else index
        return figure_of(
            self._run, self._model, kind, images, {"index": rows, "worst": worst, "best": best, "count": count}
        )

    @in_python_words
    def keras_model(self) -> Any:
        """Return the network as a Keras model of images (N, H, W, C) in [0, 1], with its weights.

        It is built anew from the config, and of model.keras the weights alone are read: no code of that file is run.
        Needs Keras; raises AeError without it.
        """
        from aecli.training.engines.engine import DEFAULT_ENGINE

        self._run.require_complete()
        with silenced():
            DEFAULT_ENGINE.load()
            from aecli.training.export.rebuilding import rebuild

            return rebuild(self._run).model

    @in_python_words
    def export(
        self,
        to: str = "onnx",
        folder: str | Path | None = None,
        *,
        part: Literal["autoencoder", "encoder", "decoder", "all"] = "autoencoder",
        int8: bool = False,
        data: str | Path | None = None,
        overwrite: bool = False,
    ) -> dict[str, Path]:
        """Write the network for other programs, as `ae export` does; return the file of each part.

        `to` is onnx, litert or savedmodel, `folder` by default the run's name and _exported here. `data` is where the
        training images are now, if they moved: every file is measured on some before it is kept.
        """
        from aecli.training.export.export import ExportOptions, export_folder, export_run
        from aecli.training.export.kinds import PARTS, SUFFIXES

        for what, word, known in (("to", to, [*SUFFIXES]), ("part", part, [*PARTS, "all"])):
            if word not in known:
                hint = did_you_mean(str(word), known) or f": expected one of {', '.join(known)}"
                raise AeError(f"export {what}={escaped(str(word))!r}: unknown{hint}")
        if int8 and to == "savedmodel":
            raise AeError("export int8: a SavedModel has no such form: export to litert or onnx")
        target = Path(folder) if folder is not None else export_folder(self._run)
        parts = [*PARTS] if part == "all" else [part]
        options = ExportOptions(to, parts, target, int8, overwrite, None if data is None else Path(data))
        with silenced():
            return {file.part: file.path for file in export_run(self._run, options).files}

    # -- how it shows itself ------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.path.absolute() == other.path.absolute()

    def __hash__(self) -> int:
        return hash(self.path.absolute())

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # What the folder holds, for who knows its files by name; what writes it are methods.
            kind = getattr(RunFolder, name, None)
            if name.startswith("_") or not isinstance(kind, property | cached_property):
                raise AttributeError(f"a run has no '{name}': see dir(run)")
            return getattr(self._run, name)

    def __dir__(self) -> list[str]:
        return [name for name in vars(Run) if not name.startswith("_")]

    def __repr__(self) -> str:
        if self.state != "complete":
            return f"<aecli.Run {self.path}: {self.state}>"
        values, form = self._run.metrics["splits"]["validation"], self.image_format
        size = " x ".join(map(str, form.image_shape))
        psnr = "exact" if values["model"]["psnr"] is None else f"{values['model']['psnr']:.2f} dB"
        return f"<aecli.Run {display_name(str(self.path))}: images of {size}, validation {psnr}>"

    def _repr_html_(self) -> str:
        from aecli.views.report.snippet import run_html

        return run_html(self._run)
