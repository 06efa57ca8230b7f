"""Evaluate how well single cues (colour, border, size) predict the class, and warn if one comes close to the body."""

import numpy as np

from bears_tl.judging.metrics import wilson_interval

CUE_COLUMNS = [
    "cue", "numbers", "count", "errors", "accuracy", "interval_low", "interval_high", "body_accuracy",
]  # fmt: skip
NEAR = 0.05  # warn if the accuracy of a cue is at most this far below the body's
_ROUNDING = 1e-9  # 0.95 - 0.05 is slightly more than 0.9 in floating point


def judge_cue(cue: str, numbers: int, labels: np.ndarray, probabilities: np.ndarray, body_accuracy: float) -> dict:
    """Evaluate a classifier that uses a single cue on the test photos.

    Args:
        cue: the name of the cue.
        numbers: how many numbers the cue has per photo.
        labels: int [n] in [0, n classes), of the test photos.
        probabilities: float [n, n classes] in [0, 1].
        body_accuracy: the accuracy of the head on the same photos.

    Returns:
        A row of cues.csv with a 95 % Wilson interval.
    """
    hits, count = int((probabilities.argmax(axis=1) == labels).sum()), len(labels)
    values = [cue, numbers, count, count - hits, hits / count, *wilson_interval(hits, count), body_accuracy]
    return dict(zip(CUE_COLUMNS, values, strict=True))


def cue_warnings(rows: list[dict]) -> list[str]:
    """Return a warning for each cue whose accuracy is within five points of the body's, or above it."""
    return [_warning(row) for row in rows if row["accuracy"] >= row["body_accuracy"] - NEAR - _ROUNDING]


def _warning(row: dict) -> str:
    subject = "all cues together get" if row["cue"] == "all_cues" else f"{row['cue'].replace('_', ' ')} alone gets"
    return (
        f"{subject} {row['accuracy']:.1%} of {row['count']} test photos right, the body {row['body_accuracy']:.1%}: "
        f"a lead of {NEAR * 100:.0f} points or less does not show that the body uses more than that"
    )
