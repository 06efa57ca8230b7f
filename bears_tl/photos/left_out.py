"""Entries of an archive that were not unpacked: a table beside the unpacked folder, and one line per reason."""

import collections
import os
from pathlib import Path

from bears_tl.files import read_csv, write_csv

COLUMNS = ["name", "reason"]
REASONS = {  # what each reason is called in a message; {s} is the plural
    "link": "link{s}",
    "special_file": "special file{s} (device, pipe, sparse file)",
    "outside": "path{s} that would lead out of the folder",
    "impossible_name": "name{s} that this disk cannot hold",
    "taken_name": "name{s} that an earlier entry has on this disk",
    "encrypted": "encrypted file{s}",
    "damaged": "damaged file{s}",
    "compression": "file{s} with an unsupported compression",
}


def table_of(folder: str | Path) -> Path:
    """Return the path of the table that belongs to an unpacked folder."""
    folder = Path(folder)
    return folder.parent / f"{folder.name}.left_out.csv"  # with_name would refuse "."


def write(folder: str | Path, rows: list[dict]) -> None:
    """Write the table of a folder, atomically; without rows there is none.

    Args:
        folder: the unpacked folder; it need not exist yet.
        rows: name and reason per entry, in the order of the archive.

    Raises:
        InputError: the disk is full or the table cannot be written.
    """
    if rows:
        write_csv(table_of(folder), COLUMNS, rows)
    elif os.path.exists(table_of(folder)):
        table_of(folder).unlink()


def read(folder: str | Path) -> list[dict]:
    """Return the rows of a folder's table; [] if it has none.

    Raises:
        InputError: the table cannot be read.
    """
    return read_csv(table_of(folder), COLUMNS) if os.path.exists(table_of(folder)) else []


def summary(rows: list[dict]) -> list[str]:
    """Return one line per reason, with the count and the first name."""
    counts = collections.Counter(row["reason"] for row in rows)
    firsts = {row["reason"]: row["name"][:100] for row in reversed(rows)}
    return [
        f"{count} {REASONS.get(reason, reason).format(s='s' * (count > 1))} {'were' if count > 1 else 'was'} "
        f"not unpacked ({'first: ' * (count > 1)}{firsts[reason]!r})"
        for reason, count in counts.items()
    ]
