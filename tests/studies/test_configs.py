"""Studies of whole configs: read once, trained on the same images, each row beside the linear codes of its own length."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import aecli
from aecli.core.errors import AeError, ConfigError
from aecli.runs.config_file import load_config, load_recorded
from aecli.runs.run import Run
from aecli.studies import study as study_module
from aecli.studies.compare import NullStudyProgress, compare
from aecli.studies.config import StudyFile, parse_configs, study_yaml
from aecli.studies.configs import load_with_configs, read_configs
from aecli.studies.costs import cost_note
from aecli.studies.plan import complete_study, plan, seeds
from aecli.studies.results import Result, read_result, read_results, results_to_csv
from aecli.studies.study import Study
from aecli.studies.summary import summarise
from aecli.studies.tables import narrow_table, study_table
from aecli.studies.verdict import which_networks
from aecli.training.prepare import open_data
from aecli.training.suggest.config import suggest_config
from tests.conftest import PLAIN
from tests.in_process import InProcessExecutor
from tests.test_seam_executor import study_of

IN_PROCESS = InProcessExecutor()
SMALL = "model: {hidden: [], latent_dim: 2}\ntraining: {epochs: 2, batch_size: 64}\n"
CONV = (
    "model: {family: conv, channels: [2], convs: 1, latent_dim: 3}\n"
    "training: {epochs: 1, batch_size: 64, loss: mae, early_stopping: {patience: 3}}\n"
)


def images() -> np.ndarray:
    """Smooth images of 9 x 7."""
    coarse = np.random.default_rng(0).integers(0, 256, (90, 3, 3)).astype(np.uint8)
    return coarse.repeat(3, axis=1).repeat(3, axis=2)[:, :, :7]


@pytest.fixture(autouse=True)
def _files():
    np.save("images.npy", images())
    Path("small.yaml").write_text(SMALL)
    Path("conv.yaml").write_text(CONV)


class Heard(NullStudyProgress):
    """What a study told, in order."""

    def __init__(self):
        self.notes, self.trained = [], []

    def note(self, message):
        self.notes.append((len(self.trained), message))

    def event(self, event, result):
        if event.kind == "done":
            self.trained.append((event.task.folder.parent.name, event.task.config.training.seed))


def config_of(*overrides: str) -> StudyFile:
    return load_config(None, ("data.train=images.npy", *overrides), StudyFile).config


BOTH = "study.configs=[small.yaml, conv.yaml]"


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A complete study of the two configs over two seeds, and what was heard of it; read it, never write to it."""
    folder, heard = tmp_path_factory.mktemp("configs"), Heard()
    for name, text in (("small", SMALL), ("conv", CONV)):
        (folder / f"{name}.yaml").write_text(text)
    np.save(folder / "images.npy", images())
    config = config_of(
        f"study.configs=[{folder}/small.yaml, {folder}/conv.yaml]", "study.seeds=2", f"data.train={folder}/images.npy"
    )
    return compare(config, folder / "study", heard, executor=IN_PROCESS), heard


@pytest.fixture
def copied(studied):
    """The study's folder again, in the working directory."""
    shutil.copytree(studied[0].study.path, "study")
    return Study(Path("study"))


# -- names ---------------------------------------------------------------------------------------


def test_a_config_is_called_after_its_file_or_by_the_name_it_is_given():
    assert config_of("study.configs=[relu, nets/mine.yaml]").study.configs == {"relu": "relu", "mine": "nets/mine.yaml"}
    assert config_of("study.configs={a: nets/x.yaml, b: x.yaml}").study.configs == {"a": "nets/x.yaml", "b": "x.yaml"}
    assert parse_configs("relu, a=nets/x.yaml", "--configs") == {"relu": "relu", "a": "nets/x.yaml"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[]", r"study.configs=\[\]: expected a list of names and files of configs"),
        ("relu", "expected a list of names and files"),
        ("[relu, 3]", "expected a list of names and files"),
        ("[relu, relu]", "relu is there twice: name every config once"),
        ("[a/net.yaml, b/net.yaml]", r"two configs are called net: give one another name, \{NAME: FILE\}"),
        ("{net: relu, Net: conv}", "the same folder of net and Net: give one another name"),
        ("{a b: relu, a_b: conv}", "the same folder of a b and a_b"),
        ("['nets/???.yaml']", r"'\?\?\?' is no name for a row: give it one"),
        ("{'..': relu}", "is no name for a row"),
        ('{"a\\nb": relu}', r"'a\\nb' is no name for a row"),
        ("{mine: 3}", "mine: expected a file or the sections of a config, received 3"),
        ("{mine: {model: {latent_dm: 3}}}", "mine: model.latent_dm: unknown key; did you mean 'latent_dim'"),
        ("{mine: {data: {train: x.npy}}}", "mine: data.train: belongs to all configs"),
        ("{mine: {training: {seed: 3}}}", "mine: training.seed: belongs to all configs"),
        ("{mine: {study: {seeds: 3}}}", "mine: study: unknown key"),
    ],
)
def test_rows_that_are_none_are_refused_in_one_line(value, message):
    with pytest.raises(ConfigError, match=message) as error:
        config_of(f"study.configs={value}")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "relu,,conv", "=relu", "mine=", "relu,relu", "a/net.yaml,b/net.yaml"])
def test_the_option_is_named_where_its_configs_are_none(text):
    with pytest.raises(ConfigError, match=r"^--configs") as error:
        parse_configs(text, "--configs")
    assert "{NAME" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("missing.yaml", None, "missing.yaml: no such file"),
        ("bad.yaml", "model: [\n", "bad.yaml:2: not valid YAML"),
        ("bad.yaml", "model:\n  latent_dm: 3\n", "bad.yaml:2: model.latent_dm: unknown key"),
        ("bad.yaml", "- relu\n", "bad.yaml: expected keys and values"),
    ],
)
def test_a_file_that_is_no_config_is_said_by_its_name(file, text, message):
    if text is not None:
        Path(file).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_configs(config_of(f"study.configs=[small.yaml, {file}]"))


# -- the configs ---------------------------------------------------------------------------------


def test_a_study_holds_its_configs_and_a_file_that_changes_later_changes_nothing():
    study = complete_study(config_of(BOTH, "study.seeds=2"))
    Path("small.yaml").write_text("model: {latent_dim: 7}\n")
    Path("conv.yaml").unlink()
    Path("study.yaml").write_text(study_yaml(study))
    for again in (load_config(Path("study.yaml"), (), StudyFile), load_recorded(Path("study.yaml"), (), StudyFile)):
        assert [(v.name, v.at(1)) for v in plan(again.config)] == [(v.name, v.at(1)) for v in plan(study)]
    small, conv = plan(study)
    assert (small.config.model.latent_dim, conv.config.model.family, conv.config.training.loss) == (2, "conv", "mae")


def test_the_file_of_a_study_has_no_network_beside_its_configs_and_no_configs_where_it_has_none():
    content = yaml.safe_load(study_yaml(complete_study(config_of(BOTH))))
    assert set(content) == {"data", "training", "study"}
    assert content["training"] == {"seed": 0}
    assert set(content["study"]["configs"]["conv"]) == {"data", "model", "training"}
    plain = yaml.safe_load(study_yaml(complete_study(config_of())))
    assert set(plain["study"]) == {"vary", "tune", "seeds", "split", "metric"}


def test_images_splits_and_seeds_are_those_of_the_study_and_what_else_a_file_says_of_them_is_named():
    Path("mine.yaml").write_text(
        "data: {train: other.npy, size: 32, validation_split: 0.3, augment: {shift: 0.1}}\n"
        "training: {seed: 9, epochs: 4}\nstudy: {seeds: 7}\n"
    )
    notes = []
    base = config_of("study.configs=[mine.yaml, small.yaml]", "training.seed=3", "data.validation_split=0.2")
    config = read_configs(base, {}, notes.append)
    mine, small = plan(config)
    assert list(seeds(config)) == [3, 4, 5, 6, 7]
    for variant in (mine, small):
        run = variant.at(3)
        assert (run.data.train, run.data.size, run.data.validation_split) == (Path("images.npy"), None, 0.2)
        assert (run.training.seed, run.data.test_split) == (3, 0.1)
    assert (mine.config.data.augment.shift, small.config.data.augment, mine.config.training.epochs) == (0.1, None, 4)
    [said] = notes
    assert said.startswith("mine.yaml: not used")
    for key in ("data.train", "data.size", "data.validation_split", "training.seed", "study"):
        assert key in said


def test_a_network_beside_whole_configs_is_not_used_and_that_is_said():
    notes = []
    config = read_configs(config_of(BOTH, "model.latent_dim=5", "training.epochs=9"), {}, notes.append)
    assert any("its own network and training are not used" in said for said in notes)
    assert {v.config.training.epochs for v in plan(config)} == {1, 2}
    assert config == read_configs(config)


def test_what_is_set_is_set_in_every_config():
    Path("study.yaml").write_text("study: {configs: [small.yaml, conv.yaml]}\n")
    changes = {"training.epochs": 5, "data.augment": {"shift": 0.2}, "training": {"seed": 4}, "study.seeds": 2}
    named, for_rows = load_with_configs(Path("study.yaml"), changes, None, "--set")
    assert (named.config.training.seed, named.config.study.seeds) == (4, 2)
    variants = plan(read_configs(named.config, for_rows))
    assert {(v.config.training.epochs, v.config.data.augment.shift) for v in variants} == {(5, 0.2)}


def test_what_one_config_cannot_be_set_is_said_with_its_name():
    with pytest.raises(ConfigError, match=r"^conv: model.hidden=\[9\]: unknown key"):
        read_configs(config_of(BOTH), {"model.hidden": [9]})


def test_a_study_without_configs_is_read_as_ever():
    assert load_with_configs(None, {"model.latent_dim": 3}, None, "--set") is None
    assert load_with_configs(None, {"study.configs": ["relu"]}, None, "--set") is not None
    assert load_with_configs(None, {}, ["relu"], "--set")[0].config.study.configs == {"relu": "relu"}


def test_each_config_is_varied_and_tuned_by_itself():
    grid = ("study.vary={model.latent_dim: [1, 2]}", "study.tune={learning_rate: [1e-3, 1e-2]}")
    variants = plan(config_of(BOTH, *grid))
    assert len(variants) == 8
    assert [v.label for v in variants[::2]] == [f"{of}, latent_dim={n}" for of in ("small", "conv") for n in (1, 2)]
    assert variants[-1].name == "conv, latent_dim=2, learning_rate=0.01"
    with pytest.raises(ConfigError, match=r"study: conv: model.hidden=\[9\]: unknown key"):
        plan(config_of(BOTH, "study.vary={model.hidden: [[9]]}"))


def test_suggested_is_what_suits_the_images_unless_there_is_such_a_file():
    notes = []
    config = read_configs(config_of("study.configs=[suggested, small.yaml]"), {"training.epochs": 3}, notes.append)
    expected = suggest_config(config_of()).config
    suggested, _ = plan(config)
    assert suggested.config.model == expected.model
    assert suggested.config.training == expected.training.model_copy(update={"epochs": 3})
    assert notes[0].startswith("suggested: chosen for these images: family dense")
    Path("suggested").write_text(SMALL)
    (own,) = plan(config_of("study.configs=[suggested]"))
    assert own.config.model.latent_dim == 2


def test_which_networks_begin_at_a_linear_code_is_said_of_each():
    assert which_networks(config_of(BOTH)).startswith("All networks begin at the best linear code")
    assert which_networks(config_of("study.configs=[relu, small.yaml]")).startswith(
        "Of these small begins at the best linear code"
    )
    assert which_networks(config_of("study.configs=[relu, conv]")).startswith("All are plain networks")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {output_activation: tanh}\ntraining: {loss: binary_crossentropy}\n", "mine: training.loss: binary"),
        ("model: {family: conv, channels: [2, 2, 2, 2, 2, 2, 2]}\n", "mine: model.channels"),
    ],
)
def test_a_config_that_does_not_fit_the_images_is_named_before_anything_is_trained(text, message):
    Path("mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        compare(config_of("study.configs=[small.yaml, mine.yaml]"), Path("study"), Heard(), executor=IN_PROCESS)
    assert not Path("study").exists()


# -- the runs ------------------------------------------------------------------------------------


def test_every_result_says_what_its_network_is(studied):
    results = studied[0].results
    assert [(r.config, r.family, r.latent_dim, r.weights) for r in results[::2]] == [
        (v.of, v.config.model.family, v.config.model.latent_dim, v.config.model.parameter_count((9, 7, 1)))
        for v in plan(load_config(studied[0].study.config_file, (), StudyFile).config)
    ]
    assert read_results(studied[0].study.results_file) == list(results)


def test_a_study_of_one_config_has_no_columns_of_them(studied):
    plain = [replace(r, config=None, family=None, weights=None) for r in studied[0].results]
    header = results_to_csv(plain).splitlines()[0].split(",")
    assert not {"config", "family", "weights"} & set(header)
    assert results_to_csv(studied[0].results).splitlines()[0].split(",")[: len(header)] == header
    assert all("network" not in row for row in summarise(plain).to_json()["rows"])


def test_every_row_stands_beside_the_linear_codes_of_its_own_length(studied):
    for row in studied[0].summary.rows:
        runs = [studied[0].study.path / r.run for r in studied[0].results if r.variant == row.variant]
        parts = [yaml.safe_load((run / "metrics.json").read_text())["splits"]["test"] for run in runs]
        assert row.network.pca == pytest.approx(np.mean([part["pca"]["mse"] for part in parts]))
        assert row.network.best_linear == pytest.approx(np.mean([part["best_linear"]["mse"] for part in parts]))


def test_the_cost_is_said_before_anything_is_trained(studied):
    [(trained, said)] = [(n, note) for n, note in studied[1].notes if "the epochs of" in note]
    assert trained == 0
    assert said.startswith("the epochs of 4 runs take ")


def test_the_same_study_trains_nothing_again_and_another_config_only_its_own_runs(copied):
    heard = Heard()
    again = load_config(copied.config_file, (), StudyFile).config
    before = copied.config_file.read_bytes()
    compare(again, copied.path, heard, executor=IN_PROCESS)
    assert (heard.trained, copied.config_file.read_bytes()) == ([], before)
    assert not any("the epochs of" in note for _, note in heard.notes)
    more = load_config(copied.config_file, ["study.configs.other=small.yaml", "study.metric=ssim"], StudyFile).config
    result = compare(more, copied.path, heard, executor=IN_PROCESS)
    assert sorted(heard.trained) == [("other", 0), ("other", 1)]
    assert (len(result.results), result.summary.metric) == (6, "ssim")


def test_a_metric_that_a_row_lacks_is_refused_before_the_rest_is_trained(copied, monkeypatch):
    def without(run, base):
        result = read_result(run, base)
        return result if base["config"] == "small" else replace(result, metrics={**result.metrics, "ssim": None})

    monkeypatch.setattr(study_module, "read_result", without)
    heard = Heard()
    config = load_config(copied.config_file, ("study.metric=ssim", "study.seeds=3"), StudyFile).config
    with pytest.raises(AeError, match=r"study.metric: conv has no ssim: compare by one that all have"):
        compare(config, copied.path, heard, executor=IN_PROCESS)
    assert heard.trained == []
    with pytest.raises(AeError, match="conv has no ssim"):
        compare(config, Path("new"), heard, executor=IN_PROCESS)
    assert heard.trained == [("small", 0), ("small", 1), ("small", 2), ("conv", 0)]


def test_the_python_door_compares_configs_too(copied):
    content = yaml.safe_load(copied.config_file.read_text())["study"]["configs"]
    file = yaml.safe_load(copied.config_file.read_text())["data"]["train"]
    compared = aecli.compare(file, configs=content, by="mae", seeds=2, folder="study")
    assert {row.name for row in compared.summary.rows} == {"small", "conv"}
    assert compared.summary.metric == "mae"
    with pytest.raises(ConfigError, match=r"set: study.configs=.*relu is there twice"):
        aecli.compare(file, configs=["relu", Path("relu")], folder="other")


# -- what they say together ----------------------------------------------------------------------

NOISE = np.array([0.0, 0.1, -0.1, 0.05, -0.05, 0.02]) / 100


def results_of(table, lengths, metric="mse"):
    """Results of configs with these scores and code lengths; PCA of a code of n is 1 / n."""
    return [
        Result(
            row, row, seed, "complete", metrics={"mse": value, metric: value}, latent_dim=lengths[row], config=row,
            family="dense", weights=1000 * lengths[row], seconds=2.0, validation_mse=value,
            baselines={"pca": {metric: 1 / lengths[row]}, "best_linear": {metric: 0.9 / lengths[row]}, "mean_image": {metric: 1.0}},
        )
        for row, values in table.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_of_two_configs_the_better_one_is_named_and_each_stands_beside_its_own_pca():
    summary = summarise(results_of({"a": 0.1 + NOISE, "b": 0.3 + np.roll(NOISE, 1)}, {"a": 8, "b": 4}))
    assert summary.verdict.startswith("a reconstructs these images better than b, by 0.2 [")
    assert "Each beside PCA of its own code length, which does better than b." in summary.verdict
    assert "with the same code length" not in summary.verdict


def test_configs_that_all_do_better_than_their_pca_are_said_to():
    table = {"a": 0.10 + NOISE, "b": 0.11 + NOISE, "c": 0.12 - NOISE}
    verdict = summarise(results_of(table, {"a": 8, "b": 4, "c": 2})).verdict
    assert "each does better than PCA of its own code length" in verdict
    ssim = summarise(results_of({"a": 0.1 + NOISE, "b": 0.3 + NOISE}, {"a": 8, "b": 4}, "ssim"), "ssim").verdict
    assert ssim.startswith("b reconstructs these images better than a, by 0.2 [0.2, 0.2] ssim.")
    assert "which does better than a." in ssim


def test_configs_of_one_code_length_share_their_pca():
    summary = summarise(results_of({"a": 0.1 + NOISE, "b": 0.3 + NOISE}, {"a": 8, "b": 8}))
    assert "PCA with the same code length: 0.125" in summary.verdict
    assert "PCA" not in study_table(summary)[0]
    assert [row[0] for row in narrow_table(summary)[-3:]] == ["best linear code-8", "PCA-8", "mean image"]


def test_the_table_says_what_each_config_is_and_its_own_pca():
    summary = summarise(results_of({"a": 0.1 + NOISE, "b": 0.3 + NOISE}, {"a": 8, "b": 4}))
    narrow, whole = narrow_table(summary), study_table(summary)
    rows = [dict(zip(narrow[0], row, strict=True)) for row in narrow[1:]]
    assert [row["config"] for row in rows] == ["a", "b", "mean image"]
    assert [rows[1][name] for name in ("family", "code", "weights", "seconds", "PCA")] == ["dense", "4", "4,000", "2", "0.25"]  # fmt: skip
    assert [row[: len(narrow[0])] for row in whole] == narrow
    assert {len(row) for row in whole} == {len(whole[0])}


def test_a_curve_is_drawn_over_the_code_length_of_one_config_and_not_over_several_configs():
    lengths = {"a": 2, "b": 4, "c": 8}
    results = results_of({name: 1 / n + NOISE for name, n in lengths.items()}, lengths)
    assert (summarise(results).curve, summarise(results).knee) == ((), None)
    assert len(summarise([replace(r, config="one") for r in results]).curve) == 3


def test_a_metric_that_no_row_has_is_refused_with_their_names():
    results = results_of({"a": 0.1 + NOISE, "b": 0.3 + NOISE}, {"a": 8, "b": 4})
    with pytest.raises(AeError, match=r"study.metric: a, b have no ssim"):
        summarise(results, "ssim")
    failed = [replace(r, state="failed", metrics={}) if r.label == "b" else r for r in results]
    assert summarise(failed).best == "a"


# -- costs ---------------------------------------------------------------------------------------


def costs(config, workers=1):
    train, test = open_data(config)
    runs = [(v, v.at(seed)) for v in plan(config) for seed in seeds(config)]
    return cost_note(runs, train, test, workers, 1)


def test_costs_are_told_apart_where_they_differ_and_once_where_not():
    rows = "one: {training: {epochs: 1000000}}, hundred: {training: {epochs: 100000000}}"
    said = costs(config_of(f"study.configs={{{rows}}}", "study.seeds=2"), workers=2)
    assert said.startswith("the epochs of 4 runs take about ")
    assert said.endswith("a run (100 times one)")
    assert " on 2 workers: one about " in said
    stops = rows.replace("100000000}", "100000000, early_stopping: {}}")
    assert "take at most about" in costs(config_of(f"study.configs={{{stops}}}", "study.seeds=2"))
    vary = "study.vary={model.activation: [relu, tanh]}"
    grid = costs(config_of(*PLAIN, vary, "study.seeds=1", "training.epochs=10000000"))
    assert grid.startswith("the epochs of 2 runs take about ")
    assert " one after the other: about " in grid
    assert "relu" not in grid
    assert "take less than 5 s" in costs(config_of(*PLAIN, vary, "study.seeds=1", "training.epochs=1"))


def test_nothing_is_said_of_images_that_are_too_few():
    np.save("images.npy", images()[:2])
    assert costs(config_of("study.vary={model.activation: [relu]}", "study.seeds=1")) is None


# -- the command and the page --------------------------------------------------------------------

COMMAND = ("compare", "images.npy", "--configs", "small.yaml,conv.yaml", "--seeds", "2", "--output", "study")


def test_ae_compare_prints_what_each_config_is_and_writes_their_page(copied, ae):
    done = ae(*COMMAND)
    assert done.exit_code == 0, done.output
    assert "4 of 4 runs are there already" in done.stderr
    assert "no --config" not in done.stderr
    header = done.stdout.splitlines()[0].split()
    assert header[:6] == ["config", "family", "code", "weights", "seconds", "verdict"]
    assert "PCA" in header
    assert "of its own code length" in done.stdout
    page = Path("study/report.html").read_text()
    assert 'id="configs"' in page
    for key in ("model.family", "model.hidden", "training.loss", "training.epochs"):
        assert f"{key}</th>" in page
    assert "training.optimizer</th>" not in page  # the same in both
    assert "validation loss (mse) over epoch" in page
    assert "validation loss (mae) over epoch" in page
    assert {"PCA-2", "PCA-3"} <= {part.split("<")[0] for part in page.split(">")}


def test_the_page_of_a_study_reads_no_file_that_its_config_names(copied, ae):
    copied.config_file.write_text("training: {seed: 0}\nstudy: {configs: [small.yaml, /etc/hostname]}\n")
    done = ae("report", "study")
    assert done.exit_code == 1
    assert done.stderr == "ae: study/study.yaml: names configs, a study holds them: run ae compare again\n"


def test_ae_compare_by_another_metric_orders_by_it(copied, ae):
    done = ae(*COMMAND, "--by", "ssim", "--table", "csv", "--quiet")
    assert done.exit_code == 0, done.output
    header, first, second, *_ = (line.split(",") for line in done.stdout.splitlines())
    place = header.index("ssim")
    assert float(first[place]) > float(second[place])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--configs", "small.yaml,smal.yaml"], "smal.yaml: no such file"),
        (["--configs", "small.yaml,small.yaml"], "--configs: small is there twice"),
        (["--configs", "small.yaml,conv.yaml", "--set", "model.hidden=[9]"], "conv: model.hidden=[9]: unknown key"),
        (["--configs", "small.yaml,conv.yaml", "--by", "speed"], "study.metric='speed': expected one of mse, mae"),
        (["--configs", "small.yaml", "--vary", "model.latent_dm=3"], "unknown key 'model.latent_dm'"),
    ],
)
def test_ae_compare_refuses_configs_in_one_line_before_training(ae, options, message):
    done = ae("compare", "images.npy", *options)
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not Path("studies").exists()


def test_the_configs_of_a_file_are_those_of_the_command(copied, ae):
    Path("both.yaml").write_text("study: {configs: [small.yaml, conv.yaml], seeds: 2}\n")
    done = ae("compare", "images.npy", "--config", "both.yaml", "--output", "study", "--set", "model.activation=relu")
    assert done.exit_code == 0, done.output
    assert "4 of 4 runs are there already" in done.stderr


# -- variational codes -------------------------------------------------------------------------


def test_variational_networks_are_compared_by_their_likelihood():
    study, _ = study_of("study.vary={model.code.gaussian.beta: [1, 500]}", "study.seeds=2", "study.metric=nll")
    summary = study.summary
    assert summary.best == "code.gaussian.beta=1"
    by_run = {r.run: r for r in read_results(study.study.results_file)}
    for result in study.results:
        run = Run(study.study.path / result.run)
        assert result.nll == run.metrics["variational"]["splits"]["test"]["neg_elbo"]
        assert by_run[result.run].nll == pytest.approx(result.nll)
    assert {r.state for r in study.results if r.label.endswith("500")} == {"collapsed"}


def test_a_plain_network_has_no_likelihood_to_be_compared_by():
    with pytest.raises(AeError, match=r"^study.metric: .*: no variational code, so no nll"):
        study_of("study.vary={model.latent_dim: [2, 3]}", "study.seeds=1", "study.metric=nll")
