"""An evaluation writes the suspects of all splits, and the cleaner shows them first."""

import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

from bears_tl.files import read_csv, write_csv
from bears_tl.pipeline import artifacts, evaluation, suspects
from bears_tl.pipeline.run import Run
from bears_tl.training.labels import LABEL_COLUMNS


@pytest.fixture
def run(workspace, tmp_path, monkeypatch):
    """Give a copy of the trained run, with the features of its photos in the cache."""
    monkeypatch.setenv("BEARS_TL_CACHE", str(workspace.folder / "cache"))
    shutil.copytree(workspace.folder / "runs/trained", tmp_path / "run")
    return Run.open(tmp_path / "run")


def relabel(run, path, class_name):
    """Give a photo another label, in all tables of the run, as a correction does."""
    for name in ("photos.csv", "splits.csv"):
        rows = run.table(name)
        changed = [row | {"class_name": class_name} if row["path"] == path else row for row in rows]
        write_csv(run.path(name), list(rows[0]), changed)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_wrong_labels_of_all_splits_are_found_from_their_own_features(run, split):
    names, found = ["Grizzly", "Panda", "Polar"], []
    for row in [row for row in run.table("splits.csv") if row["split"] == split][:6]:
        relabel(run, row["path"], names[names.index(row["class_name"]) - 1])
        of_photo = [each for each in suspects.find_suspects(run) if each["path"] == row["path"]]
        found.append([(each["split"], each["suggested"]) for each in of_photo] == [(split, row["class_name"])])
        relabel(run, row["path"], row["class_name"])
    assert np.mean(found) >= 0.5  # with a body of random weights, and eight photos of a class


def test_suspects_are_shown_before_other_photos(run):
    photo = run.table("photos.csv")[0]
    relabel(run, photo["path"], "Polar")
    kept = suspects.find_suspects(run)
    assert [list(map(str, row.values())) for row in kept] == [
        list(row.values()) for row in read_csv(run.path("labels.csv"), LABEL_COLUMNS)
    ]
    shown = suspects.suspects_first(run, len(kept) + 2)
    assert len(shown) == len({row["path"] for row in shown}) == len(kept) + 2
    assert [row["path"] for row in shown[: len(kept)]] == [row["path"] for row in kept]
    assert all("doubt" in row for row in shown[: len(kept)]) and "doubt" not in shown[-1]
    assert suspects.table(kept).count("\n") == len(kept) + 1
    figure = suspects.draw_suspects(run, kept[:1])
    assert len(figure.axes) == 3
    plt.close(figure)


def test_near_duplicates_count_even_if_the_split_ignores_them(run):
    rows = run.table("photos.csv")
    two = [next(row["path"] for row in rows if row["class_name"] == name) for name in ("Panda", "Polar")]
    write_csv(run.path("photos.csv"), list(rows[0]), [r | {"group": "x" if r["path"] in two else ""} for r in rows])
    splits = run.table("splits.csv")
    write_csv(run.path("splits.csv"), list(splits[0]), [row | {"group": ""} for row in splits])
    (found,) = [row for row in suspects.find_suspects(run) if row["reason"] == "near_duplicate"]
    assert found["path"] in two and found["suggested"] in ("Panda", "Polar")


def test_a_large_set_is_examined_in_part(run, monkeypatch):
    monkeypatch.setattr(suspects.labels, "MOST_PHOTOS", 12)
    seen = []
    monkeypatch.setattr(suspects.labels, "list_suspects", lambda rows, *rest: seen.extend(rows) or [])
    assert suspects.find_suspects(run) == [] and len(seen) == 12
    assert suspects.sentence(run).startswith("None of the")


def test_features_that_are_gone_cost_a_warning_and_an_old_list_does_not_stay(run, tmp_path, monkeypatch):
    run.path("labels.csv").write_text("old")
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "empty"))
    warnings = evaluation.evaluate(run)["warnings"]
    assert any("labels.csv is not written" in text and "bears features" in text for text in warnings)
    assert not run.path("labels.csv").exists() and suspects.read_suspects(run) == []
    assert "not checked" in suspects.sentence(run)
    assert np.shape(suspects.suspects_first(run, 3)) == np.shape(artifacts.draw(run, run.table("photos.csv"), 3))
