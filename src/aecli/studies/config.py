"""The config's section of a study: what is compared, over which seeds."""

from collections.abc import Iterable
from typing import Any

from aecli.core import strict_yaml
from aecli.core.errors import ConfigError


def parse_values(assignments: Iterable[str], option: str) -> dict[str, list[Any]]:
    """Read `KEY=A,B,...`, or `KEY=[A,B,...]`, into {key: [values]}; raises ConfigError that names the option."""
    values = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        document = strict_yaml.parse(f"[{text}]", f"{option} {key}")
        if document.problems or not (equals and key and isinstance(document.data, list) and document.data):
            raise ConfigError([f"{option} {assignment}: expected KEY=A,B,..., e.g. {option} model.latent_dim=8,16"])
        (first, *others) = document.data
        # Numbers alone are one value, such as the widths of model.hidden.
        is_list = not others and isinstance(first, list) and not all(isinstance(item, int) for item in first)
        values[key] = first if is_list else document.data
    return values
