"""Which devices train: the CPU, one GPU, or every GPU with the same weights mirrored on each."""

from typing import Any

from aecli.core.errors import TrainingError
from aecli.training.engines.tensorflow.backend import tf


def choose_devices(wanted: str) -> Any:
    """Return the `tf.distribute` strategy for "auto", "cpu" or "gpu:N".

    "auto" takes every GPU that TensorFlow can use, else the CPU. Raises TrainingError where the
    device is not there or TensorFlow has started on others in this process.
    """
    gpus = tf.config.list_physical_devices("GPU")
    visible = gpus if wanted == "auto" else [gpus[_gpu_number(wanted, len(gpus))]] if wanted != "cpu" else []
    if visible != gpus:
        _show_only(visible, wanted)
    return tf.distribute.MirroredStrategy() if len(visible) > 1 else tf.distribute.get_strategy()


def device_names() -> list[str]:
    """Return what the training runs on, e.g. ["cpu"] or ["gpu:0 NVIDIA H200"]."""
    gpus = tf.config.get_visible_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu).get("device_name", "") for gpu in gpus]
    numbers = [gpu.name.rsplit(":", 1)[1] for gpu in gpus]
    return [f"gpu:{number} {name}".strip() for number, name in zip(numbers, details, strict=True)] or ["cpu"]


def _gpu_number(wanted: str, count: int) -> int:
    number = int(wanted.removeprefix("gpu:"))
    if number >= count:
        available = f"{count} GPU{'s' if count > 1 else ''} here" if count else "TensorFlow finds no GPU here"
        cure = (
            f"give gpu:0 to gpu:{count - 1}" if count else "give --device cpu; GPUs need the extra 'gpu' and a driver"
        )
        raise TrainingError(f"--device {wanted}: {available}: {cure}")
    return number


def _show_only(devices: list[Any], wanted: str) -> None:
    try:
        tf.config.set_visible_devices(devices, "GPU")
    except RuntimeError as error:
        raise TrainingError(
            f"--device {wanted}: TensorFlow runs on other devices in this process: start a new one"
        ) from error
