"""Does a cue do it alone? How far colour, border or size get without a body, and a warning where that is near."""

import numpy as np

from bears_tl.judging.metrics import wilson_interval

CUE_COLUMNS = [
    "cue", "numbers", "count", "errors", "accuracy", "interval_low", "interval_high", "body_accuracy",
]  # fmt: skip
NEAR = 0.05  # a cue that gets within so much of the body's accuracy is warned of


def judge_cue(cue: str, numbers: int, labels: np.ndarray, probabilities: np.ndarray, body_accuracy: float) -> dict:
    """Judge what a cue alone makes of the test photos.

    Args:
        cue: its name.
        numbers: how many numbers a photo it is.
        labels: int [n] in [0, n classes), the test photos'.
        probabilities: float [n, n classes].
        body_accuracy: of the body's head on the same photos.

    Returns:
        A row of cues.csv; the interval is Wilson's, 95 %.
    """
    hits, count = int((probabilities.argmax(axis=1) == labels).sum()), len(labels)
    values = [cue, numbers, count, count - hits, hits / count, *wilson_interval(hits, count), body_accuracy]
    return dict(zip(CUE_COLUMNS, values, strict=True))


def cue_warnings(rows: list[dict]) -> list[str]:
    """Give a sentence for each cue that gets within five points of the body, or beyond it."""
    return [
        f"by {row['cue'].replace('_', ' ')} alone {row['accuracy']:.1%} of {row['count']} test photos are right, "
        f"within {NEAR * 100:.0f} points of the body's {row['body_accuracy']:.1%} or above it: these photos do not "
        "show that the body sees more than that"
        for row in rows
        if row["accuracy"] >= row["body_accuracy"] - NEAR - 1e-9  # 0.95 - 0.05 is a little more than 0.9 in binary
    ]
