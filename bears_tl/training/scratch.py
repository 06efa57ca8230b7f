"""The alternative to transfer: a small convolutional network, trained from scratch on the run's photos.

It has five 3 x 3 convolutions of stride 2, each with batch norm and ReLU, then global average pooling, dropout and a
softmax layer. All convolutions but the first are separable (https://arxiv.org/abs/1610.02357): a step took half the
time of plain convolutions of half the width, and with little time the number of epochs matters most. The network needs
12 million multiplications per photo; Inception v3 needs 5.7 billion.
"""

import io
import itertools
import math
import time
import zipfile
from pathlib import Path

import numpy as np

from bears_tl.batches import batches_of, padded
from bears_tl.config import RunConfig
from bears_tl.errors import InputError, reason_of
from bears_tl.files import seeded_rng, write_bytes
from bears_tl.judging import metrics
from bears_tl.photos.thumbnails import IMAGE_SIZE_PX, Thumbnails
from bears_tl.photos.views import View
from bears_tl.threads import map_ahead
from bears_tl.training.adam import HISTORY_COLUMNS

WIDTHS = (32, 64, 128, 256, 512)  # channels of the convolutions
DROPOUT = 0.3
BATCH_NORM_MOMENTUM = 0.9  # Keras' 0.99 needs hundreds of steps to forget its initial values; small sets take few steps
# Photos per step. A small batch gives even a small set several steps per epoch, each with other batch norm statistics:
# with 5 photos per class in a single batch of 15, the network only memorized them. Larger batches are hardly faster on
# a CPU.
BATCH_SIZE = 8
LEARNING_RATE = 0.003  # of Adam, in the first epochs; then it falls to 0 along a cosine
SMALLEST_CLASS = 5  # training photos
TIMED_EPOCHS = 3  # trained at the full learning rate; the time of all but the first sets the number of planned epochs
_PHOTOS_PER_CALL = 32  # in inference


class Scratch:
    """The network, from pixels to probabilities. The result of a photo does not depend on the rest of its batch."""

    def __init__(self, class_names: list[str], seed: int = 0):
        """Build a network with random weights.

        Args:
            class_names: in the order of the columns.
            seed: the seed of the weights and the dropout.
        """
        from bears_tl.tensorflow import tf

        self.class_names = list(class_names)
        self.network = _build(len(class_names), seed)
        pixels = tf.TensorSpec([_PHOTOS_PER_CALL, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3], tf.uint8)
        self._infer = tf.function(lambda x: tf.nn.softmax(self.network(x, training=False)), input_signature=[pixels])

    @property
    def parameters(self) -> int:
        """Return the number of trained parameters: 182,787 for three classes."""
        return sum(int(np.prod(weights.shape)) for weights in self.network.trainable_weights)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Compute probabilities, float32 [n, n classes], from views, uint8 [n, 128, 128, 3] in [0, 255].

        Raises:
            ValueError: the shape or dtype is wrong.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3):
            raise ValueError(f"expected uint8 [n, 128, 128, 3], not {pixels.dtype} {list(pixels.shape)}")
        found = [np.empty((0, len(self.class_names)), np.float32)]
        for batch in batches_of(pixels, _PHOTOS_PER_CALL):
            found.append(self._infer(padded(batch, _PHOTOS_PER_CALL)).numpy()[: len(batch)])
        return np.concatenate(found)

    def classify(self, thumbnails: Thumbnails, photos: list[dict]) -> np.ndarray:
        """Compute probabilities, float32 [n, n classes], of photos in center view; rows need path and sha256."""
        batches = batches_of(photos, _PHOTOS_PER_CALL)
        return np.concatenate([self.probabilities(thumbnails.views(batch)) for batch in batches])

    def save(self, path: str | Path) -> None:
        """Write an .npz file atomically; equal weights give equal bytes."""
        buffer, weights = io.BytesIO(), self.network.get_weights()
        arrays = {f"weights_{number:02d}": array for number, array in enumerate(weights)}
        np.savez(buffer, **arrays, class_names=np.array(self.class_names, dtype=np.str_))
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "Scratch":
        """Read a network.

        Raises:
            InputError: the file is missing or does not hold such a network.
        """
        try:
            with np.load(path) as saved:
                made = cls([str(name) for name in saved["class_names"]])
                made.network.set_weights([saved[name] for name in sorted(saved) if name.startswith("weights_")])
        except FileNotFoundError:
            raise InputError(f"{str(path)!r} is missing: train it first (bears scratch)") from None
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{str(path)!r} is not a trained network ({reason_of(error)}): train it again (bears scratch)"
            ) from None
        return made


def train_scratch(
    thumbnails: Thumbnails,
    train: list[dict],
    val: list[dict],
    class_names: list[str],
    config: RunConfig,
    seconds: float | None = None,
    epochs: int | None = None,
) -> tuple[Scratch, list[dict], int]:
    """Train a network with Adam on cross-entropy; keep the weights with the lowest validation loss.

    Each epoch uses every photo once, in random order. Epoch k uses random view k - 1, with the same crops as the body's
    views; only the crop, zoom and mirroring of a view are applied.

    The learning rate is constant for TIMED_EPOCHS, then falls along a cosine until the last planned epoch. The number
    of planned epochs is either given or estimated from `seconds` and the time of the first epochs. Timings vary, so the
    number is returned: passing it as `epochs` reproduces the same bits (on the same machine, on the CPU; not tested on
    a GPU). Training stops early when the validation loss has not fallen for a quarter of the planned epochs or for
    config.patience epochs, whichever is more.

    Args:
        thumbnails: the source of the pixels.
        train: rows of training photos with path, class_name and sha256, in any order: they are sorted by SHA-256.
        val: rows of validation photos.
        class_names: in the order of the columns.
        config: seed, max_zoom and patience are used.
        seconds: the time for everything in this function; at least TIMED_EPOCHS are trained.
        epochs: the number of planned epochs, instead of a time.

    Returns:
        The network, rows like those of history.csv, and the number of planned epochs.

    Raises:
        InputError: a class has too few photos, there are no validation photos, or a photo cannot be read.
    """
    started = time.perf_counter()
    _check(train, val, class_names, seconds, epochs)
    train = sorted(train, key=lambda photo: photo["sha256"])
    labels, val_labels = (
        np.array([class_names.index(photo["class_name"]) for photo in photos], np.int32) for photos in (train, val)
    )
    parts = math.ceil(len(labels) / BATCH_SIZE)  # of nearly equal size: batch norm needs several photos
    rng = seeded_rng(config.seed, "scratch", "orders")
    model = Scratch(class_names, config.seed)
    optimizer, step = _optimizer_and_step(model.network)
    history, best, best_epoch, planned = [], None, 0, epochs
    for epoch in itertools.count(1):
        begun = time.perf_counter()
        optimizer.learning_rate = _learning_rate(epoch, planned)
        batches = np.array_split(rng.permutation(len(labels)), parts)
        view = View(epoch - 1, config.seed, config.max_zoom)

        def show(batch, view=view):
            return thumbnails.views([train[place] for place in batch], view), labels[batch]

        sums = sum(step(*batch).numpy().astype(float) for batch in map_ahead(show, batches, 2, threads=1))
        val_loss, val_accuracy = _judge(model.classify(thumbnails, val), val_labels)
        row = [epoch, *map(float, sums / len(labels)), val_loss, val_accuracy, time.perf_counter() - begun]
        history.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
        if best is None or val_loss < history[best_epoch - 1]["val_loss"]:
            best, best_epoch = model.network.get_weights(), epoch
        if planned is None and epoch == TIMED_EPOCHS:
            epoch_seconds = float(np.mean([row["seconds"] for row in history[1:]]))
            planned = epoch + max(0, int((seconds - (time.perf_counter() - started)) / epoch_seconds))
        if planned and (epoch >= planned or _is_stuck(epoch, best_epoch, planned, config.patience)):
            break
    model.network.set_weights(best)
    return model, history, planned


def _is_stuck(epoch: int, best_epoch: int, planned: int, patience: int) -> bool:
    """Return whether to stop early; never in the timed epochs, before the number of planned epochs is known."""
    return epoch >= TIMED_EPOCHS and epoch - best_epoch >= max(patience, planned // 4)


def _check(train: list[dict], val: list[dict], class_names: list[str], seconds, epochs) -> None:
    """Raise InputError if the photos or the budget do not allow training."""
    for class_name in class_names:
        count = sum(photo["class_name"] == class_name for photo in train)
        if count < SMALLEST_CLASS:
            raise InputError(
                f"class {class_name!r} has {count} training photos, expected {SMALLEST_CLASS} or more to train "
                "a network from scratch: add photos of this class"
            )
    if not val:
        raise InputError("there are no validation photos, which early stopping needs: split the photos again")
    if (seconds is None) == (epochs is None):
        raise InputError(f"seconds is {seconds!r} and epochs is {epochs!r}: expected exactly one of the two")
    if epochs is not None and epochs < 1:
        raise InputError(f"epochs {epochs} is out of range, expected 1 or more")
    if seconds is not None and not 0 < seconds < math.inf:
        raise InputError(f"seconds {seconds} is out of range, expected more than 0")


def _build(classes: int, seed: int):
    """Build the network. Every layer has its own seed; Keras' global seed is not touched."""
    import keras
    from keras import layers

    def draw(purpose):
        return int(seeded_rng(seed, "scratch", purpose).integers(2**31))

    pixels = x = keras.Input((IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 127.5, -1.0, name="scaled")(x)  # to [-1, 1], like the body's input
    for number, width in enumerate(WIDTHS, 1):
        how = {"strides": 2, "padding": "same", "use_bias": False, "name": f"convolution_{number}"}
        across, down = (keras.initializers.HeNormal(draw(f"{part} {number}")) for part in ("across", "down"))
        if number == 1:
            x = layers.Conv2D(width, 3, kernel_initializer=across, **how)(x)
        else:
            x = layers.SeparableConv2D(width, 3, depthwise_initializer=across, pointwise_initializer=down, **how)(x)
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"batch_norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dropout(DROPOUT, seed=draw("dropout"), name="dropout")(x)
    kernel = keras.initializers.GlorotUniform(draw("logits"))
    return keras.Model(pixels, layers.Dense(classes, kernel_initializer=kernel, name="logits")(x), name="scratch")


def _optimizer_and_step(network):
    """Return Adam and a function that trains on a batch and returns the summed losses and hits before the step."""
    import keras

    from bears_tl.tensorflow import tf

    optimizer, variables = keras.optimizers.Adam(LEARNING_RATE), network.trainable_variables
    optimizer.build(variables)
    side = IMAGE_SIZE_PX

    @tf.function(input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8), tf.TensorSpec([None], tf.int32)])
    def step(pixels, labels):
        with tf.GradientTape() as tape:
            logits = network(pixels, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, variables), variables)
        hits = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(hits)])

    return optimizer, step


def _learning_rate(epoch: int, planned: int | None) -> float:
    """Return the rate of an epoch, counted from 1; the first TIMED_EPOCHS do not depend on the number planned."""
    if epoch <= TIMED_EPOCHS:
        return LEARNING_RATE
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (epoch - TIMED_EPOCHS) / (planned - TIMED_EPOCHS + 1)))


def _judge(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return mean cross-entropy in nats and accuracy."""
    return float(metrics.losses(labels, probabilities).mean()), float((probabilities.argmax(axis=1) == labels).mean())
