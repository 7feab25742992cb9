"""A comparison as Python uses it."""

from pathlib import Path

import pytest

import aecli
from aecli.core.errors import AeError

KEYS = {"model.latent_dim": 4, "training.epochs": 1, "training.batch_size": 256}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    import numpy as np

    from tests.conftest import DIGITS

    folder = tmp_path_factory.mktemp("compared")
    keys = {"activations": ["relu", "linear"], "seeds": 2, "set": KEYS, "workers": 1}
    return aecli.compare(np.load(DIGITS), folder=folder / "study", **keys)


def test_a_comparison_has_a_verdict_and_tables(compared):
    assert isinstance(compared, aecli.Comparison)
    assert compared.verdict == compared.summary.verdict
    assert compared.path == compared.study.path
    assert {row.variant for row in compared.table} > {"relu", "linear", "mean image"}
    assert compared.table[0].variant == compared.best
    assert [(row.variant, row.seed) for row in compared.runs] == [
        ("relu", 0), ("relu", 1), ("linear", 0), ("linear", 1),
    ]  # fmt: skip
    assert compared.runs["mse"] == [result.metrics["mse"] for result in compared.results]
    assert all(hasattr(compared, name) for name in dir(compared))


def test_pandas_reads_both_tables(compared):
    pandas = pytest.importorskip("pandas", reason="needs pandas: pip install --group dev")
    runs, table = pandas.DataFrame(compared.runs), pandas.DataFrame(compared.table)
    means = runs.groupby("variant")["mse"].mean()
    of = table.set_index("variant")["mse"]
    assert of["relu"] == pytest.approx(means["relu"])
    assert table["worse_by"].dtype.kind == "f"


def test_a_comparison_gives_its_runs(compared):
    run = compared.run("relu", 1)
    assert run.config["training"]["seed"] == 1
    assert run.metrics["splits"]["test"]["model"]["mse"] == compared.runs[1].mse
    assert compared.run("relu").config["training"]["seed"] == 0
    with pytest.raises(AeError, match="no run of 'rellu'; did you mean 'relu'"):
        compared.run("rellu")
    with pytest.raises(AeError, match="no run of 'relu' of seed 7: there are relu, linear"):
        compared.run("relu", 7)


def test_what_a_notebook_shows_of_it(compared):
    shown = compared._repr_html_()
    assert type(shown) is str
    assert compared.verdict in shown
    assert shown.count("<img") == 12
    assert repr(compared) == f"<aecli.Comparison {compared.path}: {compared.verdict}>"


@pytest.mark.parametrize("device", ["gpu", "gpu:x", "gpu:0,", "CPU", None])
def test_what_is_no_device_is_one_line(device, digits):
    for work, several in ((aecli.train, False), (aecli.compare, True)):
        with pytest.raises(aecli.AeError, match=f"^device={device!r}: expected auto, cpu or ") as refused:
            work(digits, device=device)
        assert ("gpu:0,1" in str(refused.value)) == several
    assert not list(Path().iterdir())
