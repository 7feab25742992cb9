"""Studies: a fair grid, runs that are trained once, failures that are counted, and a summary with known answers."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import AeError, ConfigError
from aecli.runs.config_file import change_config, load_config
from aecli.runs.provenance import run_fingerprint
from aecli.runs.run import Run
from aecli.studies.compare import NullStudyProgress, compare
from aecli.studies.config import StudyFile
from aecli.studies.executors.executor import Task, wait_for_lock
from aecli.studies.executors.processes import ProcessExecutor
from aecli.studies.plan import complete_study, plan, seeds
from aecli.studies.results import Result, read_results
from aecli.studies.study import Study
from aecli.studies.summary import summarise
from aecli.studies.tables import as_text, study_table
from aecli.training.checkpoints import read_checkpoint
from aecli.training.trainer import train
from tests.conftest import PLAIN
from tests.in_process import InProcessExecutor

IN_PROCESS = InProcessExecutor()
TINY = ("model.latent_dim=4", "training.epochs=2", "training.batch_size=256")
VARY = "study.vary={model.activation: [relu, linear]}"


class Quiet(NullStudyProgress):
    def __init__(self):
        self.events, self.there = [], None

    def planned(self, runs, results):
        self.there = len(results)

    def event(self, event, result):
        self.events.append((event.kind, event.task.folder.parent.name, event.task.config.training.seed))

    @property
    def trained(self):
        return sorted(event[1:] for event in self.events if event[0] == "done")


def run_config_of(*overrides):
    return config_of(*overrides).run_config


def config_of(*overrides):
    return load_config(None, (*TINY, *overrides), StudyFile).config


def compared(*overrides, folder="study", executor=IN_PROCESS, **options):
    """A study and what was heard of it; its runs are trained here, or with None in processes, as `ae compare` does."""
    progress = Quiet()
    return compare(config_of(*overrides), Path(folder), progress, executor=executor, **options), progress


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A complete study of two activations and two seeds; read it, never write to it."""
    folder = tmp_path_factory.mktemp("studied") / "study"
    return compare(config_of(VARY, "study.seeds=2"), folder, Quiet())


@pytest.fixture
def copied(study, tmp_path):
    import shutil

    shutil.copytree(study.study.path, tmp_path / "study")
    return Study(tmp_path / "study")


# -- the grid ------------------------------------------------------------------------------------


def test_without_anything_eight_activations_vary():
    names = [variant.name for variant in plan(config_of())]
    assert names == ["relu", "leaky_relu", "prelu", "sigmoid", "tanh", "elu", "gelu", "linear"]


def test_several_keys_make_a_grid_with_names_that_tell_them_apart():
    grid = "study.vary={model.latent_dim: [2, 4], model.hidden: [[], [9]], training.learning_rate: [1e-3]}"
    variants = plan(config_of(grid))
    assert [variant.name for variant in variants] == [
        "latent_dim=2, hidden=none, learning_rate=0.001",
        "latent_dim=2, hidden=9, learning_rate=0.001",
        "latent_dim=4, hidden=none, learning_rate=0.001",
        "latent_dim=4, hidden=9, learning_rate=0.001",
    ]
    assert [(v.config.model.latent_dim, v.config.model.hidden) for v in variants] == [
        (2, ()),
        (2, (9,)),
        (4, ()),
        (4, (9,)),
    ]


def test_an_activation_with_parameters_is_named_with_them():
    (variant,) = plan(config_of("study.vary={model.activation: [{name: leaky_relu, negative_slope: 0.3}]}"))
    assert variant.name == "leaky_relu(negative_slope=0.3)"
    assert variant.config.model.activation.parameters == {"negative_slope": 0.3}


def test_tuned_values_are_variants_of_one_row():
    variants = plan(config_of(VARY, "study.tune={learning_rate: [1e-3, 1e-2]}"))
    assert [(v.label, v.name) for v in variants[:2]] == [
        ("relu", "relu, learning_rate=0.001"),
        ("relu", "relu, learning_rate=0.01"),
    ]
    assert {v.config.training.learning_rate for v in variants} == {1e-3, 1e-2}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("study.vary={model.activaton: [relu]}", "unknown key 'model.activaton'; did you mean 'model.activation'"),
        ("study.vary={training.seed: [1, 2]}", "cannot vary"),
        ("study.vary={data.test_split: [0.0, 0.1]}", "data.test_split: belongs to all variants, it cannot vary"),
        ("study.vary={model.latent_dim: []}", "at least 1"),
        ("study.seeds=0", "> 0"),
        ("study.metric=speed", "expected one of"),
    ],
)
def test_a_wrong_study_is_refused_by_the_config(override, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        config_of(override)


def test_a_value_that_the_key_cannot_have_is_named():
    with pytest.raises(ConfigError, match=r"study: model.latent_dim=0: expected a number > 0"):
        plan(config_of("study.vary={model.latent_dim: [4, 0]}"))


def test_a_variant_named_twice_is_refused():
    with pytest.raises(AeError, match="relu is there twice"):
        plan(config_of("study.vary={model.activation: [relu, relu]}"))


def test_the_seed_decides_split_weights_and_order_unless_the_split_is_fixed():
    (variant, _) = plan(config_of(VARY, "training.seed=7"))
    assert list(seeds(config_of("study.seeds=3", "training.seed=7"))) == [7, 8, 9]
    assert variant.at(9).training.seed == variant.at(9).split_seed == 9
    (fixed, _) = plan(config_of(VARY, "training.seed=7", "study.split=fixed"))
    assert (fixed.at(9).training.seed, fixed.at(9).split_seed) == (9, 7)


def test_the_identity_of_a_run_is_what_its_result_depends_on():
    data = {"data": {"sha256": "a"}, "test": None}
    default = run_fingerprint(run_config_of(), data)
    same = run_config_of("data.memory_budget=100", "study.seeds=9", "model.activation=relu")
    assert default == run_fingerprint(same, data)
    assert default != run_fingerprint(run_config_of("training.seed=1"), data)
    assert default != run_fingerprint(run_config_of("data.validation_split=0.2"), data)
    assert default != run_fingerprint(run_config_of(), {**data, "data": {"sha256": "b"}})


# -- the runs ------------------------------------------------------------------------------------


def test_every_run_is_what_training_its_config_alone_gives(study):
    """Also for the seeds that took over a compiled network."""
    for variant in plan(config_of(VARY, "study.seeds=2")):
        run = study.study.run(variant, 1)
        alone = train(load_config(run.config_file).config, Path("alone"), overwrite=True)
        test, again = alone.metrics["splits"]["test"], run.metrics["splits"]["test"]
        assert test["model"] == again["model"]
        assert test["pca"] == pytest.approx(again["pca"], rel=1e-6)  # eigenvectors differ with BLAS's threads
        assert [r.loss for r in alone.history] == [r.loss for r in run.history]
        assert alone.environment["identity"] == run.environment["identity"]


def test_variants_share_the_split_of_a_seed_and_seeds_do_not(study):
    relu, linear = plan(config_of(VARY))
    splits = {(v.name, s): study.study.run(v, s).split for v in (relu, linear) for s in (0, 1)}
    for part in ("train", "validation", "test"):
        same = [getattr(splits[name, 0], part) for name in ("relu", "linear")]
        np.testing.assert_array_equal(*same)
        assert not np.array_equal(getattr(splits["relu", 0], part), getattr(splits["relu", 1], part))
    parts = [getattr(splits["relu", 0], part) for part in ("train", "validation", "test")]
    assert sorted(np.concatenate(parts)) == list(range(1797))


def test_the_folder_holds_the_table_the_summary_and_the_config(study):
    assert read_results(study.study.results_file) == list(study.results)
    assert len(study.results) == 4
    summary = json.loads(study.study.summary_file.read_text())
    assert summary["verdict"] == study.summary.verdict
    assert load_config(study.study.config_file, (), StudyFile).config.study.vary == {
        "model.activation": ("relu", "linear")
    }


def test_nothing_complete_is_trained_twice_and_more_seeds_only_add(copied):
    (_, progress) = compared(VARY, "study.seeds=2")
    assert (progress.trained, progress.there) == ([], 4)
    (more, progress) = compared(VARY, "study.seeds=3")
    assert progress.trained == [("linear", 2), ("relu", 2)]
    assert len(more.results) == 6
    (fewer, progress) = compared("study.vary={model.activation: [tanh, relu]}", "study.seeds=1")
    assert progress.trained == [("tanh", 0)]
    assert [r.variant for r in fewer.results] == ["tanh", "relu"]


def test_a_run_cut_short_is_trained_again(copied):
    relu, _ = plan(config_of(VARY))
    copied.run(relu, 1).metrics_file.unlink()
    _, progress = compared(VARY, "study.seeds=2", executor=None)
    assert progress.trained == [("relu", 1)]
    machines = [copied.run(relu, seed).environment["machine"] for seed in (0, 1)]
    assert machines[0] == machines[1]


def test_runs_of_another_config_or_other_images_are_refused(copied, digits):
    with pytest.raises(AeError, match="another config"):
        compared(VARY, "study.seeds=2", "training.epochs=3")
    np.save("other.npy", digits[:500])
    with pytest.raises(AeError, match="other images"):
        compared(VARY, "study.seeds=2", "data.train=other.npy")
    _, progress = compared(VARY, "study.seeds=2", "training.epochs=3", overwrite=True)
    assert len(progress.trained) == 4


def test_a_folder_of_other_files_is_not_taken_for_a_study():
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    with pytest.raises(AeError, match="not a study"):
        compared(folder="mine")
    assert Path("mine/thesis.txt").read_text() == "years of work"


def test_a_run_that_fails_does_not_stop_the_others_and_its_second_failure_is_final():
    vary = "study.vary={training.optimizer: [{name: sgd, momentum: 0.9}], training.learning_rate: [1e-2, 1e5]}"
    (result, progress) = compared(vary, "study.seeds=1", "model.output_activation=linear")
    states = {r.variant.rpartition("=")[2]: r.state for r in result.results}
    assert states["100000"] == "failed" != states["0.01"]
    assert [kind for kind, _, _ in progress.events].count("retried") == 1
    failed = next(r for r in result.results if r.state == "failed")
    assert "the loss became" in failed.reason
    assert [row.counts.get("failed", 0) for row in result.summary.rows].count(1) == 1
    _, again = compared(vary, "study.seeds=1", "model.output_activation=linear")
    assert again.events == []


@pytest.mark.parametrize(
    ("vary", "states", "reason"),
    [
        # TensorFlow waits ten seconds for the memory at each of four attempts.
        pytest.param(
            "model.hidden: [[], [1, 1000000, 1000000]]", ["complete", "failed"], "do not fit in memory",
            marks=pytest.mark.long,
        ),
        ("training.learning_rate: [0.001, 0.01]", ["failed", "failed"], "need at least 3"),
    ],
)  # fmt: skip
def test_a_run_that_fails_before_it_begins_is_counted_and_can_be_trained_anew(vary, states, reason, digits):
    """Its weights fit nowhere, or its images are too few to split, so it fails before its folder is made."""
    np.save("two.npy", digits[:2])
    keys = (f"study.vary={{{vary}}}", "study.seeds=1", *(["data.train=two.npy"] if "rate" in vary else []))
    result, _ = compared(*keys)
    assert [r.state for r in result.results] == states
    assert reason in result.results[1].reason
    assert Run(Path("study") / result.results[1].run).begun
    again, progress = compared(*keys, overwrite=True)
    assert again.results == result.results
    assert [kind for kind, _, _ in progress.events].count("failed") == states.count("failed")


def test_a_run_that_fails_in_the_place_of_a_former_one_has_not_its_numbers(copied, digits):
    """It fails before its folder is made anew: two images are too few to split."""
    np.save("two.npy", digits[:2])
    run = Run(Path("study/runs/relu/0"))
    assert run.state == "complete"
    only = "study.vary={model.activation: [relu]}"
    result, _ = compared(only, "study.seeds=1", "data.train=two.npy", overwrite=True)
    assert (result.results[0].state, result.results[0].value("mse"), run.state) == ("failed", None, "failed")


def test_a_network_that_learned_nothing_is_counted_as_collapsed():
    result, _ = compared(*PLAIN, "study.vary={training.learning_rate: [1e-9]}", "study.seeds=1")
    (run,) = result.results
    assert (run.state, run.metrics["fvu"] > 0.95) == ("collapsed", True)
    assert run.reason
    assert result.summary.best is None


def task(name, *overrides):
    config = load_config(None, (*TINY, "data.test_split=0.1", *overrides)).config
    return Task(name, config, Path(name).absolute(), name)


def test_tasks_trained_here_tell_what_those_of_a_worker_tell():
    """What tests train in their own process stands for what a study does."""
    diverging = ("training.optimizer=sgd", "training.learning_rate=1e5", "model.output_activation=linear")
    told = []
    for executor, folder in ((InProcessExecutor(), "here"), (ProcessExecutor(1, 1), "worker")):
        tasks = [
            task("well"), task("diverging", *PLAIN, *diverging), task("idle", *PLAIN, "training.learning_rate=1e-9"),
            task("well", "training.seed=1"), task("idle", *PLAIN, "training.seed=1", "training.learning_rate=1e-9"),
        ]  # fmt: skip
        tasks = [replace(each, folder=Path(f"{folder}/{i}").absolute()) for i, each in enumerate(tasks)]
        events = list(executor.run(tasks))
        told.append([(e.kind, e.task.name, e.task.folder.name, e.record and e.record.loss, e.reason) for e in events])
    assert told[0] == told[1]
    assert {kind for kind, *_ in told[0]} == {"started", "epoch", "collapsed", "done", "retried", "failed"}


def test_a_worker_that_dies_is_replaced_and_its_run_tried_once_more():
    killed, kinds = 0, []
    for event in ProcessExecutor(1, 1).run([task("victim", "training.epochs=100000"), task("bystander")]):
        kinds.append((event.kind, event.task.name))
        if event.kind == "epoch" and event.task.name == "victim" and kinds[-2][0] == "started":
            (child,) = [c for c in multiprocessing.active_children() if c.is_alive()]
            os.kill(child.pid, signal.SIGKILL)
            killed += 1
        reason = event.reason
        if event.kind == "failed":
            assert "signal 9" in reason
    assert killed == 2
    kinds = [kind for kind in kinds if kind[0] != "epoch"]
    assert kinds.count(("retried", "victim")) == kinds.count(("failed", "victim")) == 1
    assert ("done", "bystander") in kinds
    assert Run(Path("bystander")).state == "complete"


@pytest.mark.long
@pytest.mark.parametrize("kills", [1, 2])
def test_a_worker_that_dies_before_it_has_a_run_is_replaced_once(kills):
    killed = set()

    def kill() -> None:
        while len(killed) < kills:
            for child in multiprocessing.active_children():
                if child.pid not in killed:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.add(child.pid)
            time.sleep(0.01)

    killing = threading.Thread(target=kill)
    killing.start()
    if kills == 1:
        assert "done" in [event.kind for event in ProcessExecutor(1, 1).run([task("only")])]
    else:
        with pytest.raises(AeError, match=r"a worker process could not start \(signal 9\)"):
            list(ProcessExecutor(1, 1).run([task("only")]))
    killing.join()


@pytest.mark.long
def test_a_study_that_is_told_to_stop_keeps_a_checkpoint_of_every_run_in_training():
    options = ["--workers=2", "--seeds=1", "--activations=relu,linear", "--output=study"]
    sets = [f"--set={key}" for key in (*TINY[::2], "training.epochs=1000000", "training.checkpoint_seconds=0")]
    process = subprocess.Popen(
        [sys.executable, "-m", "aecli.cli.main", "compare", *options, *sets], stderr=subprocess.PIPE, text=True
    )
    while len(list(Path("study").glob("runs/*/0/checkpoint-*.npz"))) < 3 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 143
    assert said.endswith("stopped: study keeps what was trained; the same command goes on from there\n")
    for name in ("relu", "linear"):
        run = Run(Path("study/runs") / name / "0")
        assert run.state == "interrupted"
        assert read_checkpoint(run.checkpoint_files[-1]).records == tuple(run.history)
    assert [result.state for result in read_results(Path("study/results.csv"))] == ["missing", "missing"]


def test_a_study_in_work_is_refused_to_another_process(copied, ae):
    Path("defaults.yaml").write_text("{}")
    command = ["compare", "--config=defaults.yaml", "--output=study", "--activations=relu,linear", "--seeds=2"]
    command += [f"--set={key}" for key in TINY]
    with copied.locked(config_of(VARY)):
        done = ae(*command)
    assert done.exit_code == 1
    assert f"study: is being trained by process {os.getpid()} since 20" in done.stderr
    assert done.stderr.endswith("give another --output\n")
    assert ae(*command).exit_code == 0


def test_a_study_waits_for_a_run_that_another_process_holds_for_a_moment():
    """As the workers of a study that was killed do, for their checkpoints."""
    run = Run(Path("study/runs/relu/0"))

    class Begun(Quiet):
        def event(self, event, result):
            super().event(event, result)
            begun.set()

    def hold() -> None:
        with run.locked():
            held.set()
            begun.wait()
            time.sleep(2)

    held, begun, progress = threading.Event(), threading.Event(), Begun()
    holding = threading.Thread(target=hold)
    holding.start()
    held.wait()
    Path("study/study.yaml").touch()
    config = config_of("study.vary={model.activation: [relu]}", "study.seeds=1")
    result = compare(config, Path("study"), progress, executor=IN_PROCESS)
    holding.join()
    assert progress.trained == [("relu", 0)]
    assert result.results[0].state != "failed"


def test_a_worker_asks_again_until_the_other_process_lets_go():
    run, asked = Run(Path("a")), []

    def train() -> None:
        asked.append(len(asked))
        if len(asked) == 3:
            other.close()
        with run.locked():
            pass

    with ExitStack() as other:
        other.enter_context(run.locked())
        wait_for_lock(train)
    assert asked == [0, 1, 2]


@pytest.mark.long
def test_a_killed_study_leaves_no_process_and_goes_on_where_it_was():
    arguments = ["compare", "--output", "study", "--seeds", "2", "--activations", "relu,linear", "--workers", "1"]
    command = [sys.executable, "-m", "aecli.cli.main", *arguments, *(f"--set={key}" for key in TINY)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    first = next(line for line in process.stderr if line.startswith("1/4"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split() if children.is_file() else []
    process.kill()
    process.wait()
    assert "relu, seed 0" in first
    while any(Path(f"/proc/{pid}").is_dir() and "Z" not in state_of(pid) for pid in workers):
        time.sleep(0.1)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    there = int(next(line for line in done.stderr.splitlines() if "are there already" in line).split()[0])
    assert 1 <= there < 4
    subprocess.run([*command, "--output", "whole"], capture_output=True, check=True)
    assert measured("study") == measured("whole")
    assert not list(Path("study").rglob(".*"))


def measured(folder):
    """The results of a study of four runs, without the seconds they took."""
    results = read_results(Path(folder) / "results.csv")
    assert len(results) == 4
    return [replace(result, seconds=None) for result in results]


def state_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


# -- the summary ---------------------------------------------------------------------------------


def results_of(table):
    """Results with these test mse's: {row: [mse by seed]}, None for a failed run."""
    rows = []
    for row, values in table.items():
        for seed, value in enumerate(values):
            failed = Result(
                row, row, seed, "failed", "out of luck", latent_dim=8,
                baselines={"pca": {"mse": 0.5}, "mean_image": {"mse": 1.0}},
            )  # fmt: skip
            well = replace(failed, state="complete", reason=None, metrics={"mse": value}, validation_mse=value)
            rows.append(failed if value is None else well)
    return rows


NOISE = np.array([0.0, 0.1, -0.1, 0.05, -0.05, 0.02]) / 100


def test_the_verdict_names_who_is_best_who_is_worse_and_pca():
    summary = summarise(results_of({"worse": 0.3 + NOISE, "best": 0.1 + NOISE, "middle": 0.2 - NOISE}))
    assert (summary.best, summary.tied) == ("best", ("best",))
    assert summary.verdict.startswith("best reconstructs these images best, with mse 0.1 [")
    assert "worse is worst, by 0.2" in summary.verdict
    assert "PCA with the same code length: 0.5." in summary.verdict


def test_variants_that_the_seeds_cannot_tell_apart_are_named_together():
    twin = 0.1 + np.roll(NOISE, 1)
    summary = summarise(results_of({"one": 0.1 + NOISE, "other": twin, "worse": 0.3 + NOISE}))
    assert set(summary.tied) == {"one", "other"}
    assert "reconstruct these images best; these 6 seeds cannot tell them apart" in summary.verdict
    assert "worse is worse by 0.2" in summary.verdict
    assert f"apart; 80 % of such studies would show {summary.shown_from:.3g})" in summary.verdict
    assert "would)" not in summary.verdict


def test_the_worst_is_named_only_where_it_is_shown_to_be_worse_than_the_next():
    table = {"best": 0.1 + NOISE, "second": 0.3 + NOISE, "third": 0.3 + np.roll(NOISE, 1)}
    summary = summarise(results_of(table))
    assert summary.worst is None
    assert "worst" not in summary.verdict
    assert f"2 are worse, {summary.rows[-1].name} by 0.2" in summary.verdict.replace("0.199", "0.2")


def test_a_seed_far_from_the_others_is_said_of_all_intervals():
    noise = np.array([0.001, -0.001, 0.002, -0.002, 0.0005, 0.2])
    summary = summarise(results_of({"odd": 0.1 + noise, "even": 0.1 + NOISE}))
    assert summary.far_seeds == ("odd",)
    assert summary.caveat.startswith("one seed of odd lies far from its others")
    assert summarise(results_of({"a": 0.1 + NOISE, "b": 0.2 + NOISE})).caveat == ""


def test_failed_runs_are_counted_and_left_out_of_the_mean():
    summary = summarise(results_of({"a": [0.1, 0.2, None], "b": [0.3, 0.3, 0.3]}))
    row = next(row for row in summary.rows if row.name == "a")
    assert row.counts == {"complete": 2, "failed": 1}
    assert row.mean.estimate == pytest.approx(0.15)
    assert row.reasons == ("out of luck",)
    assert "a (1 of 3 runs) failed" in summary.verdict


def test_nothing_complete_is_a_verdict_too():
    summary = summarise(results_of({"a": [None, None]}))
    assert summary.verdict == "No variant has a complete run: out of luck."
    json.dumps(summary.to_json(), allow_nan=False)


def test_a_variant_takes_the_tuned_value_that_its_validation_images_prefer():
    liked = [replace(r, label="a", validation_mse=0.1) for r in results_of({"a, slow": [0.9, 0.9]})]
    lucky = [replace(r, label="a", validation_mse=0.2) for r in results_of({"a, fast": [0.1, 0.1]})]
    (row,) = summarise(lucky + liked).rows
    assert (row.name, row.variant, row.mean.estimate) == ("a", "a, slow", pytest.approx(0.9))


def test_a_higher_psnr_is_better():
    results = [
        replace(r, metrics={"psnr": 100 * r.metrics["mse"]}, baselines={"pca": {"psnr": 3.0}})
        for r in results_of({"a": 0.1 + NOISE, "b": 0.3 + NOISE})
    ]
    assert summarise(results, "psnr").best == "b"


def test_the_curve_over_the_code_length_has_pca_under_it_and_a_knee():
    lengths = {2: 0.9, 4: 0.3, 8: 0.25, 16: 0.2}
    results = [
        replace(r, latent_dim=k, baselines={**r.baselines, "pca": {"mse": mse + 0.05}})
        for k, mse in lengths.items()
        for r in results_of({f"latent_dim={k}": mse + NOISE})
    ]
    summary = summarise(results)
    assert [point.latent_dim for point in summary.curve] == [2, 4, 8, 16]
    assert all(point.pca == pytest.approx(point.mean + 0.05, abs=1e-3) for point in summary.curve)
    assert summary.knee == 4
    assert "Code lengths beyond 4 (mse 0.3, PCA 0.35) gain less and less" in summary.verdict.replace("; code", ". Code")
    assert len(summary.baselines) == 5


def test_variants_with_commas_in_their_names_stay_apart_in_the_verdict():
    names = [f"relu, latent_dim={k}" for k in (2, 4, 8)]
    summary = summarise(results_of({name: 0.1 + NOISE * (1 + i) for i, name in enumerate(names)}))
    assert "relu, latent_dim=2; relu, latent_dim=4; and relu, latent_dim=8" in summary.verdict


def test_the_verdict_names_a_few_of_many_variants_and_says_when_pca_does_better():
    results = results_of({f"v{i:02}": 0.1 + NOISE * (1 + i) for i in range(20)})
    verdict = summarise([replace(result, baselines={"pca": {"mse": 0.01}}) for result in results]).verdict
    assert "v07 and 12 more" in verdict
    assert "PCA with the same code length does better: 0.01" in verdict


@pytest.mark.parametrize("table_format", ["md", "latex", "csv"])
def test_tables_hold_every_variant_and_baseline(table_format):
    table = study_table(summarise(results_of({"a_b": 0.1 + NOISE, "c|d": [0.3, 0.2, None]})))
    text = as_text(table, table_format)
    for name in ("a_b", "c|d", "PCA-8", "mean image", "1 failed"):
        wanted = {"md": name.replace("|", r"\|"), "latex": name.replace("_", r"\_"), "csv": name}[table_format]
        assert wanted in text
    assert len({len(row) for row in table}) == 1


# -- the command ---------------------------------------------------------------------------------


def test_ae_compare_prints_the_table_and_the_verdict(ae):
    sets = [part for key in TINY for part in ("--set", key)]
    done = ae("compare", "--activations", "relu,linear", "--seeds", "2", *sets)
    assert done.exit_code == 0, done.output
    assert "PCA-4" in done.stdout
    assert "mean image" in done.stdout
    assert Path("studies/digits/results.csv").is_file()
    again = ae("compare", "--activations", "relu,linear", "--seeds", "2", *sets, "--json")
    assert json.loads(again.stdout)["verdict"] in done.stdout
    table = ae("compare", "--activations", "relu,linear", "--seeds", "2", *sets, "--table", "md", "--quiet")
    assert table.stdout.startswith("| variant |")
    assert table.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "model.latent_dim"], "--vary model.latent_dim: expected KEY=A,B"),
        (["--vary", "model.latent_dm=8"], "unknown key 'model.latent_dm'; did you mean 'model.latent_dim'"),
        (["--activations", "relu,rellu"], "rellu"),
        (["missing.npy"], "missing.npy: no such file"),
    ],
)
def test_ae_compare_refuses_in_one_line_before_training(ae, arguments, message):
    done = ae("compare", *arguments)
    assert done.exit_code == 1
    assert message in done.stderr
    assert not Path("studies").exists()


def test_variants_of_augmentation_and_corruption_have_readable_names_and_folders():
    values = {"training.corruption": [None, {"gaussian": 0.2}], "data.augment": [None, {"shift": 0.1, "flip": "both"}]}
    config = change_config(load_config(None, TINY, StudyFile).config, {"study.vary": values}, "test")
    names = [variant.name for variant in plan(config)]
    assert names[0] == "corruption=null, augment=null"
    assert names[3] == "corruption={gaussian: 0.2}, augment={shift: 0.1, flip: both}"
    assert (
        Study(Path("s")).run(plan(config)[3], 0).path.parent.name
        == "corruption=_gaussian_0.2_augment=_shift_0.1_flip_both"
    )


def test_what_learned_nothing_is_named_as_that_and_the_worst_is_of_those_that_learned():
    table = {"best": 0.1 + NOISE, "slow": 0.3 + NOISE, "dead": [None] * 6}
    results = [replace(r, state="collapsed") if r.label == "dead" else r for r in results_of(table)]
    verdict = summarise(results).verdict
    assert "slow is worse by 0.2" in verdict
    assert verdict.endswith("dead (6 of 6 runs) learned nothing.")
    more = {**table, "slower": 0.5 + NOISE}
    results = [replace(r, state="collapsed") if r.label == "dead" else r for r in results_of(more)]
    assert "slower is worst of those that learned, by 0.4" in summarise(results).verdict


def test_a_study_that_was_cut_short_says_that_its_order_may_change():
    results = results_of({"a": 0.100 + NOISE, "b": 0.102 + NOISE})
    cut = [replace(r, falling=0.05) for r in results]
    assert "training was cut short: the order may change" in summarise(cut).verdict
    assert "cut short" not in summarise([replace(r, falling=0.01) for r in results]).verdict
    assert "cut short" not in summarise(results).verdict


def test_fewer_than_five_seeds_give_no_interval_of_a_mean():
    (row, _) = summarise(results_of({"a": 0.1 + NOISE[:4], "b": 0.2 + NOISE[:4]})).rows
    assert np.isnan([row.mean.low, row.mean.high]).all()
    (row, _) = summarise(results_of({"a": 0.1 + NOISE[:5], "b": 0.2 + NOISE[:5]})).rows
    assert row.mean.low < row.mean.estimate < row.mean.high


def test_a_study_without_a_grid_writes_down_the_activations_that_it_compares():
    study = complete_study(config_of())
    assert study.study.vary == {
        "model.activation": ("relu", "leaky_relu", "prelu", "sigmoid", "tanh", "elu", "gelu", "linear")
    }
    assert [v.label for v in plan(study)] == [v.label for v in plan(config_of())]
    assert complete_study(config_of(VARY)).study.vary == config_of(VARY).study.vary
