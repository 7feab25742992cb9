"""The report: what stands on the page, that it is safe and whole, and how it behaves in a real browser."""

import base64
import csv
import io
import math
import shutil
import struct
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from aecli.runs.config_file import load_config
from aecli.studies.compare import compare
from aecli.studies.config import StudyFile
from aecli.studies.results import read_results
from aecli.studies.stats import Interval
from aecli.studies.study import Study
from aecli.training.progress import NullProgress
from aecli.views.report.charts.charts import ChartRow, Value, row_chart
from aecli.views.report.charts.curves import Axes, Curve, mean_and_band, panel
from aecli.views.report.charts.drawing import Dot, Line, Text, fit_scale, tick_texts, truncate, wrap
from aecli.views.report.charts.save import COLOURS
from aecli.views.report.charts.svg import to_svg
from aecli.views.report.page import decimals_for, fixed
from aecli.views.report.pictures import chosen, png
from aecli.views.report.report import write_run_report, write_study_report
from tests.conftest import DIGITS

VARIANTS = ("relu", "linear")
SEEDS = (0, 1)
SETTINGS = (
    "study.seeds=2",
    "study.vary={model.activation: [relu, linear]}",
    "model.latent_dim=6",
    "training.epochs=3",
    "training.learning_rate=0.01",
)


class Quiet(NullProgress):
    """A progress that nobody watches."""

    def planned(self, *_):
        pass

    def event(self, *_):
        pass


@pytest.fixture(scope="session")
def studied(tmp_path_factory):
    """A tiny complete study with its report; read it, never write to it."""
    folder = tmp_path_factory.mktemp("study") / "tiny"
    images = folder.parent / "images.npy"
    shutil.copy(DIGITS, images)
    config = load_config(None, [*SETTINGS, f"data.train={images}"], StudyFile).config
    compare(config, folder, Quiet(), workers=1)
    write_study_report(Study(folder))
    return folder


@pytest.fixture
def study(studied, tmp_path):
    """A copy to change."""
    return Study(Path(shutil.copytree(studied, tmp_path / "tiny")))


class Parsed(HTMLParser):
    """The elements of a page, with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def rewrite(study, change):
    """Change the rows of results.csv."""
    rows = list(csv.DictReader(io.StringIO(study.results_file.read_text())))
    for row in rows:
        change(row)
    with study.results_file.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# -- the page ---------------------------------------------------------------------------------------


def test_the_page_asks_for_nothing_outside_itself(studied):
    text = (studied / "report.html").read_text()
    page = Parsed(text)
    links = [a[key] for _, a in page.elements for key in ("src", "href", "xlink:href", "srcset", "data") if key in a]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "url(" not in text
    assert "@import" not in text
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")


def test_every_link_of_the_page_leads_somewhere(studied):
    page = Parsed((studied / "report.html").read_text())
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    assert {a["href"].removeprefix("#") for a in page.all("a")} <= set(ids)


def test_verdict_variants_seeds_and_numbers_are_text(studied):
    from aecli.studies.summary import summarise

    page = Parsed((studied / "report.html").read_text())
    results = read_results(studied / "results.csv")
    words = "".join(page.words)
    assert summarise(results).verdict in words
    for name in (*VARIANTS, "PCA-6", "mean image", *(f"seed {seed}" for seed in SEEDS)):
        assert name in words
    for result in results:
        assert f"{result.variant}, seed {result.seed}: mse {result.metrics['mse']:.6g}" in words


def test_the_page_says_how_to_do_it_again(studied):
    words = "".join(Parsed((studied / "report.html").read_text()).words)
    assert (studied / "study.yaml").read_text() in words
    assert "ae compare --config study.yaml --output reproduced" in words
    for fact in ("SHA-256", "tensorflow", "1,797 of 8 × 8 × 1", "uint8"):
        assert fact in words


def test_the_config_on_the_page_is_the_study(studied):
    from aecli.studies.plan import plan

    assert [variant.label for variant in plan(load_config(studied / "study.yaml", (), StudyFile).config)] == list(
        VARIANTS
    )


def test_all_reconstructions_and_error_maps_are_there(studied):
    page = Parsed((studied / "report.html").read_text())
    pictures, models = page.all("img"), len(VARIANTS) + 1  # PCA too
    maps = [p for p in pictures if p["class"] == "map"]
    assert len(maps) == 9 * models
    assert len(pictures) == len(maps) + 9 * (models + 1)
    for picture in pictures:
        assert base64.b64decode(picture["src"].partition(",")[2])[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_plots_are_pictures_in_the_studys_folder(studied):
    names = {path.stem for path in (studied / "plots").glob("*.png")}
    assert names >= {"dots", "differences", "learning_curves", "reconstructions", "errors", "gap", "time_and_quality"}
    assert names >= {"gradients", "silent_units"}


def test_names_are_escaped_everywhere(study):
    evil = '<script>alert("&1")</script>'

    def rename(row):
        if row["variant"] == "relu":
            row["row"] = row["variant"] = evil

    rewrite(study, rename)
    text = write_study_report(study).read_text()
    page = Parsed(text)
    assert evil not in text
    assert text.count("<script>") == 1
    assert evil in "".join(page.words)


def test_a_folder_of_any_name_is_escaped(run):
    run.path.rename("<b>&co")
    text = write_run_report(type(run)(Path("<b>&co"))).read_text()
    assert "<b>&co" not in text
    assert "&lt;b&gt;&amp;co" in text


def test_a_run_that_does_not_count_is_named_with_its_reason(study):
    def collapse(row):
        if (row["variant"], row["seed"]) == ("linear", "1"):
            row |= {"state": "collapsed", "reason": "98% of the tanh outputs of encoder_0 are saturated"}

    rewrite(study, collapse)
    words = "".join(Parsed(write_study_report(study).read_text()).words)
    assert "Of 4 runs 1 collapsed" in words
    assert "98% of the tanh outputs of encoder_0 are saturated" in words
    assert "1 of 2" in words


def test_a_study_without_any_complete_run_has_a_page(study):
    rewrite(
        study,
        lambda row: row.update(
            state="failed",
            reason="loss is not finite",
            **dict.fromkeys(("mse", "mae", "psnr", "ssim", "fvu", "train_mse", "validation_mse", "gap", "seconds"), ""),
        ),
    )
    words = "".join(Parsed(write_study_report(study).read_text()).words)
    assert "No variant has a complete run" in words
    assert "no complete run" in words


def test_every_column_is_explained_under_the_table(studied):
    text = (studied / "report.html").read_text()
    titles = ("verdict", "runs", "mse", "worse by", "P(best wins)", "p (Holm)", "rank", "gap", "settled", "seconds")
    assert all(f"<b>{title}</b>" in text for title in titles)
    headings = [a for a in Parsed(text).all("th") if a.get("scope") == "col" and "title" in a]
    assert len(headings) >= 12


def test_the_words_of_the_tables_of_health_and_of_lost_runs_are_explained_under_them(study):
    rewrite(study, lambda row: row.update(state="collapsed") if row["seed"] == "1" else None)
    text = write_study_report(study).read_text()
    assert all(f"<b>{title}</b>" in text for title in ("dead", "saturated", "PReLU slope", "fvu"))
    assert "corrected by Holm" in text


def test_the_page_says_how_a_sure_win_and_a_large_p_go_together(studied, study):
    words = "".join(Parsed((studied / "report.html").read_text()).words)
    assert "On 2 seeds Wilcoxon's p is never below 0.5, corrected for 1 pair never below 0.5" in words
    rewrite(study, lambda row: row.update(state="failed" if row["variant"] == "relu" else "complete"))
    assert "Wilcoxon's p is never" not in "".join(Parsed(write_study_report(study).read_text()).words)


def test_curves_of_runs_that_do_not_count_are_drawn_in_their_own_panel(study):
    def collapse(row):
        if row["variant"] == "linear":
            row |= {"state": "collapsed" if row["seed"] == "1" else "failed", "reason": "dead"}

    rewrite(study, collapse)
    text = write_study_report(study).read_text()
    for fate in ("linear, seed 0, failed: ", "linear, seed 1, collapsed: "):
        assert fate in text
    assert "a run that does not count" in text
    rewrite(study, lambda row: row.update(state="failed"))
    assert "relu, seed 0, failed: " in write_study_report(study).read_text()


@pytest.mark.parametrize("fate", ["gone", "changed"])
def test_without_the_images_the_page_is_made_without_pictures(study, studied, fate):
    images = studied.parent / "images.npy"
    kept = images.rename(images.with_suffix(".kept"))
    try:
        if fate == "changed":
            np.save(images, np.load(DIGITS)[::-1])
        page = Parsed(write_study_report(study).read_text())
    finally:
        kept.replace(images)
    assert not page.all("img")
    assert {"gone": "is no longer there", "changed": "has changed since"}[fate] in "".join(page.words)


def test_without_its_runs_a_study_still_has_its_table_and_its_seeds(study):
    shutil.rmtree(study.path / "runs")
    words = "".join(Parsed(write_study_report(study).read_text()).words)
    assert "Every seed" in words
    assert "There are no pictures" in words or "No run has a model" in words


def test_the_curve_and_its_knee_are_drawn_where_the_code_length_varies(study):
    lengths = {("relu", "0"): 2, ("relu", "1"): 2, ("linear", "0"): 6, ("linear", "1"): 6}

    def vary(row):
        row["latent_dim"] = str(lengths[row["variant"], row["seed"]])

    rewrite(study, vary)
    page = Parsed(write_study_report(study).read_text())
    assert "curve" in [a.get("id") for a in page.all("figure")]
    assert "PCA-2: mse" in "".join(page.words)


# -- ae report --------------------------------------------------------------------------------------


def test_report_makes_the_page_of_a_study_again(study, ae):
    study.report_file.unlink()
    result = ae("report", study.path)
    assert (result.exit_code, result.stdout.strip()) == (0, str(study.report_file))
    assert ae("report", study.path).exit_code == 0  # its own page needs no --overwrite


def test_report_makes_the_page_of_a_run(run, ae):
    result = ae("report", run.path)
    assert result.exit_code == 0, result.output
    page = Parsed(run.report_file.read_text())
    words = "".join(page.words)
    for shown in ("small", "PCA-8", "mean image", "validation, 180", "ae train --config config.yaml", "encoder_0"):
        assert shown in words
    assert f"{run.metrics['splits']['validation']['model']['mse']:.6f}" in words
    assert page.all("img")


def test_a_run_trained_anew_loses_the_page_of_the_former_one(run, ae):
    ae("report", run.path)
    run.create("", overwrite=True)
    assert not run.report_file.exists()


def test_report_writes_where_it_is_told_and_asks_before_it_replaces(study, ae):
    stamp = (study.plots_folder / "dots.png").stat().st_mtime_ns
    assert ae("report", study.path, "--output", "page.html").exit_code == 0
    assert (study.plots_folder / "dots.png").stat().st_mtime_ns == stamp
    assert "add --overwrite" in ae("report", study.path, "--output", "page.html").output
    assert ae("report", study.path, "--output", "page.html", "--overwrite").exit_code == 0
    assert "ends in .html" in ae("report", study.path, "--output", "page.txt").output


def test_report_of_something_else_is_one_line(ae):
    Path("other").mkdir()
    assert "neither a study nor a run" in ae("report", "other").output
    result = ae("report", "nowhere")
    assert result.exit_code == 1
    assert "no such study or run" in result.output


# -- pieces -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_no_image_is_shown_twice_and_the_ends_are_the_ends(count):
    errors = np.random.default_rng(0).permutation(count).astype(float)
    groups = dict(chosen(errors))
    shown = [i for positions in groups.values() for i in positions]
    assert len(set(shown)) == len(shown)
    assert errors[groups["best"][0]] == 0
    if count > 1:
        assert errors[groups["worst"][-1]] == count - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_read_back_as_it_was(channels):
    import matplotlib.image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(np.uint8)
    data = png(pixels)
    assert struct.unpack(">II", data[16:24]) == (7, 5)
    read = np.rint(matplotlib.image.imread(io.BytesIO(data)) * 255).reshape(5, 7, -1)
    np.testing.assert_array_equal(read[:, :, :channels], pixels)


@pytest.mark.parametrize(
    "values",
    [[], [3.0], [0.0, 0.0], [1e-9, 1.0], [-5.0, 2.0], [1e300, 2e300], [0.1, 1e308], [5e-324, 1.0], [float("nan"), 1.0]],
)
@pytest.mark.parametrize("log", [None, False])
def test_a_scale_has_ticks_between_its_ends_for_any_values(values, log):
    scale = fit_scale(values, 10, 110, log=log)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 12
    assert len(set(tick_texts(ticks, scale.log))) == len(ticks)
    assert all(9.9 <= scale(tick) <= 110.1 for tick in ticks)


def test_the_mean_of_curves_ends_where_most_of_them_have_ended():
    mean, low, high = mean_and_band([[1, 2, 3, 9], [3, 4, 5], [5, 6]])
    assert (mean, low, high) == ([3, 4, 4], [1, 2, 3], [5, 6, 5])


def words_of(drawing):
    return [shape.text for shape in drawing.shapes if isinstance(shape, Text)]


def test_marks_off_the_axis_have_an_arrow_and_their_values():
    kept = tuple(Value(value, "seed") for value in (0.02, 0.03))
    lost = tuple(Value(value, "lost", "lost", "cross") for value in (0.3, 0.7, math.nan, 1e-3))
    words = words_of(row_chart([ChartRow("a", (*kept, *lost))], "mse", "about"))
    assert "0.3 to 0.7 →" in words
    assert "← 0.001" in words
    assert not any("→" in word for word in words_of(row_chart([ChartRow("a", kept)], "mse", "about")))


def test_a_curve_that_leaves_its_panel_says_so_and_stays_at_the_edge():
    inside, above = Curve((1, 2, 3), (0.2, 0.1, 0.1), "best"), Curve((1, 2, 3), (0.1, 5.0, math.inf), "lost")
    axes = Axes((1, 3), (0.1, 0.2), "epoch", "loss")
    assert "off the axis" not in "".join(words_of(panel("a", [inside], axes)))
    drawn = panel("a", [inside, above], axes)
    assert any("off the axis" in word for word in words_of(drawn))
    lines = [shape for shape in drawn.shapes if isinstance(shape, Line) and "lost" in shape.style]
    assert all(0 <= y <= drawn.height for line in lines for _, y in line.points)


def test_a_curve_without_a_number_draws_nothing():
    axes = Axes((1, 2), (0.1, 0.2), "epoch", "loss")
    drawn = panel("a", [Curve((1, 2), (math.nan, math.inf), "lost", title="x")], axes)
    assert not [shape for shape in drawn.shapes if "lost" in shape.style and isinstance(shape, Line | Dot)]


def test_long_names_stay_on_their_own_side():
    name = ", ".join(["activation=leaky_relu(negative_slope=0.1234)"] * 5)
    drawing = row_chart([ChartRow(name, (Value(1.0, "one"),), Interval(1.0, 0.5, 2.0))], "mse", "about")
    texts = [shape for shape in drawing.shapes if isinstance(shape, Text) and shape.style == "label"]
    assert 1 < len(texts) <= 3
    assert all(len(text.text) <= 21 and text.full == name for text in texts)
    assert wrap("a, b=2", 20) == ["a, b=2"]
    assert len(truncate("x" * 50, 20)) == 20


def test_numbers_of_a_column_have_the_same_decimals():
    assert decimals_for(0.00935) == 5
    assert fixed(0.0091, 5) == "0.00910"
    assert fixed(-0.000001, 3) == "0.000"
    assert fixed(None, 2) == fixed(float("nan"), 2) == "-"


def test_an_svg_escapes_what_it_is_given():
    svg = to_svg(row_chart([ChartRow("<b>", (Value(1.0, '"><script>'),))], "<i>", "about <u>"))
    assert all(f"<{tag}>" not in svg for tag in ("b", "script", "i", "u"))


def test_every_style_of_the_plots_is_in_the_style_sheet():
    import aecli.views.report.report

    css = (Path(aecli.views.report.__file__).parent / "style.css").read_text()
    assert all(f".{style}" in css for style in COLOURS if style not in ("label", "mean"))


# -- in a browser -----------------------------------------------------------------------------------


@pytest.fixture
def opened(browser, studied):
    """Open the report as a user does, from disk; whatever it complains of or asks for fails the test."""
    contexts, troubles = [], []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url))
        page.goto((studied / "report.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles


def names(page):
    return page.locator("table.sortable tbody").first.locator("th").all_inner_texts()


def test_the_browser_shows_every_chart_and_picture(opened):
    page = opened()
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    boxes = page.evaluate(
        "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect()).map(b => [b.width, b.height])"
    )
    assert len(boxes) >= 9
    assert all(width > 100 and height > 80 for width, height in boxes)


def test_headings_sort_by_click_and_by_keyboard_and_baselines_stay_below(opened):
    page = opened()
    heading = page.locator("table.sortable thead th").first
    before = names(page)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert names(page) == sorted(before)
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert names(page) == sorted(before, reverse=True)
    assert page.locator("table.sortable tbody").nth(1).locator("th").all_inner_texts() == [
        "best linear code-6",
        "PCA-6",
        "mean image",
    ]
    assert page.locator("table.sortable [aria-sort]").count() == 1


def test_sorting_by_a_number_is_by_its_value(opened):
    page = opened()
    column = page.locator("table.sortable thead th", has_text="mse")
    column.locator("button").click()  # it is in that order already: the other way round
    assert column.get_attribute("aria-sort") == "descending"
    values = (
        page.locator("table.sortable tbody")
        .first.locator("td:nth-child(4)")
        .evaluate_all("cells => cells.map(c => +c.dataset.key)")
    )
    assert values == sorted(values, reverse=True)


def test_the_switch_shows_error_maps_and_back(opened):
    page = opened()
    picture, error = page.locator("img.image").nth(-1), page.locator("img.map").nth(-1)
    assert picture.is_visible()
    assert not error.is_visible()
    page.get_by_label("error maps").check()
    assert error.is_visible()
    assert not picture.is_visible()
    page.keyboard.press("ArrowLeft")
    assert picture.is_visible()


def test_without_javascript_the_page_is_complete(opened):
    page = opened(java_script_enabled=False)
    assert page.locator("img.image").first.is_visible()
    page.get_by_label("error maps").check()
    assert page.locator("img.map").first.is_visible()
    assert page.locator("table.sortable tbody").first.locator("tr").count() == len(VARIANTS)


def test_a_phone_shows_the_columns_that_decide_and_scrolls_the_others_but_not_the_page(opened):
    page, width = opened(viewport={"width": 390, "height": 844}), "document.querySelector('.scroll').scrollWidth"
    assert page.evaluate(width) <= 390
    page.get_by_label("all 15 columns").check()
    assert page.evaluate(width) > 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def headings(page):
    return [cell.inner_text().strip() for cell in page.locator("table.sortable thead th").all() if cell.is_visible()]


@pytest.mark.parametrize("scripts", [True, False])
def test_the_columns_that_decide_show_at_once_and_the_others_on_a_click(opened, scripts):
    page = opened(java_script_enabled=scripts)
    assert headings(page) == ["variant", "verdict", "runs", "mse", "worse by"]
    legend = page.locator(".legend.more")
    assert not legend.is_visible()
    page.get_by_label("all 15 columns").check()
    assert len(headings(page)) == 15
    assert legend.is_visible()
    assert "no significance" in page.locator("p.more:not(.legend)").inner_text()


def test_paper_has_all_columns_and_no_box_to_tick(opened):
    page = opened(viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print")
    assert len(headings(page)) == 15
    assert not page.locator("#all-columns").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 720


def test_dark_and_light_differ_and_paper_is_always_light(opened):
    page, colour = opened(color_scheme="dark"), "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark", media="print")
    assert dark != light == page.evaluate(colour)
    assert page.pdf()[:4] == b"%PDF"


def test_numbers_in_charts_can_be_selected(opened):
    page = opened()
    page.locator("#dots svg text.label").first.evaluate("node => getSelection().selectAllChildren(node)")
    assert page.evaluate("String(getSelection())") in VARIANTS
