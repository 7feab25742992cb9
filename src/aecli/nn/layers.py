"""Where models that earlier versions saved look for their layers."""

from aecli.models.layers import Elementwise

__all__ = ["Elementwise"]
