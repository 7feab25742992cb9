"""Training, from a config to a complete run."""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from aecli.core.errors import TrainingError
from aecli.core.progress import ProgressCallback
from aecli.core.signals import Signals
from aecli.data.dataset import ImageDataset
from aecli.data.format import Images
from aecli.data.split import Split
from aecli.models.linear.start import Start
from aecli.runs.config import Config
from aecli.runs.provenance import data_fields, describe_environment, run_fingerprint, with_absolute_paths
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.training.artifacts import FULL, Artifact, SplitBaselines, TrainedRun
from aecli.training.check.fits import active_latents
from aecli.training.checkpoints import CheckpointPolicy, TrainingState
from aecli.training.engines.engine import DEFAULT_ENGINE, CompiledStep, Engine, EngineSource, NetworkHealth
from aecli.training.loop import StepEvent, fit
from aecli.training.network import CompiledModel, build_autoencoder, compile_key, compile_model
from aecli.training.prepare import Prepared, check_paths, open_data, prepare
from aecli.training.progress import NullProgress, Progress, Stages, stage_callback
from aecli.training.resume import check_config, check_images, is_done
from aecli.training.session import TrainingLog, TrainingSession
from aecli.training.start import fit_split, start_of

T = TypeVar("T")

_SHOWN = 8
"""Validation images whose reconstructions are shown after epochs, to who asks for them."""


def train(
    config: Config,
    folder: Path,
    *,
    name: str = "default",
    overwrite: bool = False,
    resume: bool = False,
    device: str = "auto",
    artifacts: Sequence[Artifact] = FULL,
    progress: Progress | None = None,
    signals: Signals | None = None,
    started: float | None = None,
) -> Run:
    """Train an autoencoder and write its run into `folder`; return the complete run.

    `name` is the config's name, kept in the exported models. With `resume` a run that is there goes on from its
    last checkpoint, as if it had never stopped, and to more epochs if the config has more. `device` is "auto"
    (every GPU, else the CPU), "cpu" or "gpu:N". `artifacts` write what the run leaves behind. `signals`, entered,
    stop the training at its next step. `started` is the `time.perf_counter` from which start-up counts. Raises
    AeError before anything is written when the config and the data do not fit, or are not the run's, and leaves a
    run marked failed or interrupted when training does not reach its end.
    """
    return Trainer(device, artifacts).train(
        config, folder, name,
        overwrite=overwrite, resume=resume, progress=progress, signals=signals, started=started,
    )  # fmt: skip


@dataclass(frozen=True)
class Rerun:
    """What training again gave: `weights_sha256` is None where epochs were left out."""

    split: Split
    records: Sequence[EpochRecord]
    weights_sha256: str | None
    environment: Mapping[str, Any]


class Trainer:
    """Trains runs one after the other, and keeps what the next may share with the last.

    That is the images and their fingerprint, the compiled network where the next run differs in its seed alone, and
    the baselines of every split. It keeps so many compiled `networks`, those used last. `mapped` images are those of a
    study, whose processes share the file's memory map.
    """

    def __init__(
        self,
        device: str = "auto",
        artifacts: Sequence[Artifact] = FULL,
        *,
        checkpoints: CheckpointPolicy | None = None,
        mapped: bool = False,
        engine: EngineSource = DEFAULT_ENGINE,
        networks: int = 1,
    ) -> None:
        self._device, self._artifacts, self._mapped, self._engine = device, artifacts, mapped, engine
        self._policy = checkpoints or CheckpointPolicy()
        self._images: _LastValues[_Images] = _LastValues(1)
        self._compiled: _LastValues[CompiledModel] = _LastValues(networks)
        self._baselines: dict[str, SplitBaselines] = {}

    def train(
        self,
        config: Config,
        folder: Path,
        name: str = "default",
        *,
        overwrite: bool = False,
        resume: bool = False,
        progress: Progress | None = None,
        signals: Signals | None = None,
        started: float | None = None,
    ) -> Run:
        """Train one run; see `train`."""
        progress, signals = progress or NullProgress(), signals or Signals()
        stages = Stages(progress, started)
        run = Run(folder)
        run.refuse_existing(overwrite or resume)
        config = with_absolute_paths(config)
        resume = resume and run.begun
        if resume:
            check_config(run, config)
            if is_done(run, config):
                progress.note(f"{run.path}: is complete already: give more training.epochs to extend it")
                return run
        images, prepared, engine = self._prepare(config, stages)
        fitted, begin = self._begin(prepared, images, stages)
        log = TrainingLog(progress, config.training.epochs)
        session = TrainingSession(run, prepared, log, signals)
        devices = engine.devices(self._device)
        with run.locked(progress.note):
            with devices:
                stages.enter("building")
                compiled = self._compiled.get(
                    compile_key(prepared, begin), lambda: compile_model(prepared, begin, engine, progress.note)
                )
                compiled.step.reset(build_autoencoder(prepared, begin, engine))
                environment = {
                    **_environment(engine),
                    "identity": run_fingerprint(config, images.fields),
                    **images.fields,
                    "config": name,
                }
                start = session.begin(environment, self._policy, overwrite=overwrite, resume=resume)
                with session.marked_when_it_ends_early():
                    with signals.deferred():
                        best_epoch = _fit(compiled.step, prepared, engine, log, stages, session.on_step, start)
                    stages.move("checkpointing", session.checkpoints.spent)
            with session.marked_when_it_ends_early():
                run.write_history(log.records)
                run.write_health(log.health)
                compiled.export_copy.set_weights(compiled.step.autoencoder.get_weights())
                trained = TrainedRun(
                    run, name, prepared, compiled.export_copy, log.records, best_epoch, stages, fitted,
                )  # fmt: skip
                for write in self._artifacts:
                    write(trained)
                images.require_unchanged()
                run.write_environment({**run.environment, "seconds": stages.seconds()})
                metrics = {**trained.metrics, "weights_sha256": compiled.export_copy.weights_sha256()}
                run.write_metrics(metrics)
                session.checkpoints.clear()
        progress.complete(metrics)
        return run

    def repeat(self, run: Run, config: Config, epochs: int, progress: Progress) -> Rerun:
        """Train so many epochs of a run again, from its own beginning; nothing is written.

        Raises AeError where the images are not the run's.
        """
        stages, config = Stages(progress), with_absolute_paths(config)
        images, prepared, engine = self._prepare(config, stages)
        check_images(run, images.fields)
        log = TrainingLog(progress, config.training.epochs)
        _, begin = self._begin(prepared, images, stages)
        with engine.devices(self._device):
            stages.enter("building")
            step = compile_model(prepared, begin, engine, progress.note).step
            _fit(step, prepared, engine, log, stages, until=epochs)
            whole = len(log.records) < epochs or epochs == config.training.epochs
            sha256 = step.autoencoder.weights_sha256() if whole else None
            return Rerun(prepared.split, log.records, sha256, _environment(engine))

    def _prepare(self, config: Config, stages: Stages) -> "tuple[_Images, Prepared, Engine]":
        """Open the images and split them, while the engine loads."""
        check_paths(config)
        loading = threading.Thread(target=_load_quietly, args=(self._engine,))
        loading.start()
        stages.enter("reading images")
        data = config.data
        key = (data.train, data.test, data.image_shape, data.value_range, data.decoding)
        images = self._images.get(key, lambda: _Images.open(config, stage_callback(stages.progress)))
        prepared = prepare(config, images.train, images.test, stages.progress, mapped=self._mapped)
        stages.enter(f"loading {self._engine.title}")
        loading.join()
        return images, prepared, self._engine.load()

    def _begin(self, prepared: Prepared, images: "_Images", stages: Stages) -> tuple[SplitBaselines, Start]:
        """Fit the linear codes of the split; return them, and where the network begins."""
        stages.enter("fitting linear codes")
        fitted = self._fit_split(prepared, images)
        begin, length = start_of(prepared, fitted.codes), prepared.code_length
        for finding in active_latents(prepared.config, fitted.codes, length):
            stages.progress.note(finding.text)
        if begin.code is not None and len(begin.code.directions) < length:
            stages.progress.note(
                f"model.linear_path: {begin.code.name} has {len(begin.code.directions):,} directions, as many as the "
                f"images span, for {length:,} latents: the others begin at 0"
            )
        return fitted, begin

    def _fit_split(self, prepared: Prepared, images: "_Images") -> SplitBaselines:
        config = prepared.config
        data, length = config.data, prepared.code_length
        split = [config.split_seed, data.validation_split, data.test_split, data.only_label]
        key = json.dumps([images.fields, split, length])
        if key not in self._baselines:
            self._baselines[key] = fit_split(prepared)
        return self._baselines[key]


def _fit(
    step: CompiledStep,
    prepared: Prepared,
    engine: Engine,
    log: TrainingLog,
    stages: Stages,
    on_step: Callable[[StepEvent], None] = lambda _: None,
    start: TrainingState | None = None,
    until: int | None = None,
) -> int:
    """Train from the initial weights or from a state, all epochs or `until` one; return the one that was kept."""
    config, loaders = prepared.config, prepared.loaders
    if loaders[0].streamed:
        path = prepared.train.file.path
        log.progress.note(f"{path}: larger than data.memory_budget: streamed from the file in every epoch")

    def advance(event: StepEvent) -> None:
        log.progress.advance(event.done, config.training.epochs)
        on_step(event)

    def reconstruct() -> tuple[Images, Images]:
        from aecli.models.layers import predict

        images = loaders[1].sample()[:_SHOWN]
        return images, predict(step.autoencoder.model, images)

    def on_epoch(record: EpochRecord, health: NetworkHealth) -> None:
        log.add(record, health)
        log.progress.network(record.epoch, health.layers, reconstruct)

    stages.enter("training")
    objective = prepared.model.objective(config.training.loss)
    try:
        result = fit(
            step,
            *loaders,
            config.training,
            objective,
            on_epoch,
            advance,
            start,
            until,
            prepared.model.path != "none",
        )
    except engine.out_of_memory as error:
        raise TrainingError(
            "training: out of memory: set a smaller training.batch_size, data.memory_budget or model"
        ) from error
    stages.move("compiling", result.compile_seconds)
    stages.move("validating", result.validation_seconds)
    return result.best_epoch


def _environment(engine: Engine) -> dict[str, Any]:
    return describe_environment(engine.device_names(), engine.versions(), engine.variables())


def _load_quietly(engine: EngineSource) -> None:
    # What goes wrong here is met again, and reported, by the call that needs the engine.
    with contextlib.suppress(Exception):
        engine.load()


@dataclass(frozen=True)
class _Images:
    """The opened images and what environment.json says of them."""

    train: ImageDataset
    test: ImageDataset | None
    fields: dict[str, Any]
    states: tuple[tuple[int, int], ...]

    @classmethod
    def open(cls, config: Config, on_progress: ProgressCallback) -> "_Images":
        train, test = open_data(config, on_progress)
        states = tuple(source.file.state() for source in (train, test) if source)
        return cls(train, test, {"data": data_fields(train), "test": test and data_fields(test)}, states)

    def require_unchanged(self) -> None:
        """Raise DataError where a file has been written to since it was opened."""
        sources = [source for source in (self.train, self.test) if source]
        for source, state in zip(sources, self.states, strict=True):
            source.file.require_state(state)


class _LastValues(Generic[T]):
    """Holds what was made for the last keys, so many, for the next calls with the same ones."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: list[tuple[object, T]] = []

    def get(self, key: object, make: Callable[[], T]) -> T:
        """Return the value kept for this key, or drop the one longest unused and make another."""
        found = next((pair for pair in self._held if pair[0] == key), None)
        if found is not None:
            self._held.remove(found)
        else:
            del self._held[: max(0, len(self._held) - self._count + 1)]  # before another needs the memory
            found = key, make()
        self._held.append(found)
        return found[1]
