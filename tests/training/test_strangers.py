"""Strangers: the promised coverage, the bits of a photo alone, and the size beside the head."""

import numpy as np
import pytest
from mapie.regression import SplitConformalRegressor
from sklearn.dummy import DummyRegressor

from bears_tl.errors import InputError
from bears_tl.training import strangers as strangers_
from bears_tl.training.strangers import Strangers, auroc, conformal_threshold, learn, leave_classes_out


def made_up(count, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centers = np.abs(np.random.default_rng(99).normal(size=(classes, 2048)))
    return (centers[labels] + 0.5 * np.abs(rng.normal(size=(count, 2048))))[:, None].astype(np.float32), labels


def test_known_photos_are_accepted_as_promised_over_a_thousand_draws():
    rng, covered = np.random.default_rng(0), []
    for _ in range(1000):
        scores = rng.gamma(2.0, size=200)
        covered.append((scores[100:] <= conformal_threshold(scores[:100])).mean())
    assert np.mean(covered) + 0.002 >= 0.95 and np.mean(covered) < 0.965


@pytest.mark.parametrize(("count", "rank"), [(20, 20), (39, 38), (100, 96)])
def test_the_threshold_is_the_conformal_quantile_of_mapie(count, rank):
    scores = np.random.default_rng(count).permutation(count) / count
    assert conformal_threshold(scores) == np.sort(scores)[rank - 1]
    # MAPIE's residual is the score, if the regressor always says 0: so is the half width of its interval
    always_0 = DummyRegressor(strategy="constant", constant=0.0).fit(np.zeros((2, 1)), np.zeros(2))
    split_conformal = SplitConformalRegressor(always_0, confidence_level=0.95, prefit=True)
    split_conformal.conformalize(np.zeros((count, 1)), scores)
    _, interval = split_conformal.predict_interval(np.zeros((1, 1)))
    assert conformal_threshold(scores) == interval[0, 1, 0]


@pytest.mark.parametrize("count", [0, 1, 18])
def test_too_few_photos_refuse_nobody(count):
    assert conformal_threshold(np.zeros(count)) == 1.0
    assert conformal_threshold(np.zeros(19)) == 0.0


def test_strangers_are_told_from_known_photos():
    features, labels = made_up(150)
    val, _ = made_up(60, seed=1)
    found = learn(features, labels, np.arange(150) % 5, val, 0)
    new, _ = made_up(300, seed=2)
    others = np.abs(np.random.default_rng(5).normal(size=(50, 2048)))
    assert np.mean([row["known"] == "true" for row in found.answer_all(new)]) > 0.9
    assert all(row["known"] == "false" for row in found.answer(others))


def test_a_photo_gets_the_same_bits_alone_and_among_others():
    features, labels = made_up(40)
    found = learn(features, labels, None, features[:5], 0)
    together = found.strangeness(features[:, 0])
    assert np.array_equal(together, np.concatenate([found.strangeness(row) for row in features]))
    assert np.array_equal(found.strangeness(features[::-1, 0]), together[::-1])


def test_ten_thousand_photos_take_two_megabytes_at_most(tmp_path, monkeypatch):
    features, labels = made_up(2000)
    found = learn(np.concatenate([features] * 5), np.concatenate([labels] * 5), None, features[:10], 0)
    found.save(tmp_path / "strangers.npz")
    assert (tmp_path / "strangers.npz").stat().st_size < 2e6
    again = Strangers.load(tmp_path / "strangers.npz")
    assert np.array_equal(again.strangeness(features[:9, 0]), found.strangeness(features[:9, 0]))
    monkeypatch.setattr(strangers_, "MOST_EXAMPLES", 10)
    rare = np.array([0] * 90 + [1] * 5 + [2] * 5)
    few = learn(made_up(100)[0], rare, None, features[:5], 0)
    assert len(few.examples) == 10  # three or four of each class, the rare ones included
    again = learn(made_up(100)[0], rare, None, features[:5], 1)
    assert not np.array_equal(again.examples, few.examples)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 broken"])
def test_what_is_something_else_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "strangers.npz").write_bytes(content)
    with pytest.raises(InputError, match="train the run again"):
        Strangers.load(tmp_path / "strangers.npz")


def test_classes_are_left_out_in_turn():
    features, labels = made_up(90)
    val, val_labels = made_up(60, seed=1)
    rows = leave_classes_out(features, labels, val, val_labels, 0)
    assert [row["label"] for row in rows] == [0, 1, 2] and all(row["auroc"] > 0.95 for row in rows)
    (alone,) = leave_classes_out(features[:, :], np.zeros(90, int), val, val_labels, 0)
    assert alone["auroc"] is None


def test_auroc_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    familiar, strange = rng.integers(0, 9, 40), rng.integers(3, 12, 30)
    expected = roc_auc_score([0] * 40 + [1] * 30, [*familiar, *strange])
    assert auroc(familiar, strange) == pytest.approx(expected)
