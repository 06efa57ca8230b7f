"""The variants of 2019: one switch each, their printed accuracy, and that finished variants are not repeated."""

import numpy as np
import pytest

from bears_tl.article import procedure
from bears_tl.article.procedure import POSITIONS, Switches
from bears_tl.article.switches import (
    ALL,
    ARTICLE,
    COLUMNS,
    PREDICTION_COLUMNS,
    STUDY,
    VARIANTS,
    check_variants,
    compare,
    predict_all,
    switches_of,
)  # fmt: skip
from bears_tl.errors import InputError
from bears_tl.files import read_csv, write_csv
from bears_tl.judging import paired


def test_one_switch_is_changed_at_a_time():
    assert switches_of(ARTICLE) == Switches()
    for name, (article, better) in POSITIONS.items():
        assert getattr(switches_of(name), name) == better != article
        assert sum(getattr(switches_of(name), other) != getattr(Switches(), other) for other in POSITIONS) == 1
    assert [getattr(switches_of(ALL), name) for name in POSITIONS] == [better for _, better in POSITIONS.values()]


def test_an_unknown_switch_is_refused_and_the_article_always_comes_first(refused):
    assert check_variants(None) == list(VARIANTS) and check_variants(["mean", "none", "mean"]) == [ARTICLE, "mean"]
    with refused("'dropuot'", *VARIANTS):
        check_variants(["dropuot"])


def test_what_is_printed_is_the_mean_that_the_switch_says(tmp_path):
    rows = [{"path": i, "class_name": "a", "sha256": f"{i:04d}", "predicted": "a", "loss": 0.1} for i in range(184)]
    for i in (0, 183):
        rows[i]["predicted"] = "b"
    for name in (ARTICLE, ALL):
        write_csv(tmp_path / f"{name}_0.csv", PREDICTION_COLUMNS, rows)
    outcomes = predict_all("photos", [], "a.ckpt", tmp_path, 0, (ARTICLE, "mean", ALL))
    found = {row["variant"]: row for row in compare({name: [outcome] for name, outcome in outcomes.items()})}
    assert {row["errors"] for row in found.values()} == {2}
    assert f"{100 * found[ARTICLE]['printed']:.2f}" == "98.92"
    assert f"{100 * found['mean']['printed']:.2f}" == f"{100 * found[ALL]['printed']:.2f}" == "98.91"


@pytest.fixture
def made(monkeypatch):
    """Replace the procedure with one that ends immediately, and give the list of its calls."""
    calls = []

    def train_and_test(folder, photos, checkpoint_path, saved_folder, chosen, seed, memory, **settings):
        calls.append((chosen, seed, settings))
        saved_folder.mkdir(parents=True)
        (saved_folder / "model.ckpt-1").write_text("saved")
        probabilities = np.float32([[0.2, 0.8], [0.7, 0.3]])
        rest = dict.fromkeys(procedure.Result.__dataclass_fields__)
        return procedure.Result(**rest | {"test": photos, "class_names": ["a", "b"], "probabilities": probabilities})

    monkeypatch.setattr(procedure, "train_and_test", train_and_test)
    return calls


PHOTOS = [{"path": f"{i}.jpg", "class_name": "b", "sha256": str(i)} for i in range(2)]


def test_every_variant_but_mean_is_trained_once_a_seed(made, tmp_path):
    found = [predict_all("photos", PHOTOS, "a.ckpt", tmp_path, seed, epochs=1) for seed in range(2)]
    expected = [(switches_of(name), seed, {"epochs": 1}) for seed in range(2) for name in VARIANTS if name != "mean"]
    assert made == expected
    assert found[1]["dropout"].hits == {"0": True, "1": False} == found[0]["mean"].hits
    assert found[0]["all"].losses == {"0": pytest.approx(-np.log(0.8)), "1": pytest.approx(-np.log(0.3))}
    assert not list(tmp_path.rglob("model.ckpt*"))
    rows = compare({name: [of_seed[name] for of_seed in found] for name in VARIANTS})
    paired.write(tmp_path / "table.csv", rows, STUDY, [])
    rows = read_csv(tmp_path / "table.csv", COLUMNS)
    assert [row["turned"] for row in rows] == list(VARIANTS)
    positions = ["", *(better for _, better in POSITIONS.values()), ""]
    assert [row["position"] for row in rows] == positions
    assert {row["paired_photos"] for row in rows} == {"4"} and {row["loss_change"] for row in rows} == {"0.0"}


def test_what_is_finished_is_not_done_again(made, tmp_path, monkeypatch):
    first = predict_all("photos", PHOTOS, "a.ckpt", tmp_path, 0)
    (tmp_path / "dropout_0.csv").unlink()
    made.clear()
    assert predict_all("photos", PHOTOS, "a.ckpt", tmp_path, 0) == first
    assert [chosen for chosen, *_ in made] == [switches_of("dropout")]

    def interrupted(*_, **__):
        raise InputError("interrupted")

    monkeypatch.setattr(procedure, "train_and_test", interrupted)
    with pytest.raises(InputError, match="interrupted"):
        predict_all("photos", PHOTOS, "a.ckpt", tmp_path, 1)
    assert (tmp_path / "dropout_0.csv").is_file() and not list(tmp_path.glob("*_1.csv"))
