import numpy as np
import pytest

from bears_tl.judging.cues import CUE_COLUMNS, cue_warnings, judge_cue
from bears_tl.judging.metrics import wilson_interval


def row(hits, body_accuracy, cue="image_size"):
    labels = np.zeros(100, int)
    probabilities = np.eye(2)[(np.arange(100) >= hits).astype(int)]
    return judge_cue(cue, 3, labels, probabilities, body_accuracy)


def test_a_row_counts_and_has_wilsons_interval():
    found = row(80, 0.99)
    assert list(found) == CUE_COLUMNS
    assert (found["count"], found["errors"], found["accuracy"], found["numbers"]) == (100, 20, 0.8, 3)
    assert (found["interval_low"], found["interval_high"]) == wilson_interval(80, 100)


@pytest.mark.parametrize(("hits", "warned"), [(89, False), (90, True), (95, True), (99, True), (0, False)])
def test_a_cue_within_five_points_of_the_body_or_beyond_is_warned_of(hits, warned):
    found = cue_warnings([row(hits, 0.95), row(10, 0.95, "colour")])
    assert len(found) == warned
    for sentence in found:
        assert f"image size alone gets {hits}.0%" in sentence and "95.0%" in sentence and "colour" not in sentence
