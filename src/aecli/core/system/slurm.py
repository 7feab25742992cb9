"""What Slurm has given a job, as it says in environment variables: where it enforces nothing, they are all there is."""

import os

_MB = 2**20


def core_limits() -> list[tuple[int, str]]:
    """Return the cores of a task and of the job on this machine, each with the variable that says so."""
    named = {name: _number(name) for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")}
    return [(count, name) for name, count in named.items() if count]


def memory_limits() -> list[tuple[int, str]]:
    """Return the bytes of the job on this machine, with the variable that says so; 0 is Slurm's word for all."""
    on_node, per_core = _number("SLURM_MEM_PER_NODE"), _number("SLURM_MEM_PER_CPU")
    limits = [(on_node * _MB, "SLURM_MEM_PER_NODE")] if on_node else []
    if per_core:
        count = _number("SLURM_CPUS_ON_NODE") or _number("SLURM_CPUS_PER_TASK") or 1
        limits.append((per_core * _MB * count, "SLURM_MEM_PER_CPU"))
    return limits


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else 0
