import numpy as np
import pytest

from bears_tl.training.folds import FOLDS, assign, out_of_fold

LABELS = np.repeat([0, 1, 2], [40, 25, 12])
GROUPS = [f"{i // 2 if i < 20 else i}" for i in range(len(LABELS))]  # the first twenty are ten pairs


def test_folds_keep_groups_together_and_spread_classes():
    fold = assign(GROUPS, LABELS, 0)
    assert set(fold) == set(range(FOLDS))
    assert all(len({fold[i] for i, other in enumerate(GROUPS) if other == group}) == 1 for group in set(GROUPS))
    for label, most in ((0, 10), (1, 5), (2, 3)):
        assert np.bincount(fold[label == LABELS]).max() <= most


def test_folds_follow_from_content_and_seed():
    fold = assign(GROUPS, LABELS, 0)
    order = np.random.default_rng(1).permutation(len(LABELS))
    shuffled = assign([GROUPS[i] for i in order], LABELS[order], 0)
    assert (shuffled == fold[order]).mean() == 1
    assert (assign(GROUPS, LABELS, 1) != fold).any()


@pytest.mark.parametrize(("sizes", "folds"), [((2, 9), 2), ((4, 4), 4), ((1, 9), None), ((0,), None)])
def test_small_classes_make_fewer_folds_or_none(sizes, folds):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    fold = assign([str(i) for i in range(len(labels))], labels, 0)
    assert fold is None if folds is None else fold.max() + 1 == folds


def test_no_photo_is_predicted_by_a_head_that_has_seen_it():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=60)
    features = rng.random((60, 1, 400), dtype=np.float32)  # nothing to learn but the photos themselves
    fold = assign([str(i) for i in range(60)], labels, 0)
    fold[::10] = -1
    found = out_of_fold(features, labels, np.eye(2)[labels], (400,), fold)
    for shares in found.values():
        assert not shares[::10].any() and np.allclose(shares[fold >= 0].sum(1), 1)
        assert (shares.argmax(1) == labels)[fold >= 0].mean() < 0.75
    (same,) = out_of_fold(features, labels, np.eye(2)[labels], (400,), fold, [1.0]).values()
    changed = np.where(fold == 0, 1 - labels, labels)
    (other,) = out_of_fold(features, changed, np.eye(2)[changed], (400,), fold, [1.0]).values()
    assert np.allclose(same[fold == 0], other[fold == 0]) and not np.allclose(same[fold == 1], other[fold == 1])
