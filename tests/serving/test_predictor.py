"""Every model of a run predicts a photo as in its test; models that are not the run's own are rejected."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bears_tl.cli import main
from bears_tl.files import read_csv
from bears_tl.inception.body import Body
from bears_tl.judging.predictions import probabilities_of
from bears_tl.photos.thumbnails import IMAGE_SIZE_PX
from bears_tl.pipeline.run import Run
from bears_tl.serving import predictor as predictor_
from bears_tl.serving.predictor import Predictor, find_photos
from bears_tl.studies import ladder, scratch
from bears_tl.training.head import Head

NAMES = ["Grizzly", "Panda", "Polar"]
TABLES = {
    "head": "predictions.csv",
    "mixed_7c": "ladder/mixed_7c/predictions.csv",
    "scratch": "scratch_predictions.csv",
}


@pytest.fixture(scope="module")
def folder(workspace, tmp_path_factory):
    """Return a copy of the trained run that holds a rung and a network from scratch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEARS_TL_CACHE", str(workspace.folder / "cache"))
        folder = tmp_path_factory.mktemp("served") / "run"
        shutil.copytree(workspace.folder / "runs/trained", folder)
        run = Run.open(folder, fine_tune_epochs=1)
        ladder.climb(run, ["mixed_7c"])
        scratch.train(run, epochs=1)
        yield folder


@pytest.fixture
def run(folder, tmp_path):
    """Return a copy that a test may damage."""
    shutil.copytree(folder, tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("model", TABLES)
def test_photos_and_pixels_get_the_probabilities_of_the_test_alone_and_together(workspace, folder, model):
    predictor = Predictor.load(Run.open(folder), model)
    assert (predictor.model, predictor.class_names, predictor.weights.is_file()) == (model, NAMES, True)
    tests = [row for row in read_csv(folder / TABLES[model], []) if row["split"] == "test"]
    paths = [workspace.photos / row["path"] for row in tests]
    rows = list(predictor.predict(paths))
    assert [row["path"] for row in rows] == [str(path) for path in paths] and len(rows) == 6
    expected = probabilities_of(tests, NAMES)
    np.testing.assert_array_equal(probabilities_of(rows, NAMES), expected)
    pixels = np.stack([predictor.read(path) for path in paths + paths[:3]])  # more than a batch of a rung
    together = predictor.probabilities(pixels)
    assert together.shape == (9, 3) and together.dtype == np.float32
    alone = np.concatenate([predictor.probabilities(view[None]) for view in pixels])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together[:6], expected)
    if model == "scratch":
        assert predictor.body is None and predictor.image_size_px == IMAGE_SIZE_PX
    else:
        precision = Run.open(folder).facts("restore")["precision"] if model == "head" else "float32"
        assert predictor.body["kind"] == "stand_in" and predictor.body["precision"] == precision
        assert predictor.image_size_px == 299


@pytest.mark.slow
def test_maps_are_computed_only_to_explain(workspace, monkeypatch):
    asked, maps, folder = [], Body.maps, workspace.folder / "runs/trained"
    monkeypatch.setattr(Body, "maps", lambda *words: asked.append(words) or maps(*words))
    monkeypatch.setenv("BEARS_TL_CACHE", str(workspace.folder / "cache"))
    predictor = Predictor.load(Run.open(folder))
    paths = sorted(workspace.photos.rglob("*.jpg"))[:3]
    pixels = np.stack([predictor.read(path) for path in paths])
    rows = list(predictor.predict(paths))
    features = predictor.features(pixels)
    head = Head.load(folder / "head.npz")
    np.testing.assert_array_equal(head.probabilities(features), probabilities_of(rows, NAMES))
    assert not asked
    found = predictor.explain(pixels)
    assert len(asked) == 1 and found.dtype == np.float64 and found.shape[0] == 3 and found.shape[1] == found.shape[2]
    logits, bias = head.logits(features), head.bias - head.bias.mean()
    expected = logits.max(axis=1) - logits.mean(axis=1) - bias[logits.argmax(axis=1)]
    np.testing.assert_allclose(found.mean(axis=(1, 2)), expected, rtol=0.01, atol=0.01)
    assert len(predictor.explain(pixels[:0])) == 0


@pytest.mark.parametrize("question", ["explain", "features"])
def test_a_model_without_class_maps_says_which_one_has_them(question, refused):
    with refused("'scratch'", "'head'"):
        getattr(made_up(model="scratch"), question)(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"expected uint8 \[n, 8, 8, 3\]"):
        getattr(made_up(_features=len, _explain=len), question)(np.zeros((1, 9, 8, 3), np.uint8))


@pytest.mark.slow
def test_the_command_line_names_the_model(workspace, folder, capsys):
    tests = [row for row in read_csv(folder / TABLES["scratch"], []) if row["split"] == "test"]
    words = [str(workspace.photos / row["path"]) for row in tests]
    assert main(["predict", *words, "--run", str(folder), "--model", "scratch", "--json"]) == 0
    said = capsys.readouterr()
    assert [json.loads(line)["predicted"] for line in said.out.splitlines()] == [row["predicted"] for row in tests]
    assert "STAND-IN" not in said.err  # no body is involved
    assert main(["predict", words[0], "--run", str(folder), "--model", "mixed_7b"]) == 2
    said = capsys.readouterr()
    assert "'mixed_7b'" in said.err and "head | mixed_7c | scratch" in said.err
    assert said.err.count("\n") == 1 and not said.out


@pytest.mark.slow
def test_a_rung_that_was_made_from_something_else_or_is_damaged_is_refused(run, refused):
    with refused("'mixed_7c'", "expected head | scratch,", "bears ladder"):
        Predictor.load(Run.open(run.folder, fine_tune_epochs=2), "mixed_7c")
    with refused("learning_rate", "train the run again"):
        Predictor.load(Run.open(run.folder, learning_rate=0.5), "mixed_7c")
    weights, head = run.path("ladder/mixed_7c/weights.npz"), run.path("head.npz")
    shutil.copy(head, weights)
    with refused(str(weights), "mixed_7c", "bears ladder"):
        Predictor.load(run, "mixed_7c")
    run.path("ladder/mixed_7c/result.json").write_text("{}")
    with refused("'mixed_7c'", "expected head | scratch,"):
        Predictor.load(run, "mixed_7c")
    head.write_bytes(head.read_bytes()[:-1])
    with refused("head.npz", "changed"):
        Predictor.load(run, "mixed_7c")


@pytest.mark.slow
@pytest.mark.slow
def test_a_head_of_another_run_is_refused(run, refused):
    head = Head.load(run.path("head.npz"))
    dataclasses.replace(head, class_names=head.class_names[::-1]).save(run.path("head.npz"))
    with refused("head.npz", "was changed", "bears train --run"):
        Predictor.load(run)


def test_the_rung_head_has_a_name_of_its_own(folder, monkeypatch):
    monkeypatch.setattr(ladder, "result", lambda run, rung: {"rung": rung} if rung == "head" else None)
    monkeypatch.setattr(predictor_, "_load_rung", lambda run, model, rung: (model, rung))
    assert Predictor.load(Run.open(folder), "ladder_head") == ("ladder_head", "head")


@pytest.mark.slow
def test_a_network_from_scratch_of_other_photos_or_another_run_is_refused(run, refused):
    splits, weights = run.path("splits.csv"), run.path("scratch.npz")
    before = splits.read_bytes()
    splits.write_bytes(before.replace(b",test,", b",train,", 1))
    with refused("splits.csv", "changed"):
        Predictor.load(run, "scratch")
    splits.write_bytes(before)
    weights.write_bytes(weights.read_bytes()[:-1])
    with refused("scratch.npz", "changed", "bears scratch"):
        Predictor.load(run, "scratch")


def made_up(**changes):
    """Return a predictor whose probabilities are shares of a view's mean level."""
    facts = {"model": "head", "class_names": ["a", "b"], "image_size_px": 8, "body": None, "weights": Path("head.npz")}

    def read(path):
        return np.full((8, 8, 3), int(Path(path).read_text()), np.uint8)

    def infer(pixels):
        share = pixels.mean(axis=(1, 2, 3), dtype=np.float32) / 255
        return np.stack([share, 1 - share], axis=1), [{"known": "true"}] * len(pixels)

    return Predictor(**facts | {"read": read, "_infer": infer} | changes)


def test_files_are_read_in_chunks_and_those_that_are_no_photos_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(predictor_, "_CHUNK", 2)
    for name, text in zip("abcdefg", ("0", "255", "broken", "", "51", "?", "255"), strict=True):
        (tmp_path / name).write_text(text)
    sizes = []
    predictor = made_up()
    counted = made_up(_infer=lambda pixels: sizes.append(len(pixels)) or predictor._infer(pixels))
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")  # reading it would never end
    names = [*"abcdefg", "gone", "empty", "pipe"]
    rows = list(counted.predict(tmp_path / name for name in names))
    assert [Path(row["path"]).name for row in rows] == names and sizes == [2, 1, 1]
    answers = [row["predicted"] for row in rows if "error" not in row]
    assert answers == ["b", "a", "b", "a"] and rows[4]["probability_a"] == "0.200000003"
    errors = {Path(row["path"]).name: row["error"] for row in rows if "error" in row}
    assert list(errors) == [*"cdf", "gone", "empty", "pipe"] and "broken" in errors["c"]
    assert errors["gone"] == "No such file or directory"
    assert (errors["empty"], errors["pipe"]) == ("a folder without files", "not a file")


def test_answers_come_while_later_photos_are_unread_and_reading_stays_a_few_chunks_ahead(monkeypatch):
    monkeypatch.setattr(predictor_, "_CHUNK", 4)
    monkeypatch.setattr(predictor_, "_AHEAD", 8)
    read = []
    predictor = made_up(read=lambda path: read.append(path) or np.zeros((8, 8, 3), np.uint8))
    answers = predictor.predict(str(i) for i in range(1000))
    for number in range(1, 101):
        assert next(answers)["path"] == str(number - 1)
        assert len(read) <= number + 4 + 8
    answers.close()


PROGRAM = """
import sys
import numpy as np
from PIL import Image
from bears_tl.photos.views import CENTER, read_views
from bears_tl.serving.predictor import Predictor, find_photos
Image.MAX_IMAGE_PIXELS = 3000  # Pillow warns of a photo that is larger
read = lambda path: read_views(path, [CENTER], "")[0]
infer = lambda pixels: (np.full((len(pixels), 2), 0.5, np.float32), [{}] * len(pixels))
predictor = Predictor("head", ["a", "b"], 299, None, None, read, infer)
print(len([row for row in predictor.predict(find_photos(sys.argv[1])) if "error" not in row]))
"""


def test_nothing_that_pillow_warns_of_is_printed(tmp_path):
    photo = Image.new("RGB", (64, 64))  # more than 3,000 pixels
    photo.save(tmp_path / "exif.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")  # cut off
    photo.save(tmp_path / "plain.png")
    photo.convert("P").save(tmp_path / "palette.png", transparency=bytes(range(255, 239, -1)))
    done = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "3\n")


def test_files_and_folders_are_found_and_what_is_missing_is_kept_for_its_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds/wren").mkdir(parents=True)
    for name in ("b.jpg", "wren/a.jpg", ".DS_Store"):
        (tmp_path / "birds" / name).touch()
    inside = [tmp_path / "birds/b.jpg", tmp_path / "birds/wren/a.jpg"]
    assert find_photos("birds/b.jpg") == [Path("birds/b.jpg")]
    assert find_photos("~/birds") == find_photos(Path("~/birds")) == find_photos(["~/birds"]) == inside
    assert find_photos(["gone.jpg", *inside]) == [Path("gone.jpg"), *inside]
    (tmp_path / "birds/none").mkdir()
    assert find_photos(["birds/none", "birds/b.jpg"]) == [Path("birds/none"), Path("birds/b.jpg")]


@pytest.mark.parametrize("paths", ["", " ", [], [""], ["a.jpg", ""]])
def test_an_empty_name_is_not_the_current_folder(paths, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").touch()
    with refused("names no photo"):
        find_photos(paths)


@pytest.mark.parametrize("folder", ["/", "~", "..", "~/birds/.."])
def test_a_folder_that_is_or_contains_the_home_folder_is_not_walked(folder, tmp_path, monkeypatch, refused):
    (tmp_path / "me/birds").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.chdir(tmp_path / "me")
    with refused("is or contains your home folder"):
        find_photos(folder)


def test_only_names_of_nothing_are_refused_at_once(refused):
    with refused("no photo at 'gone.jpg'"):
        find_photos(["gone.jpg", "lost.jpg"])


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 9, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 1), np.uint8), np.zeros((1, 2, 8, 8, 3), np.uint8), [], np.uint8(3),
    ],
    ids=lambda pixels: f"{np.asarray(pixels).dtype} {np.shape(pixels)}",
)  # fmt: skip
def test_what_is_no_batch_of_views_is_refused(pixels):
    with pytest.raises(ValueError, match=r"expected uint8 \[n, 8, 8, 3\]"):
        made_up().probabilities(pixels)


def test_no_views_have_no_probabilities():
    found = made_up(_infer=None).probabilities(np.empty((0, 8, 8, 3), np.uint8))
    assert found.shape == (0, 2) and found.dtype == np.float32
