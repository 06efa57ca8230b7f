import csv
import json
import os
import shutil

import pytest

from bears_tl.training.head import Head

pytestmark = pytest.mark.slow


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(workspace):
    return workspace.folder / "runs" / "trained"


def test_a_run_leaves_the_files_of_the_design(run):
    assert list(rows(run / "photos.csv")[0]) == [
        "path",
        "class_name",
        "sha256",
        "bytes",
        "format",
        "mode",
        "width",
        "height",
        "group",
        "given_split",
    ]
    assert list(rows(run / "splits.csv")[0]) == ["path", "class_name", "sha256", "group", "split", "source"]
    history = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"]
    assert list(rows(run / "history.csv")[0]) == history
    assert list(rows(run / "predictions.csv")[0])[:4] == ["path", "class_name", "split", "predicted"]
    assert (run / "quarantine.csv").read_text() == "path,class_name,reason,detail\n"
    assert {figure.name for figure in (run / "figures").iterdir()} == {
        "confusion.png", "cues.png", "learning_curves.png", "reasons.png", "reliability.png", "six_random.png",
        "splits.png", "verdict.png", "worst.png",
    }  # fmt: skip
    assert not list(run.rglob("*.part"))


def test_metrics_say_what_was_counted_and_that_the_body_is_a_stand_in(run):
    metrics = json.loads((run / "metrics.json").read_text())
    predictions = [row for row in rows(run / "predictions.csv") if row["split"] == "test"]
    errors = sum(row["predicted"] != row["class_name"] for row in predictions)
    assert metrics["test"]["count"] == len(predictions) == 6
    assert metrics["test"]["errors"] == errors
    assert metrics["test"]["interval"][0] < metrics["test"]["accuracy"] <= metrics["test"]["interval"][1]
    assert metrics["photos"] == {
        "count": 24,
        "quarantined": 0,
        "per_class": {"Grizzly": 8, "Panda": 8, "Polar": 8},
        "per_reason": {},
        "near_duplicate_groups": 0,
        "corrections": 0,
        "notes": [],
    }
    assert metrics["checkpoint"]["kind"] == "stand_in" and "STAND-IN" in metrics["notice"]
    assert set(metrics["seconds"]) >= {"fetch", "intake", "split", "restore", "features", "train", "audit"}
    near = [row for row in rows(run / "cues.csv") if float(row["accuracy"]) >= metrics["test"]["accuracy"] - 0.05]
    assert len(metrics["warnings"]) == len(near)


def test_the_same_settings_give_the_same_bits_with_and_without_the_cache(workspace, run):
    words = ["train", "--set", f"photos={workspace.photos}", "--set", "checkpoint=random", "--run"]
    again = workspace.bears_here(*words, "runs/again")
    anew = workspace.bears(*words, "runs/anew", BEARS_TL_CACHE=str(workspace.folder / "other_cache"))
    for name, done in (("again", again), ("anew", anew)):
        assert done.returncode == 0, done.stderr
        for file in ("head.npz", "splits.csv", "photos.csv", "predictions.csv"):
            assert (workspace.folder / "runs" / name / file).read_bytes() == (run / file).read_bytes(), file


def test_the_verbs_one_by_one_do_what_train_does(workspace, run):
    for words in (["intake", workspace.photos], ["split"]):
        done = workspace.bears_here(*words, "--run", "runs/verbs")
        assert done.returncode == 0, done.stderr
    assert (workspace.folder / "runs/verbs/splits.csv").read_bytes() == (run / "splits.csv").read_bytes()
    done = workspace.bears_here("evaluate", "--run", "runs/trained")
    assert done.returncode == 0 and "of 6 photos right" in done.stdout and "STAND-IN" in done.stdout


def test_predictions_of_files_and_folders_are_those_of_the_test(workspace, run):
    tests = [row for row in rows(run / "predictions.csv") if row["split"] == "test"]
    done = workspace.bears_here("predict", *(workspace.photos / row["path"] for row in tests), "--run", run, "--json")
    assert done.returncode == 0, done.stderr
    predictions = [json.loads(line) for line in done.stdout.splitlines()]
    assert [prediction["predicted"] for prediction in predictions] == [row["predicted"] for row in tests]
    for prediction, row in zip(predictions, tests, strict=True):
        for name, share in prediction["probabilities"].items():
            assert share == pytest.approx(float(row[f"probability_{name}"]), abs=1e-4)
    assert "STAND-IN" in done.stderr


def test_a_photo_whose_name_is_no_text_is_classified(workspace, run, tmp_path):
    shutil.copy(next(workspace.photos.glob("*/*.jpg")), os.fsencode(tmp_path) + b"/b\xe4r.jpg")
    done = workspace.bears("predict", tmp_path, "--run", run)
    assert done.returncode == 0 and "b\\udce4r.jpg: " in done.stdout and "Traceback" not in done.stderr


def test_a_bad_photo_among_good_ones_is_named_and_the_others_are_classified(workspace, run, tmp_path):
    shutil.copy(next(workspace.photos.glob("*/*.jpg")), tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_text("no photo")
    done = workspace.bears_here("predict", tmp_path, "--run", run)
    assert done.returncode == 2
    assert "good.jpg: " in done.stdout and "bad.jpg" in done.stderr and "Traceback" not in done.stderr


def test_a_cpu_head_is_small_and_has_one_parameter_more_than_features_a_class(run):
    head = Head.load(run / "head.npz")
    assert head.parameters == 3 * (len(head.kernel) + 1) and len(head.kernel) in (2048, 6144)


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        (["train", "--set", "photos=nowhere"], 2, "'nowhere'"),
        (["train", "--set", "photos=http://127.0.0.1:9/x.zip"], 3, "127.0.0.1:9"),
        (["train", "--set", "epoch=3"], 2, "unknown setting 'epoch' in the settings: did you mean 'epochs'?"),
        (["train", "--set", "checkpoint=gone.ckpt"], 2, "no checkpoint at 'gone.ckpt'"),
        (["train", "--set", "epochs=many"], 2, "epochs: 'many' is text, expected a whole number"),
        (["train", "--set", "test_fraction=1.5"], 2, "out of range"),
        (["train", "--set", "test_fraction=0.6", "--set", "val_fraction=0.6"], 2, "0.9"),
        (["train", "--config", "none.yaml"], 2, "none.yaml"),
        (["split", "--run", "runs/none"], 2, "no run in 'runs/none'"),
        (["predict", "x.jpg", "--run", "runs/none"], 2, "no run in"),
        (["fetch", "nowhere", "--to", "there"], 2, "'nowhere'"),
        (["open-images", "--to", "there", "--config", "none.yaml"], 2, "none.yaml"),
        (["intake", "empty", "--run", "runs/empty"], 2, "contains no class folders"),
        (["intake", "one", "--run", "runs/one"], 2, "only the class"),
        (["intake", "few", "--run", "runs/few"], 2, "has 2 good photos"),
        (["train", "--set", "checkpoint=page.ckpt", "--run", "runs/page"], 2, "web page"),
        (["train", "--set", "checkpoint=other.ckpt", "--run", "runs/other"], 2, "missing"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_with_a_status(workspace, words, status, named):
    prepare_mistakes(workspace)
    if words[0] == "train" and not any("photos=" in str(word) for word in words):
        words = [*words, "--set", f"photos={workspace.photos}"]
    if words[0] == "train" and "--run" not in words:
        words = [*words, "--run", "runs/mistake"]
    whole = words[0] == "fetch" or "checkpoint=other.ckpt" in words  # without and with TensorFlow's start-up lines
    done = (workspace.bears if whole else workspace.bears_here)(*words)
    assert done.returncode == status, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("fetching ")]
    assert len(said) == 1 and said[0].startswith("bears: ") and named in said[0], done.stderr
    assert not (workspace.folder / "there").exists()


def prepare_mistakes(workspace):
    if (workspace.folder / "few").exists():
        return
    import numpy as np

    from bears_tl.inception import checkpoint

    photos = sorted(workspace.photos.glob("*/*.jpg"))
    (workspace.folder / "empty").mkdir()
    for name, chosen in (("one/A", photos[:6]), ("few/A", photos[:2]), ("few/B", photos[10:16])):
        (workspace.folder / name).mkdir(parents=True)
        for photo in chosen:
            shutil.copy(photo, workspace.folder / name)
    (workspace.folder / "page.ckpt").write_text("<!DOCTYPE html><html>quota</html>")
    checkpoint.write(workspace.folder / "other.ckpt", {"vgg/conv1/weights": np.zeros((3, 3, 3, 8), np.float32)})


def test_a_run_that_is_there_is_trained_with_its_own_settings(workspace, run):
    before = json.loads((run / "config.json").read_text())
    done = workspace.bears_here("train", "--set", "epochs=nine", "--run", "runs/trained")
    assert done.returncode == 2 and "epochs: 'nine'" in done.stderr
    done = workspace.bears_here("train", "--run", "runs/trained")
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "config.json").read_text()) == before and before["photos"] == str(workspace.photos)


def test_a_mistake_loses_nothing_of_a_finished_run(workspace, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "config.json"}
    done = workspace.bears("train", "--set", "photos=nowhere", "--run", "runs/trained")
    assert done.returncode == 2
    assert before == {
        path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "config.json"
    }
