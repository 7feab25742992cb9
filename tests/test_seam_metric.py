"""One more metric is one more row of METRICS: every table, column and page has it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aecli.cli.terminal import note_limits
from aecli.core.errors import ConfigError
from aecli.runs.config_file import load_config
from aecli.runs.metrics import METRICS, Metric, RunningMeans, per_image
from aecli.studies.config import StudyFile
from aecli.studies.results import read_results
from aecli.studies.study import Study
from aecli.training.artifacts import FULL
from aecli.training.trainer import train
from aecli.views.report.report import write_run_report
from tests.conftest import PLAIN
from tests.test_seam_executor import TINY, VARY, study_of


def mae_edge(images, reconstructions):
    """Mean absolute error of the differences between neighbours in a row."""
    edges, restored = np.diff(images, axis=2), np.diff(reconstructions, axis=2)
    return np.abs(edges - restored).mean(axis=(1, 2, 3)).astype(np.float64)


def edge_psnr(images, reconstructions):
    with np.errstate(divide="ignore"):
        return -20 * np.log10(mae_edge(images, reconstructions))


ROW = Metric("mae_edge", "edge error", ".3f", "lower", "mean absolute error of the edges", mae_edge, decimals=5)
SMALL = (
    "model.latent_dim=8",
    "training.epochs=5",
    "training.learning_rate=0.01",
    "training.corruption={gaussian: 0.5}",
)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METRICS, "mae_edge", ROW)
        yield


@pytest.fixture(scope="module")
def measured(tmp_path_factory, _registered):
    """A complete run that was measured with it; read it, never write to it."""
    return train(load_config(None, SMALL).config, tmp_path_factory.mktemp("measured") / "run", artifacts=FULL)


@pytest.fixture(scope="module")
def compared(tmp_path_factory, _registered):
    """A study that compares by it."""
    folder = tmp_path_factory.mktemp("compared") / "study"
    return study_of(*PLAIN, VARY, "study.seeds=2", "study.metric=mae_edge", folder=folder)[0]


@pytest.fixture
def study(compared, tmp_path):
    return Study(shutil.copytree(compared.study.path, tmp_path / "study"))


def test_metrics_json_has_it_for_every_part_and_row(measured):
    splits = measured.metrics["splits"]
    means = [splits[part][row]["mae_edge"] for part in splits for row in ("model", "pca", "mean_image")]
    assert all(0 < mean < 1 for mean in means)
    denoising = measured.metrics["denoising"]["validation"]
    assert denoising["restored"]["mae_edge"] < denoising["noisy"]["mae_edge"]


def test_evaluate_prints_it(measured, ae, digits):
    np.save("images.npy", digits[:60])
    done = ae("evaluate", "images.npy", "--run", str(measured.path), "--per-image", "values.csv")
    header, *rows, said = done.stdout.splitlines()
    assert "edge error" in header
    assert len(rows) == 4
    assert said.startswith("On these images")

    summary = json.loads(ae("evaluate", "images.npy", "--run", str(measured.path), "--json").stdout)
    values = [float(row["mae_edge"]) for row in csv.DictReader(Path("values.csv").read_text().splitlines())]
    assert len(values) == 60
    assert np.mean(values) == pytest.approx(summary["model"]["mae_edge"], rel=1e-6)
    assert f"{summary['model']['mae_edge']:.3f}" in done.stdout
    assert summary["pca"]["mae_edge"] > 0


def test_a_run_measured_without_it_is_still_read(run, ae):
    metrics = json.loads(run.metrics_file.read_text())
    for part in metrics["splits"].values():
        for row in ("model", "pca", "mean_image"):
            part[row].pop("mae_edge", None)
    run.metrics_file.write_text(json.dumps(metrics))
    assert "edge error" in write_run_report(run).read_text()
    assert ae("runs").exit_code == 0


def test_the_page_of_a_run_has_its_column(measured, tmp_path):
    page = write_run_report(measured, tmp_path / "page.html").read_text()
    assert "edge error" in page
    assert ROW.about in page
    assert ROW.text(measured.metrics["splits"]["validation"]["model"]["mae_edge"]) in page


def test_a_study_is_decided_by_it(compared):
    by_row = {row.name: row for row in compared.summary.rows}
    means = {name: np.mean([r.metrics["mae_edge"] for r in compared.results if r.label == name]) for name in by_row}
    assert compared.summary.metric == "mae_edge"
    assert compared.summary.best == min(means, key=means.get)
    assert {name: row.mean.estimate for name, row in by_row.items()} == pytest.approx(means)
    assert " mae_edge " in compared.summary.verdict
    for baseline, row in zip(compared.summary.baselines, ("best_linear", "pca", "mean_image"), strict=True):
        assert baseline.mean.estimate == pytest.approx(np.mean([r.value(f"{row}_mae_edge") for r in compared.results]))


def test_results_csv_has_a_column_for_the_model_and_for_every_baseline(compared):
    rows = list(csv.DictReader(compared.study.results_file.read_text().splitlines()))
    names = ["mae_edge", *(f"{row}_mae_edge" for row in ("best_linear", "pca", "mean_image"))]
    assert all(float(row[name]) > 0 for row in rows for name in names)
    assert read_results(compared.study.results_file) == list(compared.results)


def test_the_table_is_printed_in_every_format(study, ae):
    def printed(*options):
        done = ae("compare", "--output", "study", *sets_of_the_study(), *options)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert " mae_edge " in printed().splitlines()[0]
    assert r" & mae\_edge & " in printed("--table", "latex")
    assert "| mae_edge |" in printed("--table", "md")
    assert ",mae_edge," in printed("--table", "csv")
    assert json.loads(printed("--json"))["metric"] == "mae_edge"


def sets_of_the_study():
    """Return the overrides that the study was made with, for the command line."""
    Path("defaults.yaml").write_text("{}")
    keys = (*TINY, *PLAIN, VARY, "study.seeds=2", "study.metric=mae_edge")
    return ["--config", "defaults.yaml", *(part for key in keys for part in ("--set", key))]


def test_the_page_of_a_study_has_its_column(study, compared, ae):
    assert ae("report", "study").exit_code == 0
    page = study.report_file.read_text()
    assert "mean over the seeds of the mae_edge on the test images" in page
    assert f"{compared.summary.rows[0].mean.estimate:.5f}" in page


def test_the_page_of_a_study_shows_it_beside_another(study, ae):
    text = study.config_file.read_text()
    study.config_file.write_text(text.replace("metric: mae_edge", "metric: mse"))
    assert ae("report", "study").exit_code == 0
    assert "edge error" in study.report_file.read_text()


def test_a_study_before_it_is_still_read(study):
    lines = list(csv.reader(study.results_file.read_text().splitlines()))
    kept = [i for i, name in enumerate(lines[0]) if "mae_edge" not in name]
    study.results_file.write_text("".join(",".join(line[i] for i in kept) + "\n" for line in lines))
    results = read_results(study.results_file)
    assert {result.value("mae_edge") for result in results} == {None}
    assert all(result.value("mse") is not None for result in results)


def test_an_unknown_metric_is_answered_with_its_name():
    with pytest.raises(ConfigError, match=r"expected one of mse, .*mae_edge.*, received 'mae_edgy'.*'mae_edge'"):
        load_config(None, ("study.metric=mae_edgy",), StudyFile)


def test_the_schema_has_its_name(ae):
    schema = json.loads(ae("config", "schema").stdout)
    assert "mae_edge" in schema["$defs"]["StudyConfig"]["properties"]["metric"]["enum"]


def test_the_exact_copies_are_left_out_of_every_mean_that_they_have_no_part_in(monkeypatch, run, digits, capsys):
    monkeypatch.setitem(
        METRICS, "edge_psnr", Metric("edge_psnr", "edges dB", ".1f", "higher", "", edge_psnr, finite=False)
    )
    images = run.image_format.to_contract(digits[:4])
    other = images.copy()
    other[0, 0, 0] += 0.5
    means = RunningMeans()
    means.add(per_image(images, other))
    summary = means.summary(1.0)
    assert summary["exact_copies"] == 3
    assert summary["edge_psnr"] == edge_psnr(images, other)[0]

    note_limits((28, 28, 1), 3, quiet=False)
    assert "psnr, edge_psnr: 3 exact copies are not in the mean" in capsys.readouterr().err
