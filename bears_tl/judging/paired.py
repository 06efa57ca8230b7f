"""Variants against a base, over seeds, photo by photo: rows, their table as Markdown, and the files that hold both."""

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bears_tl.errors import InputError
from bears_tl.files import read_csv, write_bytes, write_csv
from bears_tl.judging.metrics import mcnemar_p_value, wilson_interval

MOST_SEEDS = 1000
READING = """\
Each seed is another split. *p* is McNemar's exact test on the photos that just one of base and variant gets right, of
that row by itself: of twenty variants that change nothing, one may well get below 0.05. A photo may be tested with
several seeds, which makes intervals and *p* a little too sure. Losses are plain cross-entropy, 0 for what is surely
right, and means over seeds; the change is variant less base: below 0 the variant is better.
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one seed of the base or of a variant came to.

    Attributes:
        hits: test photo to whether it is right. Those that base and variant both have are paired.
        losses: cross-entropy in nats of each test photo, or a single entry, such as the mean over validation. Those
            that base and variant both have are compared.
        facts: further figures by name, see `Fact`.
    """

    hits: dict[str, bool]
    losses: dict[str, float]
    facts: dict[str, float] = dataclasses.field(default_factory=dict)


class Fact(NamedTuple):
    """A further figure of each outcome: its heading in the table, its format, and how seeds are put together."""

    heading: str
    digits: str
    over_seeds: Callable[[list[float]], float]


@dataclasses.dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        loss: which, such as "validation loss".
        facts: name to what it is.
        reading: what is to be known of this table beside READING.
        columns: of NAME.csv.
        keys: column to the key of a row, where they differ.
    """

    loss: str
    facts: dict[str, Fact]
    reading: str
    columns: list[str]
    keys: dict[str, str]


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


def compare(outcomes: dict[str, list[Outcome]], facts: dict[str, Fact]) -> list[dict]:
    """Make a row a variant, the base's first.

    Args:
        outcomes: variant, the base first, to its outcomes, one a seed, the same seeds each.
        facts: what the outcomes have beside hits and losses.

    Returns:
        Rows of variant; seeds, photos, errors, accuracy, low and high (Wilson, 95 %) over the tests of all seeds;
        paired_photos, only_base_right, only_variant_right and p_value (two-sided, 1 where no photo distinguishes the
        two), paired within seeds; loss; loss_change, the mean over seeds of variant less base, with change_low and
        change_high, the lowest and highest seed, empty where nothing is in both; and the facts. The base is compared
        with itself.
    """
    base = next(iter(outcomes.values()))
    return [{"variant": name} | _compare(base, of_variant, facts) for name, of_variant in outcomes.items()]


def _compare(base: list[Outcome], outcomes: list[Outcome], facts: dict[str, Fact]) -> dict:
    hits = [hit for outcome in outcomes for hit in outcome.hits.values()]
    low, high = wilson_interval(sum(hits), len(hits))
    pairs, changes = [], []
    for before, after in zip(base, outcomes, strict=True):
        pairs += [(hit, after.hits[photo]) for photo, hit in before.hits.items() if photo in after.hits]
        common = [after.losses[name] - loss for name, loss in before.losses.items() if name in after.losses]
        changes += [statistics.fmean(common)] if common else []
    only_base, only_variant = pairs.count((True, False)), pairs.count((False, True))
    return {
        "seeds": len(outcomes),
        "photos": len(hits),
        "errors": len(hits) - sum(hits),
        "accuracy": sum(hits) / len(hits),
        "low": low,
        "high": high,
        "paired_photos": len(pairs),
        "only_base_right": only_base,
        "only_variant_right": only_variant,
        "p_value": mcnemar_p_value(only_base, only_variant),
        "loss": statistics.fmean(loss for outcome in outcomes for loss in outcome.losses.values()),
        "loss_change": statistics.fmean(changes) if changes else "",
        "change_low": min(changes, default=""),
        "change_high": max(changes, default=""),
        **{name: fact.over_seeds([outcome.facts[name] for outcome in outcomes]) for name, fact in facts.items()},
    }


def read(path: str | Path, study: Study) -> list[dict]:
    """Give the rows of a NAME.csv that `write` made; their values are strings.

    Raises:
        InputError: not there, not readable, or a column is missing.
    """
    return [
        {study.keys.get(column, column): row[column] for column in study.columns}
        for row in read_csv(path, study.columns)
    ]


def write(to: Path, rows: list[dict], study: Study, head: list[str], note: str = "") -> str:
    """Write NAME.csv, NAME.md and NAME.png.

    Args:
        to: NAME.csv.
        rows: see `compare`.
        study: what they compare.
        head: lines that say what they were measured on.
        note: a warning, below head and figure.

    Returns:
        What NAME.md holds.
    """
    from bears_tl.judging import plots

    text = "\n".join([*head, *([note] if note else []), "", table(rows, study)])
    write_csv(to, study.columns, [{name: row[study.keys.get(name, name)] for name in study.columns} for row in rows])
    write_bytes(to.with_suffix(".md"), text.encode())
    plots.save(plots.paired_changes(rows, study.loss, note), to.with_suffix(".png"))
    return text


def label(row: dict) -> str:
    """Give the name of a row's variant, and its position where it is a switch."""
    return f"{row['variant']} {row.get('position', '')}".strip()


def table(rows: list[dict], study: Study) -> str:
    """Write rows of `compare` as Markdown, and how they are to be read; values may be strings, as `read` gives them."""
    headings = [
        "variant", "test photos wrong", "accuracy, 95 % interval", "right with base / variant only", "p",
        f"{study.loss}, nats", "its change (lowest to highest)", *(fact.heading for fact in study.facts.values()),
    ]  # fmt: skip
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    for row in rows:
        compared = row is not rows[0]
        pairs = f" of {row['paired_photos']}" if row.get("paired_photos", row["photos"]) != row["photos"] else ""
        changed = compared and row["loss_change"] != ""
        change = [float(row[name]) for name in ("loss_change", "change_low", "change_high")] if changed else []
        cells = [
            label(row),
            f"{row['errors']} of {row['photos']}",
            "{:.2%} ({:.1%} to {:.1%})".format(*(float(row[name]) for name in ("accuracy", "low", "high"))),
            f"{row['only_base_right']} / {row['only_variant_right']}{pairs}" if compared else "",
            f"{float(row['p_value']):.2g}" if compared else "",
            f"{float(row['loss']):.4f}",
            "{:+.4f} ({:+.4f} to {:+.4f})".format(*change) if changed else "",
            *(format(float(row[name]), fact.digits) for name, fact in study.facts.items()),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", READING + study.reading])
