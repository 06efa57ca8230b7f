"""Compare variants with a base over several seeds, paired by photo; write rows and a Markdown table."""

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
Each seed gives a different split. *p* is from McNemar's exact test on the photos that only one of base and variant
gets right. It is not corrected for multiple comparisons: of twenty variants that change nothing, one may well get
below 0.05. A photo may be tested with several seeds, so intervals are slightly too narrow and *p* slightly too small.
Losses are plain cross-entropy, averaged over seeds. The change is variant minus base: below 0, the variant is better.
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of the base or a variant with one seed.

    Attributes:
        hits: test photo to whether it is classified correctly. Photos of both base and variant are paired.
        losses: cross-entropy in nats of each test photo, or a single entry such as the validation mean. Entries of both
            base and variant are compared.
        facts: further numbers by name, see `Fact`.
    """

    hits: dict[str, bool]
    losses: dict[str, float]
    facts: dict[str, float] = dataclasses.field(default_factory=dict)


class Fact(NamedTuple):
    """A further number of each outcome: its heading in the table, its format, and how it is aggregated over seeds."""

    heading: str
    digits: str
    over_seeds: Callable[[list[float]], float]


@dataclasses.dataclass(frozen=True)
class Study:
    """The layout of a comparison.

    Attributes:
        loss: the name of the loss, such as "validation loss".
        facts: further numbers by name.
        reading: notes on this table, in addition to READING.
        columns: the columns of NAME.csv.
        keys: column to the key of a row, where they differ.
    """

    loss: str
    facts: dict[str, Fact]
    reading: str
    columns: list[str]
    keys: dict[str, str]


def check_table(to: str | Path, seeds: int) -> Path:
    """Check the arguments --to and --seeds of a comparison; return the path of its table.

    Raises:
        InputError: the name does not end in .csv, or the number of seeds is out of range.
    """
    to = Path(to)
    if to.suffix != ".csv":
        raise InputError(f"--to {str(to)!r} does not end in .csv: name a table, such as results/smoothing.csv")
    if not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds {seeds} is out of range, expected 1 to {MOST_SEEDS}")
    return to


def say_seeds(first: int, count: int) -> str:
    """Name a range of seeds, such as "the seeds 0 to 4" or "seed 0"."""
    return f"the seeds {first} to {first + count - 1}" if count > 1 else f"seed {first}"


def compare(outcomes: dict[str, list[Outcome]], facts: dict[str, Fact]) -> list[dict]:
    """Make one row per variant, the base first.

    Args:
        outcomes: variant to its outcomes, one per seed, with the same seeds for all; the base comes first.
        facts: the further numbers of the outcomes, besides hits and losses.

    Returns:
        Rows with variant; seeds, photos, errors, accuracy, low and high (Wilson, 95 %) over the tests of all seeds;
        paired_photos, only_base_right, only_variant_right and p_value (two-sided, 1 if no photo distinguishes the two),
        paired within seeds; loss; loss_change, the mean over seeds of variant minus base, with change_low and
        change_high, the lowest and highest seed (empty if base and variant share no entry); and the facts. The base is
        compared with itself.
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
    """Read the rows of a NAME.csv from `write`; all values are strings.

    Raises:
        InputError: the file is missing or not readable, or lacks a column.
    """
    return [
        {study.keys.get(column, column): row[column] for column in study.columns}
        for row in read_csv(path, study.columns)
    ]


def duel(first: list[bool], second: list[bool], names: tuple[str, str]) -> str:
    """Say which of two classifiers is better on the same photos, with McNemar's exact test.

    Args:
        first: whether the first is right, by photo.
        second: the same for the second.
        names: what to call the two.
    """
    pairs = list(zip(first, second, strict=True))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    p_value = mcnemar_p_value(only_first, only_second)
    counts = f"On {len(pairs)} photos that both tested, {names[0]} has {sum(first)} right and {names[1]} {sum(second)}"
    if only_first == only_second == 0:
        return f"{counts}: both are right on the same photos."
    only = f"{only_first} photos only {names[0]} has right, {only_second} only {names[1]}; p = {p_value:.2g}"
    better = names[only_second > only_first]
    verdict = f"{better} is better" if p_value < 0.05 else "too few to say which is better"
    return f"{counts}: {verdict} ({only})."


def write(to: Path, rows: list[dict], study: Study, head: list[str], note: str = "") -> str:
    """Write NAME.csv, NAME.md and NAME.png.

    Args:
        to: NAME.csv.
        rows: the rows, see `compare`.
        study: the layout of the comparison.
        head: lines that describe what was measured.
        note: a warning, printed below the head and in the figure.

    Returns:
        The content of NAME.md.
    """
    from bears_tl.judging import plots, study_plots

    text = "\n".join([*head, *([note] if note else []), "", table(rows, study)])
    write_csv(to, study.columns, [{name: row[study.keys.get(name, name)] for name in study.columns} for row in rows])
    write_bytes(to.with_suffix(".md"), text.encode())
    plots.save(study_plots.paired_changes(rows, study.loss, note), to.with_suffix(".png"))
    return text


def label(row: dict) -> str:
    """Return the name of a row's variant, with its position if it is a switch."""
    return f"{row['variant']} {row.get('position', '')}".strip()


def table(rows: list[dict], study: Study) -> str:
    """Format rows of `compare` as a Markdown table with notes; values may be strings, as returned by `read`."""
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
