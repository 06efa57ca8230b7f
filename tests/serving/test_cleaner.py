"""The cleaner writes the chosen corrections and nothing else; buttons are clicked without a browser."""

import base64
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from bears_tl.config import RunConfig
from bears_tl.judging import plots
from bears_tl.photos.edits import add_edit, read_edits, undo_edit
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run
from bears_tl.serving import cleaner as cleaner_
from bears_tl.serving.cleaner import PHOTOS_PER_PAGE, THUMBNAIL_PX, Cleaner


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return a function that takes in a photo folder and opens a run on it."""
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)  # where data/edits.csv is written

    def started(folder):
        run = Run(RunConfig(run=str(tmp_path / "run"), photos=str(folder)))
        stages.fetch(run)
        stages.intake(run)
        return run

    return started


@pytest.fixture
def run(start, write_photos):
    return start(write_photos(Grizzly=20, Panda=20))


@pytest.fixture
def cleaner(run):
    return Cleaner(run, run.table("photos.csv"))


def table(run):
    return [(row["sha256"], row["from"], row["to"], row["why"]) for row in read_edits(run.config.edits)]


def labels(run):
    return {row["sha256"]: row["class_name"] for row in run.table("photos.csv")}


def shown(cleaner):
    return [card.row["path"] for card in cleaner.grid.children]


def picture(card):
    """Decode the thumbnail of a card."""
    encoded = card.photo.value.partition("base64,")[2].partition('"')[0]
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def tree(folder):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_photos_are_shown_with_their_labels(run, cleaner):
    assert shown(cleaner) == [row["path"] for row in run.table("photos.csv")[:PHOTOS_PER_PAGE]]
    for card in cleaner.grid.children:
        assert card.choice.options == (("Grizzly", "Grizzly"), ("Panda", "Panda"))
        assert card.choice.value == "Grizzly" and card.row["path"] in card.photo.value
    assert cleaner.save.description == "Save corrections"


def test_a_viewer_without_widgets_gets_a_picture_of_the_page(run, cleaner, monkeypatch):
    titles = []
    draw = plots.photo_grid
    monkeypatch.setattr(
        plots, "photo_grid", lambda photos, texts, **how: titles.extend(texts) or draw(photos, texts, **how)
    )
    cleaner.cards[1].choice.value = "Panda"
    bundle = cleaner._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle, "the widget itself comes first where it can be shown"
    small = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert small.format == "PNG" and small.width > 1000 and np.asarray(small.convert("L")).std() > 10
    classes = ["Panda" if i == 1 else "Grizzly" for i in range(PHOTOS_PER_PAGE)]
    assert titles == [f"{name}\n{path}" for name, path in zip(classes, shown(cleaner), strict=True)]
    assert "image/png" not in Cleaner(run, [])._repr_mimebundle_()


def test_a_doubt_is_shown_below_the_label_and_nothing_is_chosen(run):
    rows = run.table("photos.csv")
    cleaner = Cleaner(run, [rows[0] | {"doubt": "looks like Panda (87%)"}, *rows[1:]])
    assert [card.choice.value for card in cleaner.cards] == [row["class_name"] for row in rows[:PHOTOS_PER_PAGE]]
    assert "looks like Panda (87%)" in cleaner.cards[0].note.value and "looks" not in cleaner.cards[1].note.value
    cleaner.save.click()
    assert table(run) == []
    cleaner.cards[0].choice.value = "Panda"
    assert "looks" not in cleaner.cards[0].note.value


def test_looking_writes_nothing(run, cleaner, tmp_path):
    before = tree(tmp_path)
    again = Cleaner(run, run.table("photos.csv"))
    again.forth.click()
    again.cards[0].choice.value = "Panda"
    assert tree(tmp_path) == before and not os.path.exists(run.config.edits)


def test_what_was_chosen_is_saved_and_applied_by_the_next_intake(run, cleaner):
    first, third = (cleaner.cards[i].row["sha256"] for i in (0, 2))
    cleaner.cards[0].choice.value = cleaner.cards[2].choice.value = "Panda"
    assert "was Grizzly, not saved yet" in cleaner.cards[0].note.value
    assert cleaner.save.description == "Save corrections (2)"
    cleaner.why.value = "black  and\nwhite"
    cleaner.save.click()
    assert table(run) == [(sha256, "Grizzly", "Panda", "black and white") for sha256 in (first, third)]
    for words in ("2 corrections", run.config.edits, "01_fetch again", 'role="status"'):
        assert words in cleaner.message.value
    assert cleaner.cards[0].choice.value == "Panda" and "its folder is Grizzly" in cleaner.cards[0].note.value
    assert cleaner.why.value == "" and cleaner.save.description == "Save corrections"
    assert labels(run)[first] == "Grizzly", "the run itself stays as it is"
    stages.intake(run)
    assert labels(run)[first] == labels(run)[third] == "Panda"
    assert Cleaner(run, run.table("photos.csv")).cards[0].choice.value == "Panda"
    cleaner.save.click()
    assert len(table(run)) == 2, "saved twice"


def test_nothing_is_saved_when_nothing_was_changed(run, cleaner):
    cleaner.cards[1].choice.value = "Panda"
    cleaner.cards[1].choice.value = "Grizzly"
    assert cleaner.cards[1].note.value == cleaner.cards[0].note.value
    cleaner.why.value = "no reason"
    cleaner.save.click()
    assert not os.path.exists(run.config.edits) and "nothing to save" in cleaner.message.value


def test_undo_takes_back_the_last_saved_one_at_a_time(run, cleaner):
    one, two = cleaner.cards[0], cleaner.cards[5]
    for card in (one, two):
        card.choice.value = "Panda"
        cleaner.save.click()
    cleaner.forth.click()
    cleaner.undo.click()
    assert (one.choice.value, two.choice.value) == ("Panda", "Grizzly"), "not shown"
    assert two.row["path"] in cleaner.message.value and "01_fetch again" in cleaner.message.value
    cleaner.undo.click()
    assert (one.choice.value, two.choice.value) == ("Grizzly", "Grizzly")
    assert table(run)[2:] == [(card.row["sha256"], "Panda", "Grizzly", "undo") for card in (two, one)]
    cleaner.undo.click()
    assert len(table(run)) == 4 and "left to undo" in cleaner.message.value
    stages.intake(run)
    assert set(list(labels(run).values())[:20]) == {"Grizzly"}


def test_only_what_was_saved_here_is_undone(run, cleaner):
    sha256 = cleaner.cards[0].row["sha256"]
    cleaner.cards[0].choice.value = "Panda"
    cleaner.save.click()
    add_edit(run.config.edits, sha256, "Panda", "Polar", "someone else, meanwhile")
    cleaner.undo.click()
    assert len(table(run)) == 2 and "Polar" in cleaner.message.value and 'role="alert"' in cleaner.message.value
    undo_edit(run.config.edits, sha256)
    cleaner.undo.click()
    assert cleaner.cards[0].choice.value == "Grizzly"


def test_an_undone_photo_can_get_another_class_before_the_next_intake(start, write_photos):
    run = start(write_photos(Grizzly=6, Panda=5, Polar=5))
    cleaner = Cleaner(run, run.table("photos.csv"))
    cleaner.cards[0].choice.value = "Panda"
    cleaner.save.click()
    stages.intake(run)
    cleaner.undo.click()
    again = Cleaner(run, run.table("photos.csv"))  # whose row still says Panda
    assert again.cards[0].choice.value == "Grizzly"
    again.cards[0].choice.value = "Polar"
    again.save.click()
    assert stages.intake(run).quarantined == []
    assert labels(run)[again.cards[0].row["sha256"]] == "Polar"


def test_choosing_the_class_of_before_takes_a_correction_back_and_undo_restores_it(run, cleaner):
    for class_name in ("Panda", "Grizzly"):
        cleaner.cards[0].choice.value = class_name
        cleaner.save.click()
    assert cleaner.cards[0].choice.value == "Grizzly"
    cleaner.undo.click()
    assert cleaner.cards[0].choice.value == "Panda"
    cleaner.undo.click()
    assert cleaner.cards[0].choice.value == "Grizzly"


def test_turning_pages_keeps_choices_and_comes_to_every_photo_once(run, cleaner):
    paths = shown(cleaner)
    cleaner.cards[3].choice.value = "Panda"
    chosen = [cleaner.cards[3].row["sha256"]]
    while not cleaner.forth.disabled:
        cleaner.forth.click()
        assert cleaner.save.description == "Save corrections (1)"
        assert [card.choice.value for card in cleaner.grid.children] == [
            row.partition("/")[0] for row in shown(cleaner)
        ]
        paths += shown(cleaner)
    assert "page 4 of 4" in cleaner.place.value and len(cleaner.grid.children) == 40 - 3 * PHOTOS_PER_PAGE
    assert paths == [row["path"] for row in run.table("photos.csv")]
    cleaner.cards[0].choice.value = "Grizzly"
    chosen.append(cleaner.cards[0].row["sha256"])
    while not cleaner.back.disabled:
        cleaner.back.click()
    assert cleaner.cards[3].choice.value == "Panda" and "not saved yet" in cleaner.cards[3].note.value
    cleaner.save.click()
    assert [row[:3] for row in table(run)] == [(chosen[0], "Grizzly", "Panda"), (chosen[1], "Panda", "Grizzly")]


def test_only_the_photos_of_the_page_are_read(run, monkeypatch):
    read, decode_photo = [], cleaner_.decode_photo

    def counted(folder, row, decode):
        read.append(row["path"])
        return decode_photo(folder, row, decode)

    monkeypatch.setattr(cleaner_, "decode_photo", counted)
    rows = run.table("photos.csv")
    many = Cleaner(run, rows + [{"path": f"Panda/{i}.jpg", "sha256": f"{i:064}"} for i in range(100_000)])
    assert sorted(read) == [row["path"] for row in rows[:PHOTOS_PER_PAGE]]
    assert len(many.cards) == PHOTOS_PER_PAGE
    many.forth.click()
    assert len(read) == 2 * PHOTOS_PER_PAGE and f"page 2 of {-(-100_040 // PHOTOS_PER_PAGE)}" in many.place.value


@pytest.mark.parametrize("count", [0, 1, PHOTOS_PER_PAGE])
def test_pages_are_offered_only_where_there_are_several(count, run):
    cleaner = Cleaner(run, run.table("photos.csv")[:count])
    assert len(cleaner.grid.children) == count and len(cleaner.children) == 3
    assert ("no photos" in cleaner.message.value) == (count == 0)
    cleaner.save.click()
    cleaner.undo.click()


def test_a_thumbnail_is_the_whole_photo_upright_and_small(start, write_photos):
    folder = write_photos(Grizzly=5, Panda=5)
    turned = Image.new("RGB", (1200, 600), "red")
    turned.paste("blue", (600, 0, 1200, 600))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the photo lies on the right: it is red above, blue below when upright
    turned.save(folder / "Grizzly" / "0.jpg", exif=exif)
    run = start(folder)
    card = next(card for card in Cleaner(run, run.table("photos.csv")).cards if card.row["path"] == "Grizzly/0.jpg")
    small = picture(card)
    assert small.format == "JPEG" and small.size == (THUMBNAIL_PX // 2, THUMBNAIL_PX)
    colours = np.asarray(small)[[10, -10], 90]
    assert colours[0, 0] > 200 > 100 > colours[0, 2] and colours[1, 2] > 200 > 100 > colours[1, 0]


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_a_photo_that_is_no_longer_there_is_named_as_such(harm, run):
    path = artifacts.photo_folder(run) / run.table("photos.csv")[1]["path"]
    path.unlink()
    if harm == "changed":
        Image.new("RGB", (70, 70)).save(path)
    cards = Cleaner(run, run.table("photos.csv")).cards
    assert "gone or was changed" in cards[1].photo.value and "<img" not in cards[1].photo.value
    assert "<img" in cards[0].photo.value and "<img" in cards[2].photo.value


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)<",
        '" onerror="alert(1)',
        "'&amp;<b>",
        "Bär 熊 🐻",
        "new\nline",
        "$\\frac{$",
        os.fsdecode(b"\xff\xfe"),
    ],
)  # fmt: skip
def test_hostile_names_are_shown_as_text(name, start, write_photos):
    try:
        folder = write_photos(**{name: 5, "Panda": 5})
    except OSError:
        pytest.skip(f"this file system has no name {name!r}")
    os.rename(folder / name / "0.png", folder / name / f"0{name}.png")
    run = start(folder)
    cleaner = Cleaner(run, run.table("photos.csv"))
    card = next(card for card in cleaner.cards if card.row["path"] == f"{name}/0{name}.png")
    card.choice.value = "Panda"
    assert cleaner._repr_mimebundle_()["image/png"]
    told = [card.photo.value, card.note.value]
    cleaner.save.click()
    told += [card.photo.value, card.note.value]
    cleaner.undo.click()
    told += [cleaner.message.value, card.choice.tooltip, *(text for text, _ in card.choice.options)]
    for text in told:
        text.encode("utf-8")
    for text in told[:5]:
        for mark in ("<script", "<b>", '" onerror'):
            assert mark not in text
    assert [row[1:3] for row in table(run)] == [(name, "Panda"), ("Panda", name)]


def test_a_conflict_is_said_in_a_line_and_the_other_choices_stay(run, cleaner):
    chosen = [cleaner.cards[i].row["sha256"] for i in range(3)]
    for card in cleaner.cards[:3]:
        card.choice.value = "Panda"
    cleaner.forth.click()
    add_edit(run.config.edits, chosen[1], "Grizzly", "Polar", "someone else, meanwhile")
    cleaner.save.click()
    for words in ("1 saved", cleaner.cards[1].row["path"], "Polar", 'role="alert"'):
        assert words in cleaner.message.value
    assert cleaner.page == 0, "the photo that the line is about is not shown"
    assert [row[0] for row in table(run)] == [chosen[1], chosen[0]] and set(cleaner.chosen) == set(chosen[1:])
    cleaner.cards[1].choice.value = "Grizzly"
    assert "a correction changes it to &#x27;Polar&#x27;" in cleaner.cards[1].note.value
    cleaner.save.click()
    assert [row[0] for row in table(run)] == [chosen[1], chosen[0], chosen[2]]


@pytest.mark.parametrize("count", [3, 30])
@pytest.mark.parametrize("stages", [[], [stages.fetch]])
def test_a_run_without_intake_is_said_in_a_line_whatever_is_pressed(count, stages, run, tmp_path):
    without = Run(RunConfig(run=str(tmp_path / "without"), photos=run.config.photos))
    for stage in stages:
        stage(without)
    cleaner = Cleaner(without, run.table("photos.csv")[:count])
    for button in (None, cleaner.forth, cleaner.back):
        if button:
            button.click()
        assert "stage &#x27;intake&#x27; of run" in cleaner.message.value and 'role="alert"' in cleaner.message.value
    cleaner.save.click()
    cleaner.undo.click()
    assert cleaner.grid.children == ()


def test_a_table_that_is_none_is_said_in_a_line_and_no_choice_is_lost(run, cleaner):
    cleaner.cards[0].choice.value = "Panda"
    os.makedirs(os.path.dirname(run.config.edits))
    with open(run.config.edits, "w") as file:
        file.write("no,such,table\n")
    cleaner.save.click()
    assert "edits.csv" in cleaner.message.value and 'role="alert"' in cleaner.message.value
    assert "edits.csv" in Cleaner(run, run.table("photos.csv")).message.value
    os.remove(run.config.edits)
    cleaner.save.click()
    assert len(table(run)) == 1


def test_a_photo_folder_that_is_gone_is_said_in_a_line(run, cleaner, tmp_path):
    os.rename(artifacts.photo_folder(run), tmp_path / "moved")
    cleaner.forth.click()
    assert "fetch the photos again" in cleaner.message.value and cleaner.page == 0


def test_the_walk_does_not_import_widgets():
    program = "import sys; import bears_tl.pipeline.stages; sys.exit('ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_below_train_and_test_the_second_folder_is_the_class(start, write_photos, tmp_path):
    for split in ("train", "test"):
        write_photos(tmp_path / "photos" / split, Grizzly=6, Panda=6)
    cleaner = Cleaner(run := start(tmp_path / "photos"), run_rows := run.table("photos.csv"))
    assert [card.choice.value for card in cleaner.cards] == [row["class_name"] for row in run_rows[:PHOTOS_PER_PAGE]]
    assert cleaner.class_names == ["Grizzly", "Panda"]
