"""Learning curves: subsets are nested, rows are resumable, budgets come from the transfer run, mistakes are named."""

import shutil

import numpy as np
import pytest

from bears_tl.config import RunConfig
from bears_tl.files import read_csv, read_json
from bears_tl.judging.predictions import labels_of, probabilities_of
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run
from bears_tl.studies import learning_curves, scratch
from bears_tl.studies.learning_curves import CURVE_COLUMNS, nested
from bears_tl.studies.scratch import transfer_seconds


@pytest.fixture
def run(workspace, tmp_path, monkeypatch) -> Run:
    """Give a copy of the trained run: 15 photos to train on, 3 to validate, 6 to test."""
    monkeypatch.setenv("BEARS_TL_CACHE", str(workspace.folder / "cache"))
    shutil.copytree(workspace.folder / "runs/trained", tmp_path / "run")
    return Run.open(tmp_path / "run")


def photos(count, seed=0):
    draw = np.random.default_rng(seed)
    return [{"sha256": draw.bytes(32).hex(), "class_name": "ab"[i % 2]} for i in range(count)]


def test_smaller_subsets_lie_in_larger_ones_and_depend_on_the_seed_alone():
    rows = photos(60)
    few, more, all_ = (nested(rows, size, 0) for size in ("5", "20", "all"))
    of = {frozenset(row["sha256"] for row in part) for part in (few, more, all_)}
    smallest, middle, largest = sorted(of, key=len)
    assert smallest < middle < largest and len(largest) == 60
    for part, size in ((few, 5), (more, 20)):
        assert [sum(row["class_name"] == name for row in part) for name in "ab"] == [size, size]
    assert nested(rows[::-1], "5", 0) == few != nested(rows, "5", 1)
    assert nested(rows, "20", 1) != more


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_interrupted_curves_go_on_where_they_were(run, tmp_path, monkeypatch):
    said = []
    asked = {"sizes": (50, 5), "seeds": 1, "epochs": 2, "say": said.append}
    train_row, trained = learning_curves._train_row, []

    def train_three_rows(run, key, *rest):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(key)
        return train_row(run, key, *rest)

    monkeypatch.setattr(learning_curves, "_train_row", train_three_rows)
    with pytest.raises(KeyboardInterrupt):
        learning_curves.measure(run, **asked)
    kept = read_csv(run.path("learning_curves.csv"), CURVE_COLUMNS)
    assert len(kept) == 3 and "learning_curves" not in run.receipt()["stages"]
    trained.clear()
    rows = learning_curves.measure(run, **asked)
    assert [(key["photos_per_class"], key["road"]) for key in trained] == [("all", "scratch")]
    assert rows[:3] == kept
    assert read_csv(run.path("learning_curves.csv"), CURVE_COLUMNS) == rows
    assert "size 50 is skipped" in said[0] and "5 training photos" in said[0]
    assert run.path("what_transfer_buys.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(learning_curves, "_train_row", train_row)
    shutil.copytree(run.folder, tmp_path / "other", ignore=shutil.ignore_patterns("learning_curves.csv"))
    assert without_seconds(learning_curves.measure(Run.open(tmp_path / "other"), **asked)) == without_seconds(rows)


def test_rows_are_kept_by_what_they_were_made_with(run, monkeypatch):
    made = []

    def train_row(run, key, thumbnails, seconds, epochs):
        made.append((key["photos_per_class"], key["road"]))
        timed = key["road"] == "scratch" and seconds is not None
        row = dict.fromkeys(CURVE_COLUMNS, 0) | {"train_photos": 15, "test_count": 6, "test_accuracy": 0.5}
        return row | {"planned_epochs": epochs or 7, "budget_seconds": seconds if timed else ""} | key

    def made_by(run, **budget):
        made.clear()
        rows = learning_curves.measure(run, sizes=(5,), seeds=1, say=lambda _: None, **budget)
        assert [row["road"] for row in rows] == ["transfer", "scratch"] * 2
        return len(made)

    monkeypatch.setattr(learning_curves, "_train_row", train_row)
    monkeypatch.setattr(learning_curves, "transfer_seconds", lambda _: 12.34)
    assert made_by(run) == 4
    assert [row["budget_seconds"] for row in read_csv(run.path("learning_curves.csv"), [])] == ["", "12.3"] * 2
    monkeypatch.setattr(learning_curves, "transfer_seconds", lambda _: 99)
    assert made_by(run) == 0  # a new measurement changes nothing
    assert made_by(run, seconds=20) == 2  # the heads are kept
    assert made_by(run, seconds=20.0) == 0 and made_by(run) == 0
    budgets = [row["budget_seconds"] for row in read_csv(run.path("learning_curves.csv"), [])]
    assert sorted(budgets) == ["", "", "12.3", "12.3", "20.0", "20.0"]  # a notebook's glimpse removes no long runs
    assert made_by(Run.open(run.folder, beyond="whole", fine_tune_epochs=3)) == 0  # neither setting affects any row
    assert made_by(run, epochs=3) == 2 and made_by(run, epochs=3) == 0
    monkeypatch.setattr(Run, "check", lambda run, stage: None)  # it would require a new training
    assert made_by(Run.open(run.folder, learning_rate=0.001)) == 4


def test_the_same_epochs_give_the_same_files(run):
    first = scratch.train(run, epochs=2)
    kept = {name: run.path(name).read_bytes() for name in ("scratch.npz", "scratch_predictions.csv")}
    assert first["planned_epochs"] == first["epochs"] == 2 and first["budget_seconds"] is None
    again = scratch.train(run, epochs=2)
    assert {name: run.path(name).read_bytes() for name in kept} == kept
    assert again | {"seconds": 0} == first | {"seconds": 0} and read_json(run.path("scratch.json")) == again
    rows = [row for row in run.table("scratch_predictions.csv") if row["split"] == "test"]
    names = ["Grizzly", "Panda", "Polar"]
    assert (probabilities_of(rows, names).argmax(axis=1) != labels_of(rows, names)).sum() == again["test"]["errors"]
    assert run.facts("scratch") == {"planned_epochs": 2}
    assert [int(row["epoch"]) for row in run.table("scratch_history.csv")] == [1, 2]


def test_the_budget_is_that_of_an_empty_cache(run, monkeypatch):
    """Two uncached seconds for each of the run's 24 views, plus the time of training from the receipt."""
    from bears_tl.features import extract as features

    clock, timed = [0.0], []

    def compute(body, folder, todo):
        timed.append(len(todo))
        clock[0] += 2.0 * len(todo)
        yield [], []

    monkeypatch.setattr(features, "compute", compute)
    monkeypatch.setattr(scratch, "TIMED_PHOTOS", 10)
    monkeypatch.setattr(artifacts, "load_body", lambda run: None)
    monkeypatch.setattr(scratch.time, "perf_counter", lambda: clock[0])
    assert transfer_seconds(run) == pytest.approx(24 * 2.0 + run.seconds()["train"])
    assert timed == [8, 10]


@pytest.mark.parametrize("make", [scratch.train, learning_curves.measure, transfer_seconds])
def test_a_run_that_is_not_trained_is_refused(tmp_path, refused, make):
    run = Run(RunConfig(run=str(tmp_path / "run")))
    with refused("stage 'train'"):
        make(run)
    assert not run.folder.exists()


def test_a_run_that_was_not_trained_with_its_settings_is_refused(run, refused):
    """A training with other settings was interrupted before its head, so the old head is still there."""
    changed = Run.open(run.folder, brightness=0.3)
    stages.split(changed)
    for make in (scratch.train, learning_curves.measure):
        with refused("brightness was 0.0", "is now 0.3", "train the run again"):
            make(Run.open(run.folder))
    stages.split(Run.open(run.folder, brightness=0.0))
    run.path("predictions.csv").write_text("path\n")
    with refused("predictions.csv", "is missing or was changed", "train the run again"):
        scratch.train(run)


@pytest.mark.parametrize(("asked", "words"), [
    ({"sizes": (4, 5)}, ["size 4", "expected 5 or more"]), ({"seeds": 0}, ["seeds 0", "expected 1"]),
])  # fmt: skip
def test_sizes_and_seeds_out_of_range_are_refused(run, refused, asked, words):
    with refused(*words):
        learning_curves.measure(run, **asked)


def test_too_few_photos_are_refused_and_nothing_is_written(run, refused):
    rows = run.table("splits.csv")
    for row in [row for row in rows if (row["class_name"], row["split"]) == ("Polar", "train")][:2]:
        row["split"] = "test"
    stages.write_csv(run.path("splits.csv"), list(rows[0]), rows)
    before = {path.name for path in run.folder.iterdir()}
    with refused("'Polar'", "3 training photos", "add photos"):
        scratch.train(run, epochs=1)
    with refused("'Polar'", "3 training photos", "add photos"):
        learning_curves.measure(run, epochs=1, say=lambda _: None)
    assert {path.name for path in run.folder.iterdir()} <= before | {"learning_curves.csv"}


@pytest.mark.parametrize("words", [
    ["scratch", "--epochs", "0"], ["scratch", "--seconds", "-1"], ["scratch", "--epochs", "1", "--seconds", "1"],
    ["learning-curves", "--sizes", "1"], ["learning-curves", "--seconds", "nan", "--seeds", "1"],
])  # fmt: skip
def test_the_command_line_refuses_with_status_2(run, capsys, words):
    from bears_tl.cli import main

    try:
        status = main([*words, "--run", str(run.folder)])
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2 and "Traceback" not in capsys.readouterr().err
    assert not run.path("scratch.npz").exists()


def test_the_command_line_says_how_to_get_the_same_again(run, capsys):
    from bears_tl.cli import main

    assert main(["scratch", "--run", str(run.folder), "--seconds", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "182,787 parameters" in said and "--epochs 3" in said and "of 6 photos right" in said
