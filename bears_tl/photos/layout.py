"""Find the classes of a photo folder: one folder per class, or such folders below train, val and test."""

import collections
import os
import unicodedata
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.photos.clutter import is_clutter, is_own_folder

# Names of split folders, without case. Keras, PyTorch's ImageFolder, Ultralytics, Roboflow and Kaggle use these.
_LEAST_MISSPELT = 4  # letters: shorter names differ by one letter for good reasons (ape, cape)
_SPLIT_OF = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip


def class_root(folder: str | Path) -> Path:
    """Return the folder of class folders, skipping folders that only contain one other folder.

    Raises:
        InputError: there are no class folders.
    """
    folder = given = Path(folder)
    while True:
        classes = class_folders(folder)
        if not classes:
            raise InputError(f"{str(given)!r} contains no class folders: expected one folder of photos per class")
        if len(classes) > 1 or not class_folders(classes[0]):
            return folder
        folder = classes[0]


def class_folders(folder: str | Path) -> list[Path]:
    """List the class folders in a folder, sorted: all its folders except clutter, runs and caches."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_clutter(entry.name))
    except OSError as error:
        raise InputError(f"{str(folder)!r} could not be read ({error.strerror}): check its permissions") from None
    return [Path(folder) / name for name in names if not is_own_folder(Path(folder) / name)]


def split_folders(folder: str | Path) -> dict[str, str]:
    """Recognize a folder that is already split: train, val and test above the same class folders.

    A folder counts as split if it has a train folder with two or more class folders, and at least one folder of another
    split that shares a class with it, or that holds unlabelled photos: it has no class folders, or a single one, as
    Keras needs for its test photos. Class names are compared without case.

    Args:
        folder: a photo folder, see `class_root`.

    Returns:
        Name of a folder -> train, val or test, of the folders with labelled photos; empty if the folder is not split.
    """
    names = [path.name for path in class_folders(folder)]
    found = {name: _SPLIT_OF[name.casefold()] for name in names if name.casefold() in _SPLIT_OF}
    if any(name.casefold().startswith("test") for name in found):  # beside a test, `eval` means validation
        found |= {name: "val" for name in found if name.casefold().startswith("eval")}
    classes = {name: {p.name.casefold() for p in _class_folders_if_readable(Path(folder, name))} for name in found}
    trained = {class_name for name, split in found.items() if split == "train" for class_name in classes[name]}
    others = [name for name, split in found.items() if split != "train"]
    labelled = [name for name in others if classes[name] & trained]
    unlabelled = [name for name in others if len(classes[name]) < 2 and name not in labelled]
    if len(trained) < 2 or not (labelled or unlabelled):
        return {}
    return {name: split for name, split in found.items() if split == "train" or name in labelled}


def are_named_like_splits(class_names: list[str]) -> bool:
    """Return whether all classes have names of splits, such as train and test: perhaps their folders are misread."""
    return all(name.casefold() in _SPLIT_OF for name in class_names)


def class_names_in(folder: str | Path) -> list[str]:
    """List the class names of a photo folder, sorted, also if it is already split."""
    parents = [Path(folder, name) for name in split_folders(folder)] or [Path(folder)]
    return sorted({path.name for parent in parents for path in class_folders(parent)})


def similar_names(class_names: list[str]) -> list[list[str]]:
    """Return groups of class names that differ only in case, in Unicode form or by spaces at an end."""
    groups = collections.defaultdict(list)
    for name in sorted(class_names):
        groups[unicodedata.normalize("NFKC", name.strip()).casefold()].append(name)
    return [group for group in groups.values() if len(group) > 1]


def misspelt_names(class_names: list[str]) -> list[tuple[str, str]]:
    """Return pairs of class names of which one has one letter more, such as `rose` and `roses`."""
    known = set(class_names)
    return sorted(
        (shorter, name)
        for name in known
        for shorter in {name[:i] + name[i + 1 :] for i, letter in enumerate(name) if letter.isalpha()}
        if len(shorter) >= _LEAST_MISSPELT and shorter in known
    )


def _class_folders_if_readable(folder: Path) -> list[Path]:
    try:
        return class_folders(folder)
    except InputError:
        return []
