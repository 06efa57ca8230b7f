"""Build a photo folder from Open Images V7, with the author and licence of each photo.

Labels and metadata are CSV files of several gigabytes. They are stored in a cache, so that an interrupted run resumes
where it stopped and a different choice of classes does not download them again.
"""

import contextlib
import dataclasses
import hashlib
import heapq
import io
import itertools
import os
import re
import sys
import warnings
from pathlib import Path

from bears_tl.config import read_yaml
from bears_tl.errors import InputError
from bears_tl.files import atomic_folder
from bears_tl.network.download import download
from bears_tl.network.downloads import FetchLimits, fetch_photos
from bears_tl.photos.open_images.attribution import plain_address, write_attribution, write_sources
from bears_tl.photos.open_images.catalogue import (
    LABEL_COLUMNS,
    METADATA_COLUMNS,
    find_labels,
    find_positives,
    read_metadata,
    require_columns,
)

SPLITS = ("train", "validation", "test")
# Rotation that makes the stored pixels upright, in degrees counterclockwise -> the matching EXIF orientation. Source:
# https://storage.googleapis.com/openimages/web/2018-05-17-rotation-information.html
ORIENTATIONS = {0: 1, 90: 8, 180: 3, 270: 6}
PAGE = "https://storage.googleapis.com/openimages/web/factsfigures_v7.html"
RIGHTS = "The labels are by Google LLC, licensed under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)."


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What to build, and from where; configs/open_images.yaml explains each setting. There are no defaults."""

    classes: dict[str, str]
    per_class: int
    seed: int
    splits: list[str]
    connections: int
    cache: str
    class_descriptions: str
    labels: dict[str, str]
    metadata: dict[str, str]
    photos: str

    def __post_init__(self):
        for name, low, high in (("per_class", 1, 100_000), ("seed", 0, 2**31 - 1), ("connections", 1, 16)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise InputError(f"{name}: {value!r}, expected a whole number from {low} to {high}")
        if not isinstance(self.splits, list) or not self.splits or not all(split in SPLITS for split in self.splits):
            raise InputError(f"splits: {self.splits!r}, expected a list of some of {', '.join(SPLITS)}")
        if not isinstance(self.cache, str) or not self.cache.strip():
            raise InputError(f"cache: {self.cache!r}, expected a folder")
        for name in ("classes", "labels", "metadata"):
            value = getattr(self, name)
            if not isinstance(value, dict) or not all(isinstance(text, str) for pair in value.items() for text in pair):
                raise InputError(f"{name}: {value!r}, expected lines of `name: text`")
        _require_folder_names(list(self.classes))
        addresses = {name: getattr(self, name) for name in ("class_descriptions", "photos")}
        for name, split in itertools.product(("labels", "metadata"), self.splits):
            addresses[f"{name}, {split}"] = getattr(self, name).get(split)
        for name, address in addresses.items():
            if not isinstance(address, str) or not plain_address(address):
                raise InputError(f"{name}: {address!r}, expected an address, https://... or http://...")
        if "{ImageID}" not in self.photos:
            raise InputError(f"photos: {self.photos!r}, expected an address with {{ImageID}} in it")


@dataclasses.dataclass
class Selection:
    """The photos of one class: candidates, chosen and rejected photos."""

    class_name: str
    labelled: int = 0
    conflicting: int = 0
    without_licence: list[str] = dataclasses.field(default_factory=list)  # image ids
    candidates: list[tuple[int, str, dict]] = dataclasses.field(default_factory=list)  # a heap: -rank, id, row
    unavailable: list[str] = dataclasses.field(default_factory=list)  # reasons, one per photo
    rows: list[dict] = dataclasses.field(default_factory=list)  # of sources.csv

    def sentence(self) -> str:
        """Summarize in one line how many photos were chosen and left out."""
        counts = {
            "labelled as another class too": self.conflicting,
            "without a licence": len(self.without_licence),
            "unavailable": len(self.unavailable),
        }
        left_out = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
        return f"{self.class_name}: {len(self.rows)} photos of {self.labelled}{left_out and f' ({left_out})'}"


def load(path: str | Path, *, per_class: int | None = None, classes: list[str] | None = None) -> Recipe:
    """Read a recipe.

    Args:
        path: YAML file with the fields of `Recipe`.
        per_class: replaces the file's value.
        classes: replace the file's; each a class name, or FOLDER=NAME.

    Raises:
        InputError: no such file, not YAML, an unknown or missing setting, or an invalid value.
    """
    values = read_yaml(path, "configs/open_images.yaml")
    if per_class is not None:
        values["per_class"] = per_class
    if classes:
        named = [text.partition("=") for text in classes]
        _require_folder_names([folder for folder, _, _ in named])
        values["classes"] = {folder: name or folder for folder, _, name in named}
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in values:
        if name not in known:
            raise InputError(f"unknown setting {name!r} in {str(path)!r}: expected one of {', '.join(known)}")
    if missing := [name for name in known if name not in values]:
        raise InputError(f"config {str(path)!r} lacks {', '.join(missing)}: see configs/open_images.yaml")
    return Recipe(**values)


def build(recipe: Recipe, folder: str | Path, limits: FetchLimits | None = None) -> list[Selection]:
    """Build the photo folder: <Class>/<ImageID>.jpg, sources.csv and ATTRIBUTION.md, atomically.

    CSV files and photos are kept unchanged in the recipe's cache. An interrupted run resumes from there, and complete
    files are not fetched again.

    Args:
        recipe: what to build.
        folder: must not exist yet.
        limits: for fetching photos; by default those of `FetchLimits`, with the recipe's connections.

    Returns:
        The photos chosen and left out, one `Selection` per class, in the order of the recipe.

    Raises:
        InputError: the folder already exists, an unknown class, a class without photos, or a file of another format.
        NotReachableError: an address could not be reached, or the server kept failing.
    """
    folder = Path(folder)
    if os.path.lexists(folder):
        raise InputError(f"{str(folder)!r} already exists: name a new folder, or remove it")
    selections = select(recipe)
    for selection in selections:
        _fetch_class(selection, recipe, limits or FetchLimits(connections=recipe.connections))
    rows = [row for selection in selections for row in selection.rows]
    with atomic_folder(folder) as unfinished:
        for row in rows:
            photo = upright(_cached(recipe, row).read_bytes(), row["rotation"])
            row["sha256"] = hashlib.sha256(photo).hexdigest()
            (unfinished / row["class_name"]).mkdir(exist_ok=True)
            (unfinished / row["path"]).write_bytes(photo)
        write_sources(unfinished, rows)
        write_attribution(unfinished, rows, name="Open Images V7", page=PAGE, rights=RIGHTS)
        if hasattr(os, "sync"):
            os.sync()  # once for all files: their content must be on disk before the folder is renamed
    return selections


def select(recipe: Recipe) -> list[Selection]:
    """Choose photos by their labels and metadata, without fetching any photo.

    A photo is a candidate if it has a licence and people labelled it as exactly one of the classes. Candidates are
    ranked by a hash of seed and ImageID, and the first are chosen. So a larger `per_class` only adds photos.

    Raises:
        InputError: as for `build`.
        NotReachableError: a CSV file could not be fetched.
    """
    class_of = find_labels(_csv(recipe, "classes", recipe.class_descriptions), recipe.classes)
    selections = {class_name: Selection(class_name) for class_name in recipe.classes}
    for split in recipe.splits:
        labels = _csv(recipe, f"labels-{split}", recipe.labels[split], LABEL_COLUMNS)
        metadata = _csv(recipe, f"metadata-{split}", recipe.metadata[split], METADATA_COLUMNS)
        print(f"choosing among the photos of {split}", file=sys.stderr, flush=True)  # a minute or two for train
        positives = find_positives(labels, class_of)
        for class_names in positives.values():
            for class_name in class_names:
                selections[class_name].labelled += 1
                selections[class_name].conflicting += len(class_names) > 1
        single = {image_id: class_names[0] for image_id, class_names in positives.items() if len(class_names) == 1}
        missing = dict(single)
        for row in read_metadata(metadata, missing):
            _consider(row, split, selections[single[row["image_id"]]], recipe)
        for image_id in missing:  # a photo without metadata has no licence either
            selections[single[image_id]].without_licence.append(image_id)
    for selection in selections.values():
        if refused := selection.without_licence:
            more = f" and {len(refused) - 10} more" if len(refused) > 10 else ""
            print(f"{selection.class_name}: left out, no licence: {', '.join(refused[:10])}{more}", file=sys.stderr)
        if not selection.candidates:
            raise InputError(
                f"no photo of {recipe.classes[selection.class_name]!r} with a licence in {', '.join(recipe.splits)}: "
                f"{selection.labelled} are labelled, {selection.conflicting} of them as another class too; "
                "choose another class or more splits"
            )
    return list(selections.values())


def upright(photo: bytes, rotation: int | str) -> bytes:
    """Set the EXIF orientation of a JPEG, so that it is shown upright; the pixels do not change.

    Args:
        photo: a JPEG file; returned unchanged if its orientation is already right.
        rotation: degrees counterclockwise that make the stored pixels upright: a key of `ORIENTATIONS`. It overrides
            the file's own EXIF. Any other value means unknown: the file is returned unchanged.
    """
    from PIL import ExifTags, Image

    wanted = ORIENTATIONS.get(rotation)
    with warnings.catch_warnings(), Image.open(io.BytesIO(photo)) as image:
        warnings.simplefilter("ignore")  # Pillow warns of broken EXIF, which counts as none
        found = None
        with contextlib.suppress(Exception):  # broken EXIF may raise any error
            found = image.getexif().get(ExifTags.Base.Orientation)
        if wanted in (None, found or 1):
            return photo
        for name, content in image.applist:  # remove all EXIF blocks: readers disagree on which of two counts
            if name == "APP1" and content.startswith(b"Exif\0\0"):
                photo = photo.replace(b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content, b"", 1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = wanted
    block = exif.tobytes()
    return photo[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2) + block + photo[2:]


def _require_folder_names(class_names: list[str]) -> None:
    """Reject names that are not safe folder names on every system, and names that differ only in case."""
    if not class_names:
        raise InputError("classes: empty, expected at least one class")
    for name in class_names:
        if not re.fullmatch(r"[^\W_]([\w &'(),.+-]{0,98}[\w)])?", name):
            raise InputError(f"{name!r} cannot be the name of a folder: expected letters and digits, as in FOLDER=NAME")
    if len({name.casefold() for name in class_names}) < len(class_names):
        raise InputError(f"classes: {', '.join(class_names)}: one name occurs twice")


def _csv(recipe: Recipe, name: str, address: str, columns: list[str] | None = None) -> Path:
    """Return a CSV file from the cache, fetching it if missing; its name depends on the address."""

    def check(whole: Path) -> None:
        if columns:
            require_columns(whole, columns)

    path = Path(recipe.cache) / f"{name}-{hashlib.sha256(address.encode()).hexdigest()[:8]}.csv"
    return download(address, path, lock=Path(recipe.cache) / "lock.json", description=f"{name}.csv", check=check)


def _consider(row: dict, split: str, selection: Selection, recipe: Recipe) -> None:
    """Add a photo to the candidates if it has a licence and a low enough rank."""
    image_id = row["image_id"]
    if not row["licence"]:
        selection.without_licence.append(image_id)
        return
    row |= {
        "path": f"{selection.class_name}/{image_id}.jpg",
        "class_name": selection.class_name,
        "url": recipe.photos.replace("{split}", split).replace("{ImageID}", image_id),
    }
    rank = int.from_bytes(hashlib.sha256(f"{recipe.seed}|{image_id}".encode()).digest())
    enough = 2 * recipe.per_class + 20  # with spares, because some photos may be unavailable
    push = heapq.heappush if len(selection.candidates) < enough else heapq.heappushpop
    push(selection.candidates, (-rank, image_id, row))


def _fetch_class(selection: Selection, recipe: Recipe, limits: FetchLimits) -> None:
    """Fetch the photos of a class to the cache, in the order of their ranks, until there are enough."""
    waiting = iter([row for _, _, row in sorted(selection.candidates, reverse=True)])
    while batch := list(itertools.islice(waiting, recipe.per_class - len(selection.rows))):
        addresses = {_cached(recipe, row): row["url"] for row in batch}
        failed = fetch_photos(addresses, selection.class_name, limits)
        selection.unavailable.extend(failed.values())
        selection.rows.extend(row for row in batch if _cached(recipe, row) not in failed)
    for reason in selection.unavailable:
        print(f"{selection.class_name}: left out: {reason}", file=sys.stderr)
    if not selection.rows:
        raise InputError(
            f"no photo of {selection.class_name!r} is available, for example: {selection.unavailable[0]}: "
            "check the address of the photos and the network"
        )


def _cached(recipe: Recipe, row: dict) -> Path:
    return Path(recipe.cache) / "photos" / f"{row['image_id']}.jpg"
