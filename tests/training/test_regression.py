"""The fit against scikit-learn; what its data are held in, and where it starts, does not matter."""

import numpy as np
import pytest

from bears_tl.training import regression
from bears_tl.training.regression import Examples, fit, log_softmax

WIDTHS = (6, 10)


def made_up(count=150, views=2, classes=3):
    rng = np.random.default_rng(0)
    features = rng.random((count, views, sum(WIDTHS))).astype(np.float32) * ([5.0] * WIDTHS[0] + [0.2] * WIDTHS[1])
    logits = features[:, 0] @ rng.normal(size=(sum(WIDTHS), classes)) + rng.gumbel(size=(count, classes))
    return features.astype(np.float32), np.eye(classes)[logits.argmax(1)]


def shares(found, features):
    return np.exp(log_softmax(features.reshape(-1, features.shape[-1]) @ found.kernel + found.bias))


@pytest.mark.parametrize("decay", [10.0, 0.1, 0.003])
def test_the_optimum_is_that_of_scikit_learn(decay):
    from sklearn.linear_model import LogisticRegression

    features, targets = made_up()
    targets[:30] *= 4.0  # heavier photos
    examples = Examples.of(features, targets, WIDTHS)
    found = fit(examples, decay)
    scaled = (features.reshape(-1, sum(WIDTHS)) - examples.shift) / examples.scale
    judge = LogisticRegression(C=1 / decay, tol=1e-8, max_iter=10_000)
    judge.fit(scaled, targets.argmax(1).repeat(2), sample_weight=targets.sum(1).repeat(2) / 2)
    assert np.abs(shares(found, features) - judge.predict_proba(scaled)).max() < 2e-3


def test_smoothed_targets_are_photos_of_several_classes():
    features, targets = made_up()
    smoothed = 0.9 * targets + 0.1 / 3
    found = fit(Examples.of(features, smoothed, WIDTHS), 0.1)
    thrice = np.concatenate([features] * 3)
    parts = np.concatenate([np.eye(3)[[i]].repeat(len(features), 0) * smoothed[:, [i]] for i in range(3)])
    apart = fit(Examples.of(thrice, parts, WIDTHS), 0.1)
    assert np.abs(shares(found, features) - shares(apart, features)).max() < 2e-3


def test_more_views_of_the_same_pixels_change_nothing():
    features, targets = made_up(views=1)
    one = fit(Examples.of(features, targets, WIDTHS), 0.1)
    three = fit(Examples.of(features.repeat(3, axis=1), targets, WIDTHS), 0.1)
    assert np.abs(shares(one, features) - shares(three, features)).max() < 1e-3


def test_depths_of_any_scale_are_decayed_alike():
    features, targets = made_up()
    found = fit(Examples.of(features, targets, WIDTHS), 1.0)
    larger = features * np.float32([64.0] * WIDTHS[0] + [1.0] * WIDTHS[1])
    again = fit(Examples.of(larger, targets, WIDTHS), 1.0)
    assert np.abs(shares(found, features) - shares(again, larger)).max() < 1e-3


def test_streamed_chunks_and_a_warm_start_give_the_same_weights(monkeypatch):
    features, targets = made_up()
    held = fit(Examples.of(features, targets, WIDTHS), 0.1)
    monkeypatch.setattr(regression, "HELD_BYTES", 0)
    monkeypatch.setattr(regression, "CHUNK_ROWS", 64)
    examples = Examples.of(features, targets, WIDTHS)
    streamed = fit(examples, 0.1)
    warm = fit(examples, 0.1, fit(examples, 3.0))
    for other in (streamed, warm):
        assert np.abs(shares(held, features) - shares(other, features)).max() < 1e-3
    some = np.arange(0, 150, 3)
    of_rows = fit(Examples.of(features, targets, WIDTHS, some), 0.1)
    of_array = fit(Examples.of(features[some], targets[some], WIDTHS), 0.1)
    assert np.array_equal(of_rows.kernel, of_array.kernel)


def test_features_without_variance_do_not_hurt():
    features, targets = made_up()
    features[..., : WIDTHS[0]] = 0
    found = fit(Examples.of(features, targets, WIDTHS), 0.1)
    assert np.isfinite(found.kernel).all() and (found.kernel[: WIDTHS[0]] == 0).all()


def test_each_step_is_reported_and_the_loss_falls():
    features, targets = made_up()
    steps = []
    found = fit(Examples.of(features, targets, WIDTHS), 0.1, watch=steps.append)
    assert steps[-1].loss == found.loss < steps[0].loss <= np.log(3) and 0.5 < found.accuracy <= 1
    short = fit(Examples.of(features, targets, WIDTHS), 0.1, most_steps=2)
    assert short.loss == steps[1].loss


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(refused, value):
    features, targets = made_up()
    features[7, 0, 3] = value
    with refused("not finite", "bears features --info"):
        Examples.of(features, targets, WIDTHS)
