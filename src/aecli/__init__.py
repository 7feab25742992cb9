"""Train image autoencoders and measure how well they reconstruct."""

__version__ = "0.1.0"
