"""Where the numbers come from: images, versions and machine, as a run's environment.json has them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aecli.views.report.page import Facts


def data_facts(title: str, fields: Mapping[str, Any]) -> Facts:
    """Return what is known of a file of images."""
    stored = fields["format"]
    low, high = stored["value_range"]
    height, width, channels = stored["image_shape"]
    return Facts(
        title,
        (
            ("file", Path(str(fields["file"])).name),
            ("SHA-256", str(fields["sha256"])),
            ("images", f"{fields['images']:,} of {height} × {width} × {channels}"),
            ("stored as", f"{np.dtype(stored['dtype']).name}, {low:g} to {high:g} stand for 0 to 1"),
        ),
    )


def environment_facts(environments: Sequence[Mapping[str, Any]]) -> list[Facts]:
    """Return the versions and the machine; where runs differ, what most of them say and that they do."""
    facts = []
    for title, key in (("Versions", "versions"), ("Machine", "machine")):
        said = [json.dumps(environment[key]) for environment in environments if key in environment]
        if not said:
            continue
        usual = max(dict.fromkeys(said), key=said.count)
        pairs = [(name, _text(value)) for name, value in json.loads(usual).items()]
        others = len(said) - said.count(usual)
        if others:
            pairs.append(("note", f"{others} of {len(said)} runs say otherwise, see their environment.json"))
        facts.append(Facts(title, tuple(pairs)))
    return facts


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
