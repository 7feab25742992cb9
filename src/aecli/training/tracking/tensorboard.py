"""TensorBoard: the record of a run as a file of events in its own folder.

The events are written as TensorBoard's own writer frames them, but by the file's handle: its writer would import
the whole engine to open a file, and would meet a full disk in a thread of its own.
"""

import os
import platform
import time
from collections.abc import Sequence
from typing import Any, BinaryIO

from aecli.runs.config import Config
from aecli.runs.config_file import to_yaml
from aecli.runs.run import Run
from aecli.training.tracking.settings import flat_settings
from aecli.training.tracking.tracker import Scalars, Tracker

_VERSION = "brain.Event:2"


class _TensorBoard:
    def __init__(self) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._events, self._summaries, self._writer = event_pb2, summary_pb2, RecordWriter
        self._file: BinaryIO | None = None

    def begin(self, run: Run, config: Config, before: Sequence[tuple[int, Scalars]]) -> None:
        folder = run.tensorboard_folder
        folder.mkdir(exist_ok=True)
        goes_on = any(folder.iterdir())
        # In the order of their names the files are read one after the other.
        name = f"events.out.tfevents.{time.time_ns() // 1000:016d}.{platform.node()}.{os.getpid()}.0"
        self._file = (folder / name).open("xb")
        self._records = self._writer(self._file)
        self._write(file_version=_VERSION)
        start = self._events.SessionLog(status=self._events.SessionLog.START)
        # What a training that was killed has left of later epochs is not shown beside them.
        self._write(len(before) + 1, session_log=start)
        if not goes_on:
            for epoch, values in before:
                self.log(epoch, values)
        self._text("config", "```yaml\n" + to_yaml(config) + "```")
        self._settings(config)
        self.flush()

    def log(self, epoch: int, values: Scalars) -> None:
        value = self._summaries.Summary.Value
        # What has no group would be a group of its own, and the losses far from each other.
        tags = {name if "/" in name else f"epoch/{name}": number for name, number in values.items()}
        made = [value(tag=tag, simple_value=number) for tag, number in tags.items()]
        self._write(epoch, summary=self._summaries.Summary(value=made))

    def show(self, epoch: int, name: str, png: bytes) -> None:
        width, height = (int.from_bytes(png[start : start + 4]) for start in (16, 20))
        image = self._summaries.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        value = self._summaries.Summary.Value(tag=name, image=image)
        self._write(epoch, summary=self._summaries.Summary(value=[value]))

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def finish(self, epoch: int, metrics: Scalars) -> None:
        self.log(epoch, metrics)

    def close(self, state: str) -> None:
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        status = api_pb2.STATUS_SUCCESS if state == "complete" else api_pb2.STATUS_FAILURE
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        self._plugin(metadata.SESSION_END_INFO_TAG, session_end_info=end)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _settings(self, config: Config) -> None:
        """Write the keys of the config for the page of hyperparameters."""
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        start = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        for key, setting in flat_settings(config).items():
            if isinstance(setting, bool):
                start.hparams[key].bool_value = setting
            elif isinstance(setting, (int, float)):
                start.hparams[key].number_value = setting
            else:
                start.hparams[key].string_value = setting
        self._plugin(metadata.SESSION_START_INFO_TAG, session_start_info=start)

    def _plugin(self, tag: str, **content: Any) -> None:
        from tensorboard.compat.proto import tensor_pb2, types_pb2
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
        nothing = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[0.0])
        value = self._summaries.Summary.Value(tag=tag, metadata=about, tensor=nothing)
        self._write(0, summary=self._summaries.Summary(value=[value]))

    def _text(self, tag: str, text: str) -> None:
        from tensorboard.compat.proto import tensor_pb2, types_pb2
        from tensorboard.plugins.text import metadata

        about = metadata.create_summary_metadata(tag, "")
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[text.encode()])
        value = self._summaries.Summary.Value(tag=tag, metadata=about, tensor=tensor)
        self._write(0, summary=self._summaries.Summary(value=[value]))

    def _write(self, epoch: int = 0, **content: Any) -> None:
        event = self._events.Event(wall_time=time.time(), step=epoch, **content)
        self._records.write(event.SerializeToString())


def make_tracker() -> Tracker:
    """Return what writes the events of one run."""
    return _TensorBoard()
