"""Trials on made-up outcomes, whose pairs can be counted by hand."""

import pytest

from bears_tl.judging.metrics import wilson_interval
from bears_tl.judging.paired import BASE, TRIAL_COLUMNS, Outcome, judge_trials, table


def outcome(hits, val_loss, **measured):
    named = {f"photo_{i}": hit == "1" for i, hit in enumerate(hits)}
    measured = {"test_loss": 0.5, "epochs": 10, "features_seconds": 1.0, "train_seconds": 2.0} | measured
    return Outcome(named, val_loss, **measured)


OUTCOMES = {
    BASE: [outcome("1100", 0.3), outcome("1111", 0.1)],
    "epochs=3": [outcome("1011", 0.2, epochs=3), outcome("0111", 0.15, epochs=3, train_seconds=4.0)],
}


def test_pairs_are_counted_within_their_seed():
    base, trial = judge_trials(OUTCOMES)
    assert list(base) == list(trial) == TRIAL_COLUMNS
    assert (trial["only_base_right"], trial["only_trial_right"]) == (2, 2)
    assert (trial["p_value"], trial["seeds"], trial["photos"], trial["errors"]) == (1, 2, 8, 2)
    assert (trial["accuracy"], trial["low"], trial["high"]) == (6 / 8, *wilson_interval(6, 8))
    assert base["errors"] == 2 and base["p_value"] == base["only_base_right"] == base["val_loss_change"] == ""


def test_the_order_of_the_photos_in_a_seed_does_not_matter():
    base, trial = (OUTCOMES[name] for name in OUTCOMES)
    turned = [outcome("", 0) for _ in trial]
    for before, after in zip(trial, turned, strict=True):
        after.hits.update(reversed(before.hits.items()))
    assert judge_trials({BASE: base, "t": turned})[1]["only_base_right"] == 2


def test_a_trial_that_wins_every_photo_has_the_p_of_so_many_heads():
    found = judge_trials({BASE: [outcome("00000000", 1)], "epochs=3": [outcome("11111111", 1)]})[1]
    assert (found["only_base_right"], found["only_trial_right"], found["p_value"]) == (0, 8, 2 / 2**8)


def test_losses_are_means_with_the_lowest_and_highest_change_and_the_rest_medians():
    trial = judge_trials(OUTCOMES)[1]
    assert trial["val_loss"] == pytest.approx(0.175)
    changes = [trial[name] for name in ("val_loss_change", "change_low", "change_high")]
    assert changes == pytest.approx([-0.025, -0.1, 0.05])
    assert (trial["epochs"], trial["train_seconds"], trial["test_loss"]) == (3, 3.0, 0.5)


def test_the_table_has_a_line_a_trial_and_leaves_the_base_uncompared():
    lines = table(judge_trials(OUTCOMES), ["Measured."]).splitlines()
    (base,) = [line for line in lines if line.startswith("| base")]
    (trial,) = [line for line in lines if line.startswith("| epochs=3")]
    assert "2 of 8" in base and "/" not in base
    assert "2 / 2" in trial and "-0.0250 (-0.1000 to +0.0500)" in trial
    assert base.count("|") == trial.count("|") == lines[2].count("|") == lines[3].count("|")
