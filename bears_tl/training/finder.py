"""The learning-rate finder: the range test of Leslie Smith (https://arxiv.org/abs/1506.01186), as fastai's lr_find."""

import dataclasses
import math

import numpy as np

from bears_tl.config import RunConfig
from bears_tl.files import seeded_rng
from bears_tl.training.head import Training

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100  # fastai's
SMOOTHING = 0.98  # fastai's, of the exponential moving average
DIVERGED = 4  # the test ends when the smoothed loss is so many times its best: fastai's


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """The loss of a new head while its learning rate rises.

    Attributes:
        learning_rates: float64 [k], rising from 1e-7 by the same factor each step, to 10 at most.
        losses: float64 [k], cross-entropy in nats of each step's batch, before the step.
        smoothed: float64 [k], their exponential moving average, corrected for its start.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def steepest(self) -> float:
        """Give the rate at which the smoothed loss falls fastest over the logarithm of the rate."""
        slopes = np.gradient(self.smoothed, np.log(self.learning_rates))
        slopes = slopes[: self.smoothed.argmin() + 1]  # a loss that has jumped up may fall fast as well
        return float(self.learning_rates[slopes.argmin()])

    @property
    def tenth_of_minimum(self) -> float:
        """Give a tenth of the rate of the lowest smoothed loss: at the minimum itself, training is about to diverge."""
        return float(self.learning_rates[self.smoothed.argmin()] / 10)


def range_test(features: np.ndarray, labels: np.ndarray, classes: int, config: RunConfig) -> RangeTest:
    """Train a new head for some hundred steps at rising learning rates, and watch the loss.

    Args:
        features: [n, n views, depth], a `FeatureTable` or an array, as in `head.train_head`; the train photos.
        labels: int [n] in [0, classes).
        classes: how many.
        config: seed and batch_size are used.

    Returns:
        The test, cut off where the loss diverges.
    """
    from bears_tl.tensorflow import tf

    rng = seeded_rng(config.seed, "head", "learning rate finder")
    count, views, depth = features.shape
    batch_size = min(config.batch_size, count)
    batches_an_epoch = count // batch_size
    with tf.device("CPU:0"):
        training = Training(depth, classes, LOWEST)
        step = tf.function(training.step)
        rates, losses, smoothed = [], [], []
        average = 0.0
        for number, rate in enumerate(np.geomspace(LOWEST, HIGHEST, STEPS)):
            place = number % batches_an_epoch
            if place == 0:
                order = rng.permutation(count)
            batch = order[place * batch_size :][:batch_size]
            training.optimizer.learning_rate = rate
            x = features[batch, rng.integers(views, size=batch_size)]
            loss = float(step(tf.constant(x), tf.constant(labels[batch], tf.int32))[0].numpy().mean())
            average = SMOOTHING * average + (1 - SMOOTHING) * loss
            now = average / (1 - SMOOTHING ** (number + 1))
            if not math.isfinite(now):
                break
            for values, value in ((rates, rate), (losses, loss), (smoothed, now)):
                values.append(float(value))
            if now > DIVERGED * min(smoothed):
                break
    return RangeTest(np.array(rates), np.array(losses), np.array(smoothed))
