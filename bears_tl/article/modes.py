"""The alarm: it fires when a body gives different features in training and in serving."""

from collections.abc import Callable

import numpy as np

from bears_tl.errors import InputError

ALARM_PHOTOS = 64
# Rounding stays below this (bfloat16: cosine 0.9996 to float32, a distance of 0.03); batch statistics exceed it.
LARGEST_DISTANCE = 0.1


def mode_distance(
    train_features: Callable[[np.ndarray], np.ndarray],
    serve_features: Callable[[np.ndarray], np.ndarray],
    batches: list[np.ndarray],
) -> float:
    """Measure the distance between a body's features in training and in serving.

    Args:
        train_features: the body in a training step: float32 [n, 299, 299, 3] in [-1, 1] to float32 [n, depth].
        serve_features: the same body in testing and prediction.
        batches: photos in batches of the training size, because batch statistics depend on the size.

    Returns:
        Mean over photos of |train - serve| / |serve| (Euclidean norms); 0 if the features are equal.
    """
    distances = []
    for batch in batches:
        trained, served = train_features(batch), serve_features(batch)
        norms = np.linalg.norm(served, axis=1)
        distances.append(np.linalg.norm(trained - served, axis=1) / np.maximum(norms, 1e-12))
    return float(np.concatenate(distances).mean())


def refuse_two_modes(distance: float, intended: bool = False) -> None:
    """Refuse a body that is trained in one mode and served in another.

    Args:
        distance: result of `mode_distance`.
        intended: accept different modes, as in the procedure of 2019.

    Raises:
        InputError: the features differ by more than rounding can explain, and this is not intended.
    """
    if not distance <= LARGEST_DISTANCE and not intended:  # NaN is refused too
        raise InputError(
            f"the body's features in training differ from those in serving by {distance:.0%} on average, expected "
            f"{LARGEST_DISTANCE:.0%} or less: keep the frozen body in inference mode (batch_norm: stored)"
        )
