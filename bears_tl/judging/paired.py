"""Trials against a base, over seeds, on the same test photos: rows of a table, and the table as Markdown."""

import dataclasses
import statistics
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.judging.metrics import mcnemar_p_value, wilson_interval

BASE = "base"
MOST_SEEDS = 1000
TRIAL_COLUMNS = [
    "trial", "seeds", "photos", "errors", "accuracy", "low", "high", "only_base_right", "only_trial_right", "p_value",
    "val_loss", "val_loss_change", "change_low", "change_high", "test_loss", "epochs", "features_seconds",
    "train_seconds",
]  # fmt: skip
HEADINGS = [
    "trial", "test photos wrong", "accuracy, 95 % interval", "right with base / trial only", "p", "val loss, nats",
    "its change (lowest to highest)", "test loss", "epochs", "features, s", "training, s",
]  # fmt: skip
READING = """\
Each seed is another split; within one, base and trials have the same photos. *p* is McNemar's exact test on the test
photos that just one of the two gets right, of that trial by itself: of twenty trials that change nothing, one may well
get below 0.05. A photo may be tested with several seeds, which makes intervals and *p* a little too sure. Losses are
plain cross-entropy, means over seeds. The validation loss is the finer measure, and the one to choose a setting by: one
that was chosen by its test photos has seen them. Epochs and seconds are medians over seeds; features that were in the
cache, from an earlier trial for example, cost nothing.
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one training came to.

    Attributes:
        hits: test photo, by path, to whether it is right.
        val_loss: cross-entropy in nats of the weights that were kept.
        test_loss: the same, of the test photos.
        epochs: how long it trained.
        features_seconds: what the cache did not hold.
        train_seconds: of the head.
    """

    hits: dict[str, bool]
    val_loss: float
    test_loss: float
    epochs: int
    features_seconds: float
    train_seconds: float


def check_table(to: str | Path, seeds: int) -> Path:
    """Give the path of a table that is to be made over some seeds.

    Raises:
        InputError: no name of a CSV file, or seeds out of range.
    """
    to = Path(to)
    if to.suffix != ".csv":
        raise InputError(f"--to {str(to)!r}: expected the name of a table, such as results/smoothing.csv")
    if not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds {seeds} is out of range, expected 1 to {MOST_SEEDS}")
    return to


def say_seeds(first: int, count: int) -> str:
    """Say which seeds, such as "the seeds 0 to 4" or "seed 0"."""
    return f"the seeds {first} to {first + count - 1}" if count > 1 else f"seed {first}"


def judge_trials(outcomes: dict[str, list[Outcome]]) -> list[dict]:
    """Make a row with TRIAL_COLUMNS a trial.

    Args:
        outcomes: trial, BASE first, to its outcomes, one a seed; a seed's are on the same test photos.

    Returns:
        Rows: low and high are Wilson's 95 % interval over the photos of all seeds; val_loss_change is the mean over
        seeds of trial less base, change_low and change_high the lowest and highest seed. The base is compared with
        nothing: there, these and p_value are empty.
    """
    base = outcomes[BASE]
    return [_row(name, of_seed, base if name != BASE else None) for name, of_seed in outcomes.items()]


def _row(name: str, outcomes: list[Outcome], base: list[Outcome] | None) -> dict:
    count = sum(len(outcome.hits) for outcome in outcomes)
    right = sum(sum(outcome.hits.values()) for outcome in outcomes)
    low, high = wilson_interval(right, count)
    row = dict.fromkeys(TRIAL_COLUMNS, "") | {
        "trial": name,
        "seeds": len(outcomes),
        "photos": count,
        "errors": count - right,
        "accuracy": right / count,
        "low": low,
        "high": high,
        "val_loss": statistics.fmean(outcome.val_loss for outcome in outcomes),
        "test_loss": statistics.fmean(outcome.test_loss for outcome in outcomes),
    }
    for column in ("epochs", "features_seconds", "train_seconds"):
        row[column] = statistics.median(getattr(outcome, column) for outcome in outcomes)
    if base is None:
        return row
    pairs = [
        (hit, after.hits[path])
        for before, after in zip(base, outcomes, strict=True)
        for path, hit in before.hits.items()
    ]
    only_base, only_trial = pairs.count((True, False)), pairs.count((False, True))
    changes = [after.val_loss - before.val_loss for before, after in zip(base, outcomes, strict=True)]
    return row | {
        "only_base_right": only_base,
        "only_trial_right": only_trial,
        "p_value": mcnemar_p_value(only_base, only_trial),
        "val_loss_change": statistics.fmean(changes),
        "change_low": min(changes),
        "change_high": max(changes),
    }


def table(rows: list[dict], head: list[str]) -> str:
    """Write rows of `judge_trials` as Markdown, below lines that say what they were measured on."""
    lines = [*head, "", f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    for row in rows:
        compared = row["p_value"] != ""
        cells = [
            row["trial"],
            f"{row['errors']} of {row['photos']}",
            f"{row['accuracy']:.2%} ({row['low']:.1%} to {row['high']:.1%})",
            f"{row['only_base_right']} / {row['only_trial_right']}" if compared else "",
            f"{row['p_value']:.2g}" if compared else "",
            f"{row['val_loss']:.4f}",
            f"{row['val_loss_change']:+.4f} ({row['change_low']:+.4f} to {row['change_high']:+.4f})"
            if compared
            else "",
            f"{row['test_loss']:.4f}",
            f"{row['epochs']:g}",
            f"{row['features_seconds']:.1f}",
            f"{row['train_seconds']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", READING])
