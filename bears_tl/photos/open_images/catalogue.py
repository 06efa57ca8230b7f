"""Read the CSV files of Open Images: which photos show a class, their authors and their licences.

The files have several gigabytes and are read line by line. Titles and names are untrusted, so every field is checked.
"""

import csv
import difflib
import functools
import math
import operator
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.photos.open_images.attribution import plain_address, plain_text

LABEL_COLUMNS = ["ImageID", "Source", "LabelName", "Confidence"]
METADATA_COLUMNS = [
    "ImageID", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title", "Rotation",
]  # fmt: skip
HUMAN_SOURCES = ("verification", "crowdsource-verification")  # the other source, machine, is a guess
ROTATIONS = (0, 90, 180, 270)  # degrees; anything else (nan, empty) means unknown
MAX_LINE_CHARACTERS = 1_000_000  # read at once, so that a file without line breaks cannot fill the memory


def require_columns(path: Path, columns: list[str]) -> None:
    """Check that the header of a CSV file has some columns.

    Raises:
        InputError: a column is missing, or the file is not CSV.
    """
    next(_rows(path, columns), None)


def find_labels(path: Path, classes: dict[str, str]) -> dict[str, str]:
    """Look up the label of each class.

    Args:
        path: class descriptions: LabelName and DisplayName, with or without a header.
        classes: class name -> name in Open Images (case does not matter) or label (/m/01dxs).

    Returns:
        Label -> class name.

    Raises:
        InputError: an unknown name, a name with several labels, or two classes with the same label.
    """
    names = {row[0]: row[1] for _, row in _lines(path) if len(row) == 2 and row[0].startswith("/")}  # skips the header
    by_name: dict[str, list[str]] = {}
    for label, name in names.items():
        by_name.setdefault(name.casefold(), []).append(label)
    found: dict[str, str] = {}
    for class_name, wanted in classes.items():
        labels = [wanted] if wanted in names else by_name.get(wanted.casefold(), [])
        if not labels:
            near = [names[by_name[name][0]] for name in difflib.get_close_matches(wanted.casefold(), by_name, 3)]
            meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise InputError(
                f"Open Images has no class {wanted!r}: {meant}all {len(names)} are listed in {str(path)!r}"
            )
        if len(labels) > 1:
            raise InputError(f"{wanted!r} has several labels, {' and '.join(labels)}: use one of these instead")
        if labels[0] in found:
            raise InputError(f"{found[labels[0]]!r} and {class_name!r} are both {labels[0]}: leave one out")
        found[labels[0]] = class_name
    return found


def find_positives(path: Path, class_of: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Find the photos that people labelled as one of the classes.

    Args:
        path: image labels.
        class_of: label -> class name.

    Returns:
        Image id -> its classes. Takes about 110 bytes of memory per photo.

    Raises:
        InputError: an invalid image id, or the file is not a CSV of labels.
    """
    alone = {class_name: (class_name,) for class_name in class_of.values()}  # photos of one class share a tuple
    found: dict[str, tuple[str, ...]] = {}
    for image_id, source, label, confidence in _rows(path, LABEL_COLUMNS):
        if label not in class_of or source not in HUMAN_SOURCES or _number(confidence) != 1:  # "1" or "1.0"
            continue
        if not re.fullmatch("[0-9a-f]{16}", image_id):  # it becomes a file name
            raise InputError(
                f"{str(path)!r} contains the ImageID {image_id[:40]!r}, expected 16 hexadecimal digits: "
                "check its address"
            )
        class_name, earlier = class_of[label], found.get(image_id, ())
        if class_name not in earlier:
            found[image_id] = (*earlier, class_name) if earlier else alone[class_name]
    return found


def read_metadata(path: Path, image_ids) -> Iterator[dict]:
    """Yield a row for each image id, with the fields of sources.csv that the metadata contains.

    Args:
        path: image metadata.
        image_ids: a dict of the wanted image ids; ids that are found are removed from it.

    Yields:
        image_id, licence, author, author_page, title, landing_page, original_url: sanitized, one line each; licence and
        addresses are empty unless they are web addresses. rotation: 0, 90, 180, 270, or empty if unknown.

    Raises:
        InputError: the file is not a CSV of metadata.
    """
    for image_id, original, landing, licence, author_page, author, title, rotation in _rows(path, METADATA_COLUMNS):
        if image_id not in image_ids:
            continue
        del image_ids[image_id]
        degrees = _number(rotation)
        yield {
            "image_id": image_id,
            "licence": plain_address(licence),
            "author": plain_text(author),
            "author_page": plain_address(author_page),
            "title": plain_text(title),
            "landing_page": plain_address(landing),
            "original_url": plain_address(original),
            "rotation": int(degrees) if degrees in ROTATIONS else "",
        }


def _rows(path: Path, columns: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield some columns of each row; skip rows of the wrong length and report them."""
    lines = _lines(path)
    _, header = next(lines, (0, []))
    if missing := [column for column in columns if column not in header]:
        raise InputError(f"{str(path)!r} lacks the columns {', '.join(missing)}: check its address")
    pick, width = operator.itemgetter(*map(header.index, columns)), len(header)
    odd = []
    for number, row in lines:
        if len(row) == width:
            yield pick(row)
        elif row:
            odd.append(number)
    if odd:
        print(f"{path}: skipped {len(odd)} rows without {width} columns, the first at line {odd[0]}", file=sys.stderr)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a CSV file, holding one row at a time."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(iter(functools.partial(file.readline, MAX_LINE_CHARACTERS), ""))
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:  # a field of more than 131,072 characters, for example
            raise InputError(f"{str(path)!r}, line {reader.line_num}: {error}; check its address") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
