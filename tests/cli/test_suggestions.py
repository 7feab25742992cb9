"""A misspelt command, choice or option is answered with the one that was meant."""

from collections import Counter
from pathlib import Path

import pytest

from aecli.core.schema import known_keys, nested_keys
from aecli.runs.config import Config
from aecli.views.plot_table import PLOTS

KEYS = [*known_keys(Config), *nested_keys(Config)]
NO_OPTIONS = [key for key in KEYS if key != "data.only_label"]  # ae train has it
LAST_PARTS = Counter(key.rpartition(".")[2] for key in KEYS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("trian",), "No such command 'trian'; did you mean 'train'?"),
        (("reconstuct", "a.npy"), "did you mean 'reconstruct'?"),
        (("config", "shwo"), "No such command 'shwo'; did you mean 'show'?"),
        (("cache", "claer"), "No such command 'claer'; did you mean 'clear'?"),
        (("help",), "No such command 'help'; see "),
        (("plot", "histry"), "received 'histry'; did you mean 'history'?"),
        (("plot", "xyz"), f"expected one of {', '.join(PLOTS)}, received 'xyz'"),
        (("import", "a.npy", "--fit", "strech"), "received 'strech'; did you mean 'stretch'?"),
        (("compare", "a.npy", "--table", "latx"), "received 'latx'; did you mean 'latex'?"),
        (("train", "--dta", "x"), "No such option '--dta'; did you mean '--data'?"),
        (("train", "--epochs", "3"), "No such option '--epochs'; did you mean --set training.epochs=3?"),
        (("train", "--latent-dim=8"), "No such option '--latent-dim'; did you mean --set model.latent_dim=8?"),
        (("compare", "a.npy", "--batch_size", "8"), "did you mean --set training.batch_size=8?"),
        (("plot", "--wurst", "3"), "No such option '--wurst'; did you mean '--worst'?"),
        (("encode", "a.npy", "--zzz"), "No such option '--zzz'; see --help"),
        (("train", "--lr", "1e-3"), "did you mean --set training.learning_rate=1e-3?"),
        (("check", "--seeds", "3"), "did you mean --set training.seed=3?"),
        (("compare", "--epoch", "3"), "did you mean --set training.epochs=3?"),
        (("suggest", "a.npy", "--hidden", "[8, 4]"), "did you mean --set 'model.hidden=[8, 4]'?"),
        (("train", "--epochs"), "did you mean --set training.epochs=VALUE?"),
        (("train", "--set", "epochs=3"), "unknown key; did you mean 'training.epochs'?"),
        (("train", "--set", "epoch=3"), "unknown key; did you mean 'training.epochs'?"),
        (("train", "--set", "model.epochs=3"), "unknown key; did you mean 'training.epochs'?"),
        (("train", "--set", "gaussian=1"), "did you mean 'model.code.gaussian' or 'training.corruption.gaussian'?"),
        (("train", "--set", "model.upsampling=shuffle"), "unknown key; model.family=conv has it"),
        (("train", "--set", "training.lr=1"), "training.lr=1: is called training.learning_rate here: write that"),
        (("train", "--set", "bottleneck=1"), "is called model.latent_dim here: write that"),
        (("train", "--set", "model.activation=ReLUU"), "unknown activation 'ReLUU'; did you mean 'relu'?"),
        (("train", "--set", "data.fit=Crap"), "did you mean 'crop'?"),
        (("train", "--set", "model.family=convv"), "did you mean 'conv'?"),
        (("train", "--config", "prellu"), "did you mean 'prelu'?"),
        (("train", "--config", "rleu"), "did you mean 'relu'?"),
        (("train", "--config", "rleu.yaml"), "did you mean 'relu.yaml'?"),
        (("compare", "a.npy", "--configs", "rleu,conv"), "rleu: no such file; did you mean 'relu'?"),
        (("compare", "a.npy", "--vary", "lr=1,2"), "unknown key 'lr'; did you mean 'training.learning_rate'?"),
        (("compare", "a.npy", "--by", "SIMM"), "did you mean 'ssim'?"),
        (("compare", "a.npy", "--activations", "rellu"), "did you mean 'relu'?"),
    ],
)  # fmt: skip
def test_the_word_that_was_meant_is_named(ae, arguments, says):
    result = ae(*arguments)
    assert result.exit_code in (1, 2)
    assert says in result.stderr


@pytest.mark.parametrize("key", NO_OPTIONS)
def test_an_option_called_after_a_key_is_answered_with_every_key_of_that_name(ae, key):
    name = key.rpartition(".")[2]
    line = ae("train", f"--{name.replace('_', '-')}", "5").stderr.splitlines()[-1]
    assert f"--set {key}=5" in line
    assert line.count("--set") == LAST_PARTS[name]


@pytest.mark.parametrize("command", ["train", "compare", "check", "suggest"])
@pytest.mark.parametrize("option", ["batch-size", "learning-rate", "loss", "optimizer", "epochs", "latent-dim"])
def test_every_command_that_takes_a_config_answers_so(ae, command, option):
    [key] = [key for key in KEYS if key.endswith(f".{option.replace('-', '_')}")]
    result = ae(command, f"--{option}=7")
    assert result.exit_code == 2
    assert result.stderr.endswith(f"No such option '--{option}'; did you mean --set {key}=7?\n")


def test_a_key_in_a_file_is_answered_like_one_on_the_command_line(ae):
    Path("mine.yaml").write_text("training:\n  lr: 0.1\nepochs: 3\nmodel:\n  batch_size: 4\n")
    assert ae("train", "--config", "mine.yaml").stderr.splitlines() == [
        "ae: mine.yaml:2: training.lr: is called training.learning_rate here: write that",
        "ae: mine.yaml:3: epochs: unknown key; did you mean 'training.epochs'?",
        "ae: mine.yaml:5: model.batch_size: unknown key; did you mean 'training.batch_size'?",
    ]


def test_other_names_are_no_keys_and_stand_for_keys():
    assert not set(Config.other_names) & set(KEYS)
    assert set(Config.other_names.values()) <= set(KEYS)


def test_a_config_of_ones_own_is_found_by_its_name(ae):
    Path("photos.yaml").write_text("{}")
    assert "did you mean 'photos.yaml'?" in ae("train", "--config", "photos").stderr
    assert "did you mean 'photos.yaml'?" in ae("train", "--config", "phtos.yaml").stderr
