"""Layers that double the height and width of images, and cut what is beyond a size."""

from typing import Any

from aecli.models.backend import keras


class _Doubling(keras.layers.Layer):  # type: ignore[misc]
    """Images (N, h, w, C) become (N, height, width, C'), where h and w are half of that, rounded up."""

    def __init__(self, height: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.height, self.width = height, width

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}

    def cut(self, x: Any) -> Any:
        """Return the first `height` rows and `width` columns."""
        return x if x.shape[1:3] == (self.height, self.width) else x[:, : self.height, : self.width]


@keras.saving.register_keras_serializable("aecli")
class Doubled(_Doubling):
    """Each pixel becomes 2 x 2 of its value."""

    def call(self, x: Any) -> Any:
        # An engine's own nearest resizing would take a little less, but XLA has no gradient of it.
        return self.cut(keras.ops.repeat(keras.ops.repeat(x, 2, axis=1), 2, axis=2))

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], self.height, self.width, shape[3])


@keras.saving.register_keras_serializable("aecli")
class Shuffled(_Doubling):
    """Four channels become one of 2 x 2 pixels."""

    def call(self, x: Any) -> Any:
        return self.cut(keras.ops.depth_to_space(x, 2))

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], self.height, self.width, shape[3] // 4)
