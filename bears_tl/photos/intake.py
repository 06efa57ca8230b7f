"""Check every file of a photo folder: good photos go to photos.csv, all others to quarantine.csv with a reason."""

import collections
import dataclasses
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.photos.clutter import is_clutter, is_in_icloud, is_own_folder, is_own_table
from bears_tl.photos.edits import apply_edits
from bears_tl.photos.facts import FactCache, read_facts
from bears_tl.photos.flatness import FLAT_BITS
from bears_tl.photos.groups import HASH_BYTES, HASHES, find_groups
from bears_tl.photos.layout import are_named_like_splits, class_names_in, misspelt_names, similar_names, split_folders
from bears_tl.photos.splits import SPLITS
from bears_tl.threads import map_ahead

PHOTO_COLUMNS = ["path", "class_name", "sha256", "bytes", "format", "mode", "width", "height", "group", "given_split"]
QUARANTINE_COLUMNS = ["path", "class_name", "reason", "detail"]
REASONS = (
    "not_an_image", "truncated", "damaged", "empty", "too_small", "too_large", "animated", "unreadable", "duplicate",
    "conflicting_label", "wrong_place",
)  # fmt: skip
MIN_PHOTOS_PER_CLASS = 5
MIN_SIDE_PX = 64
MAX_MEGAPIXELS = 250
_SAVE_SECONDS = 2  # a killed intake loses at most this much work
_ONE_SCENE = 0.5  # say so if more than this share of a class are near-duplicates of one another
_MISSPELT_NAMED = 3  # pairs of classes in notes
_QUIET = {"disable": None, "leave": False}  # show a progress bar only in a terminal, and remove it at the end


@dataclasses.dataclass(frozen=True)
class Intake:
    """What an intake found.

    Attributes:
        photos: rows of photos.csv, sorted by path, which is relative to the photo folder.
        quarantined: rows of quarantine.csv, sorted by path.
        flat: those of `photos` that are nearly of one colour, such as a picture that says "image not found".
        split_folders: see `layout.split_folders`.
        passed_over: name of clutter -> how many files or folders of this name were passed over; no hidden files.
        in_icloud: class name -> files that are in iCloud and not on this machine.
        corrections: how many photos have another label than that of their folder.
    """

    photos: list[dict]
    quarantined: list[dict]
    flat: list[dict] = dataclasses.field(default_factory=list)
    split_folders: dict[str, str] = dataclasses.field(default_factory=dict)
    passed_over: dict[str, int] = dataclasses.field(default_factory=dict)
    in_icloud: dict[str, int] = dataclasses.field(default_factory=dict)
    corrections: int = 0

    def per_class(self) -> dict[str, int]:
        """Count the photos of each class."""
        return dict(sorted(collections.Counter(photo["class_name"] for photo in self.photos).items()))

    def per_reason(self) -> dict[str, int]:
        """Count the quarantined files by reason."""
        return dict(sorted(collections.Counter(row["reason"] for row in self.quarantined).items()))

    def near_duplicates(self) -> list[list[dict]]:
        """Return the groups of more than one photo."""
        groups = collections.defaultdict(list)
        for photo in self.photos:
            groups[photo["group"]].append(photo)
        return [groups[name] for name in sorted(groups) if len(groups[name]) > 1]

    def notes(self) -> list[str]:
        """Say in one line each what is unusual about the folder; empty for an ordinary one."""
        notes = []
        if self.split_folders:
            folders = ", ".join(f"{name}/" for name in self.split_folders)
            notes.append(f"the photos are already split into {folders}: the setting `split` says what becomes of it")
        if self.passed_over:
            names = ", ".join(f"{name} ({count})" for name, count in self.passed_over.items())
            notes.append(f"passed over, because they hold no photos of yours: {names}")
        if self.in_icloud:
            where = ", ".join(map(repr, self.in_icloud))
            notes.append(
                f"{_photos(sum(self.in_icloud.values()))} in iCloud, not here ({where}): "
                "download them in Finder to use them"
            )
        if are_named_like_splits(list(self.per_class())):
            notes.append(
                f"the classes are named {' and '.join(map(repr, self.per_class()))}; if these are splits, put the same "
                "class folders below each of them"
            )
        for names in similar_names(list(self.per_class())):
            notes.append(f"the classes {' and '.join(map(repr, names))} differ only in case, Unicode form or spaces")
        for names in misspelt_names(list(self.per_class()))[:_MISSPELT_NAMED]:
            notes.append(
                f"the classes {' and '.join(map(repr, names))} differ by one letter; if they are one class, put their "
                "photos into one folder"
            )
        if self.flat:
            notes.append(
                f'photos of nearly one colour, perhaps placeholders such as "image not found": {len(self.flat)} '
                f"(first: {self.flat[0]['path']})"
            )
        if self.corrections:
            notes.append(f"{self.corrections} label correction{'s' * (self.corrections > 1)} applied")
        return notes + self._one_scene_notes()

    def _one_scene_notes(self) -> list[str]:
        notes = []
        for class_name, count in self.per_class().items():
            groups = collections.Counter(row["group"] for row in self.photos if row["class_name"] == class_name)
            alike = max(groups.values())
            if alike > max(_ONE_SCENE * count, 2):
                notes.append(
                    f"class {class_name!r}: {alike} of {count} photos look like one scene, so they stay in one split; "
                    "if they differ in what matters to you, set near_duplicates=ignore"
                )
        return notes


def take_in(
    folder: str | Path,
    min_side_px: int = MIN_SIDE_PX,
    allow_animated: bool = False,
    edits: list[dict] | None = None,
    cache: FactCache | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Intake:
    """Read and fully decode every file of a photo folder, in parallel, and decide whether to keep it.

    Each folder in `folder` is a class, except clutter; subfolders belong to the class. If `folder` is already split
    into train, val and test, the class folders are below these. Links that lead out of `folder` are not followed.
    Nothing is deleted or moved. Of exact copies in one class, the first by path is kept, and one in test or val before
    one in train; a photo that is in two classes is quarantined in both. Near-duplicates are kept and share one `group`.

    Args:
        folder: the photo folder, with one folder per class.
        min_side_px: photos with a shorter side are quarantined.
        allow_animated: use the first frame of an animated file instead of quarantining it.
        edits: label corrections, see `photos.edits`.
        cache: facts of files read before; unchanged files are not read again.
        max_megapixels: photos of which more must be in memory at once are quarantined.

    Raises:
        InputError: no such folder, fewer than two classes, or a class with fewer than 5 good photos.
    """
    folder = Path(folder)
    found = _Listing(folder)
    files = found.files
    good, quarantined, flat = [], [], set()
    hashes, place = bytearray(), {}  # 86 MB per 100,000 photos; one array per photo would take half as much again
    for row, facts in zip(files, _facts(folder, files, cache, max_megapixels), strict=True):
        row = _judged(row | facts, min_side_px, allow_animated)
        if row["reason"]:
            quarantined.append(row)
            continue
        if row["sha256"] not in place:
            place[row["sha256"]] = len(place)
            hashes += row["hashes"].tobytes()
            if row["entropy_bits"] < FLAT_BITS:
                flat.add(row["sha256"])
        good.append({name: row[name] for name in PHOTO_COLUMNS if name in row})
    corrected = apply_edits(good, edits or [], {row["class_name"] for row in files if row["class_name"]})
    changed = sum(one["class_name"] != other["class_name"] for one, other in zip(good, corrected, strict=True))
    good = corrected
    photos, copies = _without_copies([row for row in good if "reason" not in row])
    _group(photos, np.frombuffer(hashes, np.uint8).reshape(-1, HASHES, HASH_BYTES), place)
    quarantined = [*quarantined, *(row for row in good if "reason" in row), *copies]
    quarantined = [{name: row[name] for name in QUARANTINE_COLUMNS} for row in quarantined]
    photos, quarantined = (sorted(rows, key=lambda row: row["path"]) for rows in (photos, quarantined))
    flat = [photo for photo in photos if photo["sha256"] in flat]
    intake = Intake(photos, quarantined, flat, found.split_folders, found.passed_over, found.in_icloud, changed)
    assert len(files) == len(intake.photos) + len(intake.quarantined), "a file was lost"
    _require_classes(folder, intake)
    return intake


class _Listing:
    """Every file below a photo folder, in the order of the paths, and what was passed over."""

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise InputError(f"{str(folder)!r} is not a folder: expected a folder with one folder of photos per class")
        self._folder = folder
        self._found: list[tuple[Path, str]] = []
        passed_over: collections.Counter = collections.Counter()
        in_icloud: collections.Counter = collections.Counter()
        self.split_folders = split_folders(folder)
        for parent, names, file_names in os.walk(folder, onerror=self._note_unreadable):
            for name in [*names, *file_names]:
                if is_in_icloud(name):
                    in_icloud[self._class_of(Path(parent, name).relative_to(folder).parts)] += 1
                elif is_clutter(name) and not name.startswith("."):
                    passed_over[_printable(name)] += 1
            own = [name for name in names if not is_clutter(name) and is_own_folder(Path(parent, name))]
            passed_over.update(f"{name}/ (of bears_tl)" for name in own)
            names[:] = [name for name in names if not is_clutter(name) and name not in own]
            if Path(parent) == folder:
                file_names = [name for name in file_names if not is_own_table(name)]
            linked = [name for name in names if os.path.islink(os.path.join(parent, name))]
            self._found += [(Path(parent, name), "") for name in [*linked, *file_names] if not is_clutter(name)]
        self.passed_over, self.in_icloud = dict(sorted(passed_over.items())), dict(sorted(in_icloud.items()))
        self.files = [
            self._row(path, fault)
            for path, fault in sorted(self._found, key=lambda entry: entry[0].relative_to(folder).as_posix())
        ]

    def _note_unreadable(self, error: OSError) -> None:
        if Path(error.filename) == self._folder:
            raise InputError(f"{str(self._folder)!r} cannot be read ({error.strerror}): check its permissions")
        fault = f"the folder cannot be read ({error.strerror}): check its permissions"
        self._found.append((Path(error.filename), fault))

    def _class_of(self, parts: tuple[str, ...]) -> str:
        """Return the class of a path: its first folder, or its second one if the photos are already split."""
        parts = parts[1:] if parts[0] in self.split_folders else () if self.split_folders else parts
        return parts[0] if len(parts) > 1 else ""

    def _row(self, path: Path, fault: str) -> dict:
        """Return path, class_name and given_split, and a reason with its detail for a file that is not read."""
        parts = path.relative_to(self._folder).parts
        # A folder appears here only if it is a link or cannot be read: it may be a class folder itself
        class_name = self._class_of((*parts, "") if os.path.isdir(path) else parts)
        row = {
            "path": "/".join(parts), "class_name": class_name, "given_split": self.split_folders.get(parts[0], ""),
        }  # fmt: skip
        reason = ("unreadable", fault) if fault else _misplaced(self._folder, path, class_name)
        return row | (dict(zip(("reason", "detail"), reason, strict=True)) if reason else {})


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _photos(count: int) -> str:
    return "1 photo is" if count == 1 else f"{count} photos are"


def _misplaced(folder: Path, path: Path, class_name: str) -> tuple[str, str] | None:
    if not class_name:
        return "wrong_place", "next to the class folders, not in one of them"
    if not os.path.islink(path):
        return None
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a broken or circular link
        return "wrong_place", f"a link to {os.readlink(path)!r}, which does not exist"
    if target.is_dir():
        return "wrong_place", f"a link to the folder {os.readlink(path)!r}: links to folders are not followed"
    if not target.is_relative_to(folder.resolve()):
        return "wrong_place", f"a link out of the photo folder, to {os.readlink(path)!r}"
    return None


def _facts(folder: Path, files: list[dict], cache: FactCache | None, max_megapixels: float) -> Iterator[dict]:
    """Yield the facts of files in order, from the cache or read in threads; {} for files that already have a reason."""
    from tqdm import tqdm

    def look(row: dict) -> tuple[str, os.stat_result | None, dict | None]:
        """Return path, status and cached facts of a file; facts are None if the file must be read."""
        if row.get("reason"):
            return row["path"], None, {}
        try:
            status = os.stat(folder / row["path"])
        except OSError:  # deleted, or no permission: reading it will show which
            return row["path"], None, None
        known = cache.get(status) if cache else None
        if known and (known["reason"] == "too_large" or known.get("width", 0) * known.get("height", 0) > limit_px):
            known = None  # read under another limit, perhaps
        return row["path"], status, known

    def read(looked: tuple[str, os.stat_result | None, dict | None]) -> tuple[dict, os.stat_result | None]:
        path, status, known = looked
        return (known, None) if known is not None else (read_facts(folder / path, max_megapixels), status)

    limit_px = max_megapixels * 10**6
    saved = time.monotonic()
    with warnings.catch_warnings(), tqdm(total=len(files), desc="Checking photos", unit=" files", **_QUIET) as progress:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and large images; both are handled here
        for facts, newly_read in map_ahead(read, map(look, files), ahead=8 * (os.cpu_count() or 1)):
            if cache and newly_read:
                cache.put(newly_read, facts)
            if cache and time.monotonic() - saved > _SAVE_SECONDS:
                cache.save()
                saved = time.monotonic()
            progress.update()
            yield facts
    if cache:
        cache.save()


def _judged(row: dict, min_side_px: int, allow_animated: bool) -> dict:
    """Add reason and detail to a row; both are empty for a photo."""
    if row["reason"]:
        return row
    if row["frames"] > 1 and not allow_animated:
        detail = f"{row['frames']} frames; set allow_animated to use the first"
        return row | {"reason": "animated", "detail": detail}
    if min(row["width"], row["height"]) < min_side_px:
        detail = f"{row['width']} x {row['height']} px, expected {min_side_px} px or more per side"
        return row | {"reason": "too_small", "detail": detail}
    for name in ("class_name", "format", "mode"):
        row[name] = sys.intern(row[name])  # the same few strings in every row: keep one copy of each
    return row


def _without_copies(rows: list[dict]) -> tuple[list[dict], list[dict]]:
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
        copies.sort(key=_evaluation_first)
        photos.append(copies[0])
        detail = f"an exact copy of {copies[0]['path']}"
        quarantined.extend(copy | {"reason": "duplicate", "detail": detail} for copy in copies[1:])
    return photos, quarantined


def _evaluation_first(row: dict) -> int:
    """Order copies so that one in test or val is kept: a copy in train would leak it."""
    return -SPLITS.index(row["given_split"]) if row["given_split"] else 0


def _group(photos: list[dict], hashes: np.ndarray, place: dict[str, int]) -> None:
    """Set the group of each photo: the first 16 digits of the smallest SHA-256 among its near-duplicates."""
    first = find_groups(hashes)
    names: dict[int, str] = {}
    for photo in photos:
        i = first[place[photo["sha256"]]]
        names[i] = min(names.get(i, photo["sha256"]), photo["sha256"])
    for photo in photos:
        photo["group"] = names[first[place[photo["sha256"]]]][:16]


class TooFewError(InputError):
    """A class has too few good photos.

    Attributes:
        quarantined: rows of quarantine.csv, with the reasons.
    """

    def __init__(self, message: str, quarantined: list[dict]):
        super().__init__(message)
        self.quarantined = quarantined


def _require_classes(folder: Path, intake: Intake) -> None:
    class_names = class_names_in(folder)
    if len(class_names) < 2:
        found = f"only the class {class_names[0]!r}" if class_names else "no class folders"
        raise InputError(f"{str(folder)!r} contains {found}: expected at least two folders, each named after a class")
    counts = intake.per_class()
    for class_name in class_names:
        if counts.get(class_name, 0) < MIN_PHOTOS_PER_CLASS:
            bad = collections.Counter(row["reason"] for row in intake.quarantined if row["class_name"] == class_name)
            refused = ", ".join(f"{count} {reason}" for reason, count in sorted(bad.items()))
            if class_name in intake.in_icloud:
                refused += f"{', ' * bool(refused)}{intake.in_icloud[class_name]} in iCloud, not here"
            raise TooFewError(
                f"class {class_name!r} in {str(folder)!r} has {counts.get(class_name, 0)} good photos"
                f"{f' (quarantined: {refused})' if refused else ''}, "
                f"expected {MIN_PHOTOS_PER_CLASS} or more: add photos, or move the folder elsewhere if it is no class",
                intake.quarantined,
            )
