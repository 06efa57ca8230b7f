"""The table of switches: pairs are photos, the counts are theirs, and what is finished is not run again."""

import numpy as np
import pytest

from bears_tl.article import procedure
from bears_tl.article.procedure import POSITIONS, Switches
from bears_tl.article.switches import ALL, ARTICLE, COLUMNS, TURNS, compare, run_all, turned
from bears_tl.errors import InputError
from bears_tl.files import read_csv, write_csv
from bears_tl.judging.metrics import wilson_interval


def answers(hits, first=0):
    return [
        {
            "sha256": f"{first + i:04d}",
            "class_name": "panda",
            "predicted": "panda" if hit else "polar",
            "loss": 0.25 if hit else 2.0,
        }
        for i, hit in enumerate(hits)
    ]


def rows_of(found):
    return {row["turned"]: row for row in compare(found)}


def test_one_switch_is_turned_at_a_time():
    assert turned(ARTICLE) == Switches()
    for name, (article, better) in POSITIONS.items():
        assert getattr(turned(name), name) == better != article
        assert sum(getattr(turned(name), other) != getattr(Switches(), other) for other in POSITIONS) == 1
    assert [getattr(turned(ALL), name) for name in POSITIONS] == [better for _, better in POSITIONS.values()]


def test_the_counts_are_those_of_the_photos():
    article = {0: answers([1, 1, 0, 0, 1] * 4), 1: answers([1] * 20)}
    other = {0: answers([1, 1, 1, 0, 0] * 4), 1: answers([1] * 19 + [0])}
    row = rows_of({ARTICLE: article, "dropout": other})["dropout"]
    assert (row["photos"], row["errors"], row["seeds"], row["paired_photos"]) == (40, 9, 2, 40)
    assert (row["only_article_right"], row["only_turned_right"], row["position"]) == (5, 4, "off")
    assert row["accuracy"] == 31 / 40 and (row["low"], row["high"]) == pytest.approx(wilson_interval(31, 40))
    assert row["p_value"] == 1  # 4 of 9 is as near to a half as can be
    assert row["loss"] == pytest.approx((31 * 0.25 + 9 * 2) / 40)
    assert (row["loss_change"], row["change_low"], row["change_high"]) == (0.04375, 0, 0.0875)


@pytest.mark.parametrize(("better", "p_value"), [(0, 1), (1, 1), (5, 2 / 32), (6, 2 / 64), (10, 2 / 1024)])
def test_the_paired_test_is_that_of_coins(better, p_value):
    article, other = {0: answers([0] * better + [1] * 30)}, {0: answers([1] * (better + 30))}
    found = rows_of({ARTICLE: article, "batch_norm": other})
    assert found["batch_norm"]["p_value"] == pytest.approx(p_value)
    assert found[ARTICLE]["p_value"] == 1 and found[ARTICLE]["paired_photos"] == 30 + better


def test_only_photos_in_both_tests_are_paired_and_only_within_a_seed():
    article = {0: answers([0] * 10), 1: answers([1] * 10, first=5)}
    other = {0: answers([1] * 10, first=8), 1: answers([1] * 10, first=100)}
    row = rows_of({ARTICLE: article, "split": other})["split"]
    assert (row["photos"], row["paired_photos"], row["only_turned_right"]) == (20, 2, 2)
    assert (row["loss_change"], row["change_low"], row["change_high"]) == (-1.75, -1.75, -1.75)  # of seed 0 alone
    row = rows_of({ARTICLE: article, "split": {seed: answers([1] * 10, first=200) for seed in article}})["split"]
    assert (row["paired_photos"], row["p_value"], row["loss_change"]) == (0, 1, "")


def test_what_is_printed_is_the_mean_that_the_switch_says():
    hits = np.ones(184, bool)
    hits[[0, 183]] = False
    found = rows_of({name: {0: answers(hits)} for name in (ARTICLE, "mean", ALL)})
    assert f"{100 * found[ARTICLE]['printed']:.2f}" == "98.92"
    assert f"{100 * found['mean']['printed']:.2f}" == f"{100 * found[ALL]['printed']:.2f}" == "98.91"


@pytest.fixture
def made(monkeypatch):
    """Replace the procedure by one that answers at once, and give the list of runs that were made."""
    runs = []

    def run(folder, photos, checkpoint_path, saved_folder, chosen, seed, memory, **settings):
        runs.append((chosen, seed, settings))
        saved_folder.mkdir(parents=True)
        (saved_folder / "model.ckpt-1").write_text("saved")
        probabilities = np.float32([[0.2, 0.8], [0.7, 0.3]])
        rest = dict.fromkeys(procedure.Result.__dataclass_fields__)
        return procedure.Result(**rest | {"test": photos, "class_names": ["a", "b"], "probabilities": probabilities})

    monkeypatch.setattr(procedure, "run", run)
    return runs


PHOTOS = [{"path": f"{i}.jpg", "class_name": "b", "sha256": str(i)} for i in range(2)]


def test_every_turn_but_mean_is_run_once_a_seed(made, tmp_path):
    found = run_all("photos", PHOTOS, "a.ckpt", tmp_path, range(2), epochs=1)
    expected = [(turned(name), seed, {"epochs": 1}) for seed in range(2) for name in TURNS if name != "mean"]
    assert made == expected
    assert [row["predicted"] for row in found["dropout"][1]] == ["b", "a"] and found["mean"] == found[ARTICLE]
    assert [row["loss"] for row in found["all"][0]] == pytest.approx([-np.log(0.8), -np.log(0.3)])
    assert not list(tmp_path.rglob("model.ckpt*"))
    write_csv(tmp_path / "table.csv", COLUMNS, compare(found))
    assert [row["turned"] for row in read_csv(tmp_path / "table.csv", COLUMNS)] == list(TURNS)


def test_what_is_finished_is_not_run_again(made, tmp_path, monkeypatch):
    first = run_all("photos", PHOTOS, "a.ckpt", tmp_path, [0])
    (tmp_path / "dropout_0.csv").unlink()
    made.clear()
    assert run_all("photos", PHOTOS, "a.ckpt", tmp_path, [0]) == first
    assert [chosen for chosen, *_ in made] == [turned("dropout")]

    def interrupted(*_, **__):
        raise InputError("interrupted")

    monkeypatch.setattr(procedure, "run", interrupted)
    with pytest.raises(InputError, match="interrupted"):
        run_all("photos", PHOTOS, "a.ckpt", tmp_path, [0, 1])
    assert (tmp_path / "dropout_0.csv").is_file() and not list(tmp_path.glob("*_1.csv"))
