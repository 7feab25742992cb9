"""Which GPUs a device names."""

from aecli.core.errors import TrainingError


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
