"""Variants on made-up outcomes, whose pairs can be counted by hand."""

from statistics import fmean, median

import pytest

from bears_tl.files import read_csv
from bears_tl.judging.metrics import wilson_interval
from bears_tl.judging.paired import READING, Fact, Outcome, Study, compare, duel, read, table, write

FACTS = {"test_loss": Fact("test loss", ".4f", fmean), "epochs": Fact("epochs", "g", median)}
COMPARED = ("only_base_right", "only_variant_right", "p_value", "loss_change", "change_low", "change_high")
STUDY = Study(
    loss="validation loss",
    facts=FACTS,
    reading="Epochs are medians.\n",
    columns=["trial", "photos", "errors", "accuracy", "low", "high", "val_loss", *COMPARED, *FACTS],
    keys={"trial": "variant", "val_loss": "loss"},
)


def outcome(hits, loss, test_loss=0.5, epochs=10):
    """Give an outcome with one loss, or with one for each photo."""
    named = {f"photo_{i}": hit == "1" for i, hit in enumerate(hits)}
    losses = loss if isinstance(loss, dict) else {"val": loss}
    return Outcome(named, losses, {"test_loss": test_loss, "epochs": epochs})


OUTCOMES = {
    "base": [outcome("1100", 0.3), outcome("1111", 0.1)],
    "epochs=3": [outcome("1011", 0.2, epochs=3), outcome("0111", 0.15, test_loss=0.75, epochs=7)],
}


def test_pairs_are_counted_within_their_seed():
    base, variant = compare(OUTCOMES, FACTS)
    assert (variant["only_base_right"], variant["only_variant_right"], variant["paired_photos"]) == (2, 2, 8)
    assert (variant["p_value"], variant["seeds"], variant["photos"], variant["errors"]) == (1, 2, 8, 2)
    assert (variant["accuracy"], variant["low"], variant["high"]) == (6 / 8, *wilson_interval(6, 8))
    assert base["errors"] == 2 and [base[name] for name in COMPARED] == [0, 0, 1, 0, 0, 0]


def test_the_order_of_the_photos_in_a_seed_does_not_matter():
    backwards = [Outcome(dict(reversed(o.hits.items())), o.losses, o.facts) for o in OUTCOMES["epochs=3"]]
    assert compare(OUTCOMES | {"epochs=3": backwards}, FACTS) == compare(OUTCOMES, FACTS)


@pytest.mark.parametrize(("better", "p_value"), [(0, 1), (1, 1), (5, 2 / 32), (6, 2 / 64), (10, 2 / 1024)])
def test_a_variant_that_wins_some_photos_has_the_p_of_so_many_heads(better, p_value):
    base, variant = outcome("0" * better + 30 * "1", 1), outcome((better + 30) * "1", 1)
    row = compare({"base": [base], "epochs=3": [variant]}, FACTS)[1]
    assert (row["only_base_right"], row["only_variant_right"]) == (0, better)
    assert row["p_value"] == pytest.approx(p_value)


def test_losses_are_means_with_the_lowest_and_highest_change_and_facts_as_they_say():
    row = compare(OUTCOMES, FACTS)[1]
    assert row["loss"] == pytest.approx(0.175)
    assert [row[name] for name in COMPARED[3:]] == pytest.approx([-0.025, -0.1, 0.05])
    assert (row["epochs"], row["test_loss"]) == (5, 0.625)


def test_losses_of_photos_are_compared_photo_by_photo_and_a_seeds_mean_counts_once():
    base = [outcome("11", {"photo_0": 0.5, "photo_1": 0.25}), outcome("1", {"photo_0": 1.0})]
    variant = [outcome("11", {"photo_0": 1.5, "photo_1": 0.25}), outcome("1", {"photo_0": 0.0})]
    row = compare({"base": base, "epochs=3": variant}, FACTS)[1]
    assert row["loss"] == pytest.approx(1.75 / 3)
    assert [row[name] for name in COMPARED[3:]] == [-0.25, -1, 0.5]


def test_only_photos_in_both_tests_are_paired_and_only_within_a_seed():
    def of_photos(first, hit, loss):
        return Outcome({f"photo_{i}": hit for i in range(first, first + 10)}, {f"photo_{first + 9}": loss})

    base = [Outcome(dict.fromkeys("abcd", False), {"a": 2.0, "b": 2.0, "c": 5.0}), of_photos(0, True, 1.0)]
    some = [Outcome(dict.fromkeys("abxy", True), {"a": 0.25, "b": 0.25, "x": 9.0}), of_photos(50, True, 1.0)]
    none = [of_photos(100, True, 1.0), of_photos(200, True, 1.0)]
    _, some, none = compare({"none": base, "split": some, "all": none}, {})
    assert (some["photos"], some["paired_photos"], some["only_variant_right"]) == (14, 2, 2)
    assert [some[name] for name in COMPARED[3:]] == [-1.75, -1.75, -1.75]  # of the first seed alone
    assert (none["photos"], none["paired_photos"], none["p_value"]) == (20, 0, 1)
    assert [none[name] for name in COMPARED[3:]] == ["", "", ""]


def test_seeds_that_are_missing_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        compare({"base": OUTCOMES["base"], "epochs=3": OUTCOMES["base"][:1]}, FACTS)


def test_the_table_has_a_line_a_variant_and_leaves_the_base_uncompared():
    rows = compare(OUTCOMES, FACTS)
    switch = rows[1] | {"variant": "split", "position": "grouped", "paired_photos": 5}
    unpaired = switch | dict.fromkeys(COMPARED[3:], "")
    lines = table([*rows, switch, unpaired], STUDY).splitlines()
    accuracy = "75.00% (40.9% to 92.9%)"
    assert lines[2] == f"| base | 2 of 8 | {accuracy} |  |  | 0.2000 |  | 0.5000 | 10 |"
    changed = "1 | 0.1750 | -0.0250 (-0.1000 to +0.0500) | 0.6250 | 5 |"
    assert lines[3] == f"| epochs=3 | 2 of 8 | {accuracy} | 2 / 2 | {changed}"
    assert lines[4] == f"| split grouped | 2 of 8 | {accuracy} | 2 / 2 of 5 | {changed}"
    assert lines[5].endswith("| 2 / 2 of 5 | 1 | 0.1750 |  | 0.6250 | 5 |")
    assert {line.count("|") for line in lines[:6]} == {10} and "validation loss, nats" in lines[0]
    assert "\n".join(lines[7:]) + "\n" == READING + STUDY.reading


def test_what_is_written_has_its_own_columns_and_reads_back_to_the_same_table(tmp_path):
    rows = compare(OUTCOMES, FACTS)
    text = write(tmp_path / "there/t.csv", rows, STUDY, ["Measured."], "STAND-IN")
    assert text == (tmp_path / "there/t.md").read_text(encoding="utf-8")
    assert text == f"Measured.\nSTAND-IN\n\n{table(rows, STUDY)}"
    (base, variant) = read_csv(tmp_path / "there/t.csv", STUDY.columns)
    assert list(base) == STUDY.columns and (variant["trial"], float(variant["val_loss"])) == ("epochs=3", 0.175)
    assert table(read(tmp_path / "there/t.csv", STUDY), STUDY) == table(rows, STUDY)
    assert (tmp_path / "there/t.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([True] * 30, [True] * 15 + [False] * 15, "mine is better (15 photos only mine has right, 0 only yours"),
        ([False] * 12 + [True] * 9, [True] * 21, "yours is better (0 photos only mine has right, 12 only yours"),
        ([True, False, True], [False, True, True], "too few to say which is better"),
        ([True, False], [True, False], "both are right on the same photos"),
    ],
)
def test_a_duel_names_the_better_one_only_if_the_photos_show_it(first, second, said):
    assert said in duel(first, second, ("mine", "yours"))
