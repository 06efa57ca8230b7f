"""`bears compare`: a resumed comparison equals an uninterrupted one; all trials of a seed share its split."""

import csv
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from bears_tl.cli import main
from bears_tl.config import RunConfig, deciding
from bears_tl.files import read_csv, write_csv
from bears_tl.judging.metrics import losses
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run
from bears_tl.studies import comparison
from bears_tl.studies.comparison import BASE, COLUMNS, STUDY, parse_trials

TRIABLE = deciding("views", "head")
WORDS = ["label_smoothing=0.2", "epochs=2 patience=9"]
MEASURED = ("features_seconds", "train_seconds")


class Table(np.ndarray):
    """Features of one kind, as a table."""

    def of(self, depths):
        return self


@pytest.fixture
def base(tmp_path, monkeypatch, write_photos):
    """Give the settings of a small photo set, with made-up features: the class plus noise."""
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def restore(run):
        with run.stage("restore") as facts:
            write_csv(run.path("inventory.csv"), stages.INVENTORY_COLUMNS, [])
            facts |= {"kind": "stand_in", "path": "none.ckpt", "fingerprint": "f" * 64, "precision": "float32"}

    def features(run, body=None):
        with run.stage("features"):
            rows = artifacts.split_rows(run)
        return {name: np.stack([made_up(row) for row in rows[name]]).view(Table) for name in rows}

    def made_up(row):
        noise = np.random.default_rng(int(row["sha256"][:8], 16)).exponential(size=(1, 6))
        noise[0, "AB".index(row["class_name"])] += 1.5
        return noise.astype(np.float32)

    monkeypatch.setattr(stages, "restore", restore)
    monkeypatch.setattr(stages, "features", features)
    return RunConfig(photos=str(write_photos(A=14, B=14)), test_fraction=0.4, epochs=6)


@pytest.fixture
def trainings(monkeypatch):
    """Record each training as (seed, folder); training number `stop_at` of the list is interrupted."""

    class Trainings(list):
        stop_at = None

    done, train = Trainings(), stages.train

    def counted(run, found):
        if len(done) == done.stop_at:
            raise KeyboardInterrupt
        done.append((run.config.seed, run.folder.name))
        return train(run, found)

    monkeypatch.setattr(stages, "train", counted)
    return done


def compared(base, name="table", words=WORDS, seeds=2, folder=None):
    return comparison.compare(base, words, seeds, f"{name}.csv", folder or f"{name}_runs", say=lambda line: None)


def unmeasured(rows):
    return [{name: value for name, value in row.items() if name not in MEASURED} for row in rows]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_interrupted_comparison_goes_on_where_it_was_and_ends_with_the_same_table(base, trainings, tmp_path):
    whole = compared(base, "whole")
    assert len(trainings) == 6
    trainings.clear()
    trainings.stop_at = 4
    with pytest.raises(KeyboardInterrupt):
        compared(base, "resumed")
    assert not (tmp_path / "resumed.csv").exists()
    trainings.stop_at = None
    resumed = compared(base, "resumed")
    order = [(seed, name) for seed in (0, 1) for name in (BASE, "label_smoothing=0.2", "epochs=2_patience=9")]
    assert trainings == order  # none is trained twice
    assert unmeasured(resumed) == unmeasured(whole)
    assert unmeasured(read_csv("resumed.csv", COLUMNS)) == unmeasured(read_csv("whole.csv", COLUMNS))
    for name in ("head.npz", "predictions.csv", "splits.csv"):
        for seed, trial in order:
            paths = [tmp_path / f"{runs}_runs/seed_{seed}/{trial}/{name}" for runs in ("whole", "resumed")]
            assert paths[0].read_bytes() == paths[1].read_bytes()


def test_trials_share_a_seeds_split_and_seeds_do_not(base, trainings, tmp_path):
    rows = compared(base)
    splits = {path.parent.parent.name: set() for path in tmp_path.glob("table_runs/seed_*/*/splits.csv")}
    for path in tmp_path.glob("table_runs/seed_*/*/splits.csv"):
        splits[path.parent.parent.name].add(path.read_bytes())
    assert [len(different) for different in splits.values()] == [1, 1]
    assert splits["seed_0"] != splits["seed_1"]
    assert [row["variant"] for row in rows] == [BASE, *WORDS]
    epochs = {row["variant"]: row["epochs"] for row in rows}
    assert epochs[BASE] == 6 and epochs["epochs=2 patience=9"] == 2


def test_the_rows_are_those_of_the_runs_predictions(base, trainings, tmp_path):
    rows = {row["variant"]: row for row in compared(base)}
    hits = {}
    for name, folder in ((BASE, BASE), (WORDS[1], "epochs=2_patience=9")):
        tables = [Run.open(tmp_path / f"table_runs/seed_{seed}/{folder}").table("predictions.csv") for seed in (0, 1)]
        tests = [row for table in tables for row in table if row["split"] == "test"]
        hits[name] = np.array([row["predicted"] == row["class_name"] for row in tests])
        assert (rows[name]["photos"], rows[name]["errors"]) == (len(tests), (~hits[name]).sum())
    assert rows[WORDS[1]]["only_base_right"] == (hits[BASE] & ~hits[WORDS[1]]).sum()
    assert rows[WORDS[1]]["only_variant_right"] == (hits[WORDS[1]] & ~hits[BASE]).sum()


def test_the_table_holds_the_rows_and_compares_the_base_with_nothing(base, trainings, tmp_path):
    rows, table = compared(base, seeds=1), read_csv("table.csv", COLUMNS)
    assert list(table[0]) == COLUMNS and [row["trial"] for row in table] == [BASE, *WORDS]
    for row, written in zip(rows, table, strict=True):
        assert {name: str(row[STUDY.keys.get(name, name)]) for name in COLUMNS} == written
    empty = {"only_base_right", "only_trial_right", "p_value", "val_loss_change", "change_low", "change_high"}
    assert {name for name, value in table[0].items() if not value} == empty and "" not in table[1].values()
    assert float(table[1]["val_loss_change"]) == float(table[1]["val_loss"]) - float(table[0]["val_loss"])
    run = Run.open(tmp_path / "table_runs/seed_0/base")
    val = artifacts.predictions(run).of_split("val")
    assert float(table[0]["val_loss"]) == losses(val.labels(), val.probabilities).mean()
    assert table[0]["epochs"] == str(len(run.table("history.csv")))


def test_what_a_run_has_already_is_left_out():
    config = RunConfig(label_smoothing=0.1, epochs=30)
    words = ["label_smoothing=0.1", "epochs=30 patience=30", "class_weights=balanced", "epochs=30"]
    assert comparison.others(words, config) == ["epochs=30 patience=30", "class_weights=balanced"]


def test_more_trials_and_seeds_reuse_what_is_trained(base, trainings):
    compared(base, words=WORDS[:1], seeds=1)
    trainings.clear()
    compared(base, words=WORDS, seeds=2)
    assert len(trainings) == 4 and (0, BASE) not in trainings


def test_other_photos_are_trained_on_anew(base, trainings, tmp_path):
    compared(base, words=WORDS[:1], seeds=1)
    trainings.clear()
    next((tmp_path / "photos/A").iterdir()).unlink()
    compared(base, words=WORDS[:1], seeds=1)
    assert len(trainings) == 2


def test_the_table_lies_beside_its_markdown_and_figure_and_says_that_the_body_is_a_stand_in(base, trainings, tmp_path):
    compared(base, words=WORDS[:1], seeds=1)
    text = (tmp_path / "table.md").read_text()
    assert "STAND-IN" in text and "bears compare" in text and "28 photos" in text and "| label_smoothing=0.2 |" in text
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.rglob("*.part"))


def test_a_users_run_is_not_taken_for_a_comparisons_folder(base, trainings, tmp_path, refused):
    Run(base.replace(run=str(tmp_path / "mine"))).keep_settings()
    before = contents(tmp_path / "mine")
    with refused("mine", "--run"):
        compared(base, folder=tmp_path / "mine")
    assert contents(tmp_path / "mine") == before and not trainings


def test_the_base_of_a_comparison_cannot_change_under_it(base, trainings, tmp_path, refused):
    compared(base, words=WORDS[:1], seeds=1)
    before = contents(tmp_path)
    with refused("batch_size was 40, is now 7", "--run"):
        compared(base.replace(batch_size=7), words=WORDS[:1], seeds=1)
    assert contents(tmp_path) == before
    trainings.clear()
    compared(base.replace(fine_tune_epochs=7), words=WORDS[:1], seeds=1)  # affects no trial
    assert not trainings


def test_a_broken_note_of_the_comparison_is_refused(base, tmp_path, refused):
    (tmp_path / "table_runs").mkdir()
    for text, words in (("[]", ["not the folder of a comparison"]), ("{", ["could not be read"])):
        (tmp_path / "table_runs/comparison.json").write_text(text)
        with refused("table_runs", *words):
            compared(base)


def test_a_setting_that_is_newer_than_the_comparison_does_not_stop_it(base, trainings, tmp_path, refused):
    compared(base, words=WORDS[:1], seeds=1)
    path = tmp_path / "table_runs/comparison.json"
    settings = json.loads(path.read_text())
    del settings["class_weights"]
    path.write_text(json.dumps(settings))
    trainings.clear()
    compared(base, words=WORDS[:1], seeds=1)
    assert not trainings
    with refused("class_weights was 'none', is now 'balanced'"):
        compared(base.replace(class_weights="balanced"), words=WORDS[:1], seeds=1)


@pytest.mark.parametrize("name", sorted(set(RunConfig().as_dict()) - {*TRIABLE, "precision", "engine"}))
def test_a_setting_that_all_trials_share_is_refused_by_name(name, refused):
    value = {"seed": "3", "photos": "sample"}.get(name, getattr(RunConfig(), name))
    with refused("--try", name, "--set"):
        parse_trials([f"{name}={value}"], RunConfig())


def test_every_setting_of_the_views_can_be_tried(tmp_path):
    views = artifacts.train_views(Run(RunConfig(run=str(tmp_path / "run"))))
    for name, value in RunConfig().as_dict().items():
        if type(value) in (int, float) and name not in (*TRIABLE, "seed"):
            highest = RunConfig.__dataclass_fields__[name].metadata["high"]
            changed = {"run": str(tmp_path / "run"), "test_fraction": 0.01} | {name: highest}
            assert artifacts.train_views(Run(RunConfig(**changed))) == views, name
    assert set(TRIABLE) <= set(RunConfig().as_dict())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([""], ["empty", "epochs=10"]),
        (["epochs"], ["--try 'epochs'", "key=value"]),
        (["epochs='10"], ["--try", "quotation"]),
        (["epochs=[1"], ["--try 'epochs=[1'", "YAML"]),
        (["epoch=3"], ["unknown setting 'epoch'"]),
        (["epochs=0"], ["epochs", "out of range"]),
        (["label_smoothing=1"], ["label_smoothing", "out of range"]),
        (["class_weights=even"], ["class_weights", "none | balanced"]),
        (["epochs=200"], ["epochs=200", "'base'"]),
        (["epochs=3", "epochs=3"], ["'epochs=3'"]),
        (["epochs=3 patience=2", "patience=2 epochs=3"], ["'epochs=3 patience=2'"]),
    ],
)
def test_a_trial_that_means_nothing_is_refused_in_one_line(words, named, refused):
    with refused(*named):
        parse_trials(words, RunConfig())


def test_a_trial_of_another_precision_has_a_body_of_its_own(base, monkeypatch):
    opened, used, restore, features = [], [], stages.restore, stages.features

    def restored(run):
        restore(run)
        opened.append(run.config.precision)
        return run.config.precision

    def computed(run, body):
        used.append((run.config.precision, body))
        return features(run)

    monkeypatch.setattr(stages, "restore", restored)
    monkeypatch.setattr(stages, "features", computed)
    compared(base, words=["precision=int8"])
    assert opened == ["auto", "int8", "int8"]  # shared by the base's runs
    assert used == 2 * [("auto", "auto"), ("int8", "int8")]


def test_a_trials_name_is_its_settings_as_they_were_understood():
    assert list(parse_trials(["learning_rate=1e-2 erasing=1e-1", " train_views=0 "], RunConfig())) == [
        BASE, "learning_rate=0.01 erasing=0.1", "train_views=0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--try", "seed=1"], "seed must be the same"),
        (["--try", "epochs=3", "--seeds", "0"], "--seeds 0"),
        (["--try", "epochs=3", "--seeds", "1001"], "--seeds 1001"),
        (["--try", "epochs=3", "--set", "seed=2147483647", "--seeds", "2"], "seed"),
        (["--try", "epochs=3", "--to", "table.md"], "table.md"),
        (["--try", "epochs=3", "--set", "photos=nowhere"], "'nowhere'"),
        (["--try", "epochs=3", "--config", "none.yaml"], "none.yaml"),
        (["--try", "epochs=3", "--run", "file"], "'file'"),
        (["--try", "epochs=3", "--run", "file/below"], "file"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_with_status_2(base, tmp_path, capsys, words, named):
    (tmp_path / "file").write_text("mine")
    if "photos=nowhere" not in words:
        words = [*words, "--set", f"photos={base.photos}"]
    assert main(["compare", *(["--to", "table.csv"] if "--to" not in words else []), *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("bears: ") and named in said[0]
    assert not list(tmp_path.glob("table*")) and (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_the_real_walk_killed_and_begun_again(workspace):
    words = ["compare", "--set", f"photos={workspace.photos}", "--set", "checkpoint=random", "--seeds", "2"]
    words += ["--try", "train_views=0", "--try", "label_smoothing=0.1 epochs=5", "--to", "results/small.csv"]
    runs = workspace.folder / "runs/compare/small"
    environment = os.environ | {"BEARS_TL_CACHE": str(workspace.folder / "cache")}
    command = [sys.executable, "-m", "bears_tl", *map(str, words)]
    killed = subprocess.Popen(command, cwd=workspace.folder, env=environment, stdout=subprocess.DEVNULL)
    waited_until = time.monotonic() + 300
    while not (runs / "seed_0/base/predictions.csv").exists() and time.monotonic() < waited_until:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert not (workspace.folder / "results/small.csv").exists()
    done = workspace.bears(*words)
    assert done.returncode == 0, done.stderr
    assert "| label_smoothing=0.1 epochs=5 |" in done.stdout and "STAND-IN" in done.stdout
    with open(workspace.folder / "results/small.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["base", "train_views=0", "label_smoothing=0.1 epochs=5"]
    assert {row["photos"] for row in rows} == {"12"}
    run, trained = runs / "seed_0/base", workspace.folder / "runs/trained"
    for name in ("photos.csv", "splits.csv", "head.npz", "predictions.csv"):  # each is a run like any other
        assert (run / name).read_bytes() == (trained / name).read_bytes(), name
    assert json.loads((run / "config.json").read_text())["seed"] == 0
    done = workspace.bears("predict", next(workspace.photos.glob("*/*.jpg")), "--run", run)
    assert done.returncode == 0, done.stderr
