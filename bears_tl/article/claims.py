"""The claims ledger: every number in the article and its notebook, compared with ours."""

import dataclasses
import itertools
from pathlib import Path

from bears_tl.config import read_yaml
from bears_tl.errors import InputError

STATUSES = ("reproduced", "explained", "contradicted", "not checkable here")
SOURCES = ("article", "notebook")


@dataclasses.dataclass(frozen=True)
class Claim:
    """One number from 2019, compared with ours.

    Attributes:
        claim: what the number measures.
        where: article or notebook.
        stated: the number as printed.
        unit: of both numbers; "" for a count.
        ours: our number; None if we have none.
        tolerance: largest difference at which the two numbers count as equal.
        status: reproduced (our code gives this number), explained (we know how it came about), contradicted, or not
            checkable here.
        why: how we got our number, or why we have none.
    """

    claim: str
    where: str
    stated: float
    unit: str
    ours: float | None
    tolerance: float
    status: str
    why: str

    def __post_init__(self):
        """Check the status against the numbers.

        Raises:
            InputError: a field has the wrong type or an unknown value, or the numbers contradict the status.
        """
        for name, words in (("where", SOURCES), ("status", STATUSES)):
            if getattr(self, name) not in words:
                raise self._refused(f"{name} {getattr(self, name)!r} is unknown, expected {' | '.join(words)}")
        numbers = [self.stated, self.tolerance] + ([] if self.ours is None else [self.ours])
        if not all(type(number) in (int, float) for number in numbers) or not self.tolerance >= 0:
            raise self._refused("stated and tolerance must be numbers, ours a number or null, and tolerance 0 or more")
        if not all(isinstance(text, str) for text in (self.unit, self.why)) or not self.why.strip():
            raise self._refused("unit and why must be text, and why must not be empty")
        if (self.ours is None) != (self.status == "not checkable here"):
            raise self._refused(f"ours is {self.ours}, which does not fit the status {self.status!r}")
        if self.ours is not None:
            same = abs(self.ours - self.stated) <= self.tolerance
            if same == (self.status == "contradicted"):
                raise self._refused(
                    f"ours {self.ours} is {'within' if same else 'outside'} {self.stated} +- {self.tolerance}, "
                    f"so the status cannot be {self.status!r}"
                )

    def _refused(self, fault: str) -> InputError:
        return InputError(f"claim {self.claim!r}: {fault}; correct it in the ledger")


def read_claims(path: str | Path) -> list[Claim]:
    """Read the ledger: a YAML mapping from each claim to its other fields.

    Raises:
        InputError: the file is missing or not YAML, a claim has missing or extra fields, or `Claim` refuses it.
    """
    names = [field.name for field in dataclasses.fields(Claim)][1:]
    claims = []
    for claim, values in read_yaml(path, "results/claims.yaml").items():
        if not isinstance(values, dict) or sorted(values) != sorted(names):
            raise InputError(f"claim {claim!r} in {str(path)!r}: expected the fields {', '.join(names)}")
        claims.append(Claim(claim, **values))
    return claims


def table(claims: list[Claim]) -> str:
    """Format the ledger as Markdown: the count of each status, then a table."""
    counts = {status: sum(claim.status == status for claim in claims) for status in STATUSES}
    lines = [
        f"{len(claims)} numbers: {', '.join(f'{count} {status}' for status, count in counts.items())}.",
        "",
        "| claim | where | 2019 | ours | status | explanation |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for claim in claims:
        ours = "" if claim.ours is None else _with_unit(claim.ours, claim.unit)
        cells = (claim.claim, claim.where, _with_unit(claim.stated, claim.unit), ours, claim.status, claim.why)
        lines.append(f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def mean_over_batches(wrong: tuple[int, ...], batches: dict[int, int]) -> float:
    """Compute the plain mean of the accuracies of batches of unequal size.

    It depends on the number of wrong photos per batch size, not on which of these batches they are in.

    Args:
        wrong: the number of wrong photos in all batches of a size, one per size, in the order of `batches`.
        batches: photos per batch to the number of such batches.

    Returns:
        The mean accuracy, in [0, 1].
    """
    lost = sum(count / size for count, size in zip(wrong, batches, strict=True))
    return 1 - lost / sum(batches.values())


def counts_that_print(percent: str, batches: dict[int, int]) -> list[tuple[int, ...]]:
    """Find the counts of wrong photos whose `mean_over_batches` is printed as a given number.

    Args:
        percent: the printed accuracy in percent, with two decimals, such as "98.92".
        batches: photos per batch to the number of such batches.

    Returns:
        For each match, the number of wrong photos per batch size, in the order of `batches`.
    """
    possible = itertools.product(*(range(size * count + 1) for size, count in batches.items()))
    return [wrong for wrong in possible if f"{100 * mean_over_batches(wrong, batches):.2f}" == percent]


def fractions_that_print(share: str, most: int) -> list[tuple[int, int]]:
    """Find the counts of right photos whose share of a batch is printed as a given number.

    Args:
        share: the printed share, such as "0.974359"; shares are rounded to as many decimals.
        most: the largest batch, in photos.

    Returns:
        Pairs: right photos, photos in the batch.
    """
    decimals = len(share.partition(".")[2])
    pairs = [(right, size) for size in range(1, most + 1) for right in range(size + 1)]
    return [(right, size) for right, size in pairs if f"{right / size:.{decimals}f}" == share]


def _with_unit(number: float, unit: str) -> str:
    return f"{number} {unit}".strip()
