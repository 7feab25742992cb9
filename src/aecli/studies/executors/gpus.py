"""Which GPUs the workers of a study train on."""

import os
from collections.abc import Sequence

from aecli.core.errors import TrainingError
from aecli.training.doctor.engine import ask
from aecli.training.engines.engine import DEFAULT_ENGINE
from aecli.training.engines.gpus import gpu_numbers

WORKERS_A_GPU = 4
"""Workers by default, for each: a small network leaves most of one idle."""


def gpus_for(device: str) -> tuple[str, ...]:
    """Return the GPUs of "auto", "cpu" or "gpu:0,1", each as CUDA_VISIBLE_DEVICES names it; none for the CPU.

    "auto" is every GPU that the engine can train on. Raises TrainingError where one is not there. Asking the engine
    takes seconds, in a process of its own: what has asked for GPUs holds memory of each.
    """
    if device == "cpu":
        return ()
    names = _engine_gpus()
    numbers = list(range(len(names))) if device == "auto" else gpu_numbers(device, len(names))
    return tuple(_cuda_name(number) for number in numbers)


def gpu_environment(gpu: str) -> dict[str, str]:
    """Return what makes a process see this GPU alone, as gpu:0, and leave others the memory that it does not need."""
    return {"CUDA_VISIBLE_DEVICES": gpu, **DEFAULT_ENGINE.sharing}


def _engine_gpus() -> Sequence[str]:
    """Return the names of the GPUs that the engine can train on."""
    DEFAULT_ENGINE.require()
    answer = ask(load=True)
    if error := answer.broken or answer.error:
        raise TrainingError(f"--device: {DEFAULT_ENGINE.title} cannot be asked for its GPUs ({error}): see ae doctor")
    return [name for name in answer.devices if name.startswith("gpu")]


def _cuda_name(number: int) -> str:
    """Return what CUDA_VISIBLE_DEVICES calls an engine's GPU: a cluster shows a job only some of them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[number].strip() if visible else str(number)
