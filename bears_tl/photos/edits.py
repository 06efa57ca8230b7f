"""Label corrections as data: an append-only table, applied at intake, so that no photo has to be moved."""

import collections
import datetime
import re
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.files import read_csv, write_csv
from bears_tl.lock import one_at_a_time

EDIT_COLUMNS = ["sha256", "from", "to", "why", "when"]
_UNDO = "undo"  # the reason that tells taking back from a new correction, of a file that was moved since for example


def add_edit(path: str | Path, sha256: str, from_class: str, to_class: str, why: str) -> None:
    """Append a correction: the photo with this content, labelled `from_class`, is a `to_class`.

    Args:
        path: the table; it is started when it is not there.
        sha256: of the photo's content, so that copies and renamed files are meant as well.
        from_class: the label that is wrong.
        to_class: the right one.
        why: a few words for whoever reads the table.

    Raises:
        InputError: a hash that is none, twice the same class, an earlier correction that says otherwise, or a table
            that cannot be written.
    """
    if not _is_sha256(sha256):
        raise InputError(f"{sha256!r} is no SHA-256: expected 64 hexadecimal digits, as in photos.csv")
    if not to_class or from_class == to_class:
        raise InputError(f"a correction from {from_class!r} to {to_class!r} changes nothing: name another class")
    with one_at_a_time(path, "the label corrections"):
        rows = read_edits(path)
        _last_standing(path, rows, sha256, from_class)
        _append(path, rows, sha256, from_class, to_class, why)


def undo_edit(path: str | Path, sha256: str, to_class: str | None = None) -> None:
    """Take back the last standing correction of a photo, by a row that says the opposite.

    Args:
        path: the table.
        sha256: of the photo's content.
        to_class: what that correction made of the photo, when only that one is meant.

    Raises:
        InputError: there is none, or it made another class of the photo.
    """
    with one_at_a_time(path, "the label corrections"):
        rows = read_edits(path)
        last = _last_standing(path, rows, sha256, to_class)
        if last is None:
            raise InputError(
                f"{str(path)!r} has no standing correction of photo {sha256[:12]}: there is nothing to undo"
            )
        _append(path, rows, sha256, last["to"], last["from"], _UNDO)


def read_edits(path: str | Path) -> list[dict]:
    """Read the table of corrections; empty when there is no such file.

    Raises:
        InputError: not a table of corrections.
    """
    if not Path(path).exists():
        return []
    rows = read_csv(path, EDIT_COLUMNS)
    for number, row in enumerate(rows, 2):
        if None in row.values() or None in row or not _is_sha256(row["sha256"]):
            raise InputError(
                f"{str(path)!r}, row {number}: expected {', '.join(EDIT_COLUMNS)}, the first of 64 hexadecimal digits: "
                "mend or remove that row"
            )
    return rows


def apply_edits(rows: list[dict], edits: list[dict], class_names: set[str]) -> list[dict]:
    """Give rows their corrected class.

    Args:
        rows: with path, class_name and sha256.
        edits: rows of the table of corrections; those of photos that are not here do not matter.
        class_names: the classes of the photo folder.

    Returns:
        New rows. One that its corrections do not fit (they speak of other classes than the one the photo lies in, end
        with a class that is not there, or contradict one another) has reason `conflicting_label` and a detail.
    """
    standing = {sha256: of_photo for sha256, of_photo in _standing(edits).items() if of_photo}
    return [_corrected(row, standing[row["sha256"]], class_names) if row["sha256"] in standing else row for row in rows]


def _corrected(row: dict, edits: list[dict], class_names: set[str]) -> dict:
    labels = [edits[0]["from"]]
    for edit in edits:
        if labels[-1] not in (edit["from"], edit["to"]):
            detail = (
                f"one correction makes it a {labels[-1]!r}, the next says it was a {edit['from']!r}: undo one of them"
            )
            return row | {"reason": "conflicting_label", "detail": detail}
        labels.append(edit["to"])
    if labels[-1] not in class_names:
        detail = f"a correction makes it a {labels[-1]!r}, expected one of {', '.join(sorted(class_names))}"
        return row | {"reason": "conflicting_label", "detail": detail}
    if row["class_name"] not in labels:  # one of them, when its file was moved as well
        detail = f"a correction says it was a {labels[0]!r}, but it is a {row['class_name']!r}: undo the correction"
        return row | {"reason": "conflicting_label", "detail": detail}
    return row | {"class_name": labels[-1]}


def _standing(edits: list[dict]) -> dict[str, list[dict]]:
    """Give the corrections of each photo in their order, without those that were taken back."""
    standing: dict[str, list[dict]] = collections.defaultdict(list)
    for edit in edits:
        of_photo = standing[edit["sha256"]]
        opposite = of_photo and (of_photo[-1]["from"], of_photo[-1]["to"]) == (edit["to"], edit["from"])
        if opposite and edit["why"] == _UNDO:
            of_photo.pop()
        else:
            of_photo.append(edit)
    return standing


def _last_standing(path: str | Path, rows: list[dict], sha256: str, class_name: str | None) -> dict | None:
    """Give the last standing correction of a photo, if any; refuse one to another class than `class_name`."""
    last = next(reversed(_standing(rows)[sha256]), None)
    if last and class_name not in (None, last["to"]):
        raise InputError(
            f"{str(path)!r} says that photo {sha256[:12]} is a {last['to']!r}, not a {class_name!r}: "
            "undo that correction first"
        )
    return last


def _append(path: str | Path, rows: list[dict], sha256: str, from_class: str, to_class: str, why: str) -> None:
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    row = {"sha256": sha256, "from": from_class, "to": to_class, "why": " ".join(why.split()), "when": when}
    write_csv(path, list(rows[0]) if rows else EDIT_COLUMNS, [*rows, row])  # a column that someone added stays


def _is_sha256(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None
