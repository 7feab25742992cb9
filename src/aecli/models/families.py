"""The model families by name: `model.family` chooses among these rows, and nothing else knows them."""

from typing import Annotated

from aecli.core.schema import SectionOf
from aecli.models.convolutional import Conv
from aecli.models.dense import Dense
from aecli.models.family import Family

FAMILIES: dict[str, type[Family]] = {"dense": Dense, "conv": Conv}
"""Name -> the family's config section; the first is the default."""

DEFAULT_FAMILY: Family = next(iter(FAMILIES.values())).model_validate({})
"""The network of a config that says nothing of it."""

AnyFamily = Annotated[Family, SectionOf(FAMILIES, "family")]
"""The config's section of a network, whichever family it is."""
