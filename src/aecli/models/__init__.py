"""Model families: one file each, with its config fields and how it is built from them."""

from collections.abc import Mapping
from types import MappingProxyType

from aecli.models.dense import DenseModel

__all__ = ["FAMILIES", "DenseModel"]

FAMILIES: Mapping[str, type[DenseModel]] = MappingProxyType({"dense": DenseModel})
