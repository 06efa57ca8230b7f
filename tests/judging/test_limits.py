import pytest

from bears_tl.config import RunConfig
from bears_tl.judging.limits import judge_limits, sentence

TEST = {"count": 100, "accuracy": 0.9, "interval": [0.83, 0.95], "ece": 0.04}
STRANGERS = {"count": 100, "accepted": 95}  # 5 %, interval 2.2 to 11.2 %


@pytest.mark.parametrize(
    ("limits", "short"),
    [
        ({}, ""),
        ({"min_accuracy": 0.83}, ""),
        ({"min_accuracy": 0.84}, "lower end of its 95 % interval, 83.0%, is below min_accuracy 0.84"),
        ({"max_ece": 0.04}, ""),
        ({"max_ece": 0.039}, "calibration error of the test is 0.040, above max_ece 0.039"),
        ({"max_stranger_share": 0.12}, ""),
        ({"max_stranger_share": 0.11}, "upper end of its 95 % interval, 11.2%, is above max_stranger_share 0.11"),
    ],
)
def test_a_limit_is_held_by_the_unfavourable_end_of_the_interval(limits, short):
    rows = judge_limits(TEST, STRANGERS, RunConfig(**limits))
    assert [row["name"] for row in rows] == list(limits) and all(row["passed"] == (not short) for row in rows)
    assert short in sentence(rows) and bool(sentence(rows)) == bool(short)


def test_without_photos_no_limit_is_met():
    nothing = {"count": 0, "accuracy": None, "interval": [0.0, 1.0], "ece": None}
    config = RunConfig(min_accuracy=0.1, max_ece=0.9, max_stranger_share=0.9)
    rows = judge_limits(nothing, {"count": 0, "accepted": 0}, config)
    assert not any(row["passed"] for row in rows) and sentence(rows).count("cannot be checked") == 3
