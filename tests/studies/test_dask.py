"""A study on a Dask cluster: what the own worker processes promise, on workers that others have started."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from aecli.core.errors import AeError
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.studies.compare import NullStudyProgress, compare
from aecli.studies.config import StudyFile
from aecli.studies.executors.dask_cluster import connected
from aecli.studies.executors.executor import ATTEMPTS, Task, WaitingTasks
from aecli.studies.executors.processes import ProcessExecutor
from aecli.training.checkpoints import read_checkpoint
from tests.conftest import PLAIN, python
from tests.test_architecture import modules_after

TINY = ("model.latent_dim=4", "training.epochs=3", "training.batch_size=128")
VARY = "study.vary={model.activation: [relu, linear]}"
ENDLESS = ("training.epochs=1000000", "training.checkpoint_seconds=0")
DIVERGING = (*PLAIN, "training.optimizer=sgd", "training.learning_rate=1e5", "model.output_activation=linear")


class Recorded(NullStudyProgress):
    def __init__(self, on_event=lambda event: None):
        self.events, self.on_event = [], on_event

    def event(self, event, result):
        self.events.append(event)
        self.on_event(event)

    def count(self, kind):
        return sum(event.kind == kind for event in self.events)


def task(name, *overrides):
    config = load_config(None, (*TINY, "data.test_split=0.1", *overrides)).config
    return Task(name, config, Path(name), name)


# -- without a cluster ---------------------------------------------------------------------------


def test_a_worker_gets_what_it_has_compiled_then_what_nobody_else_has_then_of_the_fullest():
    waiting = WaitingTasks()
    for group, count in {"a": 1, "b": 2, "c": 3}.items():
        for _ in range(count):
            waiting.add(replace(task(group), folder=Path(group)))
    taken = [waiting.next_for(["b"], {"a"}).group, waiting.next_for(["x", "b", "a"], {"a"}).group]
    assert taken == ["b", "b"]
    assert waiting.next_for(["b", "a"], {"a", "c"}).group == "a"
    assert waiting.next_for(["b"], {"c"}).group == "c"
    assert len(waiting) == 2
    assert [waiting.failed(task("d"), "why").kind for _ in range(ATTEMPTS)] == ["retried", "failed"]
    assert len(waiting) == 3


def test_an_address_where_nobody_answers_is_one_line(ae):
    done = ae("compare", "--scheduler=tcp://127.0.0.1:1", "--config=relu")
    assert done.exit_code == 1
    assert done.stderr.startswith("ae: tcp://127.0.0.1:1: no Dask scheduler answers there: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "content", "said"),
    [
        ("nowhere", None, "'nowhere': is no scheduler file and no address: "),
        ("", None, "'': is no scheduler file and no address: "),
        ("odd.json", "[]", "odd.json: is no scheduler file: "),
        ("gone.json", '{"address": "tcp://127.0.0.1:1"}', "gone.json (it names tcp://127.0.0.1:1): no Dask scheduler"),
        ("spoken://here:1", None, "spoken://here:1: no Dask scheduler answers there (unknown address scheme"),
    ],
)
def test_what_is_no_scheduler_is_one_line(given, content, said):
    if content is not None:
        Path(given).write_text(content)
    with pytest.raises(AeError) as raised, connected(given, print):
        pass
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


def test_workers_are_not_counted_twice(ae):
    done = ae("compare", "--scheduler=tcp://127.0.0.1:1", "--workers=2")
    assert done.exit_code == 2
    assert "--workers and --device: a --scheduler has its own" in done.stderr


def test_without_the_extra_one_line_names_it():
    code = (
        "import sys\nsys.modules['distributed'] = None\nfrom aecli.cli.main import main\n"
        "sys.argv = ['ae', *sys.argv[1:]]\nmain()"
    )
    done = python(code, "compare", "--scheduler=tcp://127.0.0.1:1", "--config=relu")
    assert done.returncode == 1
    assert done.stderr == "ae: --scheduler: needs Dask, which is not installed: pip install 'aecli[dask]'\n"


def test_nothing_imports_dask_without_the_option():
    code = "import aecli.api, aecli.studies.compare, aecli.cli.commands.compare, aecli.studies.executors.dask_cluster"
    assert not modules_after(code) & {"dask", "distributed"}


# -- on a cluster --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local_cluster():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def cluster(local_cluster):
    with connected(local_cluster.scheduler_address, print) as found:
        while len(found.workers()) < 2:  # one that a test before has killed is started anew
            time.sleep(0.1)
        yield found


@pytest.fixture
def executor(cluster):
    from aecli.studies.executors.dask_study import DaskExecutor

    return DaskExecutor(cluster)


def hashes(folder):
    return {
        path.parent.relative_to(folder): Run(path.parent).metrics["weights_sha256"]
        for path in folder.glob("runs/*/*/metrics.json")
    }


def results(study):
    """What a study knows of its runs, without the seconds that they took, and its verdict."""
    rows = list(csv.DictReader(study.study.results_file.read_text().splitlines()))
    return [{**row, "seconds": ""} for row in rows], study.summary.verdict


def study_of(folder, executor, on_event=lambda event: None, *overrides):
    progress = Recorded(on_event)
    config = load_config(None, (*TINY, VARY, "study.seeds=3", *overrides), StudyFile).config
    return compare(config, Path(folder), progress, executor=executor), progress


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The study of two variants and three seeds as the own worker processes train it."""
    return study_of(tmp_path_factory.mktemp("plain") / "study", ProcessExecutor(2, 1))


@pytest.mark.long
def test_a_study_comes_out_as_that_of_worker_processes(plain, executor):
    (theirs, other), (ours, progress) = plain, study_of("study", executor)
    assert len(hashes(Path("study"))) == 6
    assert hashes(Path("study")) == hashes(theirs.study.path)
    assert results(ours) == results(theirs)
    for kind in ("started", "epoch", "collapsed", "done", "retried", "failed"):
        assert progress.count(kind) == other.count(kind)
    assert {Run(path).environment["machine"]["threads"] for path in Path("study").glob("runs/*/*")} == {1}


@pytest.mark.long
def test_a_worker_that_is_killed_costs_an_attempt_and_no_run(plain, executor):
    killed = []

    def kill(event):
        if event.kind == "epoch" and not killed:
            killed.extend(executor.cluster.client.run(os.getpid).values())
            os.kill(killed[0], signal.SIGKILL)

    result, progress = study_of("study", executor, kill)
    assert hashes(Path("study")) == hashes(plain[0].study.path)
    assert results(result) == results(plain[0])
    assert [progress.count(kind) for kind in ("done", "retried", "failed")] == [6, 1, 0]
    [event] = [event for event in progress.events if event.kind == "retried"]
    assert event.reason.startswith("its worker died (tcp://")


@pytest.mark.long
def test_a_worker_that_is_stopped_leaves_a_checkpoint_and_no_attempt_is_counted():
    from distributed import LocalCluster

    from aecli.studies.executors.dask_study import DaskExecutor

    def start_worker():
        options = [address, "--nthreads", "1", "--no-dashboard"]
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", *options], stderr=subprocess.DEVNULL
        )

    with LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as local:
        address, told = local.scheduler_address, []
        workers = [start_worker()]
        try:
            with connected(address, print) as cluster:
                events = DaskExecutor(cluster).run([task("long", *ENDLESS)])
                for event in events:
                    told.append((event.kind, event.record and event.record.epoch))
                    if told[-1] == ("epoch", 3):
                        workers.append(start_worker())
                        workers[0].terminate()
                    if (told.count(("started", None)) == 2 and event.kind == "epoch") or len(told) > 1000:
                        break
                events.close()
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(60)
    assert {kind for kind, _ in told} == {"started", "epoch"}
    assert told[-1][1] > 3
    assert Run(Path("long")).state == "interrupted"


@pytest.mark.long
def test_a_run_that_fails_twice_has_failed_and_the_others_go_on(executor):
    tasks = [task("well"), task("diverging", *DIVERGING), replace(task("well", "training.seed=1"), folder=Path("two"))]
    told = [(e.task.name, e.kind, e.reason) for e in executor.run(tasks) if e.kind not in ("epoch", "collapsed")]
    assert {kind for name, kind, _ in told if name == "well"} == {"started", "done"}
    assert [kind for name, kind, _ in told if name == "diverging"] == ["started", "retried", "started", "failed"]
    assert all("the loss became" in reason for _, kind, reason in told if kind in ("retried", "failed"))


def started_command(address):
    options = [
        "--seeds=1",
        "--activations=relu,linear",
        "--output=study",
        f"--scheduler={address}",
        "--config=empty.yaml",
    ]
    Path("empty.yaml").write_text("{}")
    sets = [f"--set={key}" for key in (*TINY[::2], *ENDLESS)]
    process = subprocess.Popen(
        [sys.executable, "-m", "aecli.cli.main", "compare", *options, *sets], stderr=subprocess.PIPE, text=True
    )
    while len(list(Path("study").glob("runs/*/0/checkpoint-*.npz"))) < 3 and process.poll() is None:
        time.sleep(0.05)
    return process


@pytest.mark.long
def test_a_study_that_is_told_to_stop_keeps_a_checkpoint_of_every_run_in_training(local_cluster, cluster):
    process = started_command(local_cluster.scheduler_address)
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 143
    assert said.endswith("stopped: study keeps what was trained; the same command goes on from there\n")
    for name in ("relu", "linear"):
        run = Run(Path("study/runs") / name / "0")
        assert run.state == "interrupted"
        assert run.failure[0] == "stopped by SIGTERM"
        assert read_checkpoint(run.checkpoint_files[-1]).records == tuple(run.history)


def newest_epoch(run):
    """The epoch that the newest whole checkpoint of a run is in, 0 where it has none."""
    try:
        return len(read_checkpoint(run.checkpoint_files[-1]).records)
    except (IndexError, OSError, AeError):  # while the next is being written
        return 0


@pytest.mark.long
def test_the_trainings_of_a_study_that_is_killed_stop_and_the_same_command_goes_on(local_cluster, cluster, ae):
    process = started_command(local_cluster.scheduler_address)
    process.kill()
    process.wait()
    runs, deadline = [Run(Path("study/runs") / name / "0") for name in ("relu", "linear")], time.monotonic() + 60
    while any(run.state != "interrupted" for run in runs) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {run.state for run in runs} == {"interrupted"}
    before = [len(run.history) for run in runs]
    process = started_command(local_cluster.scheduler_address)
    deadline = time.monotonic() + 60
    while (
        any(newest_epoch(run) <= count for run, count in zip(runs, before, strict=True)) and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert all(len(run.history) > count for run, count in zip(runs, before, strict=True))


@pytest.mark.long
def test_a_file_that_a_worker_does_not_have_is_one_line(executor):
    with pytest.raises(AeError) as raised:
        list(executor.run([task("a", "data.train=/nowhere/images.npy")]))
    assert str(raised.value).startswith("worker tcp://127.0.0.1:")
    assert "/nowhere/images.npy: " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.long
def test_a_worker_of_several_threads_is_refused():
    from distributed import LocalCluster

    from aecli.studies.executors.dask_study import DaskExecutor

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0") as local,
        connected(local.scheduler_address, print) as cluster,
        pytest.raises(AeError, match=r"worker tcp://127.*: runs 2 tasks side by side: start it with --nthreads 1"),
    ):
        list(DaskExecutor(cluster).run([task("a")]))


@pytest.mark.long
def test_a_scheduler_without_workers_says_so_and_is_left_after_a_while():
    from distributed import LocalCluster

    said = []
    with LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as local:
        address = local.scheduler_address
        with pytest.raises(AeError) as raised, connected(address, said.append, patience=1):
            pass
    assert said == [
        f"{address}: has no workers yet: waiting for one (dask worker --nthreads 1 {address}); Ctrl-C stops"
    ]
    assert str(raised.value).startswith(f"{address}: has had no workers for 1 seconds: start some")


@pytest.mark.long
def test_pictures_decoded_by_workers_come_out_as_those_decoded_here(local_cluster, cluster, ae, digits):
    for i, digit in enumerate(digits[:1500]):
        path = Path("pictures") / "ab"[i % 2] / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digit * (255 / digit.max())).astype("uint8")).save(path)
    Path("pictures/a/0007.png").write_bytes(b"no picture")
    here = ae("import", "pictures", "--output=out.npy")
    files = [Path(name).read_bytes() for name in ("out.npy", "out.json", "out_labels.npy")]
    os.kill(next(iter(cluster.client.run(os.getpid).values())), signal.SIGKILL)
    there = ae(
        "import", "pictures", "--output=out.npy", "--overwrite", f"--scheduler={local_cluster.scheduler_address}"
    )
    assert there.exit_code == here.exit_code == 0
    assert [Path(name).read_bytes() for name in ("out.npy", "out.json", "out_labels.npy")] == files
    assert (there.stdout, there.stderr) == (here.stdout, here.stderr)
