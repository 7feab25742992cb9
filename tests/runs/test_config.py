"""Configs: what is accepted, and every problem in one line with its place and cure."""

import re
from pathlib import Path

import pytest
import yaml

from aecli.core.errors import ConfigError
from aecli.core.schema import known_keys
from aecli.core.strict_yaml import parse
from aecli.runs.config import Config
from aecli.runs.config_file import json_schema, load_config, load_recorded, starter_yaml, to_yaml
from aecli.studies.config import StudyFile, parse_values
from tests.conftest import ROOT

OURS = sorted((ROOT / "configs").glob("*.yaml"))


def load(text: str, *overrides: str) -> Config:
    Path("a.yaml").write_text(text)
    return load_config(Path("a.yaml"), overrides).config


BROKEN = [
    ("model:\n  activaton: relu\n", "a.yaml:2: model.activaton: unknown key; did you mean 'activation'?"),
    ("modle: {}\n", "a.yaml:1: modle: unknown key; did you mean 'model'?"),
    ("zzz: 1\n", "a.yaml:1: zzz: unknown key; expected one of data, model, training"),
    ("training:\n  epochs: three\n", "a.yaml:2: training.epochs: expected int, received 'three'"),
    ("training:\n  epochs: 1.5\n", "a.yaml:2: training.epochs: expected int, received 1.5"),
    ("training:\n  epochs: 0\n", "a.yaml:2: training.epochs: expected a number > 0, received 0"),
    ("training:\n  epochs: true\n", "a.yaml:2: training.epochs: expected int, received True"),
    ("training:\n  learning_rate: .inf\n", "a.yaml:2: training.learning_rate: expected a finite number, received inf"),
    ("training:\n  learning_rate: fast\n", "a.yaml:2: training.learning_rate: expected a number, received 'fast'"),
    ("training:\n  loss: msee\n", "a.yaml:2: training.loss: expected one of mse, mae, huber, binary_crossentropy, received 'msee'; did you mean 'mse'?"),
    ("training:\n  loss: {ssim: 1}\n", "a.yaml:2: training.loss: no loss of pixels is among them: add one of mse, mae, huber, binary_crossentropy, e.g. mse: 1"),
    ("training:\n  loss: {mse: 0, ssim: 1}\n", "a.yaml:2: training.loss: no loss of pixels is among them: add one of mse, mae, huber, binary_crossentropy, e.g. mse: 1"),
    ("training:\n  loss: {mse: 0, ssim: 0}\n", "a.yaml:2: training.loss: all weights are 0: give one of them a weight above 0"),
    ("training:\n  loss: {mse: 1, sim: 1}\n", "a.yaml:2: training.loss: expected one of mse, mae, huber, binary_crossentropy, ssim, features, received 'sim'; did you mean 'ssim'?"),
    ("training:\n  loss: {mse: 1, 3: 1}\n", "a.yaml:2: training.loss: expected one of mse, mae, huber, binary_crossentropy, ssim, features, received '3'"),
    ("training:\n  loss: {mse: 1, ssim: -1}\n", "a.yaml:2: training.loss: ssim: expected a number from 0 to 1,000,000, received -1"),
    ("training:\n  loss: {mse: 1, ssim: .nan}\n", "a.yaml:2: training.loss: ssim: expected a number, received nan"),
    ("training:\n  loss: {mse: 1, ssim: true}\n", "a.yaml:2: training.loss: ssim: expected a number, received True"),
    ("training:\n  loss: {}\n", "a.yaml:2: training.loss: no loss of pixels is among them: add one of mse, mae, huber, binary_crossentropy, e.g. mse: 1"),
    ("training:\n  loss: ssim\n", "a.yaml:2: training.loss: expected one of mse, mae, huber, binary_crossentropy, received 'ssim': give it beside a loss of pixels, e.g. {mse: 1, ssim: 0.02}"),
    ("training:\n  loss: [mse]\n", "a.yaml:2: training.loss: expected the name of a loss or {name: weight, ...}, received ['mse']"),
    ("training:\n  adversarial: {weight: 0}\n", "a.yaml:2: training.adversarial.weight: expected a number > 0, received 0"),
    ("training:\n  adversarial: {start: 0}\n", "a.yaml:2: training.adversarial.start: expected a number > 0, received 0"),
    ("training:\n  adversarial: {begin: 3}\n", "a.yaml:2: training.adversarial.begin: unknown key"),
    ("training:\n  epochs: 5\n  adversarial: {start: 5}\n", "a.yaml:1: training: adversarial.start 5 leaves none of 5 epochs in which the discriminator counts: set a smaller one, or more training.epochs"),
    ("training:\n  epochs: 2\n  warmup: 2\n", "a.yaml:1: training: warmup 2 of 2 epochs leaves none at the full learning_rate: set a shorter one, or more training.epochs"),
    ("training:\n  warmup: -1\n", "a.yaml:2: training.warmup: expected a number >= 0, received -1"),
    ("training:\n  schedule: linear\n", "a.yaml:2: training.schedule: expected one of constant, cosine, linear_tail, received 'linear'; did you mean 'linear_tail'?"),
    ("training:\n  ema: 1\n", "a.yaml:2: training.ema: expected a number < 1, received 1"),
    ("training:\n  ema: 0\n", "a.yaml:2: training.ema: expected a number > 0, received 0"),
    ("training:\n  tail: 0\n", "a.yaml:2: training.tail: expected a number > 0, received 0"),
    ("training:\n  clipnorm: 0\n", "a.yaml:2: training.clipnorm: expected a number > 0, received 0"),
    ("training:\n  clipnorm: 1\n  optimizer: {name: adam, clipnorm: 1}\n", "a.yaml:1: training: clipnorm and that of the optimizer, which shortens the gradient of each weight by itself, are both given: leave out one"),
    ("training:\n  optimizer: mun\n", "a.yaml:2: training.optimizer: unknown optimizer 'mun'; did you mean 'muon'?"),
    ("training:\n  optimizer: {name: muon, hidden_only: 1}\n", "a.yaml:2: training.optimizer: hidden_only: expected true or false, received 1"),
    ("training:\n  optimizer: {name: lion, weight_decay: -1}\n", "a.yaml:2: training.optimizer: weight_decay: expected a number >= 0, received -1"),
    ("training:\n  optimizer: adm\n", "a.yaml:2: training.optimizer: unknown optimizer 'adm'; did you mean 'adam'?"),
    ("training:\n  optimizer: {name: sgd, momentun: 1}\n", "a.yaml:2: training.optimizer: unknown parameter 'momentun'; did you mean 'momentum'?"),
    ("training:\n  optimizer: {name: sgd, nesterov: 1}\n", "a.yaml:2: training.optimizer: nesterov: expected true or false, received 1"),
    ("training:\n  optimizer: {name: sgd, momentum: x}\n", "a.yaml:2: training.optimizer: momentum: expected a number, received 'x'"),
    ("training:\n  optimizer: {name: sgd, momentum: 9}\n", "a.yaml:2: training.optimizer: momentum: expected a number from 0 to 1, received 9"),
    ("training:\n  optimizer: {name: adam, clipnorm: -1}\n", "a.yaml:2: training.optimizer: clipnorm: expected a number > 0, received -1"),
    ("model:\n  activation: {name: celu, alpha: 0}\n", "a.yaml:2: model.activation: alpha: expected a number > 0, received 0"),
    ("model:\n  latent_dim: 999999999999\n", "a.yaml:2: model.latent_dim: expected a number <= 1e+06, received 999999999999"),
    ("data:\n  value_range: [1, 0]\n", "a.yaml:2: data.value_range: expected "),
    ("training:\n  early_stopping: 5\n", "a.yaml:2: training.early_stopping: expected keys and values, received 5"),
    ("training:\n  early_stopping:\n    patience: 0\n", "a.yaml:3: training.early_stopping.patience: expected a number > 0, received 0"),
    ("training:\n  early_stopping:\n    patiense: 1\n", "a.yaml:3: training.early_stopping.patiense: unknown key; did you mean 'patience'?"),
    ("training: 3\n", "a.yaml:1: training: expected keys and values, received 3"),
    ("model:\n  activation: rellu\n", "a.yaml:2: model.activation: unknown activation 'rellu'; did you mean 'relu'?"),
    ("model:\n  activation: softmax\n", "a.yaml:2: model.activation: 'softmax' cannot be used here: it is not elementwise: it ties the units of a layer together"),
    ("model:\n  latent_activation: glu\n", "a.yaml:2: model.latent_activation: 'glu' cannot be used here: it halves the width of its layer"),
    ("model:\n  activation: {name: leaky_relu, slope: 1}\n", "a.yaml:2: model.activation: unknown parameter 'slope': leaky_relu has negative_slope"),
    ("model:\n  activation: {name: relu, slope: 1}\n", "a.yaml:2: model.activation: unknown parameter 'slope': relu has no parameters"),
    ("model:\n  activation: [relu]\n", "a.yaml:2: model.activation: expected a name or {name: ..., parameter: ...}, received ['relu']"),
    ("model:\n  hidden: [3, -1]\n", "a.yaml:2: model.hidden: expected a number > 0, received -1"),
    ("model:\n  hidden: 3\n", "a.yaml:2: model.hidden: expected a list, received 3"),
    ("model:\n  dropout: 1\n", "a.yaml:2: model.dropout: expected a number < 1, received 1"),
    ("model:\n  family: cnv\n", "a.yaml:2: model.family: expected one of dense, conv, received 'cnv'; did you mean 'conv'?"),
    ("model:\n  initializer: he\n", "a.yaml:2: model.initializer: expected one of "),
    ("data:\n  value_range: [0]\n", "a.yaml:2: data.value_range: expected auto or [low, high], two numbers"),
    ("data:\n  image_shape: [3]\n", "a.yaml:2: data.image_shape: expected at least 2 values, received [3]"),
    ("data:\n  train: 3\n", "a.yaml:2: data.train: expected a path, received 3"),
    ("data:\n  validation_split: 1\n", "a.yaml:2: data.validation_split: expected a number < 1, received 1"),
    ("model:\n  dropout: 0\n  l1: 0\n  dropout: 0\n", "a.yaml:4: model.dropout: duplicate key, first on line 2: remove one"),
    ("model: &m\n  dropout: 0\n", "a.yaml:1: anchors and aliases are not used here: write the value out"),
    ("model: *m\n", "a.yaml:1: anchors and aliases are not used here: write the value out"),
    ("model:\n  <<: {dropout: 0}\n", "a.yaml:2: merge keys are not used here: write the keys out"),
    ("model: !!python/object:os.system {}\n", "a.yaml:1: the tag 'tag:yaml.org,2002:python/object:os.system' is not used here"),
    ("data:\n  train: !!binary aGk=\n", "a.yaml:2: the tag 'tag:yaml.org,2002:binary' is not used here: write a plain value"),
    ("? [a, b]\n: 1\n", "a.yaml:1: a list or mapping as a key is not used here: write the keys out"),
    ("- 1\n", "a.yaml: expected keys and values, received [1]: see 'ae config init'"),
    ("model: [\n", "a.yaml:2: not valid YAML: "),
    ("model: {}\n---\nmodel: {}\n", "a.yaml:2: not valid YAML: "),
    ("model:\n\tdropout: 0\n", "a.yaml:2: not valid YAML: "),
    ("a: \x07\n", "a.yaml: not valid YAML: "),
    ("[" * 1500, "a.yaml:1: nested deeper than 20 levels: a config has three"),
    ("#" * 300_000, "a.yaml: larger than 256 KB"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[m[7:60] for _, m in BROKEN])
def test_a_problem_is_one_line_with_its_place(text, message):
    with pytest.raises(ConfigError) as caught:
        load(text)
    (problem,) = caught.value.problems
    assert problem.startswith(message)
    assert "\n" not in problem


def test_a_billion_laughs_are_refused_before_they_grow():
    bomb = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(ConfigError, match="anchors and aliases"):
        load(bomb)


def test_all_problems_come_at_once_in_the_order_of_the_lines():
    with pytest.raises(ConfigError) as caught:
        load(
            "training:\n  epochs: x\n  epoch: 3\nmodel:\n  dropout: 2\n  dropout: 1\n",
            "model.hiden=[3]",
            "oops",
        )
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        "a.yaml:2", "a.yaml:3", "a.yaml:5", "a.yaml:6", "--set oops", "--set model.hiden=[3]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=three", "--set training.epochs=three: expected int, received 'three'"),
        ("model.activaton=relu", "--set model.activaton=relu: unknown key; did you mean 'activation'?"),
        ("training.epochs", "--set training.epochs: expected KEY=VALUE, e.g. --set training.epochs=20"),
        ("model.hidden=[", "--set model.hidden:1: not valid YAML: "),
        (
            "model.hidden=*a",
            "--set model.hidden:1: anchors and aliases are not used here: write the value out",
        ),
        (
            "training.early_stopping={patience: 0}",
            "--set training.early_stopping={patience: 0}: expected a number > 0, received 0",
        ),
    ],
)
def test_overrides_obey_the_same_rules(override, message):
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert caught.value.problems[0].startswith(message)


def test_overrides_win_over_the_file():
    assert load("training:\n  epochs: 3\n", "training.epochs=4").training.epochs == 4


def test_the_last_override_wins():
    assert load("", "training.epochs=4", "training.epochs=5").training.epochs == 5


def test_an_override_reaches_a_parameter_of_a_choice():
    activation = load("model:\n  activation: elu\n", "model.activation.alpha=2").model.activation
    assert (activation.name, activation.parameters) == ("elu", {"alpha": 2.0})


def test_an_override_reaches_a_parameter_of_the_default():
    optimizer = load_config(None, ["training.optimizer.beta_1=0.8"]).config.training.optimizer
    assert (optimizer.name, optimizer.parameters["beta_1"], optimizer.parameters["beta_2"]) == ("adam", 0.8, 0.999)


def test_an_override_reaches_into_a_section_that_is_null():
    assert load_config(None, ["training.early_stopping.patience=3"]).config.training.early_stopping.patience == 3


def test_a_section_with_nothing_under_it_is_its_defaults():
    assert load("model:\ntraining:\n") == Config()


def test_an_empty_file_is_the_defaults():
    assert load("") == Config()
    assert load("# nothing\n") == Config()


@pytest.mark.parametrize("text", ["1e-3", "0.001", "1.0e-3", "+1e-3", ".001"])
def test_numbers_are_numbers(text):
    assert load(f"training:\n  learning_rate: {text}\n").training.learning_rate == 1e-3


def test_words_that_yaml_1_1_takes_for_booleans_are_words():
    assert parse("[on, off, yes, no, 1:30, 0o7]", "x").data == ["on", "off", "yes", "no", "1:30", "0o7"]


def test_aliases_become_the_canonical_name():
    assert load("model:\n  activation: swish\n").model.activation.name == "silu"


LINEAR_CODE_CURES = {
    "latent_activation: relu": "latent_activation relu cuts the code off: set model.latent_activation: linear",
    "output_activation: gelu": "output_activation gelu has no inverse: set model.output_activation: sigmoid",
}


@pytest.mark.parametrize("key", LINEAR_CODE_CURES)
def test_a_linear_path_that_cannot_be_is_refused_where_it_is_asked_for_and_else_left_out(key):
    with pytest.raises(ConfigError) as caught:
        load(f"model:\n  linear_path: pca\n  {key}\n")
    [problem] = caught.value.problems
    assert problem == f"a.yaml:1: model: linear_path pca: {LINEAR_CODE_CURES[key]}, or model.linear_path: none"
    assert load(f"model:\n  {key}\n").model.path == "none"
    assert load(f"model: {{linear_path: none, {key}}}").model.path == "none"


def test_what_an_older_config_does_not_name_is_what_its_version_did():
    Path("config.yaml").write_text(
        "model: {hidden: [], latent_activation: null, activation: linear}\ntraining: {seed: 0}"
    )
    model = load_recorded(Path("config.yaml")).config.model
    assert (model.linear_path, model.output_bias, model.hidden) == ("none", "zero", ())
    named = load_recorded(Path("config.yaml"), ("model.linear_path=dct", "model.output_bias=mean")).config.model
    assert (named.linear_path, named.output_bias) == ("dct", "mean")
    assert load_config(Path("config.yaml")).config.model.path == "auto"


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_recorded_config_that_is_cut_between_two_lines_is_damaged(lines):
    """What is missing would be taken for a default."""
    whole = ["model: {hidden: []}", "training:", "  epochs: 3", "  seed: 0"]
    Path("config.yaml").write_text("\n".join(whole[:lines]))
    with pytest.raises(ConfigError, match=r"^config.yaml: is damaged \(it ends before training.seed\): train it again"):
        load_recorded(Path("config.yaml"))
    Path("config.yaml").write_text("\n".join(whole))
    assert load_recorded(Path("config.yaml")).config.training.epochs == 3


def test_the_code_is_linear_unless_it_is_to_be_as_the_hidden_layers():
    assert load("model: {activation: tanh, latent_activation: null}").model.code_activation.name == "tanh"
    assert load("model: {activation: tanh}").model.code_activation.name == "linear"


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.stem)
def test_a_packaged_config_loads(path):
    assert load_config(path).name == path.stem


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.stem)
def test_a_packaged_config_opens_with_its_command_and_its_result(path):
    head = path.read_text().split("model:")[0]
    assert re.search(rf"ae (train|compare mnist_train\.npy) --config configs/{path.name}", head)
    assert "mse" in head


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.stem)
def test_a_dumped_config_loads_as_the_same(path):
    config = load_config(path).config
    assert load(to_yaml(config)) == config


def test_the_dump_is_complete():
    dumped = yaml.safe_load(to_yaml(Config()))
    for section in ("data", "model", "training"):
        assert set(dumped[section]) == set(type(getattr(Config(), section)).model_fields)


def test_the_starter_is_the_defaults_with_every_key_explained():
    text = starter_yaml(StudyFile)
    assert load(text) == Config()
    for key in known_keys(StudyFile):
        assert re.search(rf"^  # \S.*\n  (# )?{key.partition('.')[2]}: ", text, re.MULTILINE), key


def test_every_key_has_a_description():
    def missing(schema):
        return [key for key, value in schema.get("properties", {}).items() if not value.get("description")]

    schema = json_schema(StudyFile)
    assert missing(schema) == []
    assert [missing(definition) for definition in schema["$defs"].values()] == [[]] * len(schema["$defs"])


def test_a_packaged_config_is_found_by_name_from_anywhere():
    named = load_config(Path("prelu"))
    assert (named.name, named.config.model.activation.name) == ("prelu", "prelu")


def test_a_file_of_the_users_wins_over_a_packaged_one():
    Path("prelu.yaml").write_text("model: {activation: tanh}")
    assert load_config(Path("prelu.yaml")).config.model.activation.name == "tanh"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("prellu.yaml", "no such file; did you mean 'prelu.yaml'"),
        ("zzzz.yaml", "ae config init"),
        (".", "is a folder"),
    ],
)
def test_a_config_that_is_not_there(name, message):
    with pytest.raises(ConfigError, match=message):
        load_config(Path(name))


def test_a_config_in_another_encoding():
    Path("a.yaml").write_bytes("model: {} # é".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(Path("a.yaml"))


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Config().training.epochs = 3


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8,16", [8, 16]),
        ("relu,{name: elu, alpha: 2}", ["relu", {"name": "elu", "alpha": 2}]),
        ("[],[128]", [[], [128]]),
        ("[[],[128]]", [[], [128]]),
        ("[relu,tanh]", ["relu", "tanh"]),
        ("[128,64]", [[128, 64]]),
    ],
)
def test_the_values_of_an_option_may_stand_in_brackets(text, values):
    assert parse_values([f"model.x={text}"], "--vary") == {"model.x": values}
