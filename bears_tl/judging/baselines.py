"""Baselines: what a test would score without looking at the bears."""

from collections import Counter

import numpy as np

from bears_tl.judging.metrics import wilson_interval
from bears_tl.judging.predictions import Predictions


def baselines(splits: list[dict], tests: Predictions, test: dict, cues: list[dict]) -> list[dict]:
    """List the majority baseline and the simple cues beside a test.

    Args:
        splits: the rows of splits.csv; the majority class is the most frequent one in train.
        tests: the test photos.
        test: the test part of metrics.json.
        cues: the rows of cues.csv.

    Returns:
        One row each: name, count, errors, accuracy, interval (Wilson, 95 %) and verdict: `clearly below` if the
        interval ends below the test's, `clearly above` if it begins above it, else `too few to say`.
    """
    counts = Counter(row["class_name"] for row in splits if row["split"] == "train")
    majority = min(counts, key=lambda name: (-counts[name], name), default="")
    hits = int(np.sum([row["class_name"] == majority for row in tests.rows]))
    rows = [_row("majority", hits, len(tests), test)]
    return rows + [_row(row["cue"], int(row["count"]) - int(row["errors"]), int(row["count"]), test) for row in cues]


def _row(name: str, hits: int, count: int, test: dict) -> dict:
    interval, (low, high) = wilson_interval(hits, count), test["interval"]
    verdict = "clearly below" if interval[1] < low else "clearly above" if interval[0] > high else "too few to say"
    accuracy = hits / count if count else None
    return {
        "name": name, "count": count, "errors": count - hits, "accuracy": accuracy, "interval": list(interval),
        "verdict": verdict,
    }  # fmt: skip
