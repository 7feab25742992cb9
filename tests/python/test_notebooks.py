"""The notebooks of docs/ run from top to bottom, in a kernel of their own, and show what they promise."""

from pathlib import Path

import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
nbformat = pytest.importorskip("nbformat", reason="needs nbclient: pip install --group dev")


def test_there_are_two_and_they_keep_no_outputs():
    assert [path.name for path in NOTEBOOKS] == ["comparing.ipynb", "first-steps.ipynb"]
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert path.stat().st_size < 20_000
        assert not [cell for cell in notebook.cells if cell.get("outputs")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_leads_to_it(path):
    assert f"](notebooks/{path.name})" in (ROOT / "docs" / "python.md").read_text()


def kernel(folder: Path) -> str:
    """Write the description of a kernel of this very Python; return its name."""
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install --group dev")
    from ipykernel.kernelspec import write_kernel_spec

    write_kernel_spec(folder / "kernels" / "here")
    return "here"


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    client = pytest.importorskip("nbclient", reason="needs nbclient: pip install --group dev")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    (tmp_path / "data").symlink_to(ROOT / "data")
    notebook = nbformat.read(path, as_version=4)
    name = kernel(tmp_path / "jupyter")
    client.NotebookClient(notebook, kernel_name=name, resources={"metadata": {"path": str(folder)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = {cell.source: [output.get("data", {}) for output in cell.outputs] for cell in cells}
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    whole = [data["text/html"] for outputs in shown.values() for data in outputs if "<img" in data.get("text/html", "")]
    assert whole
    assert all(html.count("<img") == 12 for html in whole)
    plots = [outputs for source, outputs in shown.items() if ".plot(" in source]
    assert all("image/png" in outputs[-1] for outputs in plots)
    assert plots or path.stem == "comparing"
