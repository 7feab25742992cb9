"""Which GPUs a device names."""

import re

from aecli.core.errors import TrainingError

_NUMBER = "[0-9]{1,3}"


def is_device(wanted: str, several: bool = False) -> bool:
    """Whether this names what can train: "auto", "cpu" or "gpu:0", and where `several` can, "gpu:0,1"."""
    return bool(re.fullmatch(f"auto|cpu|gpu:{_NUMBER}{f'(,{_NUMBER})*' if several else ''}", wanted))


def gpu_numbers(wanted: str, count: int) -> list[int]:
    """Return the numbers in "gpu:0" or "gpu:0,1", none for "cpu"; TrainingError where one is not below `count`."""
    numbers = [] if wanted == "cpu" else [int(number) for number in wanted.removeprefix("gpu:").split(",")]
    if all(number < count for number in numbers):
        return numbers
    if not count:
        cure = "give --device cpu; GPUs need the extra 'gpu' and a driver"
        raise TrainingError(f"--device {wanted}: there is no GPU to train on: {cure}")
    available = f"{count} GPU{'s' if count > 1 else ''} here"
    raise TrainingError(f"--device {wanted}: {available}: give gpu:0 to gpu:{count - 1}")
