"""The head: one softmax layer on the features, and its training."""

import dataclasses
import io
import time
import zipfile
from pathlib import Path

import numpy as np

from bears_tl.config import RunConfig
from bears_tl.errors import InputError
from bears_tl.files import seeded_rng, write_bytes

CHUNK_PHOTOS = 4096  # features held in memory at once, 32 MiB as float32
HISTORY_COLUMNS = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"]


@dataclasses.dataclass(frozen=True)
class Head:
    """Weights of a softmax layer.

    Attributes:
        kernel: float32 [2048, n classes].
        bias: float32 [n classes].
        class_names: in the order of the columns.
    """

    kernel: np.ndarray
    bias: np.ndarray
    class_names: list[str]

    @property
    def parameters(self) -> int:
        """Count the trained values: 6,147 for three classes."""
        return self.kernel.size + self.bias.size

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Turn features, float [n, 2048], into float32 [n, n classes] in [0, 1] with rows that sum to 1."""
        logits = features.astype(np.float32) @ self.kernel + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def save(self, path: str | Path) -> None:
        """Write an .npz, whole or not at all; the same weights give the same bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, kernel=self.kernel, bias=self.bias, class_names=np.array(self.class_names, dtype=np.str_))
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "Head":
        """Read a head.

        Raises:
            InputError: not there or not a head.
        """
        try:
            with np.load(path) as saved:
                return cls(saved["kernel"], saved["bias"], [str(name) for name in saved["class_names"]])
        except FileNotFoundError:
            raise InputError(f"no trained head at {str(path)!r}: train the run first (bears train)") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{str(path)!r} is not a trained head ({error}): train the run again") from None


class Training:
    """A softmax layer while it is trained with Adam on cross-entropy: variables, and the step that changes them."""

    def __init__(self, depth: int, classes: int, learning_rate: float):
        """Start from zeros: the problem is convex, and random weights would stay where no training photo reaches."""
        import keras
        import tensorflow as tf

        self.kernel = tf.Variable(np.zeros((depth, classes), np.float32))
        self.bias = tf.Variable(np.zeros(classes, np.float32))
        self.optimizer = keras.optimizers.Adam(learning_rate)
        self.optimizer.build([self.kernel, self.bias])

    def losses_and_hits(self, x, y):
        """Give the cross-entropy in nats and 1 or 0 for right or wrong: float32 [n] each of features x and labels y."""
        import tensorflow as tf

        logits = x @ self.kernel + self.bias
        hits = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == y, tf.float32)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits), hits

    def step(self, x, y):
        """Take one step down the mean loss of a batch; gives its losses and hits from before the step."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            losses, hits = self.losses_and_hits(x, y)
            loss = tf.reduce_mean(losses)
        variables = [self.kernel, self.bias]
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return losses, hits


def train_head(
    features: np.ndarray,
    labels: np.ndarray,
    val_features: np.ndarray,
    val_labels: np.ndarray,
    class_names: list[str],
    config: RunConfig,
) -> tuple[Head, list[dict]]:
    """Train a softmax layer with Adam on cross-entropy; keep the weights of the lowest validation loss.

    Each epoch shows every photo once, in a new order, in one of its views drawn anew. Everything runs on the CPU, where
    so small a layer is fastest and its sums always come out the same: same seed, same machine, same bits.

    Features are asked for some thousand photos at a time, so that memory does not grow with their number.

    Args:
        features: [n, n views, 2048], a `FeatureTable` or an array; `features[photos, views]` gives float32 [k, 2048].
        labels: int [n] in [0, n classes).
        val_features: [m, 1, 2048], the same.
        val_labels: int [m].
        class_names: in the order of the labels.
        config: seed, epochs, patience, batch_size and learning_rate are used.

    Returns:
        The head, and the rows of history.csv: means over photos, those of training taken while the weights moved.
    """
    import tensorflow as tf

    rng = seeded_rng(config.seed, "head", "orders and views")
    count, views, depth = features.shape
    with tf.device("CPU:0"):
        training = Training(depth, len(class_names), config.learning_rate)
        signature = [tf.TensorSpec([None, depth], tf.float32), tf.TensorSpec([None], tf.int32)]

        @tf.function(input_signature=signature)
        def train_chunk(x, y):
            loss_sum, hit_sum = 0.0, 0.0
            for start in tf.range(0, tf.shape(x)[0], config.batch_size):
                batch = slice(start, start + config.batch_size)
                losses, hits = training.step(x[batch], y[batch])
                loss_sum += tf.reduce_sum(losses)
                hit_sum += tf.reduce_sum(hits)
            return tf.stack([loss_sum, hit_sum])

        @tf.function(input_signature=signature)
        def validate_chunk(x, y):
            return tf.stack([tf.reduce_sum(sums) for sums in training.losses_and_hits(x, y)])

        def means(run_chunk, table, photos, views, labels):
            """Give mean loss and share of hits, of chunks that are whole batches."""
            size = max(1, CHUNK_PHOTOS // config.batch_size) * config.batch_size
            sums = [
                run_chunk(table[photos[chunk], views[chunk]], labels[photos[chunk]]).numpy().astype(float)
                for chunk in (slice(start, start + size) for start in range(0, len(photos), size))
            ]
            return sum(sums) / len(photos)

        history, best, best_epoch = [], None, 0
        labels, val_labels = labels.astype(np.int32), val_labels.astype(np.int32)
        val_photos = np.arange(len(val_labels))
        for epoch in range(1, config.epochs + 1):
            started = time.perf_counter()
            order, view = rng.permutation(count), rng.integers(views, size=count)
            train = means(train_chunk, features, order, view, labels)
            val = means(validate_chunk, val_features, val_photos, np.zeros_like(val_photos), val_labels)
            numbers = [float(number) for number in (*train, *val)]
            row = [epoch, *numbers, time.perf_counter() - started]
            history.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
            if best is None or numbers[2] < history[best_epoch - 1]["val_loss"]:
                best, best_epoch = (training.kernel.numpy(), training.bias.numpy()), epoch
            if epoch - best_epoch >= config.patience:
                break
    return Head(*best, list(class_names)), history
