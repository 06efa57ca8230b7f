"""Each metric against its definition."""

import math

import numpy as np
import pytest

from bears_tl.judging.metrics import (
    CONFUSION_COLUMNS,
    bootstrap_interval,
    confusion_matrix,
    confusion_table,
    confusions,
    judge,
    mcnemar_p_value,
    sentence,
    wilson_interval,
)

CLASSES = ["Grizzly", "Panda", "Polar"]
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
PREDICTED = np.array([0, 0, 1, 1, 1, 0, 1, 0])  # nothing is predicted as a polar bear
SHARES = np.where(np.eye(3)[PREDICTED] == 1, 0.8, 0.1)


@pytest.mark.parametrize("count", [1, 2, 5, 24, 111, 184, 10_000])
def test_the_wilson_interval_ends_where_the_score_is_196_deviations_off(count):
    for successes in {0, 1, 2, count // 3, count // 2, count - 1, count} & set(range(count + 1)):
        low, high = wilson_interval(successes, count)
        for end in {low, high} - {0, 1}:  # Wilson's definition: |share - end| = z standard errors under `end`
            score = abs(successes / count - end) / math.sqrt(end * (1 - end) / count)
            assert score == pytest.approx(1.959963984540054, rel=1e-6)
        assert 0 <= low <= successes / count <= high <= 1


def test_the_interval_ends_exactly_at_0_and_1():
    for count in (1, 7, 111, 999):
        low, high = wilson_interval(0, count)
        assert low == 0 and 0 < high < 1
        low, high = wilson_interval(count, count)
        assert high == 1 and 0 < low < 1


def test_the_interval_of_nothing_is_everything():
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 1), (0, 5), (6, 0), (3, 9), (10, 10), (40, 61), (900, 1100)])
def test_mcnemars_p_is_that_of_coins_and_the_same_both_ways(first, second):
    p_value, tosses = mcnemar_p_value(first, second), first + second
    tail = sum(math.comb(tosses, heads) for heads in range(min(first, second) + 1))
    assert p_value == pytest.approx(min(1, 2 * tail / 2**tosses), rel=1e-9)
    assert p_value == mcnemar_p_value(second, first)


def test_where_no_photo_distinguishes_two_p_is_1():
    assert mcnemar_p_value(0, 0) == 1


def test_a_negative_count_of_photos_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        mcnemar_p_value(-1, 3)


@pytest.mark.parametrize(("successes", "count"), [(-1, 5), (6, 5), (1, 0), (0, -1)])
def test_an_impossible_count_is_refused(successes, count):
    with pytest.raises(ValueError, match="out of range"):
        wilson_interval(successes, count)


def test_confusion_counts_rows_by_truth_and_columns_by_prediction():
    assert confusion_matrix(LABELS, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 2, 0], [2, 1, 0]]
    assert confusion_matrix(LABELS[:0], PREDICTED[:0], 2).tolist() == [[0, 0], [0, 0]]


def test_judge_gives_every_figure_with_its_count():
    judged = judge(LABELS, SHARES, CLASSES)
    assert (judged["count"], judged["errors"], judged["accuracy"]) == (8, 4, 0.5)
    assert judged["interval"] == list(wilson_interval(4, 8))
    assert judged["confusion"] == confusion_matrix(LABELS, PREDICTED, 3).tolist()
    assert judged["cross_entropy"] == pytest.approx(-(4 * math.log(0.8) + 4 * math.log(0.1)) / 8)
    per_class = judged["per_class"]
    assert list(per_class) == CLASSES
    assert [per_class[name]["count"] for name in CLASSES] == [3, 2, 3]
    assert [per_class[name]["recall"] for name in CLASSES] == [2 / 3, 1, 0]
    assert [per_class[name]["precision"] for name in CLASSES] == [2 / 4, 2 / 4, None]
    assert judged["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert [per_class[name]["f1"] for name in CLASSES] == pytest.approx([2 * 2 / 7, 2 * 2 / 6, 0])
    assert per_class["Grizzly"]["recall_interval"] == list(wilson_interval(2, 3))
    assert per_class["Grizzly"]["precision_interval"] == list(wilson_interval(2, 4))


def test_a_class_that_is_never_predicted_has_no_precision_and_the_widest_interval():
    polar = judge(LABELS, SHARES, CLASSES)["per_class"]["Polar"]
    assert polar["precision"] is None and polar["precision_interval"] == [0, 1]


def test_a_class_without_photos_has_no_recall():
    judged = judge(np.array([0, 1]), np.eye(3)[[0, 2]], CLASSES)
    assert judged["per_class"]["Polar"]["recall"] is None
    assert judged["per_class"]["Polar"]["precision"] == 0


def test_no_photos_at_all_have_no_accuracy():
    judged = judge(np.empty(0, int), np.empty((0, 3)), CLASSES)
    assert (judged["count"], judged["errors"], judged["accuracy"], judged["cross_entropy"]) == (0, 0, None, None)
    assert judged["interval"] == [0, 1] and judged["balanced_accuracy"] is None


def test_a_probability_of_zero_costs_much_but_not_infinitely_much():
    judged = judge(np.array([0]), np.array([[0.0, 1.0]], np.float32), CLASSES[:2])
    assert 20 < judged["cross_entropy"] < 50


def test_figures_are_plain_numbers_that_json_takes():
    def plain(value):
        if isinstance(value, dict | list):
            return all(map(plain, value.values() if isinstance(value, dict) else value))
        return value is None or type(value) in (int, float)

    assert plain(judge(LABELS, SHARES.astype(np.float32), CLASSES))


def test_the_sentence_holds_accuracy_count_and_interval():
    judged = judge(np.zeros(200, int), np.eye(2)[[0] * 198 + [1] * 2], CLASSES[:2])
    assert sentence(judged) == "99.00% (198 of 200 photos right; 95 % interval 96.4% to 99.7%)"


def test_the_most_frequent_confusion_comes_first_with_its_share_of_the_true_class():
    rows = confusions(judge(LABELS, SHARES, CLASSES), CLASSES)
    assert [list(row) for row in rows] == [CONFUSION_COLUMNS] * 3
    assert [tuple(row.values()) for row in rows] == [
        ("Polar", "Grizzly", 2, 2 / 3),
        ("Grizzly", "Panda", 1, 1 / 3),
        ("Polar", "Panda", 1, 1 / 3),
    ]
    assert confusions(judge(LABELS, np.eye(3)[LABELS], CLASSES), CLASSES) == []


def test_the_table_of_confusions_has_four_columns_whatever_the_names_hold():
    rows = [{"class_name": "a|b", "predicted": "$1_$2", "count": 2, "share": 2 / 3}]
    lines = confusion_table(rows).split("\n")
    assert [line.count("|") for line in lines] == [5, 5, 5]
    assert lines[2].endswith("| 2 | 66.7% |")


def test_the_bootstrap_of_photos_that_differ_agrees_with_wilson():
    hits = np.arange(400) % 10 > 0
    low, high = bootstrap_interval(hits, [str(i) for i in range(400)], 0)
    assert (low, high) == pytest.approx(wilson_interval(360, 400), abs=0.01)
    assert (low, high) == bootstrap_interval(hits, [str(i) for i in range(400)], 0)


def test_copies_of_photos_do_not_narrow_the_bootstrap():
    hits, names = np.arange(100) % 10 > 0, [str(i) for i in range(100)]
    once, copied = (bootstrap_interval(np.tile(hits, n), names * n, 0) for n in (1, 4))
    assert copied == pytest.approx(once, abs=0.015)


def test_the_bootstrap_of_nothing_is_everything_and_without_mistakes_it_sees_none():
    assert bootstrap_interval(np.empty(0, bool), [], 0) == (0, 1)
    assert bootstrap_interval(np.ones(5, bool), list("abcde"), 0) == (1, 1)
