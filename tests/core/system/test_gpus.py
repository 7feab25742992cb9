"""The GPUs that NVIDIA's driver names: by a program in the place of nvidia-smi, and by files as the driver has them."""

import os
from pathlib import Path

import pytest

from aecli.core.system import gpus
from aecli.core.system.gpus import Gpus, nvidia_gpus


def put_program(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = Path("bin/nvidia-smi").absolute()
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/bin{os.pathsep}/usr/bin")


def put_files() -> Path:
    folder = Path("system/proc/driver/nvidia")
    for number, name in enumerate(("NVIDIA H100 PCIe", "NVIDIA A40")):
        file = folder / "gpus" / f"0000:{number}1:00.0" / "information"
        file.parent.mkdir(parents=True)
        file.write_text(f"Model: \t\t {name}\nIRQ:   \t\t 155\nGPU UUID: \t GPU-1:2\n")
    (folder / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\nGCC version: 12\n"
    )
    return Path("system")


IN_FILES = Gpus(("NVIDIA H100 PCIe", "NVIDIA A40"), "550.54.15", "/proc/driver/nvidia")


def test_nvidia_smi_lists_them(monkeypatch):
    put_program(monkeypatch, "echo '570.86, NVIDIA H200'; echo '570.86, NVIDIA H100 80GB HBM3, of two names'")
    names = ("NVIDIA H200", "NVIDIA H100 80GB HBM3, of two names")
    assert nvidia_gpus(Path("nowhere")) == Gpus(names, "570.86", "nvidia-smi")


@pytest.mark.parametrize(
    "script",
    [
        "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver'; exit 9",
        "echo 'No devices were found'",
        "sleep 60",
        "kill -9 $$",
        "printf '\\377\\376\\n'",
    ],
)
def test_where_it_does_not_answer_the_drivers_files_do(monkeypatch, script):
    monkeypatch.setattr(gpus, "_SECONDS", 0.5)
    put_program(monkeypatch, f"exec {script}" if script.startswith("sleep") else script)
    assert nvidia_gpus(put_files()) == IN_FILES
    assert nvidia_gpus(Path("nowhere")) == Gpus()


def test_a_machine_without_them_has_none(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert nvidia_gpus(Path("nowhere")) == Gpus()
    assert nvidia_gpus(put_files()) == IN_FILES
