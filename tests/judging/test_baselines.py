import numpy as np

from bears_tl.judging.baselines import baselines
from bears_tl.judging.predictions import Predictions

SPLITS = [{"split": "train", "class_name": name} for name in "aabbb"] + [{"split": "test", "class_name": "a"}] * 9


def test_the_majority_of_training_photos_is_counted_in_the_test_and_cues_get_a_verdict():
    tests = Predictions([{"class_name": name} for name in "b" * 30 + "a" * 70], np.zeros((100, 2)), ["a", "b"])
    cues = [
        {"cue": cue, "count": "100", "errors": errors} for cue, errors in (("low", "60"), ("near", "12"), ("high", "0"))
    ]
    rows = baselines(SPLITS, tests, {"interval": [0.83, 0.95]}, cues)
    assert [(row["name"], row["errors"], row["verdict"]) for row in rows] == [
        ("majority", 70, "clearly below"), ("low", 60, "clearly below"), ("near", 12, "too few to say"),
        ("high", 0, "clearly above"),
    ]  # fmt: skip


def test_without_test_photos_there_is_nothing_to_say():
    (row,) = baselines(SPLITS, Predictions([], np.zeros((0, 2)), ["a", "b"]), {"interval": [0.0, 1.0]}, [])
    assert row["accuracy"] is None and row["verdict"] == "too few to say"
