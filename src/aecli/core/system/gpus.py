"""The GPUs of NVIDIA that a machine has, as their driver says: no library of them is loaded."""

import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aecli.core.system.mounts import ROOT, lines

_SECONDS = 10
"""How long nvidia-smi may take: with a broken driver it hangs."""


@dataclass(frozen=True)
class Gpus:
    """The names of the GPUs, the version of their driver, "" where it is not known, and who says so."""

    names: tuple[str, ...] = ()
    driver: str = ""
    source: str = ""


def nvidia_gpus(root: Path = ROOT) -> Gpus:
    """Return the GPUs that nvidia-smi lists, or where it does not answer those in /proc; `root` is the system's."""
    return _listed() or _in_proc(root) or Gpus()


def _listed() -> Gpus | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=_SECONDS, check=True,
        )  # fmt: skip
        rows = [line.split(", ", 1) for line in done.stdout.splitlines() if ", " in line]
        if rows:
            return Gpus(tuple(name.strip() for _, name in rows), rows[0][0].strip(), "nvidia-smi")
    return None


def _in_proc(root: Path) -> Gpus | None:
    folder = root / "proc/driver/nvidia"
    about = [dict(line.split(":", 1) for line in lines(file) if ":" in line) for file in _information(folder)]
    if not about:
        return None
    driver = next((word for word in " ".join(lines(folder / "version")[:1]).split() if word[:1].isdigit()), "")
    return Gpus(tuple(fields.get("Model", "NVIDIA GPU").strip() for fields in about), driver, "/proc/driver/nvidia")


def _information(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted((folder / "gpus").glob("*/information"))
    return []
