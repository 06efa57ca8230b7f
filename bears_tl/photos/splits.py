"""Which photos are for training, for validation and for the test: decided by content, exact in each class."""

import collections
import hashlib
import math

from bears_tl.errors import InputError

SPLIT_COLUMNS = ["path", "class_name", "sha256", "group", "split"]
SPLITS = ("train", "val", "test")


def split_photos(photos: list[dict], test_fraction: float, val_fraction: float, seed: int = 0) -> list[dict]:
    """Divide photos into train, val and test.

    The photos of a class are ranked by a hash of their content (and the seed): the first are for the test, the last for
    validation, those between for training. So the shares are exact in each class, names and places do not matter, and a
    photo more or less shifts each of the two borders by one photo at most (docs/design.md says what that promises).

    Args:
        photos: rows with path, class_name and sha256.
        test_fraction: share of each class, rounded, at least one photo.
        val_fraction: the same for validation.
        seed: another seed, another division.

    Returns:
        Rows of splits.csv, in the order of `photos`.

    Raises:
        InputError: the fractions leave a class without training photos.
    """
    by_class = collections.defaultdict(list)
    for photo in photos:
        by_class[photo["class_name"]].append(photo)
    split_of = {}
    for class_name, members in by_class.items():
        ranked = sorted({member["sha256"] for member in members}, key=lambda sha256: _rank_key(seed, sha256))
        count = len(ranked)
        tests, vals = _share(test_fraction, count), _share(val_fraction, count)
        if tests + vals >= count:
            raise InputError(
                f"test_fraction {test_fraction} and val_fraction {val_fraction} leave none of the {count} photos of "
                f"class {class_name!r} to train on: lower them or add photos"
            )
        for rank, sha256 in enumerate(ranked):
            split = "test" if rank < tests else "val" if rank >= count - vals else "train"
            split_of[class_name, sha256] = split
    return [
        {name: photo[name] for name in ("path", "class_name", "sha256")}
        | {"group": photo["sha256"][:16], "split": split_of[photo["class_name"], photo["sha256"]]}
        for photo in photos
    ]


def count_splits(rows: list[dict]) -> dict[str, dict[str, int]]:
    """Count photos: class name to split to count, classes sorted."""
    counts = collections.Counter((row["class_name"], row["split"]) for row in rows)
    class_names = sorted({row["class_name"] for row in rows})
    return {class_name: {split: counts[class_name, split] for split in SPLITS} for class_name in class_names}


def _rank_key(seed: int, sha256: str) -> bytes:
    return hashlib.sha256(f"{seed}|{sha256}|split".encode()).digest()


def _share(fraction: float, count: int) -> int:
    """Round half up, so that a class that grows by one photo adds one at most; at least one photo."""
    return max(1, math.floor(fraction * count + 0.5))
