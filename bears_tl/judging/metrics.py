"""Figures of merit, each with its count: accuracy and its interval, confusion, precision and recall."""

import numpy as np


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Give the 95 % Wilson score interval of a share (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).

    Args:
        successes: in [0, count].
        count: how many were tried; with 0 the interval is [0, 1].

    Returns:
        (low, high), both in [0, 1], exactly 0 and 1 at the ends.
    """
    from scipy.stats import binomtest  # takes half a second

    if not 0 <= successes <= count:
        raise ValueError(f"successes {successes} is out of range, expected 0 to count, {count}")
    if count == 0:
        return 0.0, 1.0
    low, high = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Test whether two classifiers differ on the same photos: McNemar's exact test, two-sided.

    Of the photos that just one of the two gets right, as many go to either as heads and tails of a coin, if the two are
    equally good (McNemar 1947, https://doi.org/10.1007/BF02295996; the binomial distribution in place of chi-squared).

    Args:
        only_first: how many photos only the first gets right.
        only_second: how many only the second.

    Returns:
        p in (0, 1]; 1 where no photo distinguishes them.
    """
    from scipy.stats import binomtest

    if min(only_first, only_second) < 0:
        raise ValueError(f"counts {only_first} and {only_second}: expected 0 or more")
    if only_first == only_second:  # SciPy knows no test of nothing
        return 1.0
    return float(binomtest(min(only_first, only_second), only_first + only_second, 0.5).pvalue)


def losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Give the cross-entropy of each photo in nats, 27.6 at most: -log of what its true class got, 1e-12 at least.

    Args:
        labels: int [n] in [0, n classes).
        probabilities: float [n, n classes] in [0, 1].

    Returns:
        float64 [n].
    """
    chosen = np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), labels]
    return -np.log(np.maximum(chosen, 1e-12))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count pairs: int [n_classes, n_classes], a row a true class, a column a predicted one."""
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(labels), np.asarray(predicted)), 1)
    return matrix


def judge(labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]) -> dict:
    """Judge predictions on one split.

    Args:
        labels: int [n] in [0, n classes).
        probabilities: float [n, n classes] in [0, 1].
        class_names: in the order of the columns.

    Returns:
        count, errors, accuracy, interval (Wilson, 95 %), cross_entropy (nats a photo), confusion, and per class: count,
        precision, recall, each with its interval; a share of nothing is None.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    hits, count = int(np.trace(matrix)), int(matrix.sum())
    return {
        "count": count,
        "errors": count - hits,
        "accuracy": _share(hits, count),
        "interval": list(wilson_interval(hits, count)),
        "cross_entropy": float(losses(labels, probabilities).mean()) if count else None,
        "confusion": matrix.tolist(),
        "per_class": {
            class_name: {
                "count": int(matrix[i].sum()),
                "precision": _share(matrix[i, i], matrix[:, i].sum()),
                "precision_interval": list(wilson_interval(int(matrix[i, i]), int(matrix[:, i].sum()))),
                "recall": _share(matrix[i, i], matrix[i].sum()),
                "recall_interval": list(wilson_interval(int(matrix[i, i]), int(matrix[i].sum()))),
            }
            for i, class_name in enumerate(class_names)
        },
    }


def sentence(judged: dict) -> str:
    """Say an accuracy with all that belongs to it, in one line."""
    low, high = judged["interval"]
    return (
        f"{judged['accuracy']:.2%} ({judged['count'] - judged['errors']} of {judged['count']} photos right; "
        f"95 % interval {low:.1%} to {high:.1%})"
    )


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
