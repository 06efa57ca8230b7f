"""Compare features with reference features."""

import numpy as np


def cosines(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the cosine of each photo's features, float [n, 2048], to its reference features: float [n], at most 1."""
    products = (features * reference).sum(axis=1)
    return products / (np.linalg.norm(features, axis=1) * np.linalg.norm(reference, axis=1))
