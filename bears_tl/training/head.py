"""The head: one softmax layer on the features, and its training."""

import dataclasses
import io
import time
import zipfile
from pathlib import Path

import numpy as np

from bears_tl.config import RunConfig
from bears_tl.errors import InputError, reason_of
from bears_tl.files import seeded_rng, write_bytes
from bears_tl.inception.architecture import FEATURES

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

    def classify(self, table: np.ndarray) -> np.ndarray:
        """Give the probabilities of photos in their first view, some thousand at a time.

        Args:
            table: [n, n views, 2048], a `FeatureTable` or an array.

        Returns:
            float32 [n, n classes] in [0, 1].
        """
        chunks = [slice(start, start + CHUNK_PHOTOS) for start in range(0, max(len(table), 1), CHUNK_PHOTOS)]
        return np.concatenate([self.probabilities(table[chunk, 0]) for chunk in chunks])

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
                head = cls(saved["kernel"], saved["bias"], [str(name) for name in saved["class_names"]])
            if head.kernel.shape != (FEATURES, len(head.class_names)) or head.bias.shape != head.kernel.shape[1:]:
                raise ValueError(f"kernel {head.kernel.shape}, bias {head.bias.shape}, {len(head.class_names)} classes")
            return head
        except FileNotFoundError:
            raise InputError(f"no trained head at {str(path)!r}: train the run first (bears train)") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{str(path)!r} is not a trained head ({reason_of(error)}): train the run again") from None


class Training:
    """A softmax layer while it is trained with Adam: variables, and the step that changes them."""

    def __init__(
        self,
        depth: int,
        classes: int,
        learning_rate: float,
        label_smoothing: float = 0.0,
        class_weights: np.ndarray | None = None,
    ):
        """Start from zeros: the problem is convex, and random weights would stay where no training photo reaches.

        Args:
            depth: features of a photo.
            classes: how many.
            learning_rate: Adam's.
            label_smoothing: see `objective`.
            class_weights: float32 [classes], see `objective`; without them each photo counts once.
        """
        import keras

        from bears_tl.tensorflow import tf

        self.kernel = tf.Variable(np.zeros((depth, classes), np.float32))
        self.bias = tf.Variable(np.zeros(classes, np.float32))
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        self.optimizer = keras.optimizers.Adam(learning_rate)
        self.optimizer.build([self.kernel, self.bias])

    def losses_and_hits(self, x, y):
        """Give the cross-entropy in nats and 1 or 0 for right or wrong: float32 [n] each of features x and labels y."""
        from bears_tl.tensorflow import tf

        logits = x @ self.kernel + self.bias
        return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits), _hits(logits, y)

    def objective(self, logits, y):
        """Give what training minimizes: float32 [n] of logits [n, classes] and labels y.

        That is the cross-entropy, with label smoothing (Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, section
        7) against targets of which a share is spread evenly over all classes; times the weight of the photo's class.
        """
        from bears_tl.tensorflow import tf

        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        if self.label_smoothing:
            against_all = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * against_all
        if self.class_weights is not None:
            losses *= tf.gather(self.class_weights, y)
        return losses

    def step(self, x, y, partners=None, shares=None):
        """Take one step down the mean objective of a batch.

        Args:
            x: float32 [n, depth].
            y: int32 [n].
            partners: int32 [n] in [0, n): rows of the batch that x and y are mixed with; None: nothing is.
            shares: float32 [n] in [0, 1], what a row keeps of itself, see `draw_mixes`.

        Returns:
            float32 [n] each, from before the step: the objective, and 1 or 0 for right or wrong; of a mixture, both are
            the two labels' by their shares.
        """
        from bears_tl.tensorflow import tf

        with tf.GradientTape() as tape:
            if partners is None:
                logits = x @ self.kernel + self.bias
                losses, hits = self.objective(logits, y), _hits(logits, y)
            else:
                mixed = shares[:, None] * x + (1 - shares)[:, None] * tf.gather(x, partners)
                logits, other = mixed @ self.kernel + self.bias, tf.gather(y, partners)
                losses = shares * self.objective(logits, y) + (1 - shares) * self.objective(logits, other)
                hits = shares * _hits(logits, y) + (1 - shares) * _hits(logits, other)
            loss = tf.reduce_mean(losses)
        variables = [self.kernel, self.bias]
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return losses, hits


def _hits(logits, y):
    from bears_tl.tensorflow import tf

    return tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == y, tf.float32)


def draw_mixes(rng: np.random.Generator, count: int, batch_size: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw, for an epoch of mixup, whom each photo is mixed with and what it keeps of itself.

    Mixup (Zhang et al. 2017, https://arxiv.org/abs/1710.09412) of the last layer's input, which is manifold mixup at
    that layer (Verma et al. 2018, https://arxiv.org/abs/1806.05236). Partners come from the same batch, shuffled, as in
    the code of Zhang et al.; each pair draws a share of its own, as in their formula (their code draws one a batch).

    Args:
        rng: where the draws come from.
        count: photos of the epoch, in the order in which they are shown.
        batch_size: photos a batch; the last may be smaller.
        alpha: shares are drawn from Beta(alpha, alpha): near 0 or 1 when it is small, near 1/2 when it is large.

    Returns:
        partners, int32 [count], places within the batch, and shares, float32 [count] in [0, 1].
    """
    sizes = [min(batch_size, count - start) for start in range(0, count, batch_size)]
    partners = np.concatenate([rng.permutation(size) for size in sizes])
    return partners.astype(np.int32), rng.beta(alpha, alpha, size=count).astype(np.float32)


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weigh classes by n / (classes * photos of the class), scikit-learn's `balanced`: float32 [classes].

    The mean weight of the photos is 1, so that the learning rate means what it meant.
    """
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)


def train_head(
    features: np.ndarray,
    labels: np.ndarray,
    val_features: np.ndarray,
    val_labels: np.ndarray,
    class_names: list[str],
    config: RunConfig,
) -> tuple[Head, list[dict]]:
    """Train a softmax layer with Adam on cross-entropy; keep the weights of the lowest validation loss.

    Smoothed targets, mixup and class weights change what is minimized, the train loss; the validation loss stays the
    plain cross-entropy of photos that count once each, so that it means the same in all runs. Balanced weights do not
    enter it either: it only chooses among the epochs of one training, and a mean in which each photo of a rare class,
    of which there are few, counts several times would choose by chance.

    Each epoch shows every photo once, in a new order, in one of its views drawn anew. Everything runs on the CPU, where
    so small a layer is fastest and its sums always come out the same: same seed, same machine, same bits.

    Features are read for some thousand photos at a time, so that memory does not grow with their number.

    Args:
        features: [n, n views, 2048], a `FeatureTable` or an array; `features[photos, views]` gives float32 [k, 2048].
        labels: int [n] in [0, n classes).
        val_features: [m, 1, 2048], the same.
        val_labels: int [m].
        class_names: in the order of the labels.
        config: seed, epochs, patience, batch_size, learning_rate, label_smoothing, mixup and class_weights are used.

    Returns:
        The head, and the rows of history.csv: means over photos, those of training taken while the weights moved.
        train_loss is what was minimized, and train_accuracy counts a mixture as right by the share of the label found.
    """
    from bears_tl.tensorflow import tf

    rng, mixup_rng = (seeded_rng(config.seed, "head", purpose) for purpose in ("orders and views", "mixup"))
    count, views, depth = features.shape
    weights = balanced_weights(labels, len(class_names)) if config.class_weights == "balanced" else None
    with tf.device("CPU:0"):
        training = Training(depth, len(class_names), config.learning_rate, config.label_smoothing, weights)
        signature = [tf.TensorSpec([None, depth], tf.float32), tf.TensorSpec([None], tf.int32)]
        mixes = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)] if config.mixup else []

        @tf.function(input_signature=signature + mixes)
        def train_chunk(x, y, *mix):
            loss_sum, hit_sum = 0.0, 0.0
            for start in tf.range(0, tf.shape(x)[0], config.batch_size):
                batch = slice(start, start + config.batch_size)
                losses, hits = training.step(x[batch], y[batch], *[part[batch] for part in mix])
                loss_sum += tf.reduce_sum(losses)
                hit_sum += tf.reduce_sum(hits)
            return tf.stack([loss_sum, hit_sum])

        @tf.function(input_signature=signature)
        def validate_chunk(x, y):
            return tf.stack([tf.reduce_sum(sums) for sums in training.losses_and_hits(x, y)])

        def means(run_chunk, table, photos, views, labels, *mix):
            """Give mean loss and share of hits, of chunks that are whole batches."""
            size = max(1, CHUNK_PHOTOS // config.batch_size) * config.batch_size
            sums = [
                run_chunk(table[photos[chunk], views[chunk]], labels[photos[chunk]], *[part[chunk] for part in mix])
                .numpy()
                .astype(float)
                for chunk in (slice(start, start + size) for start in range(0, len(photos), size))
            ]
            return sum(sums) / len(photos)

        history, best, best_epoch = [], None, 0
        labels, val_labels = labels.astype(np.int32), val_labels.astype(np.int32)
        val_photos = np.arange(len(val_labels))
        for epoch in range(1, config.epochs + 1):
            started = time.perf_counter()
            order, view = rng.permutation(count), rng.integers(views, size=count)
            mix = draw_mixes(mixup_rng, count, config.batch_size, config.mixup) if config.mixup else ()
            train = means(train_chunk, features, order, view, labels, *mix)
            val = means(validate_chunk, val_features, val_photos, np.zeros_like(val_photos), val_labels)
            numbers = [float(number) for number in (*train, *val)]
            row = [epoch, *numbers, time.perf_counter() - started]
            history.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
            if best is None or numbers[2] < history[best_epoch - 1]["val_loss"]:
                best, best_epoch = (training.kernel.numpy(), training.bias.numpy()), epoch
            if epoch - best_epoch >= config.patience:
                break
    return Head(*best, list(class_names)), history
