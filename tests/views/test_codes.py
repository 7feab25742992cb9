"""Pictures of codes: what is in them, that they are drawn for runs of every kind, and by no training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import NotInRunError
from aecli.data.dataset import open_images
from aecli.runs.config_file import load_config
from aecli.runs.run import Run
from aecli.training.trainer import train
from aecli.views import plots
from aecli.views.codes.codes import codes_of, small, thinned
from aecli.views.codes.interpolation import interpolation
from aecli.views.codes.latents import labels_drawn, latents
from aecli.views.codes.neighbours import neighbours
from aecli.views.codes.samples import sheet_of_samples
from aecli.views.codes.traversal import traversal
from aecli.views.plot_table import PLOTS

OF_CODES = ("samples", "latents", "interpolation", "traversal", "neighbours", "rate")


@pytest.fixture
def context(trained):
    return plots.open_context(trained, None)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def pictures(figure):
    """The images on a sheet, (N, H, W), and the left and bottom of each."""
    drawn = figure.axes[0].images
    return [np.asarray(image.get_array()) for image in drawn], [tuple(image.get_extent()[::2]) for image in drawn]


@pytest.mark.parametrize("kind", OF_CODES)
def test_they_are_drawn_on_demand_and_by_no_training(kind, ae, run):
    assert not (run.plots_folder / f"{kind}.png").exists()
    done = ae("plot", kind)
    assert done.exit_code == 0, done.stderr
    first = (run.plots_folder / f"{kind}.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert run.sampler_file.is_file() == (kind == "samples")
    ae("plot", kind)
    assert (run.plots_folder / f"{kind}.png").read_bytes() == first


def test_every_other_plot_is_that_of_a_training():
    assert tuple(name for name, plot in PLOTS.items() if not plot.every_training) == ("kl", *OF_CODES)


# -- samples ----------------------------------------------------------------------------------


def test_samples_are_those_of_ae_sample(ae, run):
    assert ae("sample", "--components", "2", "--count", "12", "--output", "a.npy").exit_code == 0
    figure = PLOTS["samples"].draw(run, count=12)
    drawn, _ = pictures(figure)
    np.testing.assert_allclose(drawn, np.load("a.npy") / 255, atol=0.51 / 255)
    assert "12 samples of its mixture of 2, seed 0" in figure.texts[0].get_text()
    done = ae("plot", "samples", "--count", "7")
    assert done.stdout == "runs/small/plots/samples_count.png\n"


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (23, 3, 9, 3), (100, 1, 1, 2)])
def test_a_sheet_has_every_sample_in_its_place(shape):
    images = np.random.default_rng(0).random(shape, np.float32)
    drawn, places = pictures(sheet_of_samples(images, "caption"))
    assert len(drawn) == len(set(places)) == len(images)
    if shape[3] == 3:
        np.testing.assert_array_equal(drawn, images)


# -- latents ----------------------------------------------------------------------------------


def test_latents_are_the_two_directions_in_which_codes_vary_most(context):
    points = np.asarray(latents(context).axes[0].collections[0].get_offsets())
    codes = codes_of(context).astype(np.float64)
    centred = codes - codes.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(abs(points), abs(centred @ directions[:2].T), atol=1e-3)
    shares = spread**2 / (spread**2).sum()
    assert latents(context).axes[0].get_xlabel() == f"first principal axis, {100 * shares[0]:.0f} % of the variance"


def test_latents_are_coloured_by_error_where_there_are_no_labels(context):
    figure = latents(context)
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array(), context.errors)
    assert figure.axes[1].get_ylabel() == "mse of an image"


def labelled(trained, digits, labels, name="named"):
    """The digits, labelled, in a context of all of them."""
    np.save(f"{name}.npy", digits)
    np.save(f"{name}_labels.npy", labels)
    source = open_images(Path(f"{name}.npy"))
    return replace(plots.open_context(trained, None), source=source, data=f"{name}.npy")


def test_latents_are_coloured_by_label_where_there_are_labels(trained, digits):
    labels = np.arange(len(digits)) % 3
    context = labelled(trained, digits, labels)
    context = replace(context, rows=np.arange(1, 1000, 2))
    np.testing.assert_array_equal(labels_drawn(context).values, labels[1:1000:2])
    figure = latents(context)
    colors = figure.axes[0].collections[0].get_facecolors()[:, :3]
    assert len(np.unique(colors, axis=0)) == 3
    for number in range(3):
        assert len(np.unique(colors[labels[1:1000:2] == number], axis=0)) == 1
    assert texts(figure) == ["0", "1", "2"]
    assert len(figure.axes) == 1


def test_of_many_classes_the_largest_have_colours(trained, digits):
    context = labelled(trained, digits, np.minimum(np.arange(len(digits)) % 40, 13))
    figure = latents(context)
    assert "grey: 4 more classes" in texts(figure)
    assert "13" in texts(figure)
    assert len(np.unique(figure.axes[0].collections[0].get_facecolors(), axis=0)) == 11


def test_names_of_classes_with_dollars_are_plain_text(trained, digits):
    context = labelled(trained, digits[:40], np.array(["$a_1$", "x" * 99])[np.arange(40) % 2])
    plots.save(latents(replace(context, rows=None)), Path("a.png"))


def test_folders_of_pictures_are_classes(ae, trained, digits):
    from PIL import Image

    for i, image in enumerate(digits[:12]):
        Path(f"pictures/{'ab'[i % 2]}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(f"pictures/{'ab'[i % 2]}/{i}.png")
    context = plots.open_context(trained, Path("pictures"))
    found = labels_drawn(context)
    assert found.classes == ("a", "b")
    assert found.values.tolist() == [0] * 6 + [1] * 6


def test_many_images_are_thinned_evenly(context):
    few = thinned(context, 50)
    assert 25 <= len(few) <= 50
    assert set(np.diff([*map(list(context.rows).index, few.rows)])) == {4}
    assert thinned(context) is context
    np.testing.assert_allclose(few.errors, replace(context, rows=few.rows).errors)


# -- interpolation ----------------------------------------------------------------------------


def test_a_way_begins_and_ends_at_reconstructions_over_images(context):
    images, restored = context.show([3, 8])
    drawn, places = pictures(interpolation(context, [3, 8]))
    in_code, in_pixels = drawn[0::2], drawn[1::2]
    assert len(in_code) == len(in_pixels) == 10
    for end, position in ((0, 0), (1, -1)):
        np.testing.assert_allclose(in_code[position], restored[end, :, :, 0], atol=1e-5)
        np.testing.assert_allclose(in_pixels[position], images[end, :, :, 0], atol=1e-6)
    codes = context.model.encode(images)
    third = context.model.decode((codes[:1] * 6 + codes[1:] * 3) / 9)[0, :, :, 0]
    np.testing.assert_allclose(in_code[3], third, atol=1e-5)
    np.testing.assert_allclose(in_pixels[3], (images[0] * 6 + images[1] * 3)[:, :, 0] / 9, atol=1e-5)
    assert places[0][0] == places[1][0]
    assert places[0][1] > places[1][1]


def test_ways_lead_from_each_image_to_the_next(context):
    rows = context.row_numbers([3, 8, 5])
    figure = interpolation(context, [3, 8, 5])
    assert [text for text in texts(figure) if text.startswith("#")] == [f"#{rows[i]}" for i in (0, 1, 1, 2)]
    assert len(pictures(figure)[0]) == 40


def test_a_way_needs_two_images(ae, context, run):
    with pytest.raises(NotInRunError, match="a way leads between two images"):
        interpolation(context, [3])
    done = ae("plot", "interpolation", "--count", "1")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].endswith("one is given: give two, e.g. --index 3,7")


# -- traversal --------------------------------------------------------------------------------


def test_the_latents_that_move_the_image_most_come_first(context):
    figure = traversal(context)
    codes = codes_of(context)
    mean, ends = codes.mean(axis=0), np.quantile(codes, [0.05, 0.95], axis=0)
    changed = np.repeat(mean[None, None], 2, 0).repeat(8, 1).astype(np.float32)
    for end, values in zip(changed, ends, strict=True):
        np.fill_diagonal(end, values)
    low, high = (context.model.decode(end) for end in changed)
    order = np.argsort(-((high - low) ** 2).mean(axis=(1, 2, 3)))
    names = [text.split("\n")[0] for text in texts(figure) if text.startswith("latent")]
    assert names == [f"latent {i}" for i in order]
    drawn, _ = pictures(figure)
    assert len(drawn) == 80
    np.testing.assert_allclose(drawn[1], low[order[0], :, :, 0], atol=1e-4)
    np.testing.assert_allclose(drawn[8], high[order[0], :, :, 0], atol=1e-4)
    assert [text for text in texts(figure) if text.endswith(" %")][:2] == ["1 %", "5 %"]


def test_beside_a_latent_stands_its_variance_or_its_divergence(context, run):
    variances = codes_of(context).var(axis=0)
    assert {f"latent {i}\nvar. {v:.3g}" for i, v in enumerate(variances)} <= set(texts(traversal(context)))
    metrics = json.loads(run.metrics_file.read_text()) | {"latent_kl": [0.5 * i for i in range(8)]}
    run.metrics_file.write_text(json.dumps(metrics))
    with_kl = texts(traversal(replace(context, run=Run(run.path))))
    assert {f"latent {i}\nKL {0.5 * i:.3g} nats" for i in range(8)} <= set(with_kl)


def test_where_no_latent_varies_there_is_nothing_to_draw(context):
    alike = replace(context, rows=np.repeat(context.rows[:1], 3))
    with pytest.raises(NotInRunError, match="no latent varies"):
        traversal(alike)


# -- neighbours -------------------------------------------------------------------------------


def test_the_nearest_stand_in_order_after_the_image(context):
    images, _ = context.show(range(len(context)))
    codes = context.model.encode(images)
    figure = neighbours(context, [4, 9])
    rows = [text for text in texts(figure) if text.startswith("#")]
    for band, position in enumerate((4, 9)):
        above, below = [], []
        for values, numbers in ((codes, above), (images.reshape(len(images), -1), below)):
            far = ((values.astype(float) - values[position]) ** 2).sum(axis=1)
            far[position] = -1
            numbers += [f"#{row}" for row in context.row_numbers(np.argsort(far, kind="stable")[:10])]
        written = rows[band * 19 : band * 19 + 19]
        assert written[0] == above[0]
        assert written[1::2] == above[1:]
        assert written[2::2] == below[1:]
    drawn, _ = pictures(figure)
    np.testing.assert_array_equal(drawn[0], images[4, :, :, 0])
    np.testing.assert_array_equal(drawn[10], images[4, :, :, 0])


def test_a_copy_of_an_image_is_its_nearest_neighbour(ae, run, digits):
    np.save("twice.npy", np.concatenate([digits[:30], digits[:1]]))
    context = plots.open_context(run, Path("twice.npy"))
    numbers = [text for text in texts(neighbours(context, [0])) if text.startswith("#")]
    assert numbers[:3] == ["#0", "#30", "#30"]
    assert ae("plot", "neighbours", "--images", "twice.npy", "--index", "0").exit_code == 0


@pytest.mark.parametrize("count", [2, 3])
def test_few_images_have_few_neighbours(run, digits, count):
    np.save("few.npy", digits[:count])
    figure = neighbours(plots.open_context(run, Path("few.npy")))
    assert len(pictures(figure)[0]) == 2 * count * count


def test_one_image_has_none(ae, run, digits):
    np.save("one.npy", digits[:1])
    done = ae("plot", "neighbours", "--images", "one.npy")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("ae: one.npy: one image has no neighbours")


def test_colour_images_of_a_convolutional_run_are_drawn(ae):
    images = np.random.default_rng(0).integers(0, 256, (40, 9, 6, 3)).astype(np.uint8)
    np.save("colour.npy", images)
    keys = ["model.family=conv", "model.latent_dim=5", "training.epochs=1", "data.train=colour.npy"]
    train(load_config(None, keys).config, Path("runs/colour"))
    for kind in OF_CODES:
        assert ae("plot", kind, "--images", "colour.npy").exit_code == 0, kind


@pytest.mark.parametrize(
    ("shape", "drawn"), [((2, 256, 511, 1), (256, 511)), ((2, 600, 90, 3), (300, 45)), ((1, 1, 1, 2), (1, 1))]
)
def test_of_large_images_some_pixels_are_drawn(shape, drawn):
    images = np.random.default_rng(0).random(shape, np.float32)
    assert small(images).shape[1:3] == drawn
    assert np.isin(small(images), images).all()
