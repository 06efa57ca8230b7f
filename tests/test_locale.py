"""File names that are not ASCII work in any locale."""

import pytest
from PIL import Image

from bears_tl.files import read_csv
from bears_tl.photos.sample import paint_sample

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


@pytest.fixture
def work(empty_workspace):
    """Give a workspace with photos whose names of files and classes are not ASCII."""
    paint_sample(empty_workspace.folder / "painted", photos_per_class=8)
    for class_name, name in (("Grizzly", "Bär"), ("Panda", "熊猫")):
        (empty_workspace.photos / name).mkdir(parents=True)
        for photo in (empty_workspace.folder / "painted" / class_name).iterdir():
            photo.rename(empty_workspace.photos / name / f"größe {photo.name}")
    return empty_workspace


def test_intake_and_split_read_names_that_are_not_ascii_in_an_ascii_locale(work):
    for words in (["intake", work.photos], ["split"]):
        done = work.bears(*words, "--run", "runs/größe", **ASCII)
        assert done.returncode == 0, done.stderr
    rows = read_csv(work.folder / "runs/größe/splits.csv", [])
    assert {row["class_name"] for row in rows} == {"Bär", "熊猫"} and len(rows) == 16
    assert all((work.photos / row["path"]).is_file() for row in rows)


@pytest.mark.slow
def test_a_run_of_an_ascii_locale_predicts_in_it_and_in_any_other(work, workspace):
    settings = [f"photos={work.photos}", f"checkpoint={workspace.checkpoint}"]
    done = work.bears("train", "--set", *settings, "--run", "runs/größe", **ASCII)
    assert done.returncode == 0, done.stderr
    Image.new("RGB", (99, 99)).save(work.folder / "größe.jpg")
    for locale in (ASCII, {}):
        done = work.bears("predict", "größe.jpg", "gone_ß.jpg", "--run", "runs/größe", **locale)
        assert done.returncode == 2 and "größe.jpg: " in done.stdout and "gone_ß.jpg" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
