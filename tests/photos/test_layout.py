"""Folders that are already split are recognized; nothing else is taken for a split."""

import shutil

import pytest

from bears_tl.photos.intake import take_in
from bears_tl.photos.layout import class_names_in, class_root, misspelt_names, similar_names, split_folders


@pytest.fixture
def split_folder(write_photos, tmp_path):
    """Give a function that writes class folders with five photos each below folders of these names."""

    def write(**classes):
        for name, class_names in classes.items():
            write_photos(tmp_path / "set" / name, **dict.fromkeys(class_names, 5))
        return tmp_path / "set"

    return write


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val", "test"), ("train", "val", "test")),  # Keras, PyTorch, Ultralytics
        (("train", "valid", "test"), ("train", "val", "test")),  # Roboflow, fastai
        (("Training", "Testing"), ("train", "test")),
        (("train", "validation"), ("train", "val")),  # Keras' cats_and_dogs_filtered
        (("TRAIN", "eval"), ("train", "test")),
        (("train", "eval", "test"), ("train", "val", "test")),
    ],
)
def test_a_split_of_common_tools_is_recognized(names, splits, split_folder):
    folder = split_folder(**{name: ["cat", "dog"] for name in names})
    assert class_root(folder.parent) == folder
    assert split_folders(folder) == dict(zip(names, splits, strict=True))
    assert class_names_in(folder) == ["cat", "dog"]


def test_a_split_without_labels_for_its_test_photos_is_recognized(split_folder):
    folder = split_folder(train=["cat", "dog"], val=["cat", "dog"])
    for name in ("", "images/"):  # Keras needs a folder around them
        (folder / "test" / name).mkdir(exist_ok=True)
        shutil.copy(folder / "train" / "cat" / "0.png", folder / "test" / name / "1.png")
    assert split_folders(folder) == {"train": "train", "val": "val"} and class_names_in(folder) == ["cat", "dog"]
    rows = take_in(folder).quarantined
    assert [(row["path"], row["class_name"], row["reason"]) for row in rows] == [
        ("test/1.png", "", "wrong_place"), ("test/images/1.png", "", "wrong_place"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "classes",
    [
        {"train": [], "bus": [], "car": []},  # three classes, one of them of locomotives
        {"train": ["steam", "diesel"], "bus": ["red", "green"]},
        {"train": ["steam", "diesel"], "test": ["tube", "rack"]},  # no class in common
        {"train": ["cat"], "test": ["cat"]},  # one class is no set of classes
        {"val": ["cat", "dog"], "test": ["cat", "dog"]},  # nothing to train on
    ],
)
def test_classes_with_the_names_of_splits_stay_classes(classes, split_folder, write_photos):
    folder = split_folder(**classes)
    for name, class_names in classes.items():
        if not class_names:
            write_photos(folder, **{name: 5})
    assert split_folders(folder) == {} and class_names_in(folder) == sorted(classes)


def test_class_and_split_of_each_photo_of_a_split_folder(split_folder):
    folder = split_folder(train=["cat", "dog"], test=["cat", "dog"])
    photos = take_in(folder).photos
    assert {(row["given_split"], row["class_name"], row["path"][:-5]) for row in photos} == {
        ("train", "cat", "train/cat/"), ("train", "dog", "train/dog/"),
        ("test", "cat", "test/cat/"), ("test", "dog", "test/dog/"),
    }  # fmt: skip


def test_of_copies_in_several_splits_the_one_that_is_not_in_train_is_kept(split_folder):
    folder = split_folder(train=["cat", "dog"], val=["cat", "dog"], test=["cat", "dog"])
    for name in ("train/dog/copy.png", "val/dog/copy.png"):
        shutil.copy(folder / "test" / "dog" / "0.png", folder / name)
    shutil.copy(folder / "val" / "cat" / "0.png", folder / "train" / "cat" / "copy.png")
    assert [(row["path"], row["reason"], row["detail"]) for row in take_in(folder).quarantined] == [
        ("train/cat/copy.png", "duplicate", "an exact copy of val/cat/0.png"),
        ("train/dog/copy.png", "duplicate", "an exact copy of test/dog/0.png"),
        ("val/dog/copy.png", "duplicate", "an exact copy of test/dog/0.png"),
    ]


def test_names_that_a_reader_cannot_tell_apart_are_found():
    names = ["B\u00e4r", "Ba\u0308r", "cat", "Cat", "cat ", "dog", "dogs"]
    assert similar_names(names) == [["Ba\u0308r", "B\u00e4r"], ["Cat", "cat", "cat "]]


def test_names_that_one_letter_tells_apart_are_found():
    names = ["rose", "roses", "tulp", "tulip", "ape", "cape", "shelf 1", "shelf 12", "daisy"]
    assert misspelt_names(names) == [("rose", "roses"), ("tulp", "tulip")]


def test_a_split_is_recognized_though_the_case_of_its_classes_differs(split_folder, refused):
    folder = split_folder(train=["Cat", "Dog"], val=["cat", "dog"])
    assert split_folders(folder) == {"train": "train", "val": "val"}
    assert any("'Cat' and 'cat' differ only in case" in note for note in take_in(folder).notes())


def test_classes_that_may_be_splits_are_reported(write_photos):
    (note,) = take_in(write_photos(train=5, test=5)).notes()
    assert "the classes are named 'test' and 'train'; if these are splits" in note
