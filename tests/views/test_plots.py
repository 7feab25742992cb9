"""Pictures: what is in them, for grey, colour and odd images."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from aecli.core.errors import AeError, RunError
from aecli.runs.config_file import load_config
from aecli.runs.metrics import psnr
from aecli.training.trainer import train
from aecli.views import plots
from aecli.views.canvas import MAGMA
from aecli.views.filters import filters
from aecli.views.mosaic import Sheet
from tests.conftest import python


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_reconstructions_show_each_image_with_its_psnr(trained):
    context = plots.open_context(trained, None)
    figure = plots.reconstructions(context, [0, 5])
    for value, row in zip(psnr(*context.show([0, 5])), context.row_numbers([0, 5]), strict=True):
        assert f"{value:.1f} dB" in texts(figure)
        assert f"#{row}" in texts(figure)


def test_an_image_its_reconstruction_and_its_errors_stand_one_below_the_other(trained):
    context = plots.open_context(trained, None)
    drawn = plots.reconstructions(context, range(12)).axes[0].images
    image, restored = (pair[3, :, :, 0] for pair in context.show(range(12)))
    for axes_image, expected in zip(drawn[9:12], (image, restored, abs(image - restored)), strict=True):
        np.testing.assert_allclose(axes_image.get_array(), expected, atol=1e-6)
    left, _, bottom, top = zip(*(axes_image.get_extent() for axes_image in drawn[9:12]), strict=True)
    assert left[0] == left[1] == left[2]
    assert bottom[0] > top[1] > bottom[1] > top[2]


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 8, 3), (8, 64, 1)])
@pytest.mark.parametrize("count", [1, 10, 23])
def test_every_image_has_its_place_on_the_sheet_and_its_own_proportions(shape, count):
    sheet = Sheet(count, shape)
    width, height = sheet.figure.get_size_inches()
    for left, right, bottom, top in (sheet.box(i, row) for i in range(count) for row in range(3)):
        assert 0 < left < right < width
        assert 0 < bottom < top < height
        assert (top - bottom) / (right - left) == pytest.approx(shape[0] / shape[1])


def test_the_caption_names_the_run_the_data_and_the_metric(trained):
    caption = " ".join(t.get_text() for t in plots.reconstructions(plots.open_context(trained, None)).texts)
    assert "run small on digits.npy (validation), 180 images" in caption
    assert "PSNR" in caption


def test_labels_of_one_band_stay_clear_of_the_next(trained):
    figure = plots.reconstructions(plots.open_context(trained, None), list(range(23)))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    written = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.axes[0].texts]
    titles = [extent for text, extent in written if text.startswith("#")]
    labels = [extent for text, extent in written if text.endswith(" dB")]
    assert len(titles) == len(labels) == 23
    assert not any(label.overlaps(title) for label in labels for title in titles)


def test_grey_images_are_drawn_in_grey_on_the_full_scale(trained):
    image = plots.reconstructions(plots.open_context(trained, None), [0]).axes[0].images[0]
    assert image.get_cmap().name == "gray"
    assert image.get_clim() == (0, 1)


def test_colour_images_are_drawn_in_colour(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3)).astype(np.uint8)
    np.save("colour.npy", images)
    run = train(load_config(None, ["data.train=colour.npy", "training.epochs=1"]).config, Path("runs/colour"))
    context = plots.open_context(run, None)
    drawn = plots.reconstructions(context, [0]).axes[0].images[0].get_array()
    np.testing.assert_allclose(drawn, images[context.row_numbers([0])[0]] / 255, atol=1e-6)
    assert filters(run).axes


def test_worst_and_best_are_the_ends_of_the_errors(trained):
    context = plots.open_context(trained, None)
    order = np.argsort(context.errors)
    assert context.choose(worst=3) == order[::-1][:3].tolist()
    assert context.choose(best=3) == order[:3].tolist()


@pytest.mark.parametrize("values", [[3, 1, 2, 1, 3, 0, 1], [1, 1, 1], [2, np.nan, 1, np.nan], [np.nan, np.nan]])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_the_ends_are_those_of_a_stable_sort_of_all(trained, values, count):
    values = np.array(values, float)
    context = replace(plots.open_context(trained, None), known_errors=values)
    assert context.choose(best=count) == np.argsort(values, kind="stable")[:count].tolist()
    assert context.choose(worst=count) == np.argsort(-values, kind="stable")[:count].tolist()


def test_history_draws_both_losses(trained):
    lines = plots.history(trained).axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), [r.loss for r in trained.history])
    np.testing.assert_allclose(lines[1].get_ydata(), [r.val_loss for r in trained.history])


@pytest.mark.parametrize(("last", "epochs"), [(0.0099, 20), (0.004, 100), (1e-3, 17), (2e-5, 1000), (1e-9, 300)])
def test_labels_of_the_losses_do_not_touch(trained, last, epochs):
    losses = np.geomspace(0.05, last, epochs)
    records = [replace(trained.history[0], epoch=i + 1, loss=loss, val_loss=loss) for i, loss in enumerate(losses)]
    figure = plots.history(SimpleNamespace(history=records, name="small"))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axis = figure.axes[0].yaxis
    assert axis.get_label_text() == "loss"
    low, high = axis.get_view_interval()
    drawn = [label for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
             if (label := tick.label1).get_text() and low <= tick.get_loc() <= high]  # fmt: skip
    boxes = sorted((label.get_window_extent() for label in drawn), key=lambda box: box.y0)
    assert len(boxes) >= 2
    assert all(above.y0 > below.y1 for below, above in pairwise(boxes))


def test_the_caption_names_the_colour_of_the_largest_error(trained):
    caption = " ".join(t.get_text() for t in plots.reconstructions(plots.open_context(trained, None)).texts)
    red, green, blue = (round(255 * part) for part in MAGMA(1.0)[:3])
    assert min(red, green) > 240 > blue > 150  # a pale yellow
    assert "black 0, palest yellow 0." in caption
    assert "white" not in caption


def test_errors_count_every_image(trained):
    context = plots.open_context(trained, None)
    assert sum(patch.get_height() for patch in plots.errors(context).axes[0].patches) == len(context)


def test_filters_are_the_weights_of_the_first_and_the_last_layer(trained):
    from aecli.models.backend import keras

    model = keras.models.load_model(trained.model_file)
    first, last = (
        model.get_layer("encoder").get_layer("encoder_0"),
        model.get_layer("decoder").get_layer("decoder_1"),
    )
    panels = filters(trained).subfigs
    for panel, weights in zip(panels, (first.kernel.numpy().T, last.kernel.numpy()), strict=True):
        drawn = [image.get_array().ravel() for image in panel.axes[0].images]
        np.testing.assert_allclose(drawn, weights, atol=1e-6)


@pytest.mark.parametrize("suffix", plots.FIGURE_SUFFIXES)
def test_the_suffix_decides_the_format(trained, suffix):
    path = Path(f"a{suffix}")
    plots.save(plots.history(trained), path)
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")


def test_another_suffix_is_refused(trained):
    with pytest.raises(AeError, match="unknown suffix"):
        plots.save(plots.history(trained), Path("a.bmp"))


def test_a_changed_training_file_is_not_drawn_as_if_it_were_the_same(digits):
    np.save("images.npy", digits[:100])
    run = train(load_config(None, ["data.train=images.npy", "training.epochs=1"]).config, Path("runs/a"))
    np.save("images.npy", digits[100:200])
    with pytest.raises(RunError, match="has changed since: name images with --images"):
        plots.open_context(run, None)
    Path("images.npy").unlink()
    with pytest.raises(RunError, match="is no longer there: name images with --images"):
        plots.open_context(run, None)


def test_names_with_dollars_and_long_names_are_plain_text(run):
    from aecli.data.dataset import open_images

    name = "cost_$5_^$" + "x" * 200 + ".npy"
    source = open_images(Path(run.environment["data"]["file"]))
    context = plots.PlotContext(run, plots.load_model(run), source, name, run.split.validation)
    for figure in (plots.reconstructions(context), plots.errors(context)):
        plots.save(figure, Path("a.png"))
    assert Path("a.png").is_file()


HOSTILE_SETTINGS = """
image.origin: lower
image.interpolation: bilinear
image.cmap: jet
image.aspect: auto
lines.linewidth: 9
lines.marker: x
axes.prop_cycle: cycler('color', ['black', 'pink'])
axes.facecolor: black
figure.facecolor: black
figure.dpi: 33
savefig.dpi: 33
savefig.bbox: tight
savefig.transparent: True
savefig.facecolor: red
font.size: 40
font.family: monospace
text.color: white
axes.grid: True
axes.xmargin: 0.5
xtick.labelsize: 30
path.simplify: False
figure.constrained_layout.use: True
hist.bins: 3
"""
DRAW_ALL = """
import sys
from pathlib import Path
from aecli.cli.main import cli
for name in ("reconstructions", "history", "errors", "filters", "health"):
    cli(["plot", name, "--run", sys.argv[1], "--output", f"{sys.argv[2]}_{name}.png", "--quiet"], standalone_mode=False)
cli(["check", sys.argv[3], "--sheet", f"{sys.argv[2]}_sheet.png", "--quiet"], standalone_mode=False)
import matplotlib
print(matplotlib.rcParams["image.origin"])
"""


def test_a_users_own_settings_of_matplotlib_reach_no_figure(run, digits, monkeypatch):
    np.save("a.npy", digits[:200])
    plain = python(DRAW_ALL, str(run.path), "plain", "a.npy")
    Path("rc").mkdir()
    Path("rc/matplotlibrc").write_text(HOSTILE_SETTINGS)
    monkeypatch.setenv("MATPLOTLIBRC", "rc")
    styled = python(DRAW_ALL, str(run.path), "styled", "a.npy")
    assert not plain.returncode, plain.stderr
    assert not styled.returncode, styled.stderr
    names = [path.name.partition("_")[2] for path in Path().glob("plain_*.png")]
    assert len(names) == 6
    for name in names:
        assert Path(f"plain_{name}").read_bytes() == Path(f"styled_{name}").read_bytes(), name
    # What is the user's stays so: figures of their own in the same process are theirs.
    assert (plain.stdout.split()[-1], styled.stdout.split()[-1]) == ("upper", "lower")
