"""The split is exact in each class, decided by content alone, and hardly moves when photos come or go."""

import collections
import hashlib
import math
import random
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bears_tl.errors import InputError
from bears_tl.photos.splits import (
    SPLIT_COLUMNS,
    SPLITS,
    count_moved,
    count_splits,
    find_leaks,
    has_exact_shares,
    keep_given_split,
    keeps_groups_together,
    split_photos,
)

SHARES = {"test_fraction": 0.2, "val_fraction": 0.1}


def photos(count, class_name="Panda", seed=0):
    draw = random.Random(f"{class_name} {seed}")
    return [
        {"path": f"{class_name}/{i}.jpg", "class_name": class_name, "sha256": f"{draw.getrandbits(256):064x}"}
        for i in range(count)
    ]


def split_of(rows):
    return {row["sha256"]: row["split"] for row in rows}


def moved(before, after):
    """Count the photos that are in both and lie in another split."""
    old, new = split_of(before), split_of(after)
    return sum(old[sha256] != new[sha256] for sha256 in old.keys() & new.keys())


def rounded_half_up(fraction, count):
    return max(1, math.floor(Fraction(fraction) * count + Fraction(1, 2)))


def test_counts_are_exact_in_each_class():
    for count in [*range(5, 120), 224, 253, 328, 338, 999, 1000]:
        rows = split_photos(photos(count) + photos(2 * count, "Polar"), **SHARES)
        for class_name, members in (("Panda", count), ("Polar", 2 * count)):
            counts = count_splits(rows)[class_name]
            test, val = rounded_half_up("0.2", members), rounded_half_up("0.1", members)
            assert counts == {"train": members - test - val, "val": val, "test": test}
            assert min(counts.values()) >= 1


def test_rows_are_those_of_the_photos_in_their_order():
    given = photos(20) + photos(9, "Polar")
    rows = split_photos(given, **SHARES)
    assert [row["path"] for row in rows] == [photo["path"] for photo in given]
    assert all(list(row) == SPLIT_COLUMNS and row["split"] in SPLITS for row in rows)


def test_counts_name_all_splits_and_sort_the_classes():
    rows = [
        {"class_name": "b", "split": "test"},
        {"class_name": "a", "split": "val"},
        {"class_name": "b", "split": "test"},
    ]
    assert count_splits(rows) == {"a": {"train": 0, "val": 1, "test": 0}, "b": {"train": 0, "val": 0, "test": 2}}
    assert list(count_splits(rows)) == ["a", "b"]


def test_neither_order_nor_names_nor_places_matter():
    given = photos(60) + photos(33, "Polar")
    expected = split_of(split_photos(given, **SHARES))
    shuffled = random.Random(1).sample(given, len(given))
    renamed = [photo | {"path": f"{photo['class_name']}/deep/er/{i} new.png"} for i, photo in enumerate(shuffled)]
    assert split_of(split_photos(renamed, **SHARES)) == expected


def test_a_class_does_not_matter_to_the_others():
    alone = split_of(split_photos(photos(60), **SHARES))
    together = split_of(split_photos(photos(500, "Polar") + photos(60), **SHARES))
    assert all(together[sha256] == split for sha256, split in alone.items())


def test_another_seed_is_another_split_and_the_same_seed_the_same():
    given = photos(200)
    splits = [split_of(split_photos(given, **SHARES, seed=seed)) for seed in (0, 0, 1, 10)]
    assert splits[0] == splits[1]
    assert len({tuple(sorted(split.items())) for split in splits}) == 3


def test_each_photo_comes_to_the_test_under_some_seed():
    given = photos(30)
    tested = set()
    for seed in range(100):
        tested |= {row["sha256"] for row in split_photos(given, **SHARES, seed=seed) if row["split"] == "test"}
    assert tested == {photo["sha256"] for photo in given}


def test_all_copies_of_a_content_lie_in_one_split():
    given = photos(50)
    copies = [photo | {"path": f"copy {i} of {photo['path']}"} for photo in given for i in range(3)]
    rows = split_photos(given + copies, **SHARES)
    for photo in given:
        same = [row for row in rows if row["sha256"] == photo["sha256"]]
        assert len(same) == 4 and len({row["split"] for row in same}) == len({row["group"] for row in same}) == 1
    assert split_of(rows) == split_of(split_photos(given, **SHARES))  # copies do not count twice


@pytest.mark.parametrize(("count", "test", "val"), [(5, 0.8, 0.1), (6, 0.5, 0.5), (3, 0.5, 0.2)])
def test_fractions_that_leave_nothing_to_train_on_are_refused(count, test, val, refused):
    with refused("'Panda'", f"none of the {count} photos", str(test), str(val)):
        split_photos(photos(count), test, val)


def test_one_class_that_is_too_small_is_enough_to_refuse(refused):
    with refused("'Polar'", "2 photos that are not copies", "3 or more"):
        split_photos(photos(50) + photos(2, "Polar"), **SHARES)


def test_one_photo_to_train_on_is_enough():
    assert count_splits(split_photos(photos(3), **SHARES)) == {"Panda": {"train": 1, "val": 1, "test": 1}}


def test_photos_added_one_by_one_move_at_most_two_others_each():
    for seed in range(5):
        given = photos(150, seed=seed)
        for count in range(5, 150):
            before, after = (split_photos(given[:size], **SHARES, seed=seed) for size in (count, count + 1))
            assert moved(before, after) <= 2


def test_a_photo_taken_away_moves_at_most_two_others():
    given = photos(61)
    whole = split_photos(given, **SHARES)
    for i in range(len(given)):
        assert moved(whole, split_photos(given[:i] + given[i + 1 :], **SHARES)) <= 2


def test_n_photos_added_move_fewer_than_n_others_on_average():
    draw = random.Random(0)
    for n in range(1, 31):
        total = 0
        for trial in range(20):
            size = draw.randint(5, 150)
            given = photos(size + n, seed=f"{n} {trial}")
            before, after = (split_photos(given[:count], **SHARES, seed=trial) for count in (size, size + n))
            here = moved(before, after)
            assert here <= (n if n >= 10 else 2 * n)
            total += here
        assert total / 20 <= n


quickly = settings(deadline=None, derandomize=True, max_examples=150)
seeds = st.integers(0, 2**32)
fractions = st.floats(0.02, 0.45)
sizes = st.lists(st.integers(1, 9), min_size=3, max_size=25)
classes = st.dictionaries(st.sampled_from(["Grizzly", "Panda", "Polar"]), sizes, min_size=1)
spanning = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=4)


def group(class_names, seed, name):
    """Return one photo of each class named, all of one group."""
    hashes = [hashlib.sha256(f"{seed} {name} {i}".encode()).hexdigest() for i in range(len(class_names))]
    return [
        {"path": f"{class_name}/{name} {i}.jpg", "class_name": class_name, "sha256": sha256, "group": min(hashes)[:16]}
        for i, (class_name, sha256) in enumerate(zip(class_names, hashes, strict=True))
    ]


def grouped(sizes_of, seed, spans=()):
    """Return photos of classes with groups of these sizes, and of groups with so many photos in each of two classes."""
    rows = [
        photo
        for class_name, of_class in sizes_of.items()
        for i, size in enumerate(of_class)
        for photo in group([class_name] * size, seed, f"{class_name} {i}")
    ]
    names = (list(sizes_of) * 2)[:2]
    for i, (one, two) in enumerate(spans):
        rows += group([names[0]] * one + [names[1]] * two, seed, f"both {i}")
    return random.Random(seed).sample(rows, len(rows))


def divided(given, *fractions_and_seed):
    """Divide photos, or have Hypothesis draw others where the fractions leave none to train on."""
    try:
        return split_photos(given, *fractions_and_seed)
    except InputError:
        assume(False)


@quickly
@given(classes, spanning, fractions, fractions, seeds)
def test_each_photo_has_one_split_no_group_two_and_no_class_lacks_one(sizes_of, spans, test, val, seed):
    given = grouped(sizes_of, seed, spans)
    try:
        rows = split_photos(given, test, val, seed)
    except InputError as error:
        assert "\n" not in str(error) and any(repr(class_name) in str(error) for class_name in sizes_of)
        return
    assert [(row["path"], row["group"]) for row in rows] == [(photo["path"], photo["group"]) for photo in given]
    splits_of = collections.defaultdict(set)
    for row in rows:
        splits_of[row["group"]].add(row["split"])
    assert all(len(splits) == 1 and splits <= set(SPLITS) for splits in splits_of.values())
    assert all(count >= 1 for counts in count_splits(rows).values() for count in counts.values())


@quickly
@given(classes, fractions, fractions, seeds)
def test_shares_are_exact_to_within_half_a_group_or_are_one_group(sizes_of, test, val, seed):
    rows = divided(grouped(sizes_of, seed), test, val, seed)
    for class_name, of_class in sizes_of.items():
        for fraction, split in ((test, "test"), (val, "val")):
            groups = [row["group"] for row in rows if (row["class_name"], row["split"]) == (class_name, split)]
            off = abs(len(groups) - rounded_half_up(fraction, sum(of_class)))
            assert off <= max(of_class) / 2 or (len(set(groups)) == 1 and off < max(of_class))


@quickly
@given(classes, spanning, fractions, fractions, seeds, st.randoms(use_true_random=False))
def test_neither_order_nor_names_matter_to_groups(sizes_of, spans, test, val, seed, draw):
    given = grouped(sizes_of, seed, spans)
    expected = split_of(divided(given, test, val, seed))
    renamed = [photo | {"path": f"{photo['class_name']}/new {i}.png"} for i, photo in enumerate(given)]
    assert split_of(split_photos(draw.sample(renamed, len(renamed)), test, val, seed)) == expected


@quickly
@given(sizes, classes, fractions, fractions, seeds)
def test_a_class_with_groups_of_its_own_does_not_matter_to_the_others(of_class, others, test, val, seed):
    alone = divided(grouped({"Brown": of_class}, seed), test, val, seed)
    together = divided(grouped({"Brown": of_class} | others, seed), test, val, seed)
    assert split_of(alone).items() <= split_of(together).items()


@quickly
@given(st.integers(3, 80), st.integers(1, 40), fractions, fractions, seeds)
def test_n_photos_added_or_taken_away_move_at_most_two_n_others(count, n, test, val, seed):
    more = photos(count + n, seed=seed)
    few = random.Random(seed).sample(more, count)
    assert moved(divided(more, test, val, seed), divided(few, test, val, seed)) <= 2 * n


@quickly
@given(sizes, st.integers(1, 9), fractions, fractions, seeds)
def test_a_group_no_larger_than_the_others_shifts_each_border_by_one_group_at_most(of_class, size, test, val, seed):
    of_class = [other + size - 1 for other in of_class]
    # a scene that outgrows twice a share leaves val or test
    assume(max(of_class) <= 2 * min(rounded_half_up(fraction, sum(of_class)) for fraction in (test, val)))
    few = grouped({"Panda": of_class}, seed)
    before = divided(few, test, val, seed)
    after = divided(few + group(["Panda"] * size, seed, "one more"), test, val, seed)
    assert {row["sha256"] for row in before} < {row["sha256"] for row in after}
    for split in ("test", "val"):
        one, two = ({row["group"] for row in rows if row["split"] == split} for rows in (before, after))
        common = {row["group"] for row in before}
        assert len((one ^ two) & common) <= 1


def test_a_division_that_breaks_its_promises_is_found_out():
    rows = split_photos(photos(40) + photos(20, "Polar", seed=1), 0.2, 0.1)
    assert has_exact_shares(rows, 0.2, 0.1) and keeps_groups_together(rows)
    assert not has_exact_shares(rows, 0.4, 0.1) and not has_exact_shares(rows, 0.2, 0.3)
    assert count_moved(rows, rows[:30]) == 0
    assert count_moved(rows, [row | {"split": "test"} for row in rows]) == sum(row["split"] != "test" for row in rows)
    one_group = [row | {"group": "same"} for row in rows]
    assert not keeps_groups_together(one_group)


def test_scenes_with_photos_in_two_classes_give_each_class_its_share():
    rows = [photo for i in range(60) for photo in group(["marked", "plain"], 0, i)]
    counts = count_splits(split_photos(rows, **SHARES))
    assert counts == {name: {"train": 42, "val": 6, "test": 12} for name in ("marked", "plain")}


def test_a_rare_class_that_shares_all_its_scenes_keeps_its_share():
    rows = [photo for i in range(20) for photo in group(["rare", "usual", "usual"], 0, i)] + photos(200, "usual")
    split = split_photos(rows, **SHARES)
    assert keeps_groups_together(split)
    assert count_splits(split) == {
        "rare": {"train": 14, "val": 2, "test": 4},
        "usual": {"train": 168, "val": 24, "test": 48},
    }


def test_a_class_that_is_one_scene_is_refused_with_the_way_on(refused):
    with refused("'empty'", "it has 60 photos", "near_duplicates=ignore"):
        split_photos(photos(50) + group(["empty"] * 60, 0, "camera"), **SHARES)


@pytest.mark.parametrize("seed", range(8))
def test_one_large_scene_is_not_most_of_the_test(seed):
    rows = split_photos(photos(40) + group(["Panda"] * 60, seed, "camera"), **SHARES, seed=seed)
    assert count_splits(rows)["Panda"] == {"train": 70, "val": 10, "test": 20}
    three = [photo for i in (40, 50, 60) for photo in group(["Panda"] * i, seed, i)]  # none is small
    assert count_splits(split_photos(three, 0.1, 0.1, seed))["Panda"] == {"train": 60, "val": 50, "test": 40}


def given_rows(**counts):
    """Return `counts` photos of each of two classes for each given split, each photo its own group."""
    return [
        photo | {"path": f"{split}/{photo['path']}", "group": photo["sha256"][:16], "given_split": split}
        for split, count in counts.items()
        for class_name in ("Panda", "Polar")
        for photo in photos(count, class_name, seed=split)
    ]


def test_a_given_split_is_kept():
    given = given_rows(train=10, val=3, test=4)
    rows = keep_given_split(given, **SHARES)
    assert [row["split"] for row in rows] == [row["given_split"] for row in given]
    assert {row["source"] for row in rows} == {"given"} and list(rows[0]) == SPLIT_COLUMNS


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"train": 20, "test": 4}, {"train": 18, "val": 2, "test": 4}),
        ({"train": 20, "val": 5}, {"train": 16, "val": 5, "test": 4}),
    ],
)
def test_a_missing_split_is_taken_from_train_by_content(given, taken):
    given = given_rows(**given)
    rows = keep_given_split(given, **SHARES)
    assert count_splits(rows) == {"Panda": taken, "Polar": taken}
    assert [row["source"] for row in rows] == [
        "given" if row["split"] == one["given_split"] else "content" for row, one in zip(rows, given, strict=True)
    ]
    assert split_of(rows) == split_of(keep_given_split(random.Random(0).sample(given, len(given)), **SHARES))


def test_near_duplicates_across_a_given_split_are_found_and_moved_only_if_asked():
    given = given_rows(train=6, val=3, test=3)
    alike = {"train/Panda/0.jpg": "a", "test/Panda/0.jpg": "a", "train/Polar/1.jpg": "b", "val/Polar/1.jpg": "b"}
    given = [row | {"group": alike.get(row["path"], row["group"])} for row in given]
    kept = keep_given_split(given, **SHARES)
    assert [row["split"] for row in kept] == [row["given_split"] for row in given]
    assert find_leaks(kept) == [
        ("val/Polar/1.jpg", "train/Polar/1.jpg"), ("test/Panda/0.jpg", "train/Panda/0.jpg"),
    ]  # fmt: skip
    moved = keep_given_split(given, **SHARES, grouped=True)
    assert find_leaks(moved) == [] and keeps_groups_together(moved)
    assert {row["path"]: row["split"] for row in moved if row["source"] == "moved"} == {
        "train/Panda/0.jpg": "test", "train/Polar/1.jpg": "val",
    }  # fmt: skip


def test_a_class_of_the_test_that_was_never_trained_is_refused(refused):
    given = [row for row in given_rows(train=6, test=3) if row["path"][:8] != "train/Po"]
    with refused("'Polar'", "only in test", "test/Polar/0.jpg", "split=content"):
        keep_given_split(given, **SHARES)


def test_a_class_without_given_val_photos_takes_its_own_from_train():
    given = [row for row in given_rows(train=10, val=3, test=3) if row["path"][:6] != "val/Po"]
    assert count_splits(keep_given_split(given, **SHARES)) == {
        "Panda": {"train": 10, "val": 3, "test": 3},
        "Polar": {"train": 9, "val": 1, "test": 3},
    }
