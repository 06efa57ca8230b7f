"""Sorting copies and changes nothing: not the photos, not what is in the folder already."""

import contextlib
import json
import os
from types import SimpleNamespace

import pytest

from bears_tl.files import sha256_of
from bears_tl.judging.predictions import to_row
from bears_tl.serving import sorting
from bears_tl.serving.sorting import Names

ANSWERS = {"sure": ([0.99, 0.01], "true"), "unsure": ([0.6, 0.4], "true"), "close": ([0.49, 0.51], "true")}
ANSWERS |= {"strange": ([0.99, 0.01], "false")}


def model(class_names=("Grizzly", "Panda")):
    """Make a model that answers by the first letters of a file's content."""

    def predict(paths):
        for path in paths:
            word = path.read_text()
            if word not in ANSWERS:
                yield {"path": str(path), "error": "no photo"}
                continue
            shares, known = ANSWERS[word]
            yield to_row({"path": str(path), "known": known, "strangeness": "0.1"}, shares, list(class_names))

    return SimpleNamespace(class_names=list(class_names), identity=lambda: "a", predict=predict)


@pytest.fixture
def folder(tmp_path):
    """Give a folder with equal names in different folders."""
    for name, word in {
        "IMG_1.jpg": "sure", "2019/IMG_1.jpg": "unsure", "2020/IMG_1.jpg": "strange", "2020/a\nb'\".jpg": "close",
        os.fsdecode(b"\xff.jpg"): "sure", "note.txt": "text",
    }.items():  # fmt: skip
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(word)
        os.utime(path, (1e9, 1e9))
    return tmp_path / "mine"


@pytest.fixture
def sort(monkeypatch, tmp_path, folder):
    """Give a function that sorts the folder; an answer is sure from 90 % on."""
    (tmp_path / "training").mkdir()
    monkeypatch.setattr(sorting, "sure_from", lambda run: 0.9)
    monkeypatch.setattr(sorting.artifacts, "photo_folder", lambda run: tmp_path / "training")

    def sorted_to(out=tmp_path / "out", link=False, of=folder, by=None):
        return list(sorting.sort(None, by or model(), of, out, link))

    return sorted_to


def tree(folder):
    """Give content, links and times of all files, but not locks."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.is_symlink(), path.stat().st_mtime)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


PLACES = {
    "Grizzly/IMG_1.jpg", "unsure/2019/IMG_1.jpg", "not_one_of_these/2020/IMG_1.jpg", "unsure/2020/a\nb'\".jpg",
    os.fsdecode(b"Grizzly/\xff.jpg"),
}  # fmt: skip


@pytest.mark.parametrize("link", [False, True])
def test_each_photo_is_in_the_folder_of_its_answer_and_the_source_is_as_before(link, sort, folder, tmp_path):
    before = tree(folder)
    rows = sort(link=link)
    found = tree(tmp_path / "out")
    assert found.keys() == PLACES | {"answers.csv"} and tree(folder) == before
    assert {row["sorted_to"] for row in rows} == PLACES | {""}
    for place in PLACES:
        content, is_link, time = found[place]
        assert content == (folder / place.split("/", 1)[1]).read_bytes() and is_link == link and time == 1e9
    assert [row["path"] for row in rows if "error" in row] == [str(folder / "note.txt")]


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("moment", ["_put", "_rename"])
def test_a_killed_sorting_ends_as_one_that_was_not(moment, step, sort, tmp_path, monkeypatch):
    sort(tmp_path / "whole")
    calls, done = [], getattr(sorting, moment)

    def dies(*words):
        calls.append(words)
        if moment == "_put":
            done(*words)  # the photo is there, its row is not
        if len(calls) == step + 1:
            raise KeyboardInterrupt
        if moment == "_rename":
            done(*words)

    with monkeypatch.context() as patch:
        patch.setattr(sorting, moment, dies)
        with contextlib.suppress(KeyboardInterrupt):
            sort()
    sort()
    one, other = tree(tmp_path / "whole"), tree(tmp_path / "out")
    for files in (one, other):
        files["answers.csv"] = sorted(files["answers.csv"][0].splitlines())
    assert one == other


def test_what_was_moved_by_hand_stays_moved(sort, tmp_path):
    sort()
    (tmp_path / "out/unsure/2019/IMG_1.jpg").rename(tmp_path / "out/Panda.jpg")
    before = tree(tmp_path / "out")
    assert [row["path"] for row in sort() if "error" not in row] == []
    assert tree(tmp_path / "out").keys() == before.keys()


def test_a_place_that_is_taken_is_left_alone_and_tried_again(sort, tmp_path, folder):
    (folder / "IMG_1.jpg").rename(tmp_path / "later.jpg")
    sort()
    (tmp_path / "out/Grizzly/IMG_1.jpg").write_text("mine")
    (tmp_path / "later.jpg").rename(folder / "IMG_1.jpg")
    for _ in range(2):
        assert [row["taken"] for row in sort() if "taken" in row] == [str(tmp_path / "out/Grizzly/IMG_1.jpg")]
        assert (tmp_path / "out/Grizzly/IMG_1.jpg").read_text() == "mine"


def test_nothing_is_written_through_a_link_in_the_folder(sort, tmp_path, folder):
    sort(of=folder / "2019")
    (tmp_path / "out/Grizzly").symlink_to(tmp_path / "training")
    (folder / "2019/new.jpg").write_text("sure")
    assert [bool(row.get("taken")) for row in sort(of=folder / "2019")] == [True]
    assert not any((tmp_path / "training").iterdir())


@pytest.mark.parametrize(
    ("out", "words"),
    [("mine", "overlap"), ("mine/sorted", "overlap"), (".", "overlap"), ("training/new", "overlap"), ("full", "empty")],
)
def test_a_folder_that_holds_the_users_files_is_refused(out, words, sort, tmp_path, refused):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").touch()
    before = tree(tmp_path)
    with refused(words):
        sort(tmp_path / out)
    assert tree(tmp_path) == before


def test_photos_of_another_folder_or_a_folder_that_is_none_are_refused(sort, tmp_path, folder, refused):
    with refused("no folder", "note.txt"):
        sort(of=folder / "note.txt")
    sort(of=folder / "2019")
    with refused("another folder", "--to"):
        sort(of=folder / "2020")


def test_a_class_may_be_called_unsure():
    assert Names.beside(["Panda"]) == Names("unsure", "not_one_of_these", "answers.csv")
    names = Names.beside(["Unsure", "unsure_", " NOT_one_of_these", "answers.csv"])
    assert names == Names("unsure__", "not_one_of_these_", "answers_.csv")


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../x", "a\\b", "/tmp", "a\0"])
def test_a_class_that_is_no_name_of_a_folder_is_refused_before_anything_is_written(name, sort, tmp_path, refused):
    with refused("cannot be the name of a folder"):
        sort(by=model(("Panda", name)))
    assert not (tmp_path / "out").exists()


def test_the_smallest_lead_comes_first_and_goes_back_under_its_label(sort, tmp_path):
    sort()
    rows = sorting.unsure_first(model(), tmp_path / "out")
    assert [row["path"] for row in rows] == ["unsure/2020/a\nb'\".jpg", "unsure/2019/IMG_1.jpg"]
    assert [row["label"] for row in rows] == ["Panda", "Grizzly"] and rows[0]["doubt"] == "Panda 51%, Grizzly 49%"
    photos = tmp_path / "training"
    (photos / "Panda").mkdir()
    (photos / "Panda/IMG_1.jpg").write_text("another")
    paths = sorting.bring_back(tmp_path / "out", rows, photos)
    assert [sha256_of(path) for path in paths] == [row["sha256"] for row in rows]
    assert sorting.bring_back(tmp_path / "out", rows, photos) == paths and len(list(photos.rglob("*.jpg"))) == 3


@pytest.mark.slow
def test_the_verb_sorts_lists_the_unsure_photos_and_goes_on(workspace, tmp_path):
    words = "sort", workspace.photos, "--run", "runs/trained", "--to", tmp_path / "out", "--review"
    done = workspace.bears_here(*words)
    assert done.returncode == 0 and "STAND-IN" in done.stderr and "24 photos in" in done.stdout
    again = workspace.bears_here(*words)
    assert again.returncode == 0 and again.stdout == done.stdout
    table = workspace.folder / "t.jsonl"
    for kept in (0, 24):
        done = workspace.bears_here("predict", workspace.photos, "--run", "runs/trained", "--to", table)
        assert done.returncode == 0 and f"{24 - kept} photos answered" in done.stdout
    assert len([json.loads(line) for line in table.read_text().splitlines()]) == 24
