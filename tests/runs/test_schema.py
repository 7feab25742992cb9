"""The JSON schema and the program agree on what a config may be."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aecli.core.errors import ConfigError
from aecli.core.strict_yaml import parse
from aecli.models.activations import ACTIVATIONS, ALIASES
from aecli.runs.config import OPTIMIZERS
from aecli.runs.config_file import json_schema, load_config, starter_yaml, to_yaml
from aecli.studies.config import StudyFile
from tests.conftest import ROOT
from tests.runs.test_config import BROKEN

SCHEMA = json_schema(StudyFile)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SECTIONS = {name: type(getattr(StudyFile(), name)) for name in StudyFile.model_fields}
ROWS = {**ACTIVATIONS, **{alias: ACTIVATIONS[name] for alias, name in ALIASES.items()}}


def validates(data: Any) -> bool:
    return VALIDATOR.is_valid({} if data is None else data)


def accepted(data: Any) -> bool:
    Path("a.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    try:
        load_config(Path("a.yaml"), (), StudyFile)
    except ConfigError:
        return False
    return True


ACCEPTED: list[Any] = [
    {},
    {"model": None, "training": None, "data": None, "study": None},
    {"data": {"size": 64}},
    {"data": {"size": [48, 64], "fit": "pad", "color": "grey", "value_range": [0, 255.5]}},
    {"data": {"train": "a.npy", "image_shape": [3, 4], "value_range": "auto", "size": None}},
    {"data": {"augment": {"shift": 1e-3, "flip": None}, "memory_budget": None}},
    {"model": {"family": "dense", "hidden": [], "latent_activation": None}},
    {"training": {"early_stopping": {}, "corruption": {"gaussian": 1}, "learning_rate": 1}},
    {"training": {"optimizer": {"name": "adam", "clipnorm": None}}},
    {"training": {"optimizer": {"name": "sgd", "clipnorm": 1, "nesterov": True, "momentum": 1}}},
    {"study": {"vary": {"learning_rate": [1e-3], "model.activation": ["relu", {"name": "elu", "alpha": 2}]}}},
    {"study": {"configs": ["relu", "mine.yaml"]}},
    {"study": {"configs": {"a": "mine.yaml", "b": {"model": {"family": "conv", "channels": [4]}}}}},
    {"study": {"tune": {"model.hidden": [[8], []]}, "metric": "ssim", "split": "fixed"}},
    *({"model": {"activation": name, "output_activation": {"name": name}}} for name in ROWS),
    *({"model": {"activation": {"name": name, **row.parameters}}} for name, row in ROWS.items()),
    *({"training": {"optimizer": {"name": name, **row.parameters}}} for name, row in OPTIMIZERS.items()),
    parse(starter_yaml(StudyFile), "x").data,
    parse(to_yaml(StudyFile()), "x").data,
    *(parse(path.read_text(), "x").data for path in sorted((ROOT / "configs").glob("*.yaml"))),
]


@pytest.mark.parametrize("data", ACCEPTED, ids=lambda data: str(data)[:60])
def test_what_the_program_accepts_validates(data):
    assert accepted(data)
    VALIDATOR.validate(data)


REFUSED: list[Any] = [
    {"study": {"configs": []}},
    {"study": {"configs": "relu"}},
    {"study": {"configs": [3]}},
    {"study": {"configs": {"a": 3}}},
    {"modl": {}},
    {"model": {"activation": {"name": "leaky_relu", "negative_slop": 0.1}}},
    {"model": {"activation": {"name": "relu", "alpha": 1.0}}},
    {"model": {"latent_activation": {"name": "elu", "alpha": 1.0, "slope": 1}}},
    {"model": {"activation": {"alpha": 1.0}}},
    {"model": {"activation": {"name": "elu", "alpha": 0}}},
    {"model": {"activation": "softmax"}},
    {"training": {"optimizer": {"name": "sgd", "beta_1": 0.9}}},
    {"training": {"optimizer": {"name": "sgd", "nesterov": 1}}},
    {"training": {"optimizer": {"name": "sgd", "momentum": 1.5}}},
    {"training": {"optimizer": {"name": "adam", "clipnorm": 0}}},
    {"training": {"early_stopping": {"patiense": 3}}},
    {"data": {"size": 0}},
    {"data": {"size": True}},
    {"data": {"size": [64]}},
    {"data": {"augment": {"shft": 0.1}}},
    {"study": {"vary": {"model.latent_dm": [8]}}},
    {"study": {"vary": {"training.seed": [1, 2]}}},
    {"study": {"vary": {"latent_dim": []}}},
    {"study": {"tune": {"model.latent_dim": 8}}},
    *({name: {"zzz": 1}} for name in SECTIONS),
    *({"model": {"activation": {"name": name, **row.parameters, "zzz": 1}}} for name, row in ROWS.items()),
    *({"training": {"optimizer": {"name": name, "zzz": 1}}} for name in OPTIMIZERS),
]


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: str(data)[:60])
def test_what_the_program_refuses_does_not_validate(data):
    assert not accepted(data)
    assert not validates(data)


HOSTILE = [text for text, message in BROKEN if "unknown key" in message or "unknown parameter" in message]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_config_with_an_unknown_key_does_not_validate(text):
    assert not validates(parse(text, "x").data)


def values() -> st.SearchStrategy[Any]:
    """Values that some key takes, and some that none does."""
    named = st.sampled_from([{"name": name} for name in (*ROWS, *OPTIMIZERS)])
    parameters = sorted({key for row in (*ROWS.values(), *OPTIMIZERS.values()) for key in row.parameters})
    plain = st.one_of(
        st.sampled_from([*ROWS, *OPTIMIZERS, "auto", "mse", "crop", "rgb", "cosine", "mixed", "matched", "fixed"]),
        st.none(), st.booleans(), st.integers(-2, 70_000), st.floats(-1, 2), st.just("a.npy"),
    )  # fmt: skip
    choice = st.builds(lambda name, key, value: {**name, key: value}, named, st.sampled_from(parameters), plain)
    inner = st.dictionaries(st.sampled_from(["shift", "flip", "patience", "gaussian", "model.latent_dim", "l1"]), plain)
    return st.one_of(plain, st.lists(plain, max_size=3), named, choice, inner)


KEYS = [(name, key) for name, section in SECTIONS.items() for key in section.model_fields]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(KEYS), values())
def test_whatever_the_program_accepts_validates(key, value):
    data = {key[0]: {key[1]: value}}
    if accepted(data):
        VALIDATOR.validate(data)


def defaults(schema: Any) -> list[Any]:
    if isinstance(schema, list):
        return [found for item in schema for found in defaults(item)]
    if not isinstance(schema, dict):
        return []
    here = [schema] if "default" in schema and not isinstance(schema.get("properties"), dict) else []
    return here + [found for key, value in schema.items() if key != "default" for found in defaults(value)]


def test_a_default_is_a_value_of_its_key():
    found = defaults(SCHEMA)
    assert len(found) > 40
    for schema in found:
        jsonschema.validate(schema["default"], {**schema, "$defs": SCHEMA["$defs"]})
        assert "items" not in str(schema["default"])


def test_the_schema_itself_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_another_family_says_its_name():
    from typing import Annotated, Literal

    from aecli.core.schema import Section, SectionOf

    class One(Section):
        family: Literal["one"] = "one"

    class Two(Section):
        family: Literal["two"] = "two"
        width: int = 3

    class File(Section):
        model: Annotated[Section, SectionOf({"one": One, "two": Two}, "family")] = One()

    check = jsonschema.Draft202012Validator(File.model_json_schema())
    for model, valid in (({}, True), ({"family": "two", "width": 4}, True), ({"width": 4}, False)):
        assert check.is_valid({"model": model}) is valid
