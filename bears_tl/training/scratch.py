"""The alternative to transfer: a small convolutional network of one's own, trained from nothing on the run's photos.

Five 3 x 3 convolutions of stride 2, each with batch norm and ReLU, then the mean over the picture, dropout and one
softmax layer. All but the first are separable (https://arxiv.org/abs/1610.02357): a step took half the time of plain
ones of half the width, and in so little time what counts is how often the photos are seen. It makes 12 million
multiplications a photo, Inception v3 makes 5.7 thousand million.
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
from bears_tl.training.head import HISTORY_COLUMNS

WIDTHS = (32, 64, 128, 256, 512)  # channels of the convolutions
DROPOUT = 0.3
BATCH_NORM_MOMENTUM = 0.9  # Keras' 0.99 takes hundreds of steps to forget its start; few photos take few steps
# Photos a step. Few photos then make several steps, each with other company for batch norm: 5 photos a class, in one
# batch of 15, were learned by heart and nothing else. On a CPU larger batches are hardly faster.
BATCH_SIZE = 8
LEARNING_RATE = 0.003  # Adam's step size in the first epochs; falls to 0 along a cosine
SMALLEST_CLASS = 5  # training photos
TIMED_EPOCHS = 3  # trained at the full learning rate; those after the first tell how many there is time for
_PHOTOS_A_CALL = 32  # when nothing is trained


class Scratch:
    """The network: pixels to probabilities; the same photo has the same bits in any company."""

    def __init__(self, class_names: list[str], seed: int = 0):
        """Draw the weights of a network that knows nothing.

        Args:
            class_names: in the order of the columns.
            seed: of the weights and the dropout.
        """
        from bears_tl.tensorflow import tf

        self.class_names = list(class_names)
        self.network = _build(len(class_names), seed)
        pixels = tf.TensorSpec([_PHOTOS_A_CALL, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3], tf.uint8)
        self._infer = tf.function(lambda x: tf.nn.softmax(self.network(x, training=False)), input_signature=[pixels])

    @property
    def parameters(self) -> int:
        """Count the trained values: 182,787 for three classes."""
        return sum(int(np.prod(weights.shape)) for weights in self.network.trainable_weights)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Turn views, uint8 [n, 128, 128, 3] in [0, 255], into float32 [n, n classes] with rows that sum to 1.

        Raises:
            ValueError: another shape or dtype.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3):
            raise ValueError(f"expected uint8 [n, 128, 128, 3], not {pixels.dtype} {list(pixels.shape)}")
        found = [np.empty((0, len(self.class_names)), np.float32)]
        for batch in batches_of(pixels, _PHOTOS_A_CALL):
            found.append(self._infer(padded(batch, _PHOTOS_A_CALL)).numpy()[: len(batch)])
        return np.concatenate(found)

    def classify(self, thumbnails: Thumbnails, photos: list[dict]) -> np.ndarray:
        """Give the probabilities of photos, rows with path and sha256, in center view: float32 [n, n classes]."""
        batches = batches_of(photos, _PHOTOS_A_CALL)
        return np.concatenate([self.probabilities(thumbnails.views(batch)) for batch in batches])

    def save(self, path: str | Path) -> None:
        """Write an .npz, whole or not at all; the same weights give the same bytes."""
        buffer, weights = io.BytesIO(), self.network.get_weights()
        arrays = {f"weights_{number:02d}": array for number, array in enumerate(weights)}
        np.savez(buffer, **arrays, class_names=np.array(self.class_names, dtype=np.str_))
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "Scratch":
        """Read a network.

        Raises:
            InputError: not there, or not such a network.
        """
        try:
            with np.load(path) as saved:
                made = cls([str(name) for name in saved["class_names"]])
                made.network.set_weights([saved[name] for name in sorted(saved) if name.startswith("weights_")])
        except FileNotFoundError:
            raise InputError(f"no network at {str(path)!r}: train it first (bears scratch)") from None
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{str(path)!r} is not a trained network ({reason_of(error)}): train it again") from None
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
    """Train a network with Adam on cross-entropy; keep the weights of the lowest validation loss.

    Each epoch shows every photo once, in a new order and a new view: the first in random view 0 and so on, the boxes
    that the body is shown. (Of what a view can change, only box, zoom and mirroring are used.)

    The learning rate stays the same for TIMED_EPOCHS, then falls along a cosine to the last planned epoch. How many are
    planned is given, or is what the seconds suffice for, going by the first epochs. A clock never measures the same
    twice, so that number is given back: with it as `epochs` the same bits come out (same machine, on the CPU; a GPU was
    not tried). Training ends earlier when the validation loss has not fallen for a quarter of the planned epochs, or
    for config.patience if that is more.

    Args:
        thumbnails: where pixels come from.
        train: rows of training photos, with path, class_name and sha256, in any order: they are taken by content.
        val: rows of validation photos.
        class_names: in the order of the columns.
        config: seed, max_zoom and patience are used.
        seconds: time for everything in here; at least TIMED_EPOCHS are trained.
        epochs: as many are planned, in place of a time.

    Returns:
        The network, rows like those of history.csv, and the number of planned epochs.

    Raises:
        InputError: a class has too few photos, there is nothing to validate on, or a photo can no longer be read.
    """
    started = time.perf_counter()
    _check(train, val, class_names, seconds, epochs)
    train = sorted(train, key=lambda photo: photo["sha256"])
    labels, val_labels = (
        np.array([class_names.index(photo["class_name"]) for photo in photos], np.int32) for photos in (train, val)
    )
    parts = math.ceil(len(labels) / BATCH_SIZE)  # nearly equal: batch norm needs company
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
            an_epoch = float(np.mean([row["seconds"] for row in history[1:]]))
            planned = epoch + max(0, int((seconds - (time.perf_counter() - started)) / an_epoch))
        if planned and (epoch >= planned or _is_stuck(epoch, best_epoch, planned, config.patience)):
            break
    model.network.set_weights(best)
    return model, history, planned


def _is_stuck(epoch: int, best_epoch: int, planned: int, patience: int) -> bool:
    """Say whether to stop early; never in the timed epochs, when the number that patience goes by is not known yet."""
    return epoch >= TIMED_EPOCHS and epoch - best_epoch >= max(patience, planned // 4)


def _check(train: list[dict], val: list[dict], class_names: list[str], seconds, epochs) -> None:
    """Refuse what cannot be trained on."""
    for class_name in class_names:
        count = sum(photo["class_name"] == class_name for photo in train)
        if count < SMALLEST_CLASS:
            raise InputError(
                f"class {class_name!r} has {count} training photos, expected {SMALLEST_CLASS} or more to train "
                "a network from scratch: add photos"
            )
    if not val:
        raise InputError("there are no validation photos, expected some to stop training by: split the photos again")
    if (seconds is None) == (epochs is None):
        raise InputError(f"seconds {seconds!r} and epochs {epochs!r}: expected one of the two")
    if epochs is not None and epochs < 1:
        raise InputError(f"epochs {epochs} is out of range, expected 1 or more")
    if seconds is not None and not 0 < seconds < math.inf:
        raise InputError(f"seconds {seconds} is out of range, expected more than 0")


def _build(classes: int, seed: int):
    """Build the network; every layer has a seed of its own, and Keras' global one is left alone."""
    import keras
    from keras import layers

    def draw(purpose):
        return int(seeded_rng(seed, "scratch", purpose).integers(2**31))

    pixels = x = keras.Input((IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 127.5, -1.0, name="scaled")(x)  # to [-1, 1], as the body's input
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
    """Give Adam and the step it takes down the mean loss of a batch, which gives sums of losses and hits before it."""
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
    """Give the rate of an epoch, counted from 1; the first do not depend on how many are planned."""
    if epoch <= TIMED_EPOCHS:
        return LEARNING_RATE
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (epoch - TIMED_EPOCHS) / (planned - TIMED_EPOCHS + 1)))


def _judge(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Give mean cross-entropy in nats and accuracy."""
    return float(metrics.losses(labels, probabilities).mean()), float((probabilities.argmax(axis=1) == labels).mean())
