"""What suits some images: keys that a config has, of known answers, and nothing in the place of what the user says."""

from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import ConfigError
from aecli.core.schema import known_keys
from aecli.runs.config_file import change_config, load_config
from aecli.studies.config import StudyFile
from aecli.training.prepare import Prepared, split_of
from aecli.training.suggest import suggest as module
from aecli.training.suggest.config import as_yaml, keys_in, keys_of, suggest_config
from tests.conftest import DIGITS

SHAPES = [(2, 9, 7), (3, 5, 1), (30, 1, 7), (9, 1, 1), (40, 9, 7, 1), (20, 9, 7, 4), (12, 28, 26, 3), (5, 1, 300)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def suggested(images, *sets, **options):
    np.save("images.npy", images)
    config = load_config(None, sets, StudyFile).with_training_images(Path("images.npy")).config
    return suggest_config(config, keys_of(sets), **options)


def values(images, *sets, **options):
    """Return what is suggested, by key."""
    return {reason.key: reason.value for reason in suggested(images, *sets, **options).suggestion.reasons}


# -- configs --------------------------------------------------------------------------------------


@each_shape
def test_a_suggestion_is_a_config_that_fits_the_images_and_says_why(shape):
    found = suggested(noise(*shape))
    model, image_shape = found.config.model, found.images.format.image_shape
    assert model.problem(image_shape) is None
    assert model.code_length(image_shape) <= max(1, np.prod(image_shape) // 4)
    assert {reason.key for reason in found.suggestion.reasons} <= set(known_keys(StudyFile))
    for reason in found.suggestion.reasons:
        assert reason.why
        assert reason.why.isprintable()
        assert change_config(found.config, {reason.key: reason.value}, "") == found.config


@each_shape
def test_its_file_holds_it(shape):
    found = suggested(noise(*shape))
    Path("suggested.yaml").write_text(as_yaml(found.suggestion, ["a\nmodel: {latent_dim: 1}\x1b\u2028b", ""]))
    read = load_config(Path("suggested.yaml"), (), StudyFile).with_training_images(Path("images.npy"))
    assert read.config == found.config


@pytest.mark.parametrize("images", [noise(40, 9, 7), noise(12, 28, 26, 3)], ids=["dense", "conv"])
def test_the_same_images_give_the_same(images):
    assert values(images) == values(images)


def test_it_is_said_in_a_line():
    line = suggested(noise(30, 1, 7), "training.epochs=1").in_a_line()
    assert line == (
        "no --config: chosen for these images: family dense, 1 latent, batches of 16, 1 epoch (ae suggest says why)"
    )


# -- what the user says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sets",
    [
        ("model.latent_dim=3",),
        ("model.latent_dim=100",),  # longer than an image, which a dense network may be
        ("model.activation=elu", "model.activation.alpha=2"),
        ("training.early_stopping.patience=3",),
        ("training.early_stopping=null", "data.augment=null"),
        ("model={latent_dim: 3, activation: tanh}", "training={epochs: 7}"),
        ("model.dropout=0.25", "training.seed=4", "study.seeds=2"),
        ("model.hidden=[9, 5]",),
        ("model.family=conv",),
        ("model.family=conv", "model.channels=[2, 3]"),
        ("model.family=conv", "model.latent_channels=2"),
        ("model.family=conv", "model.latent_channels=2", "model.channels=[3]", "model.latent_dim=null"),
    ],
    ids=" ".join,
)
def test_what_the_user_says_stands_in_the_config_and_in_its_file(sets):
    asked, found = load_config(None, sets, StudyFile).config.model_dump(), suggested(noise(40, 9, 7), *sets)
    for key in keys_of(sets):
        section, name = key.split(".")[:2]
        assert found.config.model_dump()[section][name] == asked[section][name], key
    Path("suggested.yaml").write_text(as_yaml(found.suggestion, []))
    read = load_config(Path("suggested.yaml"), (), StudyFile).with_training_images(Path("images.npy"))
    assert read.config == found.config


def test_the_other_keys_are_suggested_beside():
    plain, found = values(noise(40, 9, 7)), values(noise(40, 9, 7), "model.activation.negative_slope=0.2", "model.activation=leaky_relu")  # fmt: skip
    assert found.pop("model.activation") == {"name": "leaky_relu", "negative_slope": 0.2}
    assert {**found, "model.activation": "silu"} == plain


def test_a_key_of_one_family_keeps_it():
    images = noise(12, 28, 26, 3)
    assert values(images)["model.family"] == "conv"
    dense = suggested(images, "model.hidden=[9]").config.model
    assert (dense.family, dense.hidden) == ("dense", (9,))
    assert suggested(images, "model.family=dense").config.model.family == "dense"
    assert suggested(noise(40, 9, 7), "model.family=conv", "model.norm=group").config.model.norm == "group"


def test_linear_codes_are_as_long_as_a_map_that_is_asked_for():
    found = suggested(noise(12, 28, 26, 3), "model.family=conv", "model.latent_channels=13")
    length = found.config.model.code_length((28, 26, 3))
    assert length == 7 * 7 * 13
    assert max(len(candidate.errors) for candidate in found.suggestion.codes.candidates) == length + 1


def test_whole_sections_are_said_key_by_key():
    said = {"model": {"latent_dim": 3, "activation": {"name": "elu"}}, "training.epochs": 4, "data": None}
    assert keys_in(said) == ["training.epochs", "data", "model.latent_dim", "model.activation"]
    assert keys_of(["model={latent_dim: 3}", "training.epochs=4"]) == ["model.latent_dim", "training.epochs"]


# -- the code -------------------------------------------------------------------------------------


def low_rank(rank, count=300, side=12):
    """Images of exactly this rank about their mean, along directions of equal variance."""
    rng = np.random.default_rng(rank)
    directions = np.linalg.qr(rng.normal(size=(side * side, rank)))[0].T
    return (0.5 + 0.1 * rng.normal(size=(count, rank)) @ directions).reshape(count, side, side)


@pytest.mark.parametrize(("rank", "length"), [(1, 4), (3, 4), (8, 8), (16, 16), (31, 32)])
def test_images_of_a_rank_need_a_code_of_the_next_length(rank, length):
    assert values(low_rank(rank))["model.latent_dim"] == length


def test_a_code_that_is_asked_for_is_taken():
    found = suggested(noise(40, 9, 7), code_length=11)
    assert found.config.model.latent_dim == 11
    assert suggested(noise(40, 9, 7), code_length=63).config.model.latent_dim == 63
    with pytest.raises(ConfigError, match=r"^a code of 64 values: an image has 63: give fewer$"):
        suggested(noise(40, 9, 7), code_length=64)


@pytest.mark.parametrize(
    ("largest", "length"), [(10, 1), (192, 1), (193, 1), (579, 1), (580, 4), (1095, 4), (1096, 8), (10**6, 16)]
)
def test_no_code_is_chosen_whose_linear_path_would_be_left_out(largest, length, monkeypatch):
    from aecli.training import prepare

    monkeypatch.setattr(module, "LARGEST_PATH", largest)
    monkeypatch.setattr(prepare, "LARGEST_PATH", largest)
    found = suggested(noise(40, 8, 8))
    assert found.config.model.latent_dim == length
    prepared = Prepared(found.config, found.images, None, split_of(found.config, found.images, None))
    assert (prepared.model is found.config.model) == (largest >= 193)


# -- the time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sets", [("model.family=dense",), ("model.family=conv",), ()], ids=" ".join)
def test_more_time_is_more_epochs_and_then_convolutions(sets):
    images = np.tile(noise(200, 28, 26), (10, 1, 1))
    found = [values(images, *sets, minutes=minutes) for minutes in (0.1, 0.5, 2, 10, 60)]
    families = [one["model.family"] for one in found]
    assert families == sorted(families, key=("dense", "conv").index)
    for family in set(families):
        epochs = [one["training.epochs"] for one in found if one["model.family"] == family]
        assert epochs == sorted(epochs)
        assert 10 <= epochs[0] <= epochs[-1] <= 200
    assert sets or set(families) == {"dense", "conv"}


def test_batches_grow_with_the_images():
    sizes = [values(noise(count, 5, 5))["training.batch_size"] for count in (2, 100, 1500, 3500, 9000)]
    assert sizes == [16, 16, 32, 64, 128]


# -- changes --------------------------------------------------------------------------------------


def test_flips_suit_images_whose_mirror_images_are_among_them_and_not_digits(digits):
    both = np.concatenate([digits[:800], digits[:800, :, ::-1]])
    assert values(both)["data.augment"]["flip"] == "horizontal"
    assert "flip" not in values(np.load(DIGITS)).get("data.augment", {})


def test_many_images_are_not_changed():
    assert "data.augment" not in values(noise(2300, 5, 5))
    assert "data.augment" in values(noise(2200, 5, 5))
