"""Clutter is never a class, never part of an intake, and never predicted."""

import shutil

import pytest

from bears_tl.photos.clutter import is_clutter
from bears_tl.photos.fetch import class_folders
from bears_tl.photos.intake import take_in
from bears_tl.serving.predictor import find_photos

CLUTTER = [".git", ".DS_Store", "._0.png", "__MACOSX", "Thumbs.db", "desktop.ini"]


@pytest.fixture
def folder(write_photos):
    return write_photos(Grizzly=5, Panda=5)


@pytest.mark.parametrize("name", ["photo.jpg", "Panda", "_MACOSX", "my Thumbs.db", "a.b", "x."])
def test_other_names_are_none(name):
    assert not is_clutter(name)


@pytest.mark.parametrize("name", CLUTTER)
def test_a_file_or_folder_of_clutter_is_passed_over_everywhere(name, folder):
    before = class_folders(folder), take_in(folder), find_photos([folder])
    (folder / "Panda" / name).write_bytes(b"clutter")
    shutil.copytree(folder / "Grizzly", folder / name)
    assert (class_folders(folder), take_in(folder), find_photos([folder])) == before
