"""The alarm: does a body give the same features in the mode it is trained in and in the mode it is served in?"""

from collections.abc import Callable

import numpy as np

from bears_tl.errors import InputError

ALARM_PHOTOS = 64
# Rounding passes (bfloat16: cosine 0.9996 to float32, so a distance of 0.03), batch statistics do not.
LARGEST_DISTANCE = 0.1


def mode_distance(
    train_features: Callable[[np.ndarray], np.ndarray],
    serve_features: Callable[[np.ndarray], np.ndarray],
    batches: list[np.ndarray],
) -> float:
    """Measure how far apart a body's features in two modes are.

    Args:
        train_features: what a training step sees of a batch: float32 [n, 299, 299, 3] in [-1, 1] to float32 [n, depth].
        serve_features: what the test and a user see of it.
        batches: photos in batches as large as training's, since batch statistics depend on the size.

    Returns:
        The mean over photos of |train - serve| / |serve|, Euclidean norms; 0 for the same features.
    """
    distances = []
    for batch in batches:
        trained, served = train_features(batch), serve_features(batch)
        norms = np.linalg.norm(served, axis=1)
        distances.append(np.linalg.norm(trained - served, axis=1) / np.maximum(norms, 1e-12))
    return float(np.concatenate(distances).mean())


def refuse_two_modes(distance: float, intended: bool = False) -> None:
    """Refuse a body that would be trained in one mode and served in the other.

    Args:
        distance: what `mode_distance` gave.
        intended: the two modes are meant, as in the procedure of 2019.

    Raises:
        InputError: the features differ by more than rounding explains, and that is not intended.
    """
    if not distance <= LARGEST_DISTANCE and not intended:  # NaN is refused too
        raise InputError(
            f"the body's features in training differ from those in service by {distance:.0%} on average, expected "
            f"{LARGEST_DISTANCE:.0%} or less: train on a frozen body in inference mode (batch_norm: stored)"
        )
