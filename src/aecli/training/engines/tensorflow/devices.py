"""Which devices train: the CPU, one GPU, or every GPU with the same weights mirrored on each."""

from typing import Any

from aecli.core.errors import TrainingError
from aecli.training.engines.gpus import gpu_numbers
from aecli.training.engines.tensorflow.backend import tf


def choose_devices(wanted: str) -> Any:
    """Return the `tf.distribute` strategy for "auto", "cpu" or "gpu:N".

    "auto" takes every GPU that TensorFlow can use, else the CPU. Raises TrainingError where the
    device is not there or TensorFlow has started on others in this process.
    """
    gpus = tf.config.list_physical_devices("GPU")
    numbers = list(range(len(gpus))) if wanted == "auto" else gpu_numbers(wanted, len(gpus))
    visible = [gpus[number] for number in numbers]
    if visible != gpus:
        _show_only(visible, wanted)
    return tf.distribute.MirroredStrategy() if len(visible) > 1 else tf.distribute.get_strategy()


def device_names() -> list[str]:
    """Return what the training runs on, e.g. ["cpu"] or ["gpu:0 NVIDIA H200"]."""
    gpus = tf.config.get_visible_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu).get("device_name", "") for gpu in gpus]
    numbers = [gpu.name.rsplit(":", 1)[1] for gpu in gpus]
    return [f"gpu:{number} {name}".strip() for number, name in zip(numbers, details, strict=True)] or ["cpu"]


def _show_only(devices: list[Any], wanted: str) -> None:
    try:
        tf.config.set_visible_devices(devices, "GPU")
    except RuntimeError as error:
        raise TrainingError(
            f"--device {wanted}: TensorFlow runs on other devices in this process: start a new one"
        ) from error
