"""How a network stands to PCA and the mean image: the mse decides, and the numbers shown say the same."""

import pytest

from aecli.runs.uses import standing as module
from aecli.runs.uses.standing import standing


def row(mse, psnr=None):
    return {"mse": mse, "psnr": psnr, "exact_copies": 0}


def test_better_than_both_says_so_with_the_psnr_and_nothing_to_try():
    rows = {"model": row(0.004, 24.13), "pca": row(0.006, 22.34), "mean_image": row(0.07, 11.5)}
    assert standing(rows) == (
        "On these images the network reconstructs better than PCA with the same code length (24.13 against 22.34 dB) "
        "and better than the mean image (24.13 against 11.50 dB)."
    )


@pytest.mark.parametrize(
    ("ours", "says"),
    [(0.98, "better than PCA"), (0.995, "no better than PCA"), (1.005, "no better than PCA"), (1.02, "worse than PCA")],
)
def test_one_percent_is_no_difference(ours, says):
    assert f"reconstructs {says}" in standing({"model": row(ours * 0.01), "pca": row(0.01)})


def test_a_psnr_that_would_say_the_opposite_gives_way_to_the_mse():
    said = standing({"model": row(0.01, 20.0), "pca": row(0.012, 25.0)})
    assert "better than PCA with the same code length (mse 0.01 against 0.012)" in said


def test_exact_copies_are_in_the_mse_alone():
    said = standing({"model": row(0.0), "pca": row(0.0)})
    assert "no better than PCA with the same code length (mse 0 against 0)" in said
    assert "(mse 0.01 against 0.02)" in standing(
        {"model": {**row(0.01, 30.0), "exact_copies": 3}, "pca": row(0.02, 17)}
    )


def test_a_network_that_loses_gets_something_to_try():
    to_pca = standing({"model": row(0.02), "pca": row(0.01), "mean_image": row(0.07)}, "the validation images")
    assert to_pca.startswith("On the validation images the network reconstructs worse than PCA")
    assert to_pca.endswith("try more training.epochs, or what ae suggest says of such images.")
    assert "training.learning_rate" in standing({"model": row(0.08), "pca": row(0.01), "mean_image": row(0.07)})


def test_images_that_are_unlike_those_of_the_training_are_told_by_where_it_usually_stands():
    here, usual = {"model": row(0.02), "pca": row(0.01)}, {"images": 3, "model": row(0.01), "pca": row(0.02)}
    assert "train it on images like these" in standing(here, usual=usual)
    assert "train it on images like these" not in standing(here, usual=here)


def test_only_rows_that_are_there_are_compared():
    assert standing({"model": row(0.01)}) is None
    assert standing({"model": row(None), "pca": row(0.02)}) is None
    assert "PCA" not in standing({"model": row(0.01), "pca": row(None), "mean_image": row(0.07)})


def test_one_more_baseline_is_one_more_name(monkeypatch):
    monkeypatch.setattr(module, "_BESIDE", {"best": "the best of all", **module._BESIDE})
    said = standing({"model": row(0.01), "best": row(0.01), "pca": row(0.02), "mean_image": row(0.07)})
    assert "no better than the best of all (mse 0.01 against 0.01), better than PCA" in said


def test_rounding_is_no_defeat():
    sentence = standing({"model": row(4e-14), "pca": row(7e-16), "mean_image": row(0.07)}, "these images")
    assert "no better than PCA" in sentence
