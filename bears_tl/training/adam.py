"""Training of a softmax layer with Adam, on small batches, with early stopping."""

import time

import numpy as np

from bears_tl.config import RunConfig
from bears_tl.files import seeded_rng
from bears_tl.training.head import CHUNK_PHOTOS
from bears_tl.training.regression import log_softmax

HISTORY_COLUMNS = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"]


class Training:
    """The training of a softmax layer with Adam (https://arxiv.org/abs/1412.6980), in NumPy and float32.

    Such a small layer needs no TensorFlow, whose import takes longer than the whole training.

    Attributes:
        kernel: float32 [depth, classes].
        bias: float32 [classes].
        learning_rate: of the next step.
    """

    _DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-7  # as in Keras

    def __init__(
        self,
        depth: int,
        classes: int,
        learning_rate: float,
        label_smoothing: float = 0.0,
        class_weights: np.ndarray | None = None,
    ):
        """Start from zeros: the problem is convex, and random weights would persist where all training features are 0.

        Args:
            depth: the number of features per photo.
            classes: the number of classes.
            learning_rate: Adam's learning rate.
            label_smoothing: the share of each target that is spread evenly over all classes (Szegedy et al. 2015,
                https://arxiv.org/abs/1512.00567, section 7).
            class_weights: float32 [classes], what the losses of each class are multiplied by; None: 1.
        """
        self.kernel, self.bias = np.zeros((depth, classes), np.float32), np.zeros(classes, np.float32)
        self.learning_rate = learning_rate
        self._weights = np.ones(classes, np.float32) if class_weights is None else class_weights.astype(np.float32)
        self._targets = class_targets(self._weights, label_smoothing).astype(np.float32)
        self._moments = [(np.zeros_like(values), np.zeros_like(values)) for values in (self.kernel, self.bias)]
        self._steps = 0

    def losses_and_hits(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return cross-entropy in nats and hits (1 right, 0 wrong) for features x and labels y: float32 [n] each."""
        logs = log_softmax(x @ self.kernel + self.bias)
        return -logs[np.arange(len(y)), y], (logs.argmax(axis=1) == y).astype(np.float32)

    def step(
        self, x: np.ndarray, y: np.ndarray, partners: np.ndarray | None = None, shares: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take one step on the mean objective of a batch: the weighted cross-entropy to smoothed targets.

        Args:
            x: float32 [n, depth].
            y: int [n].
            partners: int [n] in [0, n), the row of the batch that each row is mixed with; None for no mixup.
            shares: float32 [n] in [0, 1], the weight of each row in its mixture, see `draw_mixes`.

        Returns:
            The objective and the hits (1 right, 0 wrong) before the step, float32 [n] each. For a mixture, both are
            averages over its two labels, weighted by their shares.
        """
        weights, targets = self._weights[y], self._targets[y]
        if partners is not None:
            own, others = shares[:, None], (1 - shares)[:, None]
            x = own * x + others * x[partners]
            targets = own * targets + others * targets[partners]
            weights = shares * weights + (1 - shares) * weights[partners]
        logs = log_softmax(x @ self.kernel + self.bias)
        best = logs.argmax(axis=1)
        hits = (best == y).astype(np.float32)
        if partners is not None:
            hits = shares * hits + (1 - shares) * (best == y[partners])
        slopes = (weights[:, None] * np.exp(logs) - targets) / np.float32(len(y))  # of the mean, by the logits
        self._descend([x.T @ slopes, slopes.sum(axis=0)])
        return -(targets * logs).sum(axis=1), hits

    @np.errstate(over="ignore", invalid="ignore")  # the learning-rate finder raises the rate until the loss diverges
    def _descend(self, gradients: list[np.ndarray]) -> None:
        self._steps += 1
        correction = np.sqrt(1 - self._SQUARE_DECAY**self._steps) / (1 - self._DECAY**self._steps)
        rate = np.float32(self.learning_rate * correction)
        for values, gradient, (mean, square) in zip((self.kernel, self.bias), gradients, self._moments, strict=True):
            mean += (gradient - mean) * np.float32(1 - self._DECAY)
            square += (gradient**2 - square) * np.float32(1 - self._SQUARE_DECAY)
            values -= rate * mean / (np.sqrt(square) + np.float32(self._EPSILON))


def class_targets(weights: np.ndarray, label_smoothing: float) -> np.ndarray:
    """Return what the log-probabilities of a photo of each class are multiplied by: smoothed labels, weighted.

    Args:
        weights: float32 [n classes], what the losses of each class are multiplied by.
        label_smoothing: see `Training`.

    Returns:
        float64 [n classes, n classes], 0 or more: a row per class of the photo.
    """
    even = label_smoothing / len(weights)
    return (even + (1 - label_smoothing) * np.eye(len(weights))) * weights[:, np.newaxis]


def draw_mixes(rng: np.random.Generator, count: int, batch_size: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw the mixup partners and shares of one epoch.

    This is mixup (Zhang et al. 2017, https://arxiv.org/abs/1710.09412) of the last layer's input, that is, manifold
    mixup at that layer (Verma et al. 2018, https://arxiv.org/abs/1806.05236). Partners come from the same batch,
    shuffled, as in the code of Zhang et al. Each pair draws its own share, as in their formula; their code draws one
    per batch.

    Args:
        rng: the random generator.
        count: the number of photos in the epoch, in the order of training.
        batch_size: photos per batch; the last batch may be smaller.
        alpha: shares are drawn from Beta(alpha, alpha): near 0 or 1 for small alpha, near 1/2 for large alpha.

    Returns:
        partners, int32 [count], as positions within the batch, and shares, float32 [count] in [0, 1].
    """
    sizes = [min(batch_size, count - start) for start in range(0, count, batch_size)]
    partners = np.concatenate([rng.permutation(size) for size in sizes])
    return partners.astype(np.int32), rng.beta(alpha, alpha, size=count).astype(np.float32)


def train(
    features: np.ndarray,
    labels: np.ndarray,
    val_features: np.ndarray,
    val_labels: np.ndarray,
    weights: np.ndarray,
    config: RunConfig,
) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """Train a softmax layer with Adam on cross-entropy; keep the weights with the lowest validation loss.

    Label smoothing, mixup and class weights change the train loss, which is minimized. The validation loss remains the
    plain, unweighted cross-entropy, so that it is comparable between runs. It only selects an epoch, and with large
    weights on the few photos of a rare class that choice would be noisy.

    Each epoch uses every photo once, in random order, in one randomly drawn view. The same seed gives the same bits on
    the same machine.

    Features are read in chunks of a few thousand photos, so memory does not grow with the number of photos.

    Args:
        features: [n, n views, depth], a `FeatureTable` or an array; `features[photos, views]` is float32 [k, depth].
        labels: int [n] in [0, n classes).
        val_features: [m, 1, depth], likewise.
        val_labels: int [m] in [0, n classes).
        weights: float32 [n classes], what the losses of each class are multiplied by.
        config: seed, epochs, patience, batch_size, learning_rate, label_smoothing and mixup are used.

    Returns:
        Kernel, bias and the rows of history.csv: means over photos. Training means are taken during the epoch, while
        the weights change. train_loss is the objective; a mixture adds the share of the predicted label to
        train_accuracy.
    """
    rng, mixup_rng = (seeded_rng(config.seed, "head", purpose) for purpose in ("orders and views", "mixup"))
    count, views, depth = features.shape
    training = Training(depth, len(weights), config.learning_rate, config.label_smoothing, weights)

    def means(run_batch, table, photos, views, labels, *mix):
        """Return mean loss and accuracy of batches, read in chunks of whole batches."""
        size, sums = max(1, CHUNK_PHOTOS // config.batch_size) * config.batch_size, np.zeros(2)
        for first in range(0, len(photos), size):
            chunk = photos[first : first + size]
            x, y = table[chunk, views[first : first + size]], labels[chunk]
            for start in range(0, len(chunk), config.batch_size):
                rows = slice(start, start + config.batch_size)
                of_all = slice(first + start, min(first + start + config.batch_size, first + len(chunk)))
                losses, hits = run_batch(x[rows], y[rows], *[part[of_all] for part in mix])
                sums += losses.sum(dtype=float), hits.sum(dtype=float)
        return sums / len(photos)

    history, best, best_epoch = [], None, 0
    val_photos = np.arange(len(val_labels))
    for epoch in range(1, config.epochs + 1):
        started = time.perf_counter()
        order, view = rng.permutation(count), rng.integers(views, size=count)
        mix = draw_mixes(mixup_rng, count, config.batch_size, config.mixup) if config.mixup else ()
        train = means(training.step, features, order, view, labels, *mix)
        val = means(training.losses_and_hits, val_features, val_photos, np.zeros_like(val_photos), val_labels)
        numbers = [float(number) for number in (*train, *val)]
        row = [epoch, *numbers, time.perf_counter() - started]
        history.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
        if best is None or numbers[2] < history[best_epoch - 1]["val_loss"]:
            best, best_epoch = (training.kernel.copy(), training.bias.copy()), epoch
        if epoch - best_epoch >= config.patience:
            break
    return *best, history
