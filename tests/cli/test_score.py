"""ae score: what it writes, prints, warns of and refuses; ae evaluate --keep."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.core.files import packaged
from aecli.runs.metrics import METRICS
from aecli.runs.uses.scoring.held_out import read_held_out


@pytest.fixture
def images(digits):
    """300 digits that are good, then 100 of noise; labels beside them."""
    noise = np.random.default_rng(0).integers(0, 256, (100, 8, 8)).astype(np.uint8)
    np.save("images.npy", np.concatenate([digits[:300], noise]))
    np.save("images_labels.npy", np.array(["good"] * 300 + ["noise"] * 100))
    return np.load("images.npy")


def rows_of(path):
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def test_it_writes_scores_strangest_first_and_a_picture(ae, run, images):
    done = ae("score", "images.npy", "--false-alarms", "0.05")
    assert done.exit_code == 0, done.stderr
    rows = rows_of("images_scores.csv")
    assert list(rows[0]) == ["row", "label", "score", "p_value", "flagged"]
    scores = np.array([float(row["score"]) for row in rows])
    assert (np.diff(scores) <= 0).all()
    assert sorted(int(row["row"]) for row in rows) == list(range(400))
    held_out = read_held_out(run).values["model"]["mse"]
    for row in rows[::40]:
        assert row["label"] == ("good" if int(row["row"]) < 300 else "noise")
        p = (1 + (held_out >= float(row["score"]) * (1 + 1e-8)).sum()) / (len(held_out) + 1)
        assert float(row["p_value"]) == pytest.approx(p, abs=1.1 / (len(held_out) + 1))
        assert row["flagged"] == str(int(float(row["p_value"]) <= 0.05))
    assert Path("images_scores.png").read_bytes().startswith(b"\x89PNG")
    lines = done.stdout.splitlines()
    assert re.fullmatch(
        r"threshold: mse 0\.\d+ of 180 validation images, above which 5 % of normal images are \[2\.3, 8\.6\]", lines[0]
    )
    flagged = sum(row["flagged"] == "1" for row in rows)
    assert re.fullmatch(rf"{flagged} of 400 flagged; 20 expected were all normal \[7, 37\]", lines[1])
    assert lines[2].split() == [
        "400", "images,", "300", "normal", "AUROC", "95", "%", "interval", "caught", "95", "%", "interval", "false", "alarms",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[3:6]] == ["small", "PCA-8", "mean"]
    assert float(lines[3].split()[1]) > 0.99
    assert lines[-2:] == ["scores: images_scores.csv", "picture: images_scores.png"]
    assert lines[-3].startswith("strangest: #3")


def test_as_json(ae, run, images):
    done = ae("score", "images.npy", "--json", "--quiet", "--normal", "good")
    assert done.stderr == ""
    content = json.loads(done.stdout)
    assert (content["by"], content["images"], content["output"]) == ("mse", 400, "images_scores.csv")
    assert content["threshold"]["held_out_images"] == 180
    assert content["threshold"]["expected_rate"] == pytest.approx(1 / 181)
    assert list(content["labels"]["rows"]) == ["model", "pca", "mean_image"]
    model = content["labels"]["rows"]["model"]
    assert model["caught"]["of"] == 100
    assert model["false_alarms"]["of"] == 300
    assert len(content["strangest"]) == 10


def test_it_needs_no_images_of_the_training(ae, run, images):
    environment = json.loads(run.environment_file.read_text())
    environment["data"]["file"] = str(Path("gone.npy").absolute())
    run.environment_file.write_text(json.dumps(environment))
    assert ae("score", "images.npy").exit_code == 0


@pytest.mark.parametrize("metric", [name for name, metric in METRICS.items() if metric.of])
def test_by_every_metric_the_order_is_that_of_the_metric(ae, run, images, metric):
    assert ae("score", "images.npy", "--by", metric, "--false-alarms", "0.1").exit_code == 0
    assert ae("evaluate", "images.npy", "--per-image", "values.csv").exit_code == 0
    values = np.array([float(row[metric] or "nan") for row in rows_of("values.csv")])
    order = [int(row["row"]) for row in rows_of("images_scores.csv")]
    sign = -1 if METRICS[metric].better == "lower" else 1
    known = [row for row in order if np.isfinite(values[row])]
    assert (np.diff(sign * values[known]) >= -1e-6).all()


def test_metrics_that_follow_from_each_other_have_the_same_p_values(ae, run, images):
    for metric in ("mse", "psnr"):
        assert ae("score", "images.npy", "--by", metric, "--output", f"{metric}.csv").exit_code == 0
    first, second = rows_of("mse.csv"), rows_of("psnr.csv")
    assert [(row["row"], row["p_value"], row["flagged"]) for row in first] == [
        (row["row"], row["p_value"], row["flagged"]) for row in second
    ]


def test_maps_are_the_squared_errors(ae, run, images):
    assert ae("score", "images.npy", "--maps", "maps.npy").exit_code == 0
    maps = np.load("maps.npy")
    assert (maps.shape, maps.dtype) == ((400, 8, 8), np.float32)
    for row in rows_of("images_scores.csv")[::30]:
        assert maps[int(row["row"])].mean() == pytest.approx(float(row["score"]), rel=1e-5)


def test_files_have_their_names(ae, run, digits):
    Path("pictures").mkdir()
    for i, image in enumerate(digits[:12]):
        Image.fromarray(image).save(f"pictures/digit{i:02}.png")
    done = ae("score", "pictures", "--false-alarms", "0.1")
    assert done.exit_code == 0, done.stderr
    rows = rows_of("pictures_scores.csv")
    assert list(rows[0]) == ["row", "file", "score", "p_value", "flagged"]
    assert all(row["file"] == f"digit{int(row['row']):02}.png" for row in rows)
    assert f"strangest: #{rows[0]['row']} {rows[0]['file']} (" in done.stdout


def test_other_images_may_decide_the_threshold(ae, run, images, digits):
    np.save("normal.npy", digits[300:400])
    np.save("normal_labels.npy", np.array(["good"] * 60 + ["noise"] * 40))
    done = ae("score", "images.npy", "--held-out", "normal.npy", "--false-alarms", "0.05")
    assert done.exit_code == 0, done.stderr
    assert "normal.npy: 60 of 100 images are normal and decide the threshold" in done.stderr
    assert "of 60 normal.npy images, above which 4.9 % of normal images are" in done.stdout
    done = ae("score", "images.npy", "--held-out", packaged("data/digits.npy"), "--overwrite")
    assert done.exit_code == 1
    assert "digits.npy: the run was trained on images of it: give others, or leave it out" in done.stderr


def test_the_images_of_the_training_are_told_of(ae, run):
    done = ae("score", packaged("data/digits.npy"))
    assert done.exit_code == 0
    assert "the run was trained on 1,617 of these 1,797 images: their scores are lower than those of new" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["--false-alarms", "0.001"],
            1,
            "--false-alarms 0.001: of 180 held-out images no rate below 0.0055 can be told",
        ),
        (["--false-alarms", "0"], 2, "0"),
        (["--by", "mze"], 1, "--by mze: unknown metric; did you mean 'mse'?"),
        (["--by", "fvu"], 1, "--by fvu: unknown metric"),
        (["--normal", "god"], 1, "--normal: images.npy: no image is labelled 'god'; did you mean 'good'?"),
        (["--output", "a.txt"], 1, "a.txt: is written as .csv"),
        (["--maps", "a.csv"], 1, "a.csv: is written as .npy"),
        (["--output", "images.npy"], 1, "images.npy: is written as .csv"),
        (["--held-out", "none.npy"], 1, "none.npy"),
    ],
)
def test_what_cannot_be_is_one_line(ae, run, images, arguments, code, says):
    done = ae("score", "images.npy", *arguments)
    assert done.exit_code == code
    assert says in done.stderr
    assert done.stdout == ""
    assert not Path("images_scores.csv").exists()


def test_without_labels_normal_ones_cannot_be_named(ae, run, digits):
    np.save("plain.npy", digits[:20])
    done = ae("score", "plain.npy", "--normal", "good")
    assert done.exit_code == 1
    assert "--normal good: there is no plain_labels.npy beside plain.npy" in done.stderr


def test_labels_of_which_none_is_known_to_be_normal_are_only_written(ae, run, images):
    np.save("images_labels.npy", np.arange(400) % 3)
    done = ae("score", "images.npy")
    assert "images.npy: has labels: --normal CLASS,... says which of them are normal" in done.stderr
    assert "AUROC" not in done.stdout
    assert rows_of("images_scores.csv")[0]["label"] in "012"


def test_simple_strange_images_are_told_of(ae, run, digits):
    simple = np.zeros((100, 8, 8), np.uint8) + np.arange(100, dtype=np.uint8)[:, None, None] // 50
    blurred = np.repeat(digits.mean(axis=0, keepdims=True), 100, axis=0).astype(np.uint8) + simple
    np.save("images.npy", np.concatenate([digits[:300], blurred]))
    np.save("images_labels.npy", np.array(["normal"] * 300 + ["strange"] * 100))
    done = ae("score", "images.npy")
    assert "is below 0.5: the strange images are simpler than the normal ones" in done.stdout
    assert "tells them apart" in done.stdout


def test_nothing_is_overwritten_without_being_asked(ae, run, images):
    Path("images_scores.png").write_text("mine")
    done = ae("score", "images.npy")
    assert done.exit_code == 1
    assert "images_scores.png: exists already" in done.stderr
    assert not Path("images_scores.csv").exists()
    assert ae("score", "images.npy", "--overwrite").exit_code == 0


def test_a_run_without_held_out_metrics_scores_and_says_how_to_make_them(ae, run, images):
    kept = run.held_out_file.read_bytes()
    run.held_out_file.unlink()
    done = ae("score", "images.npy")
    assert done.exit_code == 0
    assert (
        "runs/small/held_out.npz: is not there, so that there is no threshold: ae evaluate --keep makes it"
        in done.stderr
    )
    assert "AUROC" in done.stdout
    assert "caught" not in done.stdout
    assert {row["p_value"] + row["flagged"] for row in rows_of("images_scores.csv")} == {""}
    assert ae("evaluate", "--keep").stdout == "runs/small/held_out.npz: keeps the metrics of 180 validation images\n"
    assert run.held_out_file.read_bytes() == kept


def test_they_are_kept_from_where_the_images_are_now(ae, run, digits):
    kept = run.held_out_file.read_bytes()
    environment = json.loads(run.environment_file.read_text())
    environment["data"]["file"] = str(Path("gone.npy").absolute())
    run.environment_file.write_text(json.dumps(environment))
    run.held_out_file.unlink()
    done = ae("evaluate", "--keep")
    assert done.exit_code == 1
    assert "is no longer there: say where the file is now: ae evaluate IMAGES --keep" in done.stderr
    np.save("other.npy", digits[:9])
    done = ae("evaluate", "other.npy", "--keep")
    assert done.exit_code == 1
    assert "other.npy: does not hold the validation images of runs/small" in done.stderr
    assert ae("evaluate", packaged("data/digits.npy"), "--keep").exit_code == 0
    assert run.held_out_file.read_bytes() == kept
    assert ae("evaluate").exit_code == 2
    assert ae("evaluate", "--keep", "--per-image", "a.csv").exit_code == 2
