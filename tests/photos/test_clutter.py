"""What is no photo of the user's is never a class, never part of an intake, and never predicted."""

import shutil

import pytest

from bears_tl.photos.clutter import is_clutter
from bears_tl.photos.intake import take_in
from bears_tl.photos.layout import class_folders
from bears_tl.serving.predictor import find_photos

HIDDEN = [".git", ".DS_Store", "._0.png"]
NAMED = [
    "__MACOSX", "Thumbs.db", "thumbs.DB", "desktop.ini", "$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information",
    "lost+found", "@eaDir", "#recycle", "Icon\r", "0.png:Zone.Identifier",
]  # fmt: skip


@pytest.fixture
def folder(write_photos):
    return write_photos(Grizzly=5, Panda=5)


@pytest.mark.parametrize("name", ["photo.jpg", "Panda", "_MACOSX", "my Thumbs.db", "a.b", "x.", "recycle", "eaDir"])
def test_other_names_are_none(name):
    assert not is_clutter(name)


@pytest.mark.parametrize("name", HIDDEN + NAMED)
def test_a_file_or_folder_of_clutter_is_passed_over_everywhere(name, folder):
    classes, taken, photos = class_folders(folder), take_in(folder), list(find_photos([folder]))
    (folder / "Panda" / name).write_bytes(b"clutter")
    shutil.copytree(folder / "Grizzly", folder / name)
    assert (class_folders(folder), list(find_photos([folder]))) == (classes, photos)
    again = take_in(folder)
    assert (again.photos, again.quarantined) == (taken.photos, taken.quarantined)
    assert again.passed_over == ({} if name in HIDDEN else {name.replace("\r", "?"): 2})


@pytest.mark.parametrize("mark", ["receipt.json", "intake.sqlite"])
def test_runs_and_caches_are_no_classes(mark, folder):
    classes, taken, photos = class_folders(folder), take_in(folder), list(find_photos([folder]))
    for own in (folder / "run", folder / "runs" / "one", folder / "runs" / "two", folder / "Panda" / "run"):
        own.mkdir(parents=True)
        (own / mark).write_text('{"stages": {}}')
        shutil.copy(folder / "Panda" / "0.png", own / "verdict.png")
    (folder / "runs" / "README.md").write_text("runs")
    again = take_in(folder)
    assert (class_folders(folder), list(find_photos([folder]))) == (classes, photos)
    assert (again.photos, again.quarantined) == (taken.photos, taken.quarantined)
    assert again.passed_over == {"run/ (of bears_tl)": 2, "runs/ (of bears_tl)": 1}
    (folder / "Panda" / "receipt.json").write_text("not of a run")
    assert folder / "Panda" in class_folders(folder)
    (folder / "runs" / "magpie").mkdir()  # not a run: so `runs` is a class, and its photos are missed
    assert folder / "runs" in class_folders(folder)


def test_photos_that_are_in_icloud_are_counted_aloud(folder, refused):
    for number in range(40):
        (folder / "Panda" / f".{number}.jpg.icloud").write_bytes(b"bplist00")
    taken = take_in(folder)
    assert taken.in_icloud == {"Panda": 40} and taken.quarantined == []
    assert "40 photos are in iCloud, not here ('Panda'): download them in Finder to use them" in taken.notes()
    (folder / "Panda" / "0.png").unlink()
    with refused("'Panda'", "4 good photos", "40 in iCloud"):
        take_in(folder)
