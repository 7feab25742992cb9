"""One more plot is one more row of PLOTS, one more artifact one more function of the list."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from aecli.core.errors import NotInRunError
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.training.artifacts import FULL, TrainedRun
from aecli.training.trainer import train
from aecli.views import plots
from aecli.views.plot_table import PLOTS, Plot
from tests.conftest import SMALL


def scatter(context, positions=None):
    """Draw the first two numbers of the codes of images."""
    images, _ = context.show(context.choose(count=50) if positions is None else positions)
    figure = Figure(figsize=(4, 4))
    codes = context.model.encode(images)
    figure.add_subplot().plot(codes[:, 0], codes[:, 1], "o")
    return figure


def speed(run):
    """Draw the seconds of every epoch."""
    if len(run.history) < 2:
        raise NotInRunError(f"{run.path}: has a single epoch")
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().plot([record.epoch for record in run.history], [record.seconds for record in run.history])
    return figure


ROWS = (
    Plot(
        "scatter",
        "the codes, two numbers of each",
        f"{__name__}:scatter",
        needs_images=True,
        options=("count", "worst"),
    ),
    Plot("speed", "seconds of every epoch", f"{__name__}:speed"),
)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    for row in ROWS:
        monkeypatch.setitem(PLOTS, row.name, row)
    # As in another process: the command reads the table when it is imported.
    monkeypatch.delitem(sys.modules, "aecli.cli.commands.plot", raising=False)


def test_its_help_names_it(ae):
    lines = [line.split(maxsplit=1) for line in ae("plot", "--help").stdout.splitlines() if line.strip()]
    for row in ROWS:
        assert [row.name, row.about] in lines


def test_it_is_drawn(ae, run):
    for row in ROWS:
        done = ae("plot", row.name)
        assert done.stdout == f"runs/small/plots/{row.name}.png\n"
        assert plots_of(run)[row.name].startswith(b"\x89PNG")


def plots_of(run):
    return {path.stem: path.read_bytes() for path in run.plots_folder.glob("*.png")}


def test_images_are_chosen_by_the_options_of_its_row(ae, run, digits):
    np.save("images.npy", digits[:30])
    done = ae("plot", "scatter", "--images", "images.npy", "--count", "7", "--output", "seven.svg")
    assert done.exit_code == 0, done.output
    assert done.stdout == "seven.svg\n"
    refused = ae("plot", "scatter", "--index", "3")
    assert refused.exit_code == 2
    assert "--index belongs to reconstructions, denoising, interpolation or neighbours" in refused.output
    refused = ae("plot", "speed", "--worst", "3")
    assert "--worst belongs to reconstructions, neighbours or scatter" in refused.output


def test_an_unknown_kind_is_answered_with_its_name(ae, run):
    assert "scatter" in ae("plot", "scater").output


def test_every_training_draws_it(tmp_path):
    run = train(load_config(None, SMALL).config, tmp_path / "run", artifacts=(*FULL, plots.draw_plots))
    assert {"scatter", "speed", "history"} <= set(plots_of(run))
    assert "denoising" not in plots_of(run)


def save_latents(trained: TrainedRun) -> None:
    """Write the codes of the validation images."""
    trained.stages.enter("encoding")
    images, rows = trained.prepared.parts["validation"]
    codes = [*images.map(trained.model.encode, rows)]
    np.save(trained.run.path / "latents.npy", np.concatenate(codes))


def test_an_artifact_is_written_and_leaves_out_what_has_nothing_to_show(tmp_path):
    config = load_config(None, (*SMALL, "training.epochs=1")).config
    run = train(config, tmp_path / "run", artifacts=(*FULL, save_latents, plots.draw_plots))
    assert np.load(run.path / "latents.npy").shape == (len(run.split.validation), 8)
    assert run.environment["seconds"]["encoding"] > 0
    assert "speed" not in plots_of(run)
    assert "scatter" in plots_of(run)


def test_an_artifact_that_fails_leaves_a_run_that_is_not_complete(tmp_path):
    def fail(trained):
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        train(load_config(None, (*SMALL, "training.epochs=1")).config, tmp_path / "run", artifacts=(*FULL, fail))
    assert Run(tmp_path / "run").state == "failed"
