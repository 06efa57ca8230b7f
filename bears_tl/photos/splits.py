"""Split photos into training, validation and test sets by their content, keeping near-duplicates together."""

import collections
import dataclasses
import hashlib
import math

from bears_tl.errors import InputError

SPLIT_COLUMNS = ["path", "class_name", "sha256", "group", "split", "source"]
SPLITS = ("train", "val", "test")


@dataclasses.dataclass
class _Group:
    """Near-duplicates. `rank` is the smallest rank of its photos, so that one more photo rarely changes it."""

    photos: list[dict]
    rank: bytes
    class_name: str  # the rarest of its classes: the common ones have enough other groups to reach their shares


def split_photos(photos: list[dict], test_fraction: float, val_fraction: float, seed: int = 0) -> list[dict]:
    """Split photos into train, val and test, so that near-duplicates always fall into the same split.

    The groups of each class are ranked by a hash of their content and the seed. The first go to test, the last to val,
    the others to train. A group with photos of several classes is ranked with the rarest of them, and counts for the
    others, which are divided later. So file names and folders do not matter, the shares of each class are exact to
    within one group, and adding or removing a photo shifts each of the two borders by at most one, unless
    a scene grows past twice a share: such scenes go to train (see docs/design.md).

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
    split_of = _divided_by_content(photos, {"test": test_fraction, "val": val_fraction}, seed)
    return [_row(photo, split_of[photo["sha256"]], "content") for photo in photos]


def keep_given_split(
    photos: list[dict], test_fraction: float, val_fraction: float, seed: int = 0, grouped: bool = False
) -> list[dict]:
    """Use the split that the photo folder already has; take a test or val that a class lacks from its train.

    Args:
        photos: rows with path, class_name, sha256, group and given_split.
        test_fraction: share of a class that goes from train to test, if the folder has no test photos of it.
        val_fraction: the same for validation.
        seed: each seed takes other photos.
        grouped: move near-duplicates into one split: all of a group to test if one of them is there, else to val.

    Returns:
        Rows of splits.csv, in the order of `photos`; source is given, content (taken from train) or moved.

    Raises:
        InputError: a class without training photos, or one with too few to take some from.
    """
    split_of, source_of = {photo["sha256"]: photo["given_split"] for photo in photos}, {}
    if grouped:
        for group in _groups(photos, seed):
            strictest = max((photo["given_split"] for photo in group.photos), key=SPLITS.index)
            source_of |= {p["sha256"]: "moved" for p in group.photos if p["given_split"] != strictest}
            split_of |= {photo["sha256"]: strictest for photo in group.photos}
    splits_with = collections.defaultdict(set)  # class name -> the splits that have photos of it
    for photo in photos:
        splits_with[photo["class_name"]].add(split_of[photo["sha256"]])
    for photo in photos:
        if "train" not in splits_with[photo["class_name"]]:
            trained = sorted(name for name, splits in splits_with.items() if "train" in splits)
            raise InputError(
                f"class {photo['class_name']!r} has no photos in train, only in {split_of[photo['sha256']]} (such as "
                f"{photo['path']!r}): add some, rename the folder to one of {', '.join(trained)}, or set "
                "split=content to divide all photos anew"
            )
    fractions = {"test": test_fraction, "val": val_fraction}
    for missing in sorted({tuple(name for name in fractions if name not in have) for have in splits_with.values()}):
        lacking = {name for name, have in splits_with.items() if set(missing) == fractions.keys() - have}
        if missing:
            rest = [p for p in photos if p["class_name"] in lacking and split_of[p["sha256"]] == "train"]
            taken = _divided_by_content(rest, {name: fractions[name] for name in missing}, seed)
            source_of |= {sha256: "content" for sha256, split in taken.items() if split != "train"}
            split_of |= taken
    return [_row(photo, split_of[photo["sha256"]], source_of.get(photo["sha256"], "given")) for photo in photos]


def find_leaks(rows: list[dict]) -> list[tuple[str, str]]:
    """Return the path of each val or test photo with a near-duplicate in train, and the path of that one."""
    trained: dict[str, str] = {}
    for row in rows:
        if row["split"] == "train":
            trained.setdefault(row["group"], row["path"])
    return [(row["path"], trained[row["group"]]) for row in rows if row["split"] != "train" and row["group"] in trained]


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


def _row(photo: dict, split: str, source: str) -> dict:
    kept = {name: photo[name] for name in ("path", "class_name", "sha256")}
    return kept | {"group": _name(photo), "split": split, "source": source}


def _divided_by_content(photos: list[dict], fractions: dict[str, float], seed: int) -> dict[str, str]:
    """Divide photos into train and the splits of `fractions` (test, val or both): SHA-256 -> split."""
    by_class = collections.defaultdict(list)
    for group in _groups(photos, seed):
        by_class[group.class_name].append(group)
    counts = collections.Counter(name for name, _ in {(row["class_name"], row["sha256"]) for row in photos})
    group_counts = collections.Counter(name for name, _ in {(row["class_name"], _name(row)) for row in photos})
    split_of: dict[str, str] = {}
    placed: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)  # class name -> split
    for class_name in sorted(counts, key=lambda name: (counts[name], name)):
        if group_counts[class_name] <= len(fractions):
            raise InputError(
                f"class {class_name!r} has {group_counts[class_name]} photos that are not copies of one another, "
                f"expected {1 + len(fractions)} or more, one for each split (it has {counts[class_name]} photos, but "
                "near-duplicates count as one): add other photos, or set near_duplicates=ignore"
            )
        groups = sorted(by_class[class_name], key=lambda group: group.rank)
        splits = _divided(class_name, groups, counts[class_name], fractions, placed[class_name])
        for group, split in zip(groups, splits, strict=True):
            for sha256, name in {photo["sha256"]: photo["class_name"] for photo in group.photos}.items():
                split_of[sha256] = split
                placed[name][split] += 1
    return split_of


def _groups(photos: list[dict], seed: int) -> list[_Group]:
    counts = collections.Counter(photo["class_name"] for photo in photos)
    members = collections.defaultdict(list)
    for photo in photos:
        members[_name(photo)].append(photo)
    groups = []
    for of_group in members.values():
        rank = min(_rank(seed, photo["sha256"]) for photo in of_group)
        rarest = min({photo["class_name"] for photo in of_group}, key=lambda name: (counts[name], name))
        groups.append(_Group(of_group, rank, rarest))
    return groups


def _divided(
    class_name: str, groups: list[_Group], count: int, fractions: dict[str, float], placed: collections.Counter
) -> list[str]:
    """Return the split of each ranked group of a class with `count` photos, some of which may be placed already.

    A scene of more than twice a share goes to train: a test that is mostly one scene says little.
    """
    sizes = [len({p["sha256"] for p in group.photos if p["class_name"] == class_name}) for group in groups]
    division = ["train"] * len(groups)
    for split, order in (("test", range(len(groups))), ("val", range(len(groups))[::-1])):
        if split in fractions:
            share, free = _share(fractions[split], count), [i for i in order if division[i] == "train"]
            small = [i for i in free if sizes[i] <= 2 * share] or sorted(free, key=lambda i: sizes[i])[:1]
            least = 0 if placed[split] else 1
            for i in small[: _taken([sizes[i] for i in small], share - placed[split], least)]:
                division[i] = split
    if not placed["train"] and "train" not in division:
        named = " and ".join(f"{split}_fraction {fraction}" for split, fraction in fractions.items())
        raise InputError(
            f"{named} leave none of the {count} photos of class {class_name!r} to train on: lower them or add photos"
        )
    return division


def _taken(sizes: list[int], photos: int, least: int) -> int:
    """Return how many of the first groups come closest to a number of photos; at least `least`."""
    taken = total = 0
    for size in sizes:
        if taken >= least and total + size / 2 > photos:
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
