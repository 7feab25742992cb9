"""The model families by name."""

from collections.abc import Mapping
from types import MappingProxyType

from aecli.models.dense import DenseModel

FAMILIES: Mapping[str, type[DenseModel]] = MappingProxyType({"dense": DenseModel})
