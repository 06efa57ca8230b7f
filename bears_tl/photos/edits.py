"""Store label corrections in an append-only table and apply them at intake, so that no photo has to be moved."""

import collections
import datetime
import re
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.files import read_csv, write_csv
from bears_tl.lock import one_at_a_time

EDIT_COLUMNS = ["sha256", "from", "to", "why", "when"]
_UNDO = "undo"  # marks a row that undoes the one before; any other reason is a new correction (of a moved file, say)


def add_edit(path: str | Path, sha256: str, from_class: str, to_class: str, why: str) -> None:
    """Append a correction: the photo with this content, labelled `from_class`, is a `to_class`.

    Args:
        path: the table; created if missing.
        sha256: hash of the photo's content, so that the correction also covers copies and renamed files.
        from_class: the wrong label.
        to_class: the right label.
        why: the reason, for readers of the table.

    Raises:
        InputError: an invalid hash, twice the same class, a contradicting earlier correction, or a table that cannot be
            written.
    """
    if not _is_sha256(sha256):
        raise InputError(f"{sha256!r} is not a SHA-256: expected 64 hexadecimal digits, as in photos.csv")
    if not to_class or from_class == to_class:
        raise InputError(f"a correction from {from_class!r} to {to_class!r} changes nothing: name another class")
    with one_at_a_time(path, "the label corrections"):
        rows = read_edits(path)
        _last_active(path, rows, sha256, from_class)
        _append(path, rows, sha256, from_class, to_class, why)


def undo_edit(path: str | Path, sha256: str, to_class: str | None = None) -> None:
    """Undo the last active correction of a photo by appending the opposite row.

    Args:
        path: the table.
        sha256: hash of the photo's content.
        to_class: if given, undo only a correction to this class.

    Raises:
        InputError: the photo has no active correction, or one to another class.
    """
    with one_at_a_time(path, "the label corrections"):
        rows = read_edits(path)
        last = _last_active(path, rows, sha256, to_class)
        if last is None:
            raise InputError(f"{str(path)!r} has no active correction of photo {sha256[:12]}: there is nothing to undo")
        _append(path, rows, sha256, last["to"], last["from"], _UNDO)


def read_edits(path: str | Path) -> list[dict]:
    """Read the table of corrections; empty if there is no such file.

    Raises:
        InputError: the file is not a table of corrections.
    """
    if not Path(path).exists():
        return []
    rows = read_csv(path, EDIT_COLUMNS)
    for number, row in enumerate(rows, 2):
        if None in row.values() or None in row or not _is_sha256(row["sha256"]):
            raise InputError(
                f"{str(path)!r}, row {number}: expected {', '.join(EDIT_COLUMNS)}, with 64 hexadecimal digits as "
                f"{EDIT_COLUMNS[0]}: fix or remove this row"
            )
    return rows


def apply_edits(rows: list[dict], edits: list[dict], class_names: set[str]) -> list[dict]:
    """Apply label corrections to rows.

    Args:
        rows: with path, class_name and sha256.
        edits: rows of the table of corrections; corrections of other photos are ignored.
        class_names: the classes of the photo folder.

    Returns:
        New rows. A row gets the reason `conflicting_label` and a detail if its corrections contradict one another, do
        not mention the class of its folder, or end with an unknown class.
    """
    active = {sha256: of_photo for sha256, of_photo in _active(edits).items() if of_photo}
    return [_corrected(row, active[row["sha256"]], class_names) if row["sha256"] in active else row for row in rows]


def _corrected(row: dict, edits: list[dict], class_names: set[str]) -> dict:
    labels = [edits[0]["from"]]
    for edit in edits:
        if labels[-1] not in (edit["from"], edit["to"]):
            detail = (
                f"one correction changes it to {labels[-1]!r}, the next one starts from {edit['from']!r}: "
                "undo one of them"
            )
            return row | {"reason": "conflicting_label", "detail": detail}
        labels.append(edit["to"])
    if labels[-1] not in class_names:
        detail = f"a correction changes it to {labels[-1]!r}, expected one of {', '.join(sorted(class_names))}"
        return row | {"reason": "conflicting_label", "detail": detail}
    if row["class_name"] not in labels:  # any of the labels is fine: the file may have been moved as well
        detail = f"a correction starts from {labels[0]!r}, but its folder is {row['class_name']!r}: undo the correction"
        return row | {"reason": "conflicting_label", "detail": detail}
    return row | {"class_name": labels[-1]}


def _active(edits: list[dict]) -> dict[str, list[dict]]:
    """Return the active corrections of each photo, in order, without those that were undone."""
    active: dict[str, list[dict]] = collections.defaultdict(list)
    for edit in edits:
        of_photo = active[edit["sha256"]]
        opposite = of_photo and (of_photo[-1]["from"], of_photo[-1]["to"]) == (edit["to"], edit["from"])
        if opposite and edit["why"] == _UNDO:
            of_photo.pop()
        else:
            of_photo.append(edit)
    return active


def _last_active(path: str | Path, rows: list[dict], sha256: str, class_name: str | None) -> dict | None:
    """Return the last active correction of a photo, if any; raise InputError if it is not to `class_name`."""
    last = next(reversed(_active(rows)[sha256]), None)
    if last and class_name not in (None, last["to"]):
        raise InputError(
            f"{str(path)!r} already corrects photo {sha256[:12]} to {last['to']!r}, not {class_name!r}: "
            "undo that correction first"
        )
    return last


def _append(path: str | Path, rows: list[dict], sha256: str, from_class: str, to_class: str, why: str) -> None:
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    row = {"sha256": sha256, "from": from_class, "to": to_class, "why": " ".join(why.split()), "when": when}
    write_csv(path, list(rows[0]) if rows else EDIT_COLUMNS, [*rows, row])  # keep columns added by the user


def _is_sha256(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None
