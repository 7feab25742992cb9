"""One run in training: its folder begun or taken up again, its epochs recorded, checkpoints, and how it ends early."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from aecli.core.errors import AeError, is_disk_failure, one_line
from aecli.core.signals import Interrupted, Signals
from aecli.runs.config_file import to_yaml
from aecli.runs.diagnosis import collapse, posterior_collapse
from aecli.runs.provenance import environment_differences, trajectory_hash
from aecli.runs.records import EpochRecord, LayerHealth
from aecli.runs.run import Run
from aecli.training.checkpoints import Checkpoint, CheckpointPolicy, CheckpointWriter, TrainingState
from aecli.training.engines.engine import NetworkHealth
from aecli.training.loop import StepEvent
from aecli.training.prepare import Prepared
from aecli.training.progress import Progress
from aecli.training.resume import check_images, check_split, find_checkpoint

_SECONDS_BETWEEN_TABLES = 1.0


class TrainingLog:
    """The records of the epochs so far, reported as they come."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        self.progress, self.epochs = progress, epochs
        self.records: list[EpochRecord] = []
        self.health: list[LayerHealth] = []

    def add(self, record: EpochRecord, health: NetworkHealth) -> None:
        """Record an epoch; a network that has learned nothing yet is reported a tenth of the way, and at the end."""
        self.records.append(record)
        self.health.extend(health.layers)
        self.progress.epoch(record, self.epochs)
        reason = posterior_collapse(record.terms.get("val_kl")) or collapse(health.layers, health.fvu)
        if reason and record.epoch in (max(3, self.epochs // 10), self.epochs):
            self.progress.collapsed(record, reason)


class TrainingSession:
    """The folder of a run while it is trained; whoever uses it holds the folder's lock."""

    def __init__(self, run: Run, prepared: Prepared, log: TrainingLog, signals: Signals) -> None:
        self._run, self._prepared, self._log, self._signals = run, prepared, log, signals
        self._written, self._written_at = 0, 0.0

    def begin(
        self, environment: Mapping[str, Any], policy: CheckpointPolicy, *, overwrite: bool, resume: bool
    ) -> TrainingState | None:
        """Begin the run's folder, or take it up again; return the state to go on from, None for the beginning."""
        config = self._prepared.config
        trajectory, streamed = trajectory_hash(config, environment), self._prepared.loaders[0].streamed

        def checkpoint(state: TrainingState) -> Checkpoint:
            return Checkpoint(trajectory, streamed, state, tuple(self._log.records), tuple(self._log.health))

        self.checkpoints = CheckpointWriter(self._run, config.training.checkpoint_seconds, policy, checkpoint)
        start = self._reopen(environment, trajectory, streamed) if resume else None
        if not resume:
            self._run.create(to_yaml(config), overwrite)
        self._run.write_environment(environment)
        self._run.write_split(self._prepared.split)
        self._log.progress.begun(self._run, config, self._log.records)
        return start

    def _reopen(self, environment: Mapping[str, Any], trajectory: str, streamed: bool) -> TrainingState | None:
        run, note = self._run, self._log.progress.note
        before = run.environment if run.environment_file.is_file() else None
        if before:
            check_images(run, environment)
            check_split(run, self._prepared.split)
        point = find_checkpoint(run, trajectory, streamed, note)
        run.reopen(to_yaml(self._prepared.config))
        changed = environment_differences(before, environment) if before and point else []
        if changed:
            note(
                f"{run.path}: begun with {'; '.join(changed)}: the result may differ in its last bits from that "
                f"of a training that was never stopped"
            )
        if point is None:
            note(f"{run.path}: has no checkpoint yet: trained from the beginning")
            return None
        self._log.records.extend(point.checkpoint.records)
        self._log.health.extend(point.checkpoint.health)
        self.checkpoints.go_on_from(point.file)
        note(f"{run.path}: goes on in epoch {point.checkpoint.state.cursor.epoch}")
        return point.checkpoint.state

    def on_step(self, event: StepEvent) -> None:
        """Write the records of new epochs, and a checkpoint where one is due or a signal ends the training."""
        self._write_records()
        if self._signals.received is not None or self.checkpoints.is_due(event.after):
            self.checkpoints.save(event.state)
        self._signals.raise_if_received()

    def _write_records(self) -> None:
        """Write the tables of the epochs whole, for who watches: at most once a second, since many are short."""
        if len(self._log.records) > self._written and time.monotonic() - self._written_at >= _SECONDS_BETWEEN_TABLES:
            self._run.write_history(self._log.records)
            self._run.write_health(self._log.health)
            self._written, self._written_at = len(self._log.records), time.monotonic()

    @contextlib.contextmanager
    def marked_when_it_ends_early(self) -> Iterator[None]:
        """Mark the run as interrupted or failed when the block is."""
        try:
            yield
        except KeyboardInterrupt as error:
            self._mark(
                "interrupted", f"stopped by {error}" if isinstance(error, Interrupted) else "stopped by the user"
            )
            raise
        except Exception as error:
            # Where the disk failed, the training itself is well: with the disk mended it can go on.
            self._mark("interrupted" if is_disk_failure(error) else "failed", one_line(error))
            raise

    def _mark(self, state: Literal["failed", "interrupted"], reason: str) -> None:
        with contextlib.suppress(AeError, OSError):  # a full disk must not hide why the training ended
            self._run.write_failure(state, reason, len(self._log.records))
            self._run.write_history(self._log.records)
            self._run.write_health(self._log.health)
