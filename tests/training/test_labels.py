"""Wrong labels are found among as many suggestions, whatever speaks against them."""

import numpy as np
import pytest

from bears_tl.training import folds, strangers
from bears_tl.training.labels import LABEL_COLUMNS, list_suspects, predict_again

NAMES = ["Grizzly", "Panda", "Polar"]


def made_up(count=300, noise=1.0):
    rng = np.random.default_rng(0)
    true = np.arange(count) % 3
    features = np.abs(rng.normal(size=(3, 40)))[true] * 3 + noise * rng.normal(size=(count, 40))
    return features[:, None].astype(np.float32), true


def predict(features, labels):
    fold = folds.assign([str(i) for i in range(len(labels))], labels, 0)
    return predict_again(features, labels, (40,), fold)


def rows_of(labels, groups=None):
    return [
        {"path": f"{i}.png", "sha256": str(i), "split": "train", "class_name": NAMES[label], "group": ""}
        | ({"group": groups[i]} if groups else {})
        for i, label in enumerate(labels)
    ]


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_flipped_labels_come_first_with_the_true_class_as_the_suggestion(share):
    features, true = made_up()
    flipped, labels = np.random.default_rng(1).permutation(len(true))[: round(share * len(true))], true.copy()
    labels[flipped] = (labels[flipped] + 1) % 3
    shares = predict(features, labels)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    found = list_suspects(rows_of(labels), NAMES, shares, np.zeros(len(labels)), 1.0)
    first = found[: len(flipped)]
    assert {row["path"] for row in first} == {f"{i}.png" for i in flipped}
    assert all(row["suggested"] == NAMES[true[int(row["sha256"])]] and row["reason"] == "label" for row in first)
    given = [row["probability_given"] for row in found]
    assert given == sorted(given) and all(list(row) == LABEL_COLUMNS for row in found)
    assert all(0 <= row["probability_given"] < row["probability_suggested"] <= 1 for row in first)


def test_right_labels_that_are_easy_make_no_suspects():
    features, true = made_up(noise=0.1)
    assert list_suspects(rows_of(true), NAMES, predict(features, true), np.zeros(len(true)), 1.0) == []


def test_a_class_that_no_photo_is_taken_for_keeps_its_photos():
    features, labels = made_up()
    labels = np.where(labels == 2, 0, labels)
    odd = np.flatnonzero(labels == 0)[::20]  # a twentieth of class 0, and the same as it
    labels[odd] = 2
    shares = predict(features, labels)
    alone = np.delete(np.arange(len(labels)), odd)
    assert shares[alone, 2].max() > 0.02, "class 2 would have no probability if nothing was learned of it"


def test_near_duplicates_with_different_labels_are_found_with_and_without_probabilities():
    labels, groups = np.array([0, 0, 1, 1]), ["a", "b", "b", "d"]
    for shares in (None, np.array([[0.9, 0.1, 0], [0.7, 0.3, 0], [0.6, 0.4, 0], [0.1, 0.9, 0]])):
        (row,) = list_suspects(rows_of(labels, groups), NAMES, shares, np.zeros(4), 1.0)
        assert (row["path"], row["suggested"], row["reason"]) == (("2.png", "Grizzly", "near_duplicate"))
        assert row["probability_given"] == ("" if shares is None else 0.4)


def test_strangers_come_last_the_strangest_first_and_without_a_suggestion():
    labels, shares = np.array([0, 0, 0, 1]), np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.3, 0.7, 0], [0.1, 0.9, 0]])
    found = list_suspects(rows_of(labels), NAMES, shares, np.array([0.5, 0.8, 0.1, 0.2]), 0.2)
    assert [(row["path"], row["reason"], row["suggested"]) for row in found] == [
        ("2.png", "label", "Panda"), ("1.png", "stranger", ""), ("0.png", "stranger", ""),
    ]  # fmt: skip


def test_placeholders_are_the_strangest_photos_in_any_fold():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    features = np.abs(rng.normal(size=(2, 2048)))[labels] + 0.5 * np.abs(rng.normal(size=(200, 2048)))
    features[[7, 150]] = np.abs(rng.normal(size=(2, 2048)))
    fold = folds.assign([str(i) for i in range(200)], labels, 0)
    found = strangers.compare_folds(features[:, None].astype(np.float32), labels, fold, 0)
    assert set(np.argsort(found)[-2:]) == {7, 150} and found.min() >= 0 and found.max() <= 1
