"""Limits: does a test reach what the settings demand?"""

from bears_tl.config import RunConfig
from bears_tl.judging.metrics import wilson_interval


def judge_limits(test: dict, strangers: dict, config: RunConfig) -> list[dict]:
    """Compare a test with the limits in the settings, always by the unfavourable end of an interval.

    Args:
        test: the test part of metrics.json.
        strangers: the test part of `strangers` in metrics.json: count and accepted.
        config: min_accuracy, max_ece and max_stranger_share are used; those that limit nothing are left out.

    Returns:
        One row per limit: name, limit, value, low and high (its 95 % interval; None for the calibration error), passed.
        Without photos there is no value, and the limit is not passed.
    """
    rows = []
    if config.min_accuracy > 0:
        low, high = test["interval"]
        passed = test["count"] > 0 and low >= config.min_accuracy
        rows.append(_row("min_accuracy", config.min_accuracy, test["accuracy"], low, high, passed))
    if config.max_ece < 1:
        passed = test["ece"] is not None and test["ece"] <= config.max_ece
        rows.append(_row("max_ece", config.max_ece, test["ece"], None, None, passed))
    if config.max_stranger_share < 1:
        count, refused = strangers["count"], strangers["count"] - strangers["accepted"]
        low, high = wilson_interval(refused, count)
        value = refused / count if count else None
        rows.append(
            _row("max_stranger_share", config.max_stranger_share, value, low, high, high <= config.max_stranger_share)
        )
    return rows


def sentence(rows: list[dict]) -> str:
    """Say in one line which limits a test falls short of; "" if none."""
    return "; ".join(_sentence(row) for row in rows if not row["passed"])


def _row(name: str, limit: float, value: float | None, low: float | None, high: float | None, passed: bool) -> dict:
    return {"name": name, "limit": limit, "value": value, "low": low, "high": high, "passed": bool(passed)}


def _sentence(row: dict) -> str:
    if row["value"] is None:
        return f"{row['name']} {row['limit']:g} cannot be checked without test photos"
    if row["low"] is None:
        return f"the calibration error of the test is {row['value']:.3f}, above {row['name']} {row['limit']:g}"
    is_accuracy = row["name"] == "min_accuracy"
    end, bound, word = ("lower", row["low"], "below") if is_accuracy else ("upper", row["high"], "above")
    what = "accuracy" if is_accuracy else "share of unknown photos"
    return (
        f"the test {what} is {row['value']:.1%}, but the {end} end of its 95 % interval, {bound:.1%}, is {word} "
        f"{row['name']} {row['limit']:g}"
    )
