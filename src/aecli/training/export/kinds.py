"""What can be exported of a run, and as what; the command line offers it without loading what exports."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Part:
    """An autoencoder or a half of it, by the name of what it is given and of what it makes of that."""

    name: str
    given: str
    made: str


PARTS = MappingProxyType(
    {
        part.name: part
        for part in (
            Part("autoencoder", "images", "reconstructions"),
            Part("encoder", "images", "latents"),
            Part("decoder", "latents", "images"),
        )
    }
)
"""What can be exported, by name."""

SUFFIXES = MappingProxyType({"onnx": ".onnx", "litert": ".tflite", "savedmodel": "_savedmodel"})
"""Kind of file -> how its name ends."""
