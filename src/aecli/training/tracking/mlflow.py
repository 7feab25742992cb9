"""MLflow: the record of a run where MLFLOW_TRACKING_URI says, or else in mlruns/ of the current folder."""

import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aecli.core.errors import AeError
from aecli.core.files import write_text
from aecli.runs.config import Config
from aecli.runs.content import read_text
from aecli.runs.run import Run
from aecli.training.tracking.settings import flat_settings
from aecli.training.tracking.tracker import Scalars, Tracker

_FOLDER, _EXPERIMENT = "mlruns", "aecli"

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would tell its makers of every run
    "MLFLOW_ALLOW_FILE_STORE": "true",  # for mlruns/, which needs no database
    # A server that is away must not hold the training up for the ten minutes that it tries by itself.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""Variables that MLflow reads, as they are unless the user has set them."""

_MOST_METRICS, _MOST_PARAMETERS, _LONGEST_PARAMETER = 1000, 100, 500
"""What a server takes in one call."""

_STATUS = {"complete": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class _MLflow:
    def __init__(self) -> None:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        with _no_warnings():
            from mlflow import MlflowClient

            self._uri = os.environ.get("MLFLOW_TRACKING_URI") or Path(_FOLDER).absolute().as_uri()
            self._client = MlflowClient(tracking_uri=self._uri)
        self._id, self._last = "", 0
        self._waiting: list[Any] = []

    def begin(self, run: Run, config: Config, before: Sequence[tuple[int, Scalars]]) -> None:
        with _no_warnings():
            known = self._known(run)
            self._id = known or self._create(run, config)
            if known:
                self._client.update_run(known, status="RUNNING")
                self._last = max((one.step for one in self._client.get_metric_history(known, "loss")), default=0)
            else:
                write_text(run.mlflow_file, json.dumps({"run_id": self._id, "tracking_uri": _public(self._uri)}) + "\n")
            for epoch, values in before:
                self.log(epoch, values)
            self._client.log_artifact(self._id, str(run.config_file))
        self.flush()

    def log(self, epoch: int, values: Scalars) -> None:
        # A training that was killed may have told of epochs that its last checkpoint lies before.
        if epoch > self._last:
            self._add(epoch, values)

    def show(self, epoch: int, name: str, png: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"epoch-{epoch:06d}.png"
            file.write_bytes(png)
            self._client.log_artifact(self._id, str(file), name)

    def flush(self) -> None:
        while self._waiting:
            with _no_warnings():
                self._client.log_batch(self._id, metrics=self._waiting[:_MOST_METRICS])
            del self._waiting[:_MOST_METRICS]

    def finish(self, epoch: int, metrics: Scalars) -> None:
        self._add(epoch, metrics)

    def close(self, state: str) -> None:
        self.flush()
        self._client.set_terminated(self._id, _STATUS[state])

    def _add(self, epoch: int, values: Scalars) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(name, float(value), now, epoch) for name, value in values.items()]

    def _create(self, run: Run, config: Config) -> str:
        from mlflow.entities import Param

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        tags = {"aecli.run": str(run.path.absolute())}
        found = self._client.create_run(self._experiment(name), run_name=run.name, tags=tags)
        settings = [Param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in flat_settings(config).items()]
        for start in range(0, len(settings), _MOST_PARAMETERS):
            self._client.log_batch(found.info.run_id, params=settings[start : start + _MOST_PARAMETERS])
        return str(found.info.run_id)

    def _experiment(self, name: str) -> str:
        """Return the experiment of a name, made where there is none; another process may make it at the same time."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _known(self, run: Run) -> str | None:
        """Return the id that the run's folder keeps, None where there is none or it is not one of this server."""
        from mlflow.exceptions import MlflowException

        try:
            kept: Mapping[str, Any] = json.loads(read_text(run.mlflow_file))
            if kept["tracking_uri"] != _public(self._uri):
                return None
            found = self._client.get_run(kept["run_id"])
        except (AeError, OSError, ValueError, KeyError, TypeError):
            return None
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return str(found.info.run_id) if found.info.lifecycle_stage == "active" else None


def _public(uri: str) -> str:
    """Return an address without the name and the password in it."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Ignore warnings in the block: what MLflow thinks of a store of files is no news in a training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def make_tracker() -> Tracker:
    """Return what tells MLflow of one run."""
    return _MLflow()
