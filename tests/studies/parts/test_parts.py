"""Parts of a study: shares of its plan that need not know of each other, and together are what one command trains."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from aecli.core.errors import AeError
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.studies.compare import NullStudyProgress, compare, train_part
from aecli.studies.config import StudyFile
from aecli.studies.executors import executor
from aecli.studies.executors.processes import ProcessExecutor
from aecli.studies.parts.part import Part, parse_part
from aecli.studies.parts.status import study_status
from aecli.studies.plan import complete_study, plan, planned_runs
from aecli.studies.study import Study
from aecli.training.checkpoints import read_checkpoint
from tests.in_process import InProcessExecutor

IN_PROCESS = InProcessExecutor()
CONFIG = """\
model: {hidden: [], latent_dim: 4}
training: {epochs: 30, batch_size: 64, checkpoint_seconds: 0}
study: {vary: {model.activation: [relu, linear]}, seeds: 2}
"""
QUICK = ("training.epochs=1", "training.checkpoint_seconds=30")


class Quiet(NullStudyProgress):
    def __init__(self):
        self.events, self.notes = [], []

    def note(self, message):
        self.notes.append(message)

    def event(self, event, result):
        self.events.append(event)

    @property
    def trained(self):
        return sorted((e.task.name, e.task.config.training.seed) for e in self.events if e.kind == "done")


def config_of(*overrides):
    Path("tiny.yaml").write_text(CONFIG)
    return load_config(Path("tiny.yaml"), (*QUICK, *overrides), StudyFile).config


def part_of(text, *overrides, folder="study", **options):
    """Train a part in this process; return what was heard of it."""
    progress = Quiet()
    options = {"executor": IN_PROCESS, **options}
    train_part(config_of(*overrides), Path(folder), parse_part(text), progress, **options)
    return progress


def rows_of(folder):
    """The rows of a study's table, as they are written, without the seconds."""
    with (Path(folder) / "results.csv").open(newline="") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def hashes_of(folder):
    """The hashes of the weights of every complete run."""
    files = Path(folder).glob("runs/*/*/metrics.json")
    return {str(file.relative_to(folder)): json.loads(file.read_text())["weights_sha256"] for file in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study of four runs that one command has trained; read it, never write to it."""
    os.chdir(tmp_path_factory.mktemp("whole"))
    compare(config_of(), Path("study"), Quiet(), executor=IN_PROCESS)
    return Path("study").absolute()


@pytest.fixture
def study(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "study")
    return Study(Path("study"))


# -- shares --------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2, 3, 8])
@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 7, 16, 50])
def test_shares_are_contiguous_disjoint_everything_and_even(groups, members, parts):
    all_groups = [[(group, member) for member in range(members)] for group in range(groups)]
    shares = [Part(number, parts).share(all_groups) for number in range(1, parts + 1)]
    assert [run for share in shares for run in share] == [run for group in all_groups for run in group]
    sizes = [len(share) for share in shares]
    unit = members if parts <= groups else 1
    assert max(sizes) - min(sizes) <= unit
    if parts <= groups:  # each group is in one part
        assert sum(len({group for group, _ in share}) for share in shares) == groups


@pytest.mark.parametrize(
    "text", ["5/4", "0/4", "x", "1/0", "0/0", "", "1", "/4", "1/", "-1/4", "1/4/4", "1.0/4", " 1/4", "١/٤"]
)
def test_what_is_no_part_is_a_wrong_use(ae, text):
    with pytest.raises(ValueError, match="is not I/N"):
        parse_part(text)
    done = ae("compare", f"--part={text}")
    assert done.exit_code == 2
    assert "is not I/N with I from 1 to N" in done.stderr
    assert not Path("studies").exists()


@pytest.mark.parametrize("option", ["--part=1/2", "--status"])
def test_a_part_and_a_status_have_no_table_of_the_study(ae, option):
    done = ae("compare", option, "--table=md")
    assert (done.exit_code, "--table" in done.stderr) == (2, True)


def test_a_part_is_cut_from_the_plan_and_not_from_what_is_missing(study):
    shutil.rmtree("study/runs/relu/0")
    shutil.rmtree("study/runs/linear")
    assert part_of("2/4").trained == []
    assert part_of("1/2").trained == [("relu", 0)]


# -- together they are one study -----------------------------------------------------------------


def test_parts_in_any_order_give_the_table_of_one_command(whole):
    for text in ("3/3", "2/3", "1/3"):
        part_of(text)
        assert not Path("study/results.csv").exists()
    result = compare(config_of(), Path("study"), progress := Quiet(), executor=IN_PROCESS)
    assert progress.trained == []
    assert rows_of("study") == rows_of(whole)
    assert hashes_of("study") == hashes_of(whole)
    assert json.loads((whole / "summary.json").read_text())["verdict"] == result.summary.verdict
    assert Path("study/study.yaml").read_bytes() == (whole / "study.yaml").read_bytes()


def test_the_command_without_a_part_trains_what_is_left(whole):
    part_of("1/2")
    assert compare(config_of(), Path("study"), progress := Quiet(), executor=IN_PROCESS)
    assert progress.trained == [("linear", 0), ("linear", 1)]
    assert rows_of("study") == rows_of(whole)


def test_a_part_beyond_the_last_run_has_nothing_to_do(ae):
    Path("tiny.yaml").write_text(CONFIG)
    done = ae("compare", "--config=tiny.yaml", "--output=study", "--part=1/9")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "study, part 1/9: no run, there are more parts than runs\n"
    assert not Path("study/runs").exists()


@pytest.mark.parametrize(
    "changes",
    [["training.epochs=3"], ["study.metric=ssim"], ["study.seeds=1"], ["study.vary={model.activation: [relu, tanh]}"]],
)
def test_a_part_of_another_study_is_refused(study, ae, changes):
    config_of()
    done = ae(
        "compare",
        "--config=tiny.yaml",
        *(f"--set={key}" for key in (*QUICK, *changes)),
        "--output=study",
        "--part=1/2",
        "-q",
    )
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("ae: study/study.yaml: is the config of another study than this part's: give all parts")
    assert study.config == complete_study(config_of())


def test_a_part_with_more_seeds_adds_them_and_what_the_table_lacks_is_read_from_the_runs(study):
    before = study.results()
    assert part_of("1/2", "study.seeds=3").trained == [("relu", 2)]
    assert study.config.study.seeds == 3
    assert [(r.variant, r.seed, r.state) for r in study.results()] == [
        ("relu", 0, "complete"), ("relu", 1, "complete"), ("relu", 2, "complete"),
        ("linear", 0, "complete"), ("linear", 1, "complete"), ("linear", 2, "missing"),
    ]  # fmt: skip
    assert [r for r in study.results() if r.seed < 2] == before


def test_a_part_that_is_to_overwrite_begins_another_study(study):
    assert part_of("1/2", "training.epochs=2", overwrite=True).trained == [("relu", 0), ("relu", 1)]
    assert study.config.training.epochs == 2
    assert not study.results_file.exists()


def test_a_part_is_refused_by_other_files_but_not_by_what_another_part_has_just_begun():
    Path("study/plots").mkdir(parents=True)
    Path("study/.study-01234567.yaml").touch()
    Path("study/.lock").touch()
    Study(Path("study")).join(complete_study(config_of()))
    Path("mine").mkdir()
    Path("mine/thesis.txt").touch()
    with pytest.raises(AeError, match="mine: is a folder of other files, not a study"):
        part_of("1/2", folder="mine")


def joined(barrier, folder, config):
    barrier.wait(300)
    for number in range(20):
        Study(Path(folder) / str(number)).join(config)


def test_parts_may_begin_at_the_same_instant_in_an_empty_folder():
    context, config = multiprocessing.get_context("spawn"), complete_study(config_of())
    barrier = context.Barrier(4)
    parts = [context.Process(target=joined, args=(barrier, "many", config)) for _ in range(4)]
    for part in parts:
        part.start()
    for part in parts:
        part.join(300)
    assert [part.exitcode for part in parts] == [0, 0, 0, 0]
    assert len({path.read_bytes() for path in Path("many").glob("*/study.yaml")}) == 1
    assert not list(Path("many").rglob(".*"))


def test_a_run_that_another_process_has_trained_meanwhile_is_not_trained_again(study):
    """Also where a run was missing when the study began."""
    [*_, last] = [study.run(*run) for run in planned_runs(study.config)]
    metrics = last.metrics_file.read_bytes()
    last.metrics_file.unlink()
    waiting = InProcessExecutor()
    waiting.run = lambda tasks: (last.metrics_file.write_bytes(metrics), IN_PROCESS.run(tasks))[1]
    written = last.model_file.stat().st_mtime_ns
    result = compare(config_of(), Path("study"), progress := Quiet(), executor=waiting)
    assert progress.trained == [("linear", 1)]
    assert [e.kind for e in progress.events] == ["started", "done"]
    assert result.results[-1].state == "complete"
    assert last.model_file.stat().st_mtime_ns == written


def test_a_run_that_a_part_trains_ends_the_command_that_sums_up_with_its_name(study, monkeypatch, ae):
    monkeypatch.setattr(executor, "SECONDS_TO_END", 0)
    run = study.run(plan(study.config)[0], 0)
    run.metrics_file.unlink()
    with run.locked(), pytest.raises(AeError) as refused:
        compare(config_of(), Path("study"), Quiet(), executor=IN_PROCESS)
    assert str(refused.value).startswith(f"{run.path}: is being trained by process {os.getpid()} since ")
    assert str(refused.value).endswith("the same command goes on with what is not finished")
    compare(config_of(), Path("study"), Quiet(), executor=IN_PROCESS)
    assert study.results()[0].state == "complete"


# -- how far it is -------------------------------------------------------------------------------


@pytest.fixture
def halfway(study):
    """A study with a run in each state, but for the one in training."""
    relu, linear = plan(study.config)
    study.run(relu, 1).metrics_file.unlink()
    study.run(relu, 1).write_failure("failed", "out of luck", 3, attempts=2)
    shutil.rmtree(study.run(linear, 0).path)
    study.run(linear, 1).metrics_file.unlink()
    study.results_file.unlink()
    return study


def test_the_status_says_of_every_run_whether_it_is_complete_in_training_failed_or_missing(halfway, ae):
    linear = halfway.run(plan(halfway.config)[1], 1)
    with linear.locked(), halfway.locked(halfway.config):  # it waits for no lock
        done = ae("compare", "--output=study", "--status")
        as_json = json.loads(ae("compare", "--output=study", "--status", "--json").stdout)
        part = ae("compare", "--output=study", "--status", "--part=2/2", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()[:3]] == [
        ["variant", "complete", "training", "failed", "missing"], ["relu", "0", "1"], ["linear", "1", "0"],
    ]  # fmt: skip
    assert done.stdout.splitlines()[3] == "study: 1 of 4 runs complete, 1 training, 1 failed, 1 missing"
    assert done.stderr == "relu, seed 1: failed: out of luck\n"
    assert [run["state"] for run in as_json["runs"]] == ["complete", "failed", "missing", "training"]
    assert as_json["counts"] == dict.fromkeys(("complete", "failed", "missing", "training"), 1)
    assert as_json["runs"][0]["run"] == "runs/relu/0"
    assert part.stdout.splitlines()[-1] == "study, part 2/2: 0 of 2 runs complete, 1 training, 1 missing"
    assert part.stderr == ""
    assert [run.state for run in study_status(halfway).runs] == ["complete", "failed", "missing", "missing"]


def test_the_status_of_no_study_is_one_line(ae):
    done = ae("compare", "nowhere.npy", "--status")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("ae: studies/nowhere: is not the folder of a study")
    assert not Path("studies").exists()


def test_the_page_of_a_study_in_parts_has_what_is_there(halfway, ae):
    done = ae("report", "study")
    assert done.exit_code == 0, done.stderr
    page = Path("study/report.html").read_text()
    assert "Of 4 runs 1 failed and 2 missing" in page
    assert "out of luck" in page
    assert not halfway.results_file.exists()


# -- threads -------------------------------------------------------------------------------------


def test_runs_of_other_thread_counts_are_named_by_all_that_sums_up(study, ae):
    def train_with(run, threads):
        run.write_environment({**run.environment, "machine": {**run.environment["machine"], "threads": threads}})

    command = ["compare", "--config=tiny.yaml", *(f"--set={key}" for key in QUICK), "--output=study"]
    config_of()
    for run in (study.run(*each) for each in planned_runs(study.config)):
        train_with(run, 1)
    equal = ae(*command), ae("compare", "--output=study", "--status")
    assert not any("threads:" in done.output for done in equal)
    assert "threads" not in json.loads(study.summary_file.read_text())
    train_with(study.run(plan(study.config)[1], 0), 8)
    line = "threads: 3 of 4 runs were trained with 1, but linear, seed 0 (8): the last bits of their results may differ"
    assert line in ae(*command).stderr.splitlines()
    assert line in ae("compare", "--output=study", "--status").stderr.splitlines()
    assert json.loads(ae("compare", "--output=study", "--status", "--json").stdout)["threads"] == line
    assert json.loads(study.summary_file.read_text())["threads"] == line


@pytest.mark.parametrize(("cores", "workers", "threads"), [("8", None, 2), ("8", 2, 4), ("2", None, 1), ("3", 8, 1)])
def test_every_part_and_the_whole_train_with_the_same_threads(monkeypatch, cores, workers, threads):
    """By the four runs of the study, however many of them a part has."""
    given = []

    class Given:
        def __init__(self, workers, threads, gpus):
            given.append(threads)

        def run(self, tasks):
            return iter(())

    monkeypatch.setenv("OMP_NUM_THREADS", cores)
    monkeypatch.setattr("aecli.studies.compare.processes", lambda memory: int(cores))  # as if memory were no matter
    monkeypatch.setattr("aecli.studies.compare.ProcessExecutor", Given)
    for text in ("1/1", "1/2", "2/4", "9/16"):
        with suppress(KeyError):  # nobody trains, so there are no results
            part_of(text, folder=text.replace("/", "of"), workers=workers, executor=None)
    assert given == [threads] * 4


# -- processes -----------------------------------------------------------------------------------


def started(*options, folder="study", **variables):
    Path("tiny.yaml").write_text(CONFIG)
    return subprocess.Popen(
        [sys.executable, "-m", "aecli", "compare", "--config=tiny.yaml", f"--output={folder}", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )  # fmt: skip


def wait_until(happened, process, seconds=300):
    """Wait until something has happened, or a process has ended without it."""
    end = time.monotonic() + seconds
    while not happened() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


def checkpoints():
    return list(Path("study").glob("runs/*/*/checkpoint-*.npz"))


def ended(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out, err


@pytest.fixture(scope="module")
def by_processes(tmp_path_factory):
    """The same study by one command that is not stopped, of more epochs; read it, never write to it."""
    os.chdir(tmp_path_factory.mktemp("by_processes"))
    ended(started())
    return Path("study").absolute()


def same(folder, other):
    assert rows_of(folder) == rows_of(other)
    assert hashes_of(folder) == hashes_of(other)
    assert not list(Path(folder).rglob(".*"))


@pytest.mark.long
def test_four_parts_at_once_give_the_bytes_of_one_command(by_processes):
    for part in [started(f"--part={number}/4") for number in range(1, 5)]:
        assert f"part {part.args[-1][-3:]}: 1 of 1 runs complete" in ended(part)[0]
    assert "4 of 4 runs are there already" in ended(started())[1]
    same("study", by_processes)


@pytest.mark.long
def test_a_part_that_is_killed_is_resumed_from_its_checkpoint_by_the_command_that_sums_up(by_processes):
    part = started("--part=2/2")
    wait_until(lambda: any(map(epochs_in, checkpoints())), part)
    os.killpg(part.pid, signal.SIGKILL)
    part.communicate()
    assert part.returncode == -signal.SIGKILL
    [killed] = {Run(path.parent) for path in checkpoints()}
    kept = max(map(epochs_in, killed.checkpoint_files))
    config = load_config(Path("tiny.yaml"), (), StudyFile).config
    compare(config, Path("study"), progress := Quiet(), executor=ProcessExecutor(1, 1))
    epochs = [e.record.epoch for e in progress.events if e.kind == "epoch" and e.task.folder == killed.path]
    assert epochs == [*range(kept + 1, 31)]
    same("study", by_processes)


def epochs_in(checkpoint):
    """How many epochs a checkpoint has behind it; 0 where the next one has taken its place."""
    with suppress(AeError):
        return len(read_checkpoint(checkpoint).records)
    return 0


@pytest.mark.long
def test_where_no_file_can_be_locked_parts_do_the_same(by_processes):
    """As `flock` answers on Lustre without its option."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler, for a flock that answers ENOSYS")
    Path("no_locks.c").write_text("#include <errno.h>\nint flock(int file, int how) { errno = ENOSYS; return -1; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", "no_locks.so", "no_locks.c"], check=True)
    preload = {"LD_PRELOAD": str(Path("no_locks.so").absolute())}
    parts = [started(f"--part={number}/2", **preload) for number in (1, 2)]
    wait_until(lambda: list(Path("study").glob("runs/*/*/.lock")), parts[0])
    out, err = ended(started("--status", **preload))
    for part in parts:
        ended(part)
    ended(started(**preload))
    same("study", by_processes)
    assert "the file system has no locks: runs in training count as missing" in err
    assert "training" in out
