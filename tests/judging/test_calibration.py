"""Temperature, calibration error and reliability, against made-up photos whose truth is known."""

import numpy as np
import pytest

from bears_tl.judging.calibration import calibration_error, fit_temperature, judge_calibration, reliability, sure_from


def drawn(temperature, count=4000, classes=4):
    """Draw logits, and labels from their softmax, then multiply the logits: too sure if temperature is above 1."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, classes))
    return logits * temperature, (logits + rng.gumbel(size=logits.shape)).argmax(1)


def shares(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_found_and_calibrates(temperature):
    logits, labels = drawn(temperature)
    found, (low, high) = fit_temperature(logits, labels)
    assert low < temperature < high and found == pytest.approx(temperature, rel=0.06)
    assert judge_calibration(labels, shares(logits / found))["ece"] < 0.02
    if temperature != 1:
        assert judge_calibration(labels, shares(logits))["ece"] > 0.03


def test_fewer_photos_have_a_wider_interval():
    logits, labels = drawn(2.0)
    wide, narrow = (fit_temperature(logits[:count], labels[:count])[1] for count in (60, 4000))
    assert wide[1] / wide[0] > 3 * narrow[1] / narrow[0] / 2


def test_photos_that_are_all_right_do_not_make_it_certain():
    logits, labels = np.full((54, 3), -6.0), np.arange(54) % 3
    logits[np.arange(54), labels] = 6.0
    found, _ = fit_temperature(logits, labels)
    confidence = shares(logits / found).max(1)
    assert confidence == pytest.approx(55 / 56, abs=0.002)


def test_no_photos_change_nothing():
    found, (low, high) = fit_temperature(np.empty((0, 3)), np.empty(0, int))
    assert found == 1 and (low, high) == pytest.approx((0.1, 10))
    assert judge_calibration(np.empty(0, int), np.empty((0, 3))) == {
        "ece": None, "cross_entropy": None, "reliability": [],
    }  # fmt: skip


def test_the_bins_count_every_photo_once_at_their_borders_too():
    confidences = np.array([0.5, 0.6, 2 / 3, 0.75, 1.0, 1.0])
    bins = reliability(np.zeros(6, int), np.stack([confidences, 1 - confidences], 1))
    assert sum(row["count"] for row in bins) == 6 and bins[-1]["count"] == 2
    for row in bins:
        assert row["low"] - 1e-9 <= row["confidence"] <= row["high"] + 1e-9


def test_the_calibration_error_is_the_mean_gap():
    # 10 photos at 0.9 of which 7 are right, 10 at 0.6 of which 6 are: gaps of 0.2 and 0
    chances = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    labels = np.array([0] * 7 + [1] * 3 + [0] * 6 + [1] * 4)
    assert calibration_error(reliability(labels, chances)) == pytest.approx(0.1)


def test_an_answer_is_sure_where_the_accuracy_surely_reaches():
    assert sure_from(0, 0) == 0 and 0.9 < sure_from(0, 40) < sure_from(0, 400) < 1
    assert sure_from(40, 400) < 0.9 and sure_from(400, 400) == 0
