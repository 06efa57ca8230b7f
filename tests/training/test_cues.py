import numpy as np
import pytest
import scipy.optimize

from bears_tl.training.cues import classify

LABELS = np.arange(300) % 3
SPLITS = np.array(["train", "train", "val", "test", "train"])[np.arange(300) % 5]


def hits(numbers):
    probabilities = classify(numbers, LABELS, SPLITS, 3)
    assert probabilities.shape == (60, 3) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    return (probabilities.argmax(axis=1) == LABELS[SPLITS == "test"]).mean()


def test_numbers_that_tell_are_found_in_any_scale_and_noise_is_not():
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(300, 4))
    telling = noise.copy()
    telling[:, 0] += 6 * LABELS
    assert hits(telling) > 0.9
    assert hits(telling * [1e6, 1e-6, 1, 1] + 1e4) > 0.9
    assert hits(noise) < 0.6


def test_a_number_that_is_the_same_for_all_train_photos_is_not_used():
    numbers = np.full((300, 1), 0.1)
    numbers[SPLITS == "test"] = LABELS[SPLITS == "test", np.newaxis]
    assert hits(numbers) == (LABELS[SPLITS == "test"] == 0).mean()  # the same prediction for all photos


def test_test_photos_take_no_part_in_training():
    numbers = np.random.default_rng(0).normal(size=(300, 2)) + LABELS[:, np.newaxis]
    others = LABELS.copy()
    others[SPLITS == "test"] = 0
    assert np.array_equal(classify(numbers, LABELS, SPLITS, 3), classify(numbers, others, SPLITS, 3))


def test_the_gradient_is_that_of_the_loss(monkeypatch):
    numbers = np.random.default_rng(0).normal(size=(300, 2)) + LABELS[:, np.newaxis]

    def check(function, start, **options):
        at = np.random.default_rng(1).normal(size=start.size)
        numeric = scipy.optimize.approx_fprime(at, lambda flat: function(flat)[0], 1e-6)
        assert function(at)[1] == pytest.approx(numeric, rel=1e-4, abs=1e-3)
        return scipy.optimize.OptimizeResult(x=at)

    monkeypatch.setattr(scipy.optimize, "minimize", check)
    classify(numbers, LABELS, SPLITS, 3)
