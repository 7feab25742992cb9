"""Workers spread over GPUs, as far as a machine without one can tell: what each process is given, and what is refused."""

import os
import signal
from pathlib import Path

import pytest

from aecli.core.errors import TrainingError
from aecli.runs.config_file import load_config
from aecli.studies.executors import gpus, processes
from aecli.studies.executors.executor import Task
from aecli.studies.executors.processes import ProcessExecutor

VARIABLES = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def report_environment(connection, device):
    """Stand in for a worker: fail its first task with what it was given, die with the next if that says so."""
    connection.send(("ready", None))
    while (task := connection.recv()) is not None:
        if task.name == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        given = [device, *(os.environ.get(name, "none") for name in VARIABLES)]
        connection.send(("failed", " ".join(given)))


def given_to(executor, monkeypatch, names):
    """Return the reasons for which the tasks of these names failed, by name."""
    monkeypatch.setattr(processes, "_work", report_environment)
    config = load_config(None).config
    tasks = [Task(name, config, Path(f"{name}-{number}"), name) for number, name in enumerate(names)]
    return [(event.task.name, event.reason) for event in executor.run(tasks) if event.kind == "failed"]


def test_each_worker_sees_one_gpu_and_the_workers_are_spread_evenly(monkeypatch):
    monkeypatch.setattr(processes, "_work", report_environment)
    pool = processes._Pool(3, ("2", "5"))
    for _ in range(4):
        pool._start_worker()
    given = []
    for worker in pool.workers:
        assert worker.connection.recv() == ("ready", None)
        worker.connection.send(Task("a", load_config(None).config, Path("a"), "a"))
        given.append(worker.connection.recv()[1])
    pool.end()
    assert given == ["gpu:0 2 true 3 1", "gpu:0 5 true 3 1"] * 2


def test_the_worker_after_one_that_died_has_its_gpu(monkeypatch):
    reasons = dict(given_to(ProcessExecutor(1, 1, ("7",)), monkeypatch, ["dies", "after"]))
    assert "signal 9" in reasons["dies"]
    assert reasons["after"] == "gpu:0 7 true 1 1"


def test_a_worker_without_a_gpu_trains_on_the_cpu(monkeypatch):
    for name in VARIABLES[:2]:
        monkeypatch.delenv(name, raising=False)
    assert given_to(ProcessExecutor(1, 2), monkeypatch, "a") == [("a", "cpu none none 2 1")]


def test_gpus_are_called_what_the_environment_calls_them(monkeypatch):
    monkeypatch.setattr(gpus, "_engine_gpus", lambda: ["gpu:0 A", "gpu:1 A", "gpu:2 A"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.gpus_for("auto") == ("0", "1", "2")
    assert gpus.gpus_for("gpu:2,0") == ("2", "0")
    assert gpus.gpus_for("cpu") == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 6,GPU-8f1a")
    assert gpus.gpus_for("gpu:0,2") == ("4", "GPU-8f1a")
    with pytest.raises(TrainingError, match="--device gpu:3: 3 GPUs here: give gpu:0 to gpu:2"):
        gpus.gpus_for("gpu:3")


def test_without_a_gpu_auto_is_the_cpu_and_a_gpu_is_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # what hides them where there are some
    assert gpus.gpus_for("auto") == ()
    with pytest.raises(TrainingError, match="--device gpu:0,1: there is no GPU to train on: give --device cpu"):
        gpus.gpus_for("gpu:0,1")
