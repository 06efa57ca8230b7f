"""Split photos into training, validation and test sets by their content, keeping near-duplicates together."""

import collections
import dataclasses
import hashlib
import math

from bears_tl.errors import InputError

SPLIT_COLUMNS = ["path", "class_name", "sha256", "group", "split"]
SPLITS = ("train", "val", "test")


@dataclasses.dataclass
class _Group:
    """Near-duplicates. `rank` is the smallest rank of its photos, so that one more photo rarely changes it."""

    photos: list[dict]
    rank: bytes
    class_name: str  # the class of most of its photos: a group is kept together even if it spans two classes


def split_photos(photos: list[dict], test_fraction: float, val_fraction: float, seed: int = 0) -> list[dict]:
    """Split photos into train, val and test, so that near-duplicates always fall into the same split.

    The groups of each class are ranked by a hash of their content and the seed. The first go to test, the last to val,
    the others to train. So file names and folders do not matter, the shares of each class are exact to within one
    group, and adding or removing a photo shifts each of the two borders by at most one (see docs/design.md).

    Args:
        photos: rows with path, class_name, sha256 and group; a photo without a group is its own group.
        test_fraction: share of each class, rounded; at least one group.
        val_fraction: the same for validation.
        seed: each seed gives a different split.

    Returns:
        Rows of splits.csv, in the order of `photos`.

    Raises:
        InputError: the fractions leave a class without training photos, or a class has fewer than three groups.
    """
    by_class = collections.defaultdict(list)
    for group in _groups(photos, seed):
        by_class[group.class_name].append(group)
    split_of = {}
    for class_name in sorted({photo["class_name"] for photo in photos}):
        groups = sorted(by_class[class_name], key=lambda group: group.rank)
        if len(groups) < len(SPLITS):
            raise InputError(
                f"class {class_name!r} has {len(groups)} photos that are not copies of one another, expected "
                f"{len(SPLITS)} or more, one for each split: add other photos"
            )
        for group, split in zip(groups, _divided(groups, test_fraction, val_fraction), strict=True):
            split_of |= {photo["sha256"]: split for photo in group.photos}
    return [
        {name: photo[name] for name in ("path", "class_name", "sha256")}
        | {"group": _name(photo), "split": split_of[photo["sha256"]]}
        for photo in photos
    ]


def count_splits(rows: list[dict]) -> dict[str, dict[str, int]]:
    """Count photos: class name -> split -> count, classes sorted."""
    counts = collections.Counter((row["class_name"], row["split"]) for row in rows)
    class_names = sorted({row["class_name"] for row in rows})
    return {class_name: {split: counts[class_name, split] for split in SPLITS} for class_name in class_names}


def count_moved(before: list[dict], after: list[dict]) -> int:
    """Count the photos, by content, that two divisions put into different splits; photos in only one do not count."""
    split_of = {row["sha256"]: row["split"] for row in before}
    return sum(split_of.get(row["sha256"], row["split"]) != row["split"] for row in after)


def has_exact_shares(rows: list[dict], test_fraction: float, val_fraction: float) -> bool:
    """Check that each class has its share in test and val, to within one group of near-duplicates.

    Args:
        rows: of splits.csv.
        test_fraction: share of each class in test.
        val_fraction: share of each class in val.

    Returns:
        Whether no share is off by more photos than the largest group of the class holds. Groups with photos of two
        classes are allowed on top, because such a group counts for one of them only.
    """
    for class_name, counts in count_splits(rows).items():
        groups = collections.Counter(row["group"] for row in rows if row["class_name"] == class_name)
        others = {row["group"] for row in rows if row["class_name"] != class_name}
        allowed = max(groups.values()) + sum(size for group, size in groups.items() if group in others)
        count = sum(counts.values())
        for split, fraction in (("test", test_fraction), ("val", val_fraction)):
            if abs(counts[split] - fraction * count) > allowed:
                return False
    return True


def keeps_groups_together(rows: list[dict]) -> bool:
    """Check that the photos of each group of near-duplicates are all in one split."""
    split_of = {row["group"]: row["split"] for row in rows}
    return all(split_of[row["group"]] == row["split"] for row in rows)


def _groups(photos: list[dict], seed: int) -> list[_Group]:
    members = collections.defaultdict(list)
    for photo in photos:
        members[_name(photo)].append(photo)
    groups = []
    for of_group in members.values():
        counts = collections.Counter(sorted(photo["class_name"] for photo in of_group))  # ties: first by name
        rank = min(_rank(seed, photo["sha256"]) for photo in of_group)
        groups.append(_Group(of_group, rank, counts.most_common(1)[0][0]))
    return groups


def _divided(groups: list[_Group], test_fraction: float, val_fraction: float) -> list[str]:
    """Return the split of each of three or more ranked groups."""
    sizes = [len({photo["sha256"] for photo in group.photos}) for group in groups]
    count, class_name = sum(sizes), groups[0].class_name
    tests = _taken(sizes, _share(test_fraction, count))
    vals = _taken(sizes[::-1], _share(val_fraction, count))
    if tests + vals >= len(groups):
        raise InputError(
            f"test_fraction {test_fraction} and val_fraction {val_fraction} leave none of the {count} photos of "
            f"class {class_name!r} to train on: lower them or add photos"
        )
    return ["test"] * tests + ["train"] * (len(groups) - tests - vals) + ["val"] * vals


def _taken(sizes: list[int], photos: int) -> int:
    """Return how many of the first groups come closest to a number of photos; at least one."""
    taken = total = 0
    for size in sizes:
        if taken and total + size / 2 > photos:
            break
        taken, total = taken + 1, total + size
    return taken


def _name(photo: dict) -> str:
    return photo.get("group") or photo["sha256"][:16]


def _rank(seed: int, sha256: str) -> bytes:
    return hashlib.sha256(f"{seed}|{sha256}|split".encode()).digest()


def _share(fraction: float, count: int) -> int:
    """Round half up, so that one more photo in a class adds at most one to the share; at least one photo."""
    return max(1, math.floor(fraction * count + 0.5))
