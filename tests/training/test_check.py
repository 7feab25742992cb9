"""Looking before training: every finding on images made to have it, and none on images that have not."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from aecli.data.dataset import open_images
from aecli.data.loader import WINDOW_BYTES
from aecli.data.split import split_indices
from aecli.runs.config_file import load_config
from aecli.training.check.checking import check
from aecli.training.check.duplicates import ALIKE, find_duplicates
from aecli.training.check.order import rank_correlation, von_neumann_ratio
from aecli.training.check.survey import mirrored, signatures, survey
from aecli.views.contact_sheet import draw_sheet
from tests.conftest import PLAIN

SETS = ("model.latent_dim=4",)


def noise(count=300, shape=(12, 10), seed=0):
    return np.random.default_rng(seed).integers(1, 255, (count, *shape)).astype(np.uint8)


def scenes(count=40, side=16, channels=3, seed=0):
    """Smooth colour images: a few waves each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    f, p = rng.uniform(1, 6, (2, count, channels, 1, 1)), rng.uniform(0, 6, (2, count, channels, 1, 1))
    waves = np.sin(f[0] * x + p[0]) + np.sin(f[1] * y + p[1])
    return (127 + 60 * waves).transpose(0, 2, 3, 1).astype(np.uint8)


def found(images, *sets, test=None, labels=None):
    """Return the findings on these images by name."""
    np.save("images.npy", images)
    overrides = [*SETS, f"data.train={Path('images.npy').absolute()}", *sets]
    if test is not None:
        np.save("test.npy", test)
        overrides.append("data.test=test.npy")
    if labels is not None:
        np.save("images_labels.npy", labels)
    return {finding.name: finding for finding in check(load_config(None, overrides).config).findings}


def test_clean_images_raise_neither_error_nor_warning():
    findings = found(noise(), test=noise(seed=1))
    assert {finding.level for finding in findings.values()} == {"note"}
    assert set(findings) == {"clipped", "farthest", "fits", "compression", "linear_codes", "memory", "time"}


def test_smooth_colour_images_raise_no_warning():
    assert {finding.level for finding in found(scenes(200)).values()} == {"note"}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["?", "u1", ">u2", "<i8", ">f8", "<f2"])
def test_the_survey_is_what_numpy_says_of_all_images_at_once(dtype, order):
    images = (noise() > 128) if dtype == "?" else noise().astype(dtype)
    images[4] = images[290]
    np.save("images.npy", np.asarray(images, order=order))
    seen = survey(source := open_images(Path("images.npy")))
    rows = source.format.to_contract(images).reshape(300, -1)
    np.testing.assert_allclose(seen.mean, rows.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(seen.contrast, rows.std(axis=1), rtol=1e-4)
    np.testing.assert_allclose(seen.distance, np.sqrt(((rows - rows.mean(axis=0)) ** 2).mean(axis=1)), rtol=1e-4)
    assert len(set(seen.digest.tolist())) == 299
    assert seen.digest[4] == seen.digest[290]
    np.testing.assert_array_equal(seen.pixel_high.ravel(), rows.max(axis=0))


def test_a_sample_is_said_to_be_one(monkeypatch):
    monkeypatch.setattr("aecli.training.check.duplicates._SEARCHED", 50)
    finding = found(noise())["near_duplicates"]
    assert (finding.data["count"], finding.data["searched"]) == (0, 50)
    assert "searched for 50 of them among all" in finding.text


def test_constant_images_and_pixels_are_counted_with_their_rows():
    images = noise()
    images[5], images[77] = 40, 41
    assert found(images)["constant_images"].data == {"count": 2, "rows": [5, 77]}
    images = noise()
    images[:, 3, :4] = 9
    assert found(images)["constant_pixels"].data == {"count": 4, "values": 120}


def test_images_of_one_pixel_are_not_called_constant():
    assert "constant_images" not in found(noise(300, (1, 1)), "model.latent_dim=1")


def test_exact_copies_are_found_and_named():
    images = noise()
    images[[40, 200]] = images[7]
    assert found(images)["duplicates"].data == {"count": 2, "pairs": [[7, 40], [7, 200]]}


def test_a_near_copy_is_found_and_its_correlation_given():
    images = noise().astype(np.int16)
    images[250] = images[13] + np.random.default_rng(1).integers(-3, 4, images[13].shape)
    finding = found(np.clip(images, 0, 255).astype(np.uint8))["near_duplicates"]
    pair = images[[13, 250]].reshape(2, -1)
    assert finding.data["pairs"] == [[13, 250]]
    assert finding.data["correlations"] == pytest.approx([np.corrcoef(pair)[0, 1]], abs=1e-4)


def test_a_brighter_copy_is_a_near_copy():
    images = noise()
    images[9] = images[120] // 2
    assert found(images)["near_duplicates"].data["pairs"] == [[9, 120]]


def test_every_near_pair_is_found_that_looking_at_all_pairs_finds():
    originals = scenes(60, seed=3).astype(np.float64)
    rng = np.random.default_rng(4)
    copies = (
        originals[:30] + rng.normal(0, 1, (30, *originals.shape[1:])) * np.linspace(0.1, 4, 30)[:, None, None, None]
    )
    np.save("images.npy", np.concatenate([originals, copies]).clip(0, 255).astype(np.uint8))
    source = open_images(Path("images.npy"))
    pairs = {tuple(pair) for pair in find_duplicates([survey(source)]).near.tolist()}
    every = np.corrcoef(source.file.read(0, len(source)).reshape(len(source), -1).astype(float))
    alike = set(zip(*map(list, np.nonzero(np.triu(every, 1) >= ALIKE)), strict=True))
    assert len(alike) > 10
    assert alike <= pairs
    assert pairs <= {(i, 60 + i) for i in range(30)}  # the noisier copies too, and nothing else


def compressed(image, quality):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


ALTERED = {
    "JPEG": lambda image: compressed(image, 50),
    "mirror": lambda image: image[:, ::-1],
    "mirror, JPEG": lambda image: compressed(image[:, ::-1], 75),
    "shift": lambda image: np.pad(image, ((1, 0), (0, 2), (0, 0)), mode="edge")[:-1, 2:],
    "contrast": lambda image: np.clip((image - 128.0) * 0.7 + 148, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED)
def test_altered_copies_are_found_and_named_at_least(alter):
    images = scenes(80, side=48, seed=6)
    noisy = np.clip(images + np.random.default_rng(0).normal(0, 12, images.shape), 0, 255).astype(np.uint8)
    copies = np.stack([alter(image) for image in noisy[:10]])
    finding = found(np.concatenate([noisy, copies]))["near_duplicates"]
    pairs = {tuple(pair) for pair in finding.data["pairs"]}
    assert len(pairs) >= 9
    assert pairs <= {(i, 80 + i) for i in range(10)}
    assert finding.text.startswith(f"at least {len(pairs)} pairs of images nearly the same")


def test_look_alikes_are_no_copies():
    """All are the same wave, each with a little of its own: near one another, but none nearer than the others."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:32, :32] / 32
    own = scenes(60, side=32, channels=1, seed=2)[..., 0] / 255
    images = 0.5 + 0.4 * np.sin(6 * x + 3 * y) + 0.5 * (own - 0.5) + rng.normal(0, 0.02, own.shape)
    assert "near_duplicates" not in found((255 * images).clip(0, 255).astype(np.uint8))


def test_mirrored_signatures_are_those_of_mirrored_images():
    images = np.random.default_rng(0).random((5, 20, 26, 3), np.float32)
    contrast = images.reshape(5, -1).std(axis=1)
    expected = signatures(images[:, :, ::-1], contrast)
    np.testing.assert_allclose(mirrored(signatures(images, contrast)), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16, 1), (13, 21, 3), (5, 9, 1)])
def test_signatures_are_no_farther_apart_than_correlation_says(shape):
    rng = np.random.default_rng(0)
    images = rng.random((40, *shape), np.float32)
    images[20:] = (
        images[:20] + rng.normal(0, 0.2, (20, *shape)).astype(np.float32) * np.linspace(0, 1, 20)[:, None, None, None]
    )
    contrast = images.reshape(40, -1).std(axis=1)
    found = signatures(images, contrast)
    correlation = np.corrcoef(images.reshape(40, -1))
    distances = ((found[:, None] - found[None]) ** 2).sum(axis=2)
    assert (distances <= 2 * (1 - correlation) + 1e-5).all()


def test_a_test_image_that_is_trained_on_is_a_leak():
    test = noise(50, seed=1)
    test[[3, 8]] = noise()[split_indices("", 300, 0.1, 0).train[60:62]]
    finding = found(noise(), test=test)
    leaks = [f for name, f in finding.items() if name == "leak_test"]
    assert [f.level for f in leaks] == ["warning"]
    assert leaks[0].data["exact"] == 2
    assert leaks[0].data["rows"] == [303, 308]
    assert "test.npy #3" in leaks[0].text


def test_a_copy_on_both_sides_of_the_split_is_a_leak_and_on_one_side_is_none():
    split = split_indices("", 300, 0.1, 0, 0.2)
    images = noise()
    images[split.test[4]] = images[split.train[0]]
    findings = found(images, "data.test_split=0.2")
    assert findings["leak_test"].data == {
        "part": "test", "images": 60, "exact": 1, "near": 0, "rows": [int(split.test[4])],
    }  # fmt: skip
    assert "leak_validation" not in findings
    images = noise()
    images[split.train[1]] = images[split.train[0]]
    assert not {name for name in found(images, "data.test_split=0.2") if name.startswith("leak")}


@pytest.mark.parametrize(("order", "expected"), [("sorted", True), ("shuffled", False)])
def test_a_file_sorted_by_its_labels_is_told(order, expected):
    labels = np.random.default_rng(0).integers(0, 5, 300)
    findings = found(noise(), labels=np.sort(labels) if order == "sorted" else labels)
    assert ("sorted_by_class" in findings) is expected
    assert sum(findings["classes"].data["classes"].values()) == 300


def test_labels_of_another_number_are_a_warning():
    assert "expected 300 labels" in found(noise(), labels=np.zeros(299, int))["labels"].text


def test_a_file_sorted_by_brightness_is_told():
    images = noise()
    order = np.argsort(images.mean(axis=(1, 2)))
    assert found(images[order])["sorted_by_brightness"].data["rank_correlation"] > 0.99


def test_neighbours_that_look_alike_are_told():
    images = np.repeat(scenes(30), 10, axis=0).astype(np.int16)
    images += np.random.default_rng(0).integers(-20, 21, images.shape, np.int16)
    assert "like_neighbours" in found(images.clip(0, 255).astype(np.uint8))


def test_rank_correlation_is_spearmans():
    from scipy.stats import spearmanr

    values = np.random.default_rng(0).integers(0, 9, 50).astype(np.float32)
    assert rank_correlation(values) == pytest.approx(spearmanr(values, np.arange(50)).statistic)


def test_the_von_neumann_ratio_is_near_one_for_noise_and_small_for_a_slope():
    assert von_neumann_ratio(np.random.default_rng(0).normal(size=(2000, 3))) == pytest.approx(1, abs=0.1)
    assert von_neumann_ratio(np.linspace(0, 1, 100)[:, None]) < 0.01


def test_the_shares_at_the_ends_of_the_range_are_exact():
    images = noise(10)
    images[:, :3], images[:, 3] = 0, 255
    assert found(images)["clipped"].data == {"low": pytest.approx(0.25), "high": pytest.approx(1 / 12)}


def test_images_of_two_values_are_told():
    assert "binary_crossentropy" in found((noise() > 128).astype(np.uint8) * 255)["two_values"].text


def test_an_outlier_is_named():
    images = (noise() // 8 + 100).astype(np.uint8)
    images[123] = noise(1, seed=9)
    finding = found(images)["outliers"]
    assert finding.data["count"] == 1
    assert finding.data["rows"][0] == 123


def test_values_that_are_not_finite_are_an_error_with_the_words_of_training(ae):
    images = noise().astype(np.float32) / 255
    images[70, 1, 1], images[220, 0, 0] = np.nan, np.inf
    finding = found(images)["not_finite"]
    assert (finding.level, finding.data) == ("error", {"rows": [70, 220]})
    assert f"ae: {finding.text}\n" in ae("train", "--data", Path("images.npy").absolute()).stderr


@pytest.mark.parametrize(
    ("images", "sets"),
    [
        (noise(1), ()),
        (noise(30, (24,)), ()),
        (noise(shape=(3, 16, 16)), ()),
        (noise().astype(np.float32) - 30, ("data.value_range=[0,10]",)),
        (noise().astype(np.float32) / 255, ("model.output_activation=relu6", "training.loss=binary_crossentropy")),
    ],
    ids=["one image", "flat rows", "channels first", "out of the range", "loss"],
)
def test_what_training_refuses_is_an_error_in_the_same_words(images, sets, ae):
    (error,) = [f for f in found(images, *sets).values() if f.level == "error"]
    result = ae(
        "train", "--data", Path("images.npy").absolute(), *(x for key in (*SETS, *sets) for x in ("--set", key))
    )
    assert result.exit_code == 1
    assert f"ae: {error.text}\n" in result.stderr


@pytest.mark.parametrize(
    ("name", "images", "sets"),
    [
        ("code_not_smaller", noise(), ("model.latent_dim=120",)),
        ("code_not_smaller_than_images", noise(50), ("model.latent_dim=60", "model.linear_path=none")),
        ("batch_larger_than_images", noise(), ("training.batch_size=500",)),
        ("few_images", noise(40), ()),
        ("range_guessed", (noise() / 78 - 1.3).astype(np.float32), ()),
        ("weights_too_large", noise(200, (30, 30)), ("model.hidden=[1000000,1000000]",)),
        ("constant_images", np.concatenate([noise(200), noise(2) * 0]), ()),
    ],
)  # fmt: skip
def test_what_will_go_wrong_is_a_warning_and_training_notes_it(name, images, sets):
    from aecli.training.prepare import open_data, prepare

    class Notes(list):
        note = list.append

    finding = found(images, *sets)[name]
    config = load_config(None, [*SETS, f"data.train={Path('images.npy').absolute()}", *sets]).config
    notes = Notes()
    prepare(config, *open_data(config), notes)
    assert finding.level == "warning"
    assert finding.text in notes


def test_a_few_extremes_that_set_the_scale_are_a_warning():
    images = noise().astype(np.uint16)
    images[0, 0, 0] = 60_000
    assert found(images)["extremes_set_the_scale"].data["value_range"] == [0, 65535]


def test_planar_values_are_told_by_their_roughness_and_colours_in_order_are_not():
    images = scenes()
    assert "axes" not in found(images)
    assert "axes" not in found(np.repeat(images[..., :1], 3, axis=3))
    planar = images.transpose(0, 3, 1, 2).reshape(images.shape)
    assert found(planar)["axes"].data["looks_like"] == [3, 16, 16]


def test_height_and_width_the_wrong_way_round_are_told():
    rows = scenes(channels=1)[:, :, :10].reshape(40, -1)
    assert found(rows, "data.image_shape=[10,16]")["axes"].data["looks_like"] == [16, 10, 1]
    assert "axes" not in found(rows, "data.image_shape=[16,10]")


def test_the_outputs_that_reach_the_images_are_those_that_training_accepts():
    images = noise().astype(np.float32) / 127.5 - 1
    finding = found(images, "data.value_range=[0,1]", "model.output_activation=linear")["fits"]
    assert {"tanh", "linear", "softsign"} <= set(finding.data["output_activations"])
    assert not {"sigmoid", "relu"} & set(finding.data["output_activations"])
    assert finding.data["with_binary_crossentropy"] == []


def test_the_memory_is_what_the_loaders_hold():
    data = found(noise(), "model.hidden=[]")["memory"].data
    assert (data["streamed"], data["image_bytes"]) == (False, 300 * 120)
    assert data["weights"] == 2 * (120 * 4 + 4 + 4 * 120 + 120)  # as many again in the linear path
    assert found(noise(), *PLAIN)["memory"].data["weights"] == 120 * 4 + 4 + 4 * 120 + 120
    data = found(noise(20_000), "data.memory_budget=1")["memory"].data
    assert (data["streamed"], data["image_bytes"]) == (True, 2 * WINDOW_BYTES + 2000 * 120)


def test_memory_and_time_are_told_in_plain_numbers():
    data = found(noise())["time"].data
    assert data["seconds_per_epoch"] > 0


def test_the_command_prints_a_line_for_each_finding_and_exits_with_zero(ae):
    images = noise()
    images[9] = images[4]
    np.save("images.npy", images)
    result = ae("check", "images.npy", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    first, *lines, last = result.stdout.splitlines()
    assert first.startswith("images.npy: 300 images of 12 x 10 x 1")
    assert {line.split(": ")[0] for line in lines} <= {"warning", "note"}
    assert "note: 1 image is an exact copy of an earlier one: #9 = #4" in lines
    assert last.startswith("ae train would start")
    assert [path.name for path in Path().iterdir()] == ["images.npy"]


def test_errors_come_first_and_the_exit_code_is_one(ae):
    np.save("images.npy", noise().astype(np.float32) / 255 - 0.2)
    result = ae("check", "images.npy", "--set", "data.value_range=[0,1]")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].startswith("error: model.output_activation: sigmoid gives only")
    assert "ae train would refuse this" in result.stdout


@pytest.mark.parametrize(("images", "code"), [(noise(), 0), (noise(1), 1), (np.full((5, 4, 4), np.nan), 1)])
def test_json_is_the_result_alone(images, code, ae):
    np.save("images.npy", images)
    result = ae("check", "images.npy", "--json")
    assert result.exit_code == code
    parsed = json.loads(result.stdout)
    assert parsed["errors"] == code
    assert {finding["level"] for finding in parsed["findings"]} >= ({"error"} if code else {"note"})
    assert all(set(finding) == {"level", "name", "text", "data"} for finding in parsed["findings"])


def test_without_images_those_of_the_config_are_looked_at(ae):
    np.save("mine.npy", noise())
    Path("mine.yaml").write_text("data: {train: mine.npy}")
    assert ae("check", "--config", "mine.yaml").stdout.startswith("mine.npy: 300 images")
    assert "digits that come with ae" in ae("check").stderr


@pytest.mark.parametrize("name", ["missing.npy", "text.npy"])
def test_what_is_no_array_is_an_error_as_everywhere(name, ae):
    Path("text.npy").write_text("hello")
    result = ae("check", name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith(f"ae: {name}: ")


@pytest.mark.parametrize("count", [1, 2, 4, 60])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_is_drawn_of_any_number_of_images(count, channels, ae):
    images = scenes(count, channels=channels)
    images[-1:] = images[:1]
    np.save("images.npy", images)
    result = ae("check", "images.npy", "--sheet", "sheet.png")
    assert result.exit_code == (1 if count == 1 else 0)
    assert Path("sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_sheet_shows_the_worst_of_both_files_named_by_their_rows():
    images, test = noise(), noise(40, seed=1)
    images[30], test[7] = 77, images[50]
    np.save("images.npy", images)
    np.save("test.npy", test)
    config = load_config(None, [*SETS, "data.train=images.npy", "data.test=test.npy"]).config
    shown = [text.get_text() for axis in draw_sheet(check(config)).axes for text in axis.texts]
    assert shown.count("#30") >= 1
    assert {"spread over\nthe file", "of one value", "exact copies,\nin pairs", "#50", "test #7"} <= set(shown)
    assert "nearly the\nsame, in pairs" not in shown


def test_a_sheet_takes_the_place_of_nothing(ae):
    np.save("images.npy", noise(20))
    Path("sheet.png").write_text("mine")
    assert "exists already" in ae("check", "images.npy", "--sheet", "sheet.png").stderr
    assert Path("sheet.png").read_text() == "mine"
    assert ae("check", "images.npy", "--sheet", "sheet.png", "--overwrite").exit_code == 0
    assert "unknown suffix" in ae("check", "images.npy", "--sheet", "sheet.bmp").stderr


def test_images_decoded_from_files_are_named_by_them(ae):
    from PIL import Image

    Path("photos").mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
    pictures[3] = 77
    for i, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(f"photos/{i:02}.png")
    assert "(#3 03.png)" in ae("check", "photos").stdout


@pytest.mark.parametrize(("bits", "warned"), [(12, True), (16, False)])
def test_pictures_of_fewer_bits_than_their_files_have_are_told_beside_others(bits, warned):
    from PIL import Image

    Path("p").mkdir()
    for i, pixels in enumerate(noise(30)):
        deep = np.round(pixels * ((2**bits - 1) / 254)).astype(np.uint16)
        Image.fromarray(deep if i < 12 else pixels).save(f"p/{i:02}.png")
    findings = {f.name: f for f in check(load_config(None, [*SETS, "data.train=p"]).config).findings}
    assert ("few_bits" in findings) == warned
    if warned:
        assert findings["few_bits"].level == "warning"
        assert findings["few_bits"].data == {"pictures": 12, "bits": 12}
