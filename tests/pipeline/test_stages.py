"""Stages that no other file tests: views of training, the audit of cues, evaluation, runs of an earlier version."""

import shutil

import numpy as np
import pytest
from PIL import Image

from bears_tl.config import RunConfig
from bears_tl.errors import LimitError
from bears_tl.files import read_csv, read_json, write_bytes, write_csv, write_json
from bears_tl.judging import plots
from bears_tl.judging.cues import CUE_COLUMNS
from bears_tl.judging.metrics import CONFUSION_COLUMNS
from bears_tl.judging.predictions import to_row
from bears_tl.photos.views import CENTER, View
from bears_tl.pipeline import artifacts, evaluation, stages
from bears_tl.pipeline.pruning import prune
from bears_tl.pipeline.run import Run

FIGURES = ["confusion", "cues", "learning_curves", "reliability", "six_random", "splits", "verdict", "worst"]
EPOCH = dict.fromkeys(("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"), 1)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Give a function that makes a run of photos told apart by their colour, with right or wrong predictions."""
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)  # without label corrections
    draw = np.random.default_rng(0)
    for name, shift in (("Dark", 0), ("Light", 120)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = draw.integers(0, 120, (70, 70, 3), dtype=np.uint8) + np.uint8(shift)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")

    def make(right: bool) -> Run:
        run = Run(RunConfig(run=str(tmp_path / "run"), photos=str(tmp_path / "photos")))
        stages.fetch(run)
        stages.intake(run)
        stages.split(run)
        with run.stage("restore") as facts:
            facts |= {"path": "x.ckpt", "kind": "local", "fingerprint": "0" * 64, "precision": "float32"}
        names = ["Dark", "Light"]
        with run.stage("train") as facts:
            facts |= {"features": "last", "weight_decay": 0.1, "trials": [], "temperature": 1.0}
            facts |= {"temperature_interval": [0.5, 2.0], "strangers": {"left_out": []}}
            write_csv(run.path("history.csv"), list(EPOCH), [EPOCH])
            rows = [row for row in run.table("splits.csv") if row["split"] != "train"]
            shares = [[row["class_name"] == name for name in names] for row in rows]
            predictions = [
                to_row(
                    row | {"known": "true", "strangeness": "0.1"}, np.array(share, float)[:: 1 if right else -1], names
                )
                for row, share in zip(rows, shares, strict=True)
            ]
            write_csv(run.path("predictions.csv"), list(predictions[0]), predictions)
        return run

    return make


def test_training_photos_alone_are_seen_as_the_settings_say(tmp_path):
    effects = {"brightness": 0.1, "contrast": 0.2, "saturation": 0.3, "hue": 0.4, "rotation_degrees": 5.0}
    run = Run(RunConfig(run=str(tmp_path), seed=7, max_zoom=0.3, train_views=2, erasing=0.6, **effects))
    views = [View(k, 7, 0.3, 0.1, 0.2, 0.3, 0.4, 5.0, 0.6) for k in (0, 1)]
    assert artifacts.split_views(run) == {"train": views, "val": [CENTER], "test": [CENTER]}
    assert artifacts.train_views(Run(run.config.replace(train_views=0))) == [CENTER]


def test_drawn_pixels_are_center_views_and_the_same_each_time(trained):
    run = trained(right=True)
    pixels = artifacts.draw_pixels(run, 3)
    assert pixels.shape == (3, 299, 299, 3) and pixels.dtype == np.uint8
    assert np.array_equal(pixels[:2], artifacts.draw_pixels(run, 2))


@pytest.mark.parametrize("right", [True, False])
def test_colour_that_tells_the_classes_is_found_and_warned_of(trained, right):
    run = trained(right)
    rows = evaluation.audit(run)
    accuracy = {row["cue"]: row["accuracy"] for row in rows}
    assert list(accuracy) == ["colour", "border", "image_size", "file_size", "all_cues"]
    assert accuracy["colour"] == accuracy["border"] == accuracy["all_cues"] == 1
    assert accuracy["image_size"] == 0.5  # all photos are of one size
    assert {row["body_accuracy"] for row in rows} == {float(right)}
    assert [row["cue"] for row in read_csv(run.path("cues.csv"), CUE_COLUMNS)] == list(accuracy)
    assert any("colour alone gets 100.0%" in warning for warning in run.facts("audit")["warnings"])


def test_a_large_set_is_judged_by_some_of_its_photos(trained, monkeypatch):
    run = trained(right=True)
    monkeypatch.setattr(evaluation, "AUDIT_PHOTOS", 30)
    of_all = len([row for row in run.table("splits.csv") if row["split"] == "test"])
    assert 0 < evaluation.audit(run)[0]["count"] < of_all


def test_other_predictions_take_the_audit_away(trained):
    evaluation.audit(trained(right=True))
    assert not trained(right=False).path("cues.csv").exists()


def test_a_run_of_an_earlier_version_is_refused_in_one_line(tmp_path, refused):
    run = Run(RunConfig(run=str(tmp_path / "run")))
    with run.stage("split"):
        write_csv(run.path("splits.csv"), ["path"], [])
    with run.stage("restore") as facts:
        facts |= {"path": "x.ckpt", "kind": "local", "fingerprint": "f" * 64}
    with refused("earlier version", "train again"):
        artifacts.load_body(run)
    with refused("earlier version", "train again"):
        prune([run])


def test_prune_keeps_what_a_run_uses_and_passes_over_one_that_has_no_features_yet(trained, tmp_path, refused):
    run, begun = trained(right=True), Run(RunConfig(run=str(tmp_path / "begun")))
    with begun.stage("fetch") as facts:
        facts |= {"folder": "here"}
    with refused("no run to keep", "bears train"):
        prune([begun])
    cache, names = artifacts.feature_cache(run), [row["sha256"] for row in run.table("splits.csv")]
    cache.put([(name, CENTER) for name in ["0" * 64, *names]], np.zeros((41, 6144), np.float16))
    kept = sum(row["split"] != "train" for row in run.table("splits.csv"))  # training photos are seen in random views
    assert [(row["kept"], row["removed"]) for row in prune([begun, run])] == [(kept, 41 - kept)]


@pytest.fixture
def split_run(tmp_path, monkeypatch, write_photos):
    """Give a function that makes a run, up to its split, of photos in train and test; one of each is a near-copy."""
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "cache"))
    for name in ("train", "test"):
        write_photos(tmp_path / "photos" / name, cat=10, dog=10)
    scene = Image.effect_noise((300, 300), 80).convert("RGB")
    for name, size in (("train", 500), ("test", 400)):
        scene.resize((size, size)).save(tmp_path / "photos" / name / "cat" / "scene.png")

    def make(**settings) -> Run:
        run = Run(RunConfig(run=str(tmp_path / "run"), photos=str(tmp_path / "photos"), **settings))
        stages.fetch(run)
        stages.intake(run)
        stages.split(run)
        return run

    return make


LEAK = "1 val and test photos have a near-duplicate in train, which inflates accuracy (first: test/cat/scene.png and "
LEAK += "train/cat/scene.png); "


@pytest.mark.parametrize(
    ("settings", "source", "notes"),
    [
        (
            {},
            "given",
            [
                "the folder's own split is used: train 19, val 2 (taken from train), test 21",
                LEAK + "split=given_grouped moves them",
            ],
        ),
        (
            {"split": "given_grouped"},
            "given_grouped",
            ["the folder's own split is used: train 18, val 2 (taken from train), test 22 (1 moved here)"],
        ),
        ({"split": "content"}, "content", []),
    ],
)
def test_the_split_of_the_folder_is_used_and_its_leaks_are_named(settings, source, notes, split_run):
    run = split_run(**settings)
    assert run.facts("split")["source"] == source and run.facts("split")["notes"] == notes
    assert run.notes() == run.facts("intake")["notes"] + notes
    assert "already split into test/, train/" in run.notes()[0]


def test_near_duplicates_are_divided_only_if_asked(split_run):
    apart = [
        split_run(split="content", near_duplicates="ignore", seed=seed).facts("split")["notes"] for seed in range(9)
    ]
    said = {note.rpartition("; ")[2] for notes in apart for note in notes}
    assert said == {"near_duplicates=group keeps them together"}


def test_a_split_that_the_folder_does_not_have_is_refused(trained, refused):
    run = trained(right=True)
    run.config = run.config.replace(split="given")
    with refused("split=given", "no train, val and test folders", "split=auto"):
        stages.split(run)


def test_the_summary_of_a_run_names_photos_result_folder_and_what_to_open(tmp_path):
    run = Run(RunConfig(run=str(tmp_path / "my run")))
    with run.stage("restore") as facts:
        facts |= {"kind": "stand_in"}
    judged = {"count": 24, "errors": 1, "accuracy": 23 / 24, "interval": [0.8, 0.99]}
    result = {"photos": {"count": 120, "per_class": {"Panda": 80, "Polar": 40}}, "test": judged}
    trials = [
        {"features": name, "cross_entropy": loss} for name, loss in (("last", 0.3), ("depths", 0.2), ("last", 0.4))
    ]
    result["features"] = {"features": "depths", "trials": trials}
    write_json(run.path("metrics.json"), result | {"notice": run.notice(), "warnings": ["colour alone: 95 %"]})
    assert evaluation.summary(run, ".venv/bin/bears") == [
        "photos: 120 in 2 classes (Panda 80, Polar 40)",
        "test: 95.83% (23 of 24 photos right; 95 % interval 80.0% to 99.0%)",
        "features: depths (loss on folds of the training photos: last 0.3000, depths 0.2000)",
        run.notice(),
        "warning: colour alone: 95 %",
        f"run: {run.folder}",
        f"next: open {run.folder}/report.html; classify photos with "
        f"`.venv/bin/bears predict FILE_OR_FOLDER --run '{run.folder}'`",
    ]
    result["photos"] = {"count": 5000, "per_class": {f"class {i:03}": 5 for i in range(1000)}}
    write_json(run.path("metrics.json"), result | {"notice": "", "warnings": []})
    first = evaluation.summary(run)[0]
    assert first.startswith("photos: 5000 in 1000 classes (class 000 5, ") and first.endswith(
        "class 009 5, and 990 more)"
    )


def test_an_evaluation_writes_numbers_confusions_and_eight_figures_without_a_body(trained):
    run = trained(right=False)
    result = evaluation.evaluate(run)
    assert read_json(run.path("metrics.json")) == result
    assert (result["test"]["count"], result["test"]["errors"]) == (8, 8)
    rows = [("Dark", "Light", "4", "1.0"), ("Light", "Dark", "4", "1.0")]
    assert [tuple(row.values()) for row in read_csv(run.path("confusions.csv"), CONFUSION_COLUMNS)] == rows
    assert sorted(path.stem for path in run.path("figures").iterdir()) == FIGURES
    assert "the figure reasons.png is missing" in result["warnings"][-1] and "head.npz" in result["warnings"][-1]


def test_a_figure_that_fails_costs_a_warning_after_the_numbers_are_written(trained, monkeypatch):
    run = trained(right=True)
    evaluation.audit(run)
    write_bytes(run.path("figures/confusion.png"), b"of an earlier evaluation")

    def fail(judged, *_):
        assert read_json(run.path("metrics.json"))["test"] == judged
        raise RuntimeError("no\nglyph")

    monkeypatch.setattr(plots, "confusion", fail)
    result = evaluation.evaluate(run)
    warning = "the figure confusion.png is missing, because it could not be drawn (RuntimeError: no glyph)"
    assert warning in result["warnings"] and f"warning: {warning}" in evaluation.summary(run)
    assert read_json(run.path("metrics.json")) == result
    assert [path.stem for path in sorted(run.path("figures").iterdir())] == [
        name for name in FIGURES if name != "confusion"
    ]


def test_an_evaluation_compares_runs_by_the_photos_that_both_tested(trained, refused):
    run = trained(right=True)
    assert "both are right on the same photos" in evaluation.compare(run, run)
    other = Run(run.config.replace(run=f"{run.folder}_2"))
    shutil.copytree(run.folder, other.folder)
    rows = read_csv(other.path("predictions.csv"), [])
    write_csv(other.path("predictions.csv"), list(rows[0]), [row | {"predicted": "Dark"} for row in rows])
    assert "on 8 photos" in evaluation.compare(run, other).lower()
    rows = [row | {"split": "val"} for row in rows]
    write_csv(other.path("predictions.csv"), list(rows[0]), rows)
    with refused("no test photo in common", "same seed"):
        evaluation.compare(run, other)


def test_a_run_that_falls_short_of_a_limit_is_evaluated_and_then_refused(trained):
    run = Run(trained(right=True).config.replace(min_accuracy=0.9))
    result = evaluation.evaluate(run)
    assert result["test"]["accuracy"] == 1 and not result["gate"][0]["passed"]  # 8 photos cannot show it
    with pytest.raises(LimitError, match="below min_accuracy") as raised:
        evaluation.check_limits(result)
    assert raised.value.exit_status == 4


@pytest.mark.parametrize("name", ["predictions.csv", "splits.csv"])
def test_files_of_another_split_are_not_evaluated(trained, refused, name):
    run = trained(right=True)
    path = run.path(name)
    path.write_text(path.read_text().replace("Dark/1", "Dark/x"))
    with refused(name, "was changed", "bears train --run"):
        evaluation.evaluate(run)
    assert not run.path("metrics.json").exists()


def test_what_an_earlier_version_trained_is_refused_in_one_line(trained, refused):
    run = trained(right=True)
    with run.stage("train") as facts:
        facts |= {"parameters": 6}
    with refused("earlier version", "bears train --run"):
        evaluation.evaluate(run)
