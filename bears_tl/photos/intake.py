"""From a folder of class folders to a verdict on every file: photos.csv and quarantine.csv."""

import collections
import concurrent.futures
import dataclasses
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bears_tl.errors import InputError
from bears_tl.files import sha256_of

PHOTO_COLUMNS = ["path", "class_name", "sha256", "bytes", "format", "mode", "width", "height"]
QUARANTINE_COLUMNS = ["path", "class_name", "reason", "detail"]
MIN_PHOTOS_PER_CLASS = 5
MIN_SIDE_PX = 64


@dataclasses.dataclass(frozen=True)
class Intake:
    """Rows of photos.csv and quarantine.csv, each sorted by path; paths are relative to the photo folder."""

    photos: list[dict]
    quarantined: list[dict]

    def per_class(self) -> dict[str, int]:
        """Count the photos of each class."""
        return dict(sorted(collections.Counter(photo["class_name"] for photo in self.photos).items()))


def take_in(folder: str | Path) -> Intake:
    """Open and fully decode every file of a photo folder, in parallel, and judge it.

    A class is a folder in `folder` whose name does not start with a dot; its sub-folders belong to it. Nothing is
    deleted or moved. Of exact copies in one class the first by path is kept; the same photo in two classes is
    quarantined in both.

    Args:
        folder: holds one folder a class.

    Raises:
        InputError: no such folder, fewer than two classes, or a class with fewer than 5 good photos.
    """
    from tqdm import tqdm

    folder = Path(folder)
    files = list(_files(folder))
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # what Pillow warns of (odd metadata, large images) is judged here
        verdicts = pool.map(lambda file: _judge(folder, *file), files)
        verdicts = list(tqdm(verdicts, "Checking photos", len(files), unit=" files", disable=None, leave=False))
    intake = _without_copies([verdict for verdict in verdicts if "reason" not in verdict])
    intake.quarantined.extend(verdict for verdict in verdicts if "reason" in verdict)
    intake.quarantined.sort(key=lambda row: row["path"])
    assert len(files) == len(intake.photos) + len(intake.quarantined)
    _require_classes(folder, intake)
    return intake


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (path relative to the folder, class name) of every file but hidden ones, in the order of the paths."""
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is not a folder: expected one that holds a folder of photos for each class")
    found = []
    for parent, names, file_names in os.walk(folder):
        names[:] = [name for name in names if not _is_hidden(name)]
        for name in file_names:
            if not _is_hidden(name):
                path = Path(parent, name).relative_to(folder)
                found.append((path.as_posix(), path.parts[0] if len(path.parts) > 1 else ""))
    yield from sorted(found)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _judge(folder: Path, path: str, class_name: str) -> dict:
    """Give a row of photos.csv or, with a `reason`, of quarantine.csv."""
    row = {"path": path, "class_name": class_name}
    file = folder / path
    try:
        row["bytes"] = file.stat().st_size
        if not class_name:
            return row | {"reason": "wrong_place", "detail": "lies beside the class folders, not in one"}
        if not row["bytes"]:
            return row | {"reason": "empty", "detail": "0 bytes"}
        row["sha256"] = sha256_of(file)
        with Image.open(file) as image:
            row |= {"format": image.format, "mode": image.mode, "width": image.width, "height": image.height}
            image.load()
    except UnidentifiedImageError:
        return row | {"reason": "not_an_image", "detail": "no image format that Pillow knows"}
    except Image.DecompressionBombError as error:
        return row | {"reason": "too_large", "detail": str(error)}
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on broken files
        reason = "truncated" if "truncated" in str(error).lower() else "unreadable"
        return row | {"reason": reason, "detail": " ".join(f"{type(error).__name__}: {error}".split())}
    if min(row["width"], row["height"]) < MIN_SIDE_PX:
        detail = f"{row['width']} x {row['height']} px, expected {MIN_SIDE_PX} px a side or more"
        return row | {"reason": "too_small", "detail": detail}
    return row


def _without_copies(rows: list[dict]) -> Intake:
    by_content = collections.defaultdict(list)
    for row in rows:
        by_content[row["sha256"]].append(row)
    photos, quarantined = [], []
    for copies in by_content.values():
        class_names = sorted({copy["class_name"] for copy in copies})
        if len(class_names) > 1:
            detail = f"the same photo is in {', '.join(class_names)}"
            quarantined.extend(copy | {"reason": "conflicting_label", "detail": detail} for copy in copies)
            continue
        photos.append(copies[0])
        detail = f"an exact copy of {copies[0]['path']}"
        quarantined.extend(copy | {"reason": "duplicate", "detail": detail} for copy in copies[1:])
    return Intake(sorted(photos, key=lambda row: row["path"]), quarantined)


def _require_classes(folder: Path, intake: Intake) -> None:
    class_names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))
    if len(class_names) < 2:
        found = f"only the class {class_names[0]!r}" if class_names else "no photos in class folders"
        raise InputError(f"{str(folder)!r} holds {found}: expected at least two folders, each named after a class")
    counts = intake.per_class()
    for class_name in class_names:
        if counts.get(class_name, 0) < MIN_PHOTOS_PER_CLASS:
            bad = sum(row["class_name"] == class_name for row in intake.quarantined)
            raise InputError(
                f"class {class_name!r} in {str(folder)!r} has {counts.get(class_name, 0)} good photos"
                f"{f' ({bad} files were refused)' if bad else ''}, expected {MIN_PHOTOS_PER_CLASS} or more: "
                "add photos or remove the folder"
            )
