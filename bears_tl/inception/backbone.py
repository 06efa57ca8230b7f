"""Keras' Inception v3 up to the pooled features, with frozen weights from a TF-slim checkpoint."""

import re
from pathlib import Path

import numpy as np

from bears_tl.batches import batches_of
from bears_tl.inception import checkpoint
from bears_tl.inception.architecture import BASE_VALUES, CONVOLUTIONS, FEATURES, VARIABLES
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.tensorflow import tf

BATCH_SIZE = 8  # photos per call; fixed, because other sizes may change the last bits of a feature


class Backbone:
    """A frozen Inception v3 that computes the features of views; always in inference mode (stored batch statistics)."""

    def __init__(self, model, values: dict[str, np.ndarray]):
        """Load values into a body and freeze it.

        Args:
            model: the result of `build`.
            values: TF-slim's variable name to float32 values, see `architecture.BODY`.
        """
        self.model = model
        for scope, layers in convolutions(self.model):
            _fill(layers, [values[f"{scope}/{variable}"] for variable in VARIABLES])
        self.model.trainable = False
        self._infer = tf.function(
            lambda batch: self.model(batch, training=False),
            input_signature=[tf.TensorSpec([None, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3], tf.float32)],
        )

    @classmethod
    def restore(cls, path: str | Path) -> "Backbone":
        """Build the body and load a checkpoint into it.

        Raises:
            InputError: the file is not a checkpoint of Inception v3 (see `checkpoint.read`).
        """
        return cls(build(), checkpoint.read(path))

    def features(self, batch: np.ndarray) -> np.ndarray:
        """Compute the pooled features of views.

        Args:
            batch: float32 [n, 299, 299, 3] in [-1, 1], or one view [299, 299, 3].

        Returns:
            float32 [n, 2048], 0 or more; [2048] for one view.

        Raises:
            ValueError: the shape or dtype is wrong, or values are outside [-1, 1] (for example images in [0, 255]).
        """
        batch = np.asarray(batch)
        if batch.ndim == 3:
            return self.features(batch[np.newaxis])[0]
        if batch.shape[1:] != (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3) or batch.dtype != np.float32:
            raise ValueError(f"expected float32 [n, 299, 299, 3], not {batch.dtype} {list(batch.shape)}")
        if batch.size and not (batch.min() >= -1.001 and batch.max() <= 1.001):
            raise ValueError(f"expected values in [-1, 1], not [{batch.min():.4g}, {batch.max():.4g}]: use center_view")
        rows = [self._infer(part).numpy() for part in batches_of(batch, BATCH_SIZE)]
        return np.concatenate(rows) if rows else np.empty((0, FEATURES), np.float32)

    def calibrate(self, batch: np.ndarray) -> None:
        """Set the stored statistics of every batch norm to those of one batch, float32 [n, 299, 299, 3] in [-1, 1]."""
        for _, (_, norm) in convolutions(self.model):
            norm.trainable, norm.momentum = True, 0.0  # moving = 0 * moving + 1 * batch
        tf.function(lambda images: self.model(images, training=True))(batch)  # eager mode would keep every activation
        for _, (_, norm) in convolutions(self.model):
            norm.trainable = False

    def values(self) -> dict[str, np.ndarray]:
        """Return the body's current values by TF-slim's names; they show whether training changed the body."""
        return {
            f"{scope}/{variable}": value
            for scope, layers in convolutions(self.model)
            for variable, value in zip(VARIABLES, [w for layer in layers for w in layer.get_weights()], strict=True)
        }


def build():
    """Build Keras' Inception v3 without weights and without a head.

    Returns:
        keras.Model from float32 [n, 299, 299, 3] to float32 [n, 2048].
    """
    import keras

    model = keras.applications.InceptionV3(
        include_top=False, weights=None, pooling="avg", input_shape=(IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3)
    )
    assert model.count_params() == BASE_VALUES
    return model


def convolutions(model) -> list[tuple[str, tuple]]:
    """Pair TF-slim's scopes with Keras' (convolution, batch norm) layers, which are created in the same order.

    `model.layers` is sorted by depth; the counter that Keras appends to a layer's name gives the order of creation.
    """
    import keras

    def created(kind):
        layers = [layer for layer in model.layers if isinstance(layer, kind)]
        return sorted(layers, key=lambda layer: int(re.search(r"(?:_(\d+))?$", layer.name)[1] or 0))

    pairs = zip(created(keras.layers.Conv2D), created(keras.layers.BatchNormalization), strict=True)
    return list(zip(CONVOLUTIONS, pairs, strict=True))


def _fill(layers: tuple, values: list[np.ndarray]) -> None:
    convolution, norm = layers
    convolution.set_weights(values[:1])
    norm.set_weights(values[1:])
