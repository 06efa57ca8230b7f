import numpy as np
import pytest

from bears_tl.config import RunConfig
from bears_tl.training import finder
from bears_tl.training.finder import DIVERGED, RangeTest, range_test


def made_up(count, depth=64, views=2):
    draw = np.random.default_rng(0)
    labels = draw.integers(3, size=count)
    features = draw.random((count, views, depth), dtype=np.float32)
    features[np.arange(count), :, labels] += 1
    return features, labels


@pytest.fixture(scope="module")
def tested():
    return range_test(*made_up(200), 3, RunConfig())


def test_rates_rise_by_one_factor_and_stop_where_the_loss_diverges(tested):
    rates, smoothed = tested.learning_rates, tested.smoothed
    assert rates[0] == pytest.approx(1e-7) and np.ptp(np.diff(np.log(rates))) < 1e-9
    assert rates[1] / rates[0] == pytest.approx(1e8 ** (1 / 99))  # a hundred steps would end at 10
    assert len(rates) == len(tested.losses) == len(smoothed)
    bests = np.minimum.accumulate(smoothed)
    assert (smoothed[:-1] <= DIVERGED * bests[:-1]).all()
    assert smoothed[-1] > DIVERGED * bests[-1] or len(rates) == finder.STEPS


def test_the_first_steps_change_nothing_and_later_ones_do(tested):
    assert tested.losses[:10] == pytest.approx(np.log(3), abs=1e-3)  # a new head knows nothing of three classes
    assert tested.smoothed.min() < np.log(3) - 0.01


def test_smoothing_is_a_weighted_mean_of_the_losses_so_far(tested):
    last = 40
    weights = finder.SMOOTHING ** np.arange(last, -1, -1)
    assert tested.smoothed[last] == pytest.approx(np.average(tested.losses[: last + 1], weights=weights))


def test_the_suggestions_lie_where_the_loss_falls_fastest_and_a_tenth_before_its_minimum():
    rates = np.geomspace(1e-5, 1, 6)
    found = RangeTest(rates, np.zeros(6), np.array([2, 2, 1, 0.6, 0.5, 3]))
    assert found.steepest == pytest.approx(1e-3)
    assert found.tenth_of_minimum == pytest.approx(1e-2)


def test_the_same_seed_gives_the_same_test_and_another_seed_another(tested):
    again, other = (range_test(*made_up(200), 3, RunConfig(seed=seed)) for seed in (0, 1))
    assert np.array_equal(again.losses, tested.losses)
    assert not np.array_equal(other.losses, tested.losses[: len(other.losses)])


def test_fewer_photos_than_a_batch_are_enough():
    assert len(range_test(*made_up(7), 3, RunConfig(batch_size=40)).losses) > 20


def test_a_loss_that_is_no_number_ends_the_test():
    features, labels = made_up(80)
    assert np.isfinite(range_test(features * np.float32(1e37), labels, 3, RunConfig()).smoothed).all()
