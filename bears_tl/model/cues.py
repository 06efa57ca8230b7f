"""What the head's own training makes of a few numbers a photo in place of the body's features."""

import numpy as np

from bears_tl.config import RunConfig
from bears_tl.model.head import train_head

LEARNING_RATE = 0.03  # ten times the head's: a few standardised numbers need larger weights than 2,048 features
STEPS_AN_EPOCH = 10  # or as many as batch_size makes of them, whichever is less: 100,000 photos take no longer than 400


def classify(
    numbers: np.ndarray, labels: np.ndarray, splits: np.ndarray, class_names: list[str], config: RunConfig
) -> np.ndarray:
    """Train a multinomial logistic regression on the train photos, stopped by the val photos, and try it on the test.

    Args:
        numbers: float [n, d], of any scale: they are standardised by mean and spread of the train photos.
        labels: int [n] in [0, n classes).
        splits: str [n], train, val or test.
        class_names: in the order of the labels.
        config: seed, epochs, patience and batch_size are used.

    Returns:
        float32 [n test photos, n classes], the probabilities of the test photos, in order.
    """
    train = splits == "train"
    spread = numbers[train].std(axis=0)
    # A number that is the same for all train photos says nothing; its spread is rounding, or 0
    scale = np.where(spread > 1e-9, spread, np.inf)
    features = ((numbers - numbers[train].mean(axis=0)) / scale).astype(np.float32)[:, np.newaxis]
    batch_size = min(65_536, max(config.batch_size, int(train.sum()) // STEPS_AN_EPOCH))
    config = config.replace(learning_rate=LEARNING_RATE, batch_size=batch_size)
    val = splits == "val"
    head, _ = train_head(features[train], labels[train], features[val], labels[val], class_names, config)
    return head.probabilities(features[splits == "test", 0])
