"""Metrics with their counts: accuracy and its interval, confusion matrix, precision and recall."""

import math

import numpy as np

from bears_tl.files import seeded_rng
from bears_tl.judging.names import in_markdown

_DEVIATIONS = 1.959963984540054  # the normal distribution has 95 % of its mass within so many standard deviations
_DRAWS = 2000  # of a bootstrap: the ends of its interval move by less than a photo
CONFUSION_COLUMNS = ["class_name", "predicted", "count", "share"]


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Compute the 95 % Wilson score interval of a proportion (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).

    Args:
        successes: in [0, count].
        count: the number of trials; for 0 the interval is [0, 1].

    Returns:
        (low, high) in [0, 1]: low is exactly 0 without successes, high exactly 1 without failures.
    """
    if not 0 <= successes <= count:
        raise ValueError(f"successes {successes} is out of range, expected 0 to {count} (count)")
    if count == 0:
        return 0.0, 1.0
    # Written out, because importing scipy.stats takes a second, and SciPy's takes a millisecond per interval
    share, spread = successes / count, _DEVIATIONS**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return (middle - half if successes else 0.0), (middle + half if successes < count else 1.0)


def bootstrap_interval(hits: np.ndarray, groups: list[str], seed: int) -> tuple[float, float]:
    """Compute the 95 % interval of an accuracy by drawing whole groups of near-duplicates with replacement.

    Unlike Wilson's, it does not count near-duplicates as independent photos (Efron and Tibshirani 1993, percentile
    method). It cannot reach beyond what was seen: without a mistake both ends are 1.

    Args:
        hits: bool [n], whether each photo is right.
        groups: for each photo, a text that near-duplicates share.
        seed: of the draws.

    Returns:
        (low, high) in [0, 1]; for 0 photos [0, 1].
    """
    if not len(hits):
        return 0.0, 1.0
    names, places = np.unique(groups, return_inverse=True)
    right, sizes = np.bincount(places, hits), np.bincount(places)
    rng, drawn = seeded_rng(seed, "", "bootstrap"), []
    for _ in range(_DRAWS):
        chosen = rng.integers(len(names), size=len(names))
        drawn.append(right[chosen].sum() / sizes[chosen].sum())
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Test whether two classifiers differ on the same photos: McNemar's exact test, two-sided.

    If both are equally good, each photo that only one of them gets right goes to either with probability 1/2 (McNemar
    1947, https://doi.org/10.1007/BF02295996; here with the binomial distribution instead of chi-squared).

    Args:
        only_first: the number of photos that only the first gets right.
        only_second: the number of photos that only the second gets right.

    Returns:
        p in (0, 1]; 1 if no photo distinguishes the two.
    """
    from scipy.stats import binomtest

    if min(only_first, only_second) < 0:
        raise ValueError(f"counts {only_first} and {only_second}: expected 0 or more")
    if only_first == only_second:  # SciPy refuses 0 trials
        return 1.0
    return float(binomtest(min(only_first, only_second), only_first + only_second, 0.5).pvalue)


def losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Compute each photo's cross-entropy in nats: -log of the probability of its true class, clipped at 1e-12.

    Args:
        labels: int [n] in [0, n classes).
        probabilities: float [n, n classes] in [0, 1].

    Returns:
        float64 [n] in [0, 27.6].
    """
    chosen = np.asarray(probabilities)[np.arange(len(labels)), labels]
    return -np.log(np.maximum(chosen.astype(np.float64), 1e-12))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Compute the confusion matrix, int [n_classes, n_classes]: true classes in rows, predicted ones in columns."""
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(labels), np.asarray(predicted)), 1)
    return matrix


def judge(labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]) -> dict:
    """Compute the metrics of predictions on one split.

    Args:
        labels: int [n] in [0, n classes).
        probabilities: float [n, n classes] in [0, 1].
        class_names: in the order of the columns.

    Returns:
        count, errors, accuracy, interval (Wilson, 95 %), balanced_accuracy (the mean recall of the classes with
        photos), cross_entropy (mean, in nats), confusion, and per class: count, precision and recall with their
        intervals, and f1, their harmonic mean. A proportion of 0 photos is None.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    hits, count = int(np.trace(matrix)), int(matrix.sum())
    sizes = matrix.sum(axis=1)
    recalls = matrix.diagonal()[sizes > 0] / sizes[sizes > 0]
    return {
        "count": count,
        "errors": count - hits,
        "accuracy": _share(hits, count),
        "interval": list(wilson_interval(hits, count)),
        "balanced_accuracy": float(recalls.mean()) if count else None,
        "cross_entropy": float(losses(labels, probabilities).mean()) if count else None,
        "confusion": matrix.tolist(),
        "per_class": {
            class_name: {
                "count": int(matrix[i].sum()),
                "precision": _share(matrix[i, i], matrix[:, i].sum()),
                "precision_interval": list(wilson_interval(int(matrix[i, i]), int(matrix[:, i].sum()))),
                "recall": _share(matrix[i, i], matrix[i].sum()),
                "recall_interval": list(wilson_interval(int(matrix[i, i]), int(matrix[i].sum()))),
                "f1": _share(2 * matrix[i, i], matrix[i].sum() + matrix[:, i].sum()),
            }
            for i, class_name in enumerate(class_names)
        },
    }


def confusions(judged: dict, class_names: list[str]) -> list[dict]:
    """List which classes are predicted as which other ones.

    Args:
        judged: the result of `judge`.
        class_names: all classes.

    Returns:
        Rows of confusions.csv, the most frequent mistake first: class_name (the true one), predicted, count, and share
        (of the photos of the true class).
    """
    matrix = np.array(judged["confusion"])
    counts = matrix.sum(axis=1)
    found = [
        {"class_name": class_names[i], "predicted": class_names[j], "count": int(matrix[i, j])}
        | {"share": float(matrix[i, j] / counts[i])}
        for i, j in np.argwhere(matrix)
        if i != j
    ]
    return sorted(found, key=lambda row: (-row["count"], -row["share"]))


def confusion_table(rows: list[dict]) -> str:
    """Format rows of confusions.csv as a Markdown table."""
    lines = [
        f"| {in_markdown(row['class_name'])} | {in_markdown(row['predicted'])} | {row['count']} | {row['share']:.1%} |"
        for row in rows
    ]
    return "\n".join(["| true class | predicted as | photos | share of the true class |", "|" + " --- |" * 4, *lines])


def sentence(judged: dict) -> str:
    """Format an accuracy with its counts and interval on one line."""
    low, high = judged["interval"]
    return (
        f"{judged['accuracy']:.2%} ({judged['count'] - judged['errors']} of {judged['count']} photos right; "
        f"95 % interval {low:.1%} to {high:.1%})"
    )


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
