"""Calibration: does a probability of 90 % mean that 90 % of such photos are right?"""

import numpy as np

from bears_tl.judging.metrics import losses, wilson_interval

BINS = 15  # as in Guo et al.
_LOG_RANGE = np.log(10.0)  # temperatures from 1/10 to 10
_LIKELY = 1.920729  # half of the 95 % point of the chi-squared distribution with one degree of freedom


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Find the temperature with the lowest cross-entropy (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    It changes no prediction, because it divides all logits of a photo. Where all of n photos are right, no probability
    would be too high, so the labels are smoothed as if one of n + 2 were wrong (Platt 1999, Probabilistic Outputs for
    Support Vector Machines). The 95 % interval has all temperatures whose log-likelihood is at most 1.92 below the best
    (likelihood ratio, Wilks 1938).

    Args:
        logits: float [n, n classes], of photos that the weights were not trained on.
        labels: int [n] in [0, n classes).

    Returns:
        The temperature and its interval, in [1/10, 10]; 1 and the whole range for 0 photos.
    """
    if not len(labels):
        return 1.0, (float(np.exp(-_LOG_RANGE)), float(np.exp(_LOG_RANGE)))
    grid = np.linspace(-_LOG_RANGE, _LOG_RANGE, 461)  # steps of 1 %
    totals = np.array([_total_loss(logits / np.exp(log), labels) for log in grid])
    best = int(totals.argmin())
    if 0 < best < len(grid) - 1:  # the vertex of the parabola through the three lowest points
        before, here, after = totals[best - 1 : best + 2]
        curvature = before - 2 * here + after
        log = grid[best] + (before - after) / 2 / max(curvature, 1e-12) * (grid[1] - grid[0])
    else:
        log = grid[best]
    likely = grid[totals <= totals.min() + _LIKELY]
    return float(np.exp(log)), (float(np.exp(likely[0])), float(np.exp(likely[-1])))


def _total_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Compute the cross-entropy to smoothed labels, summed over photos."""
    count, classes = logits.shape
    shifted = logits - logits.max(axis=1, keepdims=True)
    of_label = shifted[np.arange(count), labels]
    others = (shifted.sum(axis=1) - of_label) / max(classes - 1, 1)
    wrong = 1 / (count + 2)
    return float((np.log(np.exp(shifted).sum(axis=1)) - (1 - wrong) * of_label - wrong * others).sum())


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> list[dict]:
    """Compare confidence with accuracy in 15 bins of equal width.

    Args:
        labels: int [n] in [0, n classes).
        probabilities: float [n, n classes] in [0, 1].

    Returns:
        One row per bin with photos, lowest first: low and high (the bin's borders), count, confidence (the mean
        probability of the predicted class) and accuracy, all in [0, 1].
    """
    confidence = np.asarray(probabilities, np.float64).max(axis=1, initial=0)
    right = np.asarray(probabilities).argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return [
        {
            "low": i / BINS,
            "high": (i + 1) / BINS,
            "count": int((bins == i).sum()),
            "confidence": float(confidence[bins == i].mean()),
            "accuracy": float(right[bins == i].mean()),
        }
        for i in np.unique(bins)
    ]


def calibration_error(bins: list[dict]) -> float | None:
    """Compute the expected calibration error from `reliability`: the mean of |accuracy - confidence| over photos.

    Returns:
        A value in [0, 1]; None for 0 photos.
    """
    count = sum(row["count"] for row in bins)
    return sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / count if count else None


def judge_calibration(labels: np.ndarray, probabilities: np.ndarray) -> dict:
    """Return ece (in [0, 1]), cross_entropy (in nats) and reliability of some photos; None for 0 photos."""
    bins = reliability(labels, probabilities)
    mean_loss = float(losses(labels, probabilities).mean()) if len(labels) else None
    return {"ece": calibration_error(bins), "cross_entropy": mean_loss, "reliability": bins}


def sure_from(errors: int, count: int) -> float:
    """Return the probability from which on an answer is sure: the accuracy that held-out photos vouch for.

    Chow's rule (1970, https://doi.org/10.1109/TIT.1970.1054406) sets an answer aside if its chance of being wrong, 1 -
    probability where it is calibrated, exceeds a price. Here the price is the error rate of all answers: an unsure one
    is wrong more often than answers are in general. It catches more of the wrong answers than of the right ones by the
    largest margin (the likelihood ratio is 1, as at Youden's index). A few photos do not tell the error rate, so its
    upper 95 % limit is used; a classifier of which no mistake is known yet can then be sure, too.

    Args:
        errors: in [0, count], wrong answers to photos that the weights were not trained on.
        count: the number of these photos.

    Returns:
        The lower end of the accuracy's Wilson interval, in [0, 1].
    """
    return wilson_interval(count - errors, count)[0]
