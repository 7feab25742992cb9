"""From a config and its images to a trained network, in a run's folder or in none."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from aecli.core.errors import AeError, TrainingError, is_of_the_disk, one_line
from aecli.core.signals import Signals, Stopped
from aecli.data.loader import Feed
from aecli.runs.config import Config
from aecli.runs.config_file import to_yaml
from aecli.runs.health import LayerHealth, collapse
from aecli.runs.provenance import course, differences
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.training.checkpoints import Checkpoint, State
from aecli.training.prepare import Prepared, feeds
from aecli.training.progress import Progress, Stages
from aecli.training.resume import Found, Keeper, check_images, find_checkpoint

if TYPE_CHECKING:
    from aecli.models.layers import Autoencoder
    from aecli.training.engines.tensorflow.export import OnnxExporter
    from aecli.training.engines.tensorflow.health import Health
    from aecli.training.engines.tensorflow.step import Program
    from aecli.training.loop import Pause


@dataclass(frozen=True)
class Network:
    """A compiled network, and its twin in float32 on one device, with the exporters of its halves, for the files."""

    program: "Program"
    twin: "Autoencoder"
    exporters: Mapping[str, "OnnxExporter"]


@dataclass(frozen=True)
class Training:
    """One training: what its stages share, and those up to the trained network."""

    config: Config
    name: str
    prepared: Prepared
    run: Run
    progress: Progress
    stages: Stages
    brief: bool
    signals: Signals
    records: list[EpochRecord] = field(default_factory=list)
    health: list[LayerHealth] = field(default_factory=list)

    @property
    def network_key(self) -> str:
        """What a compiled network depends on: all but the seed."""
        model, training = self.config.model.model_dump(mode="json"), self.config.training.model_dump(mode="json")
        augment = self.config.data.augment and self.config.data.augment.model_dump(mode="json")
        data = [asdict(self.prepared.train.format), self.config.data.memory_budget, augment]
        counts = [len(self.prepared.split.train), len(self.prepared.split.validation)]
        return json.dumps([model, {**training, "seed": None}, data, counts])

    @cached_property
    def feeds(self) -> tuple[Feed, Feed]:
        """The feeds of the training and of the validation images."""
        # Brief runs are those of a study, whose workers share the images.
        return feeds(self.config, self.prepared, mapped=self.brief)

    def build(self) -> Network:
        """Build the untrained network in the precision to train in, and its twin for the files."""
        from aecli.training.engines.tensorflow.export import OnnxExporter
        from aecli.training.engines.tensorflow.step import Program

        training, twin = self.config.training, self.autoencoder()
        trained = self.autoencoder(self._precision())
        program = Program(trained, training, self.config.model.activity_l1, self.feeds[0], self.config.data.augment)
        ends = {"encoder": ("images", "latents"), "decoder": ("latents", "images")}
        return Network(program, twin, {half: OnnxExporter(getattr(twin, half), *names) for half, names in ends.items()})

    def autoencoder(self, precision: Literal["float32", "mixed"] = "float32") -> "Autoencoder":
        """Build the untrained network of the config's seed."""
        from aecli.models.backend import OUT_OF_MEMORY
        from aecli.models.layers import computing_in

        try:
            with computing_in(precision):
                return self.config.model.build(self.prepared.train.format.image_shape, self.config.training.seed)
        except OUT_OF_MEMORY as error:
            raise TrainingError(
                "model: its weights do not fit in memory: set a smaller model.latent_dim or model.hidden"
            ) from error

    def begin(self, about: Mapping[str, Any], overwrite: bool, resume: bool) -> State | None:
        """Begin the run's folder, or take it up again; return the state to go on from, None for the beginning."""
        found = self._reopen(about) if resume else None
        if not resume:
            self.run.create(to_yaml(self.config), overwrite)
        self.run.write_environment({**about, "config": self.name})
        self.run.write_split(self.prepared.split)
        if found is None:
            return None
        self.keeper.go_on_from(found.file)
        return found.checkpoint.state

    def _reopen(self, about: Mapping[str, Any]) -> Found | None:
        before = self.run.environment if self.run.environment_file.is_file() else None
        if before:
            check_images(self.run, about)
        found = find_checkpoint(self.run, course(self.config, about), self.feeds[0].streamed, self.progress.note)
        self.run.reopen(to_yaml(self.config))
        changed = differences(before, about) if before and found else []
        if changed:
            self.progress.note(
                f"{self.run.path}: begun with {'; '.join(changed)}: the result may differ in its last bits from that "
                f"of a training that was never stopped"
            )
        if found is None:
            self.progress.note(f"{self.run.path}: has no checkpoint yet: trained from the beginning")
            return None
        self.records.extend(found.checkpoint.records)
        self.health.extend(found.checkpoint.health)
        self.progress.note(f"{self.run.path}: goes on in epoch {found.checkpoint.state.cursor.epoch}")
        return found

    @cached_property
    def keeper(self) -> Keeper:
        """Writes the checkpoints."""
        own, streamed = course(self.config, self.run.environment), self.feeds[0].streamed

        def checkpoint(state: State) -> Checkpoint:
            return Checkpoint(own, streamed, state, tuple(self.records), tuple(self.health))

        return Keeper(self.run, self.config.training.checkpoint_seconds, checkpoint, self.brief)

    def keep(self, pause: "Pause") -> None:
        """Write a checkpoint where one is due, or where a signal ends the training."""
        if self.signals.received is not None or self.keeper.due(pause.after):
            self.keeper.keep(pause.state)
        self.signals.look()

    def fit(
        self,
        program: "Program",
        start: State | None = None,
        until: int | None = None,
        keep: "Callable[[Pause], None]" = lambda _: None,
    ) -> int:
        """Train from the initial weights or from a state, all epochs or `until` one; return the one that was kept."""
        from aecli.models.backend import OUT_OF_MEMORY
        from aecli.training.loop import fit

        epochs = self.config.training.epochs

        def on_epoch(record: EpochRecord, health: "Health") -> None:
            self.records.append(record)
            self.health.extend(health.layers)
            self.progress.epoch(record, epochs)
            reason = collapse(health.layers, health.fvu)
            if reason and record.epoch in (max(3, epochs // 10), epochs):
                self.progress.collapsed(record, reason)

        def on_pause(pause: "Pause") -> None:
            self.progress.advance(pause.done, epochs)
            keep(pause)

        if self.feeds[0].streamed:
            path = self.prepared.train.file.path
            self.progress.note(f"{path}: larger than data.memory_budget: streamed from the file in every epoch")
        self.stages.enter("training")
        try:
            with self.signals.at_pauses():
                fitted = fit(program, *self.feeds, self.config.training, on_epoch, on_pause, start, until)
        except OUT_OF_MEMORY as error:
            raise TrainingError(
                "training: out of memory: set a smaller training.batch_size, data.memory_budget or model"
            ) from error
        self.stages.move("compiling", fitted.compile_seconds)
        self.stages.move("validating", fitted.validation_seconds)
        return fitted.best_epoch

    @contextlib.contextmanager
    def marked_when_it_ends_early(self) -> Iterator[None]:
        """Mark the run as interrupted or failed when the block is."""
        try:
            yield
        except KeyboardInterrupt as error:
            self._mark("interrupted", f"stopped by {error}" if isinstance(error, Stopped) else "stopped by the user")
            raise
        except Exception as error:
            # Where the disk failed, the training itself is well: with the disk mended it can go on.
            self._mark("interrupted" if is_of_the_disk(error) else "failed", one_line(error))
            raise

    def _precision(self) -> Literal["float32", "mixed"]:
        from aecli.training.engines.tensorflow.devices import device_names

        wanted = self.config.training.precision
        if wanted == "mixed" and device_names() == ["cpu"]:
            self.progress.note("training.precision: mixed is for GPUs, a CPU would lose by it: training in float32")
            return "float32"
        return wanted

    def _mark(self, state: Literal["failed", "interrupted"], reason: str) -> None:
        with contextlib.suppress(AeError, OSError):  # a full disk must not hide why the training ended
            self.run.write_failure(state, reason, len(self.records))
            self.run.write_history(self.records)
            self.run.write_health(self.health)
