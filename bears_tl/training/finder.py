"""Learning-rate finder: Leslie Smith's range test (https://arxiv.org/abs/1506.01186), with fastai's constants."""

import dataclasses
import math

import numpy as np

from bears_tl.config import RunConfig
from bears_tl.files import seeded_rng
from bears_tl.training.adam import Training

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100  # as in fastai
SMOOTHING = 0.98  # of the exponential moving average, as in fastai
DIVERGED = 4  # stop when the smoothed loss exceeds its minimum by this factor, as in fastai


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """The loss of a new head at rising learning rates.

    Attributes:
        learning_rates: float64 [k], spaced geometrically from 1e-7 to 10 at most.
        losses: float64 [k], cross-entropy in nats of each step's batch, before the step.
        smoothed: float64 [k], the exponential moving average of the losses, with bias correction.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def steepest(self) -> float:
        """Return the rate at which the smoothed loss falls most steeply on a logarithmic axis."""
        slopes = np.gradient(self.smoothed, np.log(self.learning_rates))
        slopes = slopes[: self.smoothed.argmin() + 1]  # ignore steep falls after a jump
        return float(self.learning_rates[slopes.argmin()])

    @property
    def tenth_of_minimum(self) -> float:
        """Return a tenth of the rate with the lowest smoothed loss: at that rate itself, training nearly diverges."""
        return float(self.learning_rates[self.smoothed.argmin()] / 10)


def range_test(features: np.ndarray, labels: np.ndarray, classes: int, config: RunConfig) -> RangeTest:
    """Train a new head for up to 100 steps at rising learning rates and record the loss.

    Args:
        features: [n, n views, depth] of the train photos, a `FeatureTable` or an array, as in `head.train_head`.
        labels: int [n] in [0, classes).
        classes: the number of classes.
        config: seed and batch_size are used.

    Returns:
        The losses, up to the step where they diverge.
    """
    rng = seeded_rng(config.seed, "head", "learning rate finder")
    count, views, depth = features.shape
    batch_size = min(config.batch_size, count)
    batches_per_epoch = count // batch_size
    training = Training(depth, classes, LOWEST)
    rates, losses, smoothed = [], [], []
    average = 0.0
    for number, rate in enumerate(np.geomspace(LOWEST, HIGHEST, STEPS)):
        batch_number = number % batches_per_epoch
        if batch_number == 0:
            order = rng.permutation(count)
        batch = order[batch_number * batch_size :][:batch_size]
        training.learning_rate = rate
        x = features[batch, rng.integers(views, size=batch_size)]
        loss = float(training.step(x, labels[batch])[0].mean())
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        now = average / (1 - SMOOTHING ** (number + 1))
        if not math.isfinite(now):
            break
        for values, value in ((rates, rate), (losses, loss), (smoothed, now)):
            values.append(float(value))
        if now > DIVERGED * min(smoothed):
            break
    return RangeTest(np.array(rates), np.array(losses), np.array(smoothed))
