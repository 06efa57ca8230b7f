"""Corrections are only appended; each is applied, or its photo is quarantined with a reason."""

import shutil
import subprocess
import sys

import pytest

from bears_tl.config import RunConfig
from bears_tl.files import read_csv, sha256_of, write_csv
from bears_tl.photos.edits import EDIT_COLUMNS, add_edit, apply_edits, read_edits, undo_edit
from bears_tl.photos.intake import take_in
from bears_tl.pipeline import stages
from bears_tl.pipeline.run import Run

SHA256 = "5e" * 32
CLASSES = {"Grizzly", "Panda", "Polar"}
HEADER = ",".join(EDIT_COLUMNS) + "\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tables" / "edits.csv"


@pytest.fixture
def folder(write_photos):
    return write_photos(Grizzly=7, Panda=7, Polar=7)


def label(path, lies_in="Grizzly", sha256=SHA256):
    """Return the class of a photo after the corrections, or why it has none."""
    row = apply_edits([{"path": "a.jpg", "class_name": lies_in, "sha256": sha256}], read_edits(path), CLASSES)[0]
    assert row.get("reason", "conflicting_label") == "conflicting_label"
    return row.get("detail", row["class_name"])


def test_a_correction_is_a_row_that_says_what_why_and_when(path):
    assert read_edits(path) == []
    add_edit(path, SHA256, "Grizzly", "Polar", "white, and on ice")
    (row,) = read_edits(path)
    assert list(row) == EDIT_COLUMNS
    assert row | {"when": ""} == dict(
        zip(EDIT_COLUMNS, [SHA256, "Grizzly", "Polar", "white, and on ice", ""], strict=True)
    )
    assert row["when"][:2] == "20" and row["when"].endswith("+00:00")


def test_a_correction_is_applied_to_its_photo_alone(path):
    add_edit(path, SHA256, "Grizzly", "Polar", "")
    assert label(path) == "Polar"
    assert label(path, "Panda", sha256="6f" * 32) == "Panda"


def test_rows_that_were_given_stay_as_they_are(path):
    add_edit(path, SHA256, "Grizzly", "Polar", "")
    rows = [{"path": "a.jpg", "class_name": "Grizzly", "sha256": SHA256, "bytes": 5}]
    assert apply_edits(rows, read_edits(path), CLASSES) == [rows[0] | {"class_name": "Polar"}]
    assert rows[0]["class_name"] == "Grizzly"


def test_undone_and_done_again(path):
    add_edit(path, SHA256, "Grizzly", "Polar", "")
    undo_edit(path, SHA256)
    assert label(path) == "Grizzly" and label(path, "Panda") == "Panda"
    add_edit(path, SHA256, "Grizzly", "Polar", "it is, after all")
    assert label(path) == "Polar"
    undo_edit(path, SHA256)
    assert label(path) == "Grizzly" and len(read_edits(path)) == 4


def test_what_was_undone_is_not_undone_twice(path, refused):
    with refused(str(path), SHA256[:12], "nothing to undo"):
        undo_edit(path, SHA256)
    add_edit(path, SHA256, "Grizzly", "Polar", "")
    undo_edit(path, SHA256)
    with refused("nothing to undo"):
        undo_edit(path, SHA256)
    assert len(read_edits(path)) == 2


def test_only_the_correction_that_is_meant_is_undone(path, refused):
    add_edit(path, SHA256, "Grizzly", "Polar", "")
    with refused(str(path), SHA256[:12], "'Polar', not 'Panda'"):
        undo_edit(path, SHA256, "Panda")
    assert label(path) == "Polar"
    undo_edit(path, SHA256, "Polar")
    assert label(path) == "Grizzly"
    with refused("nothing to undo"):
        undo_edit(path, SHA256, "Polar")


def test_a_chain_of_corrections_is_followed_and_undone_link_by_link(path, refused):
    add_edit(path, SHA256, "Grizzly", "Polar", "")
    with refused(str(path), SHA256[:12], "'Polar', not 'Grizzly'", "undo that correction first"):
        add_edit(path, SHA256, "Grizzly", "Panda", "")
    add_edit(path, SHA256, "Polar", "Panda", "")
    assert label(path) == "Panda"
    add_edit(path, SHA256, "Panda", "Grizzly", "")
    seen = [label(path)]
    for _ in range(3):
        undo_edit(path, SHA256)
        seen.append(label(path))
    assert seen == ["Grizzly", "Panda", "Polar", "Grizzly"]


@pytest.mark.parametrize("lies_in", sorted(CLASSES))
def test_a_file_that_was_moved_to_a_class_of_its_chain_is_labelled_as_the_chain_ends(lies_in, path):
    for was, is_now in (("Grizzly", "Polar"), ("Polar", "Panda")):
        add_edit(path, SHA256, was, is_now, "")
    assert label(path, lies_in) == "Panda"


def test_a_correction_of_a_file_that_was_moved_by_hand_is_no_undo(path):
    add_edit(path, SHA256, "Grizzly", "Polar", "")  # then its file is moved to Polar
    add_edit(path, SHA256, "Polar", "Grizzly", "a pale one")
    assert label(path, "Polar") == label(path, "Grizzly") == "Grizzly"


def test_earlier_rows_never_change(path):
    steps = [
        lambda: add_edit(path, SHA256, "Grizzly", "Polar", 'quotes ", commas, and 熊'),
        lambda: add_edit(path, "0" * 64, "Panda", "Polar", "=1+1"),
        lambda: undo_edit(path, SHA256),
        lambda: add_edit(path, SHA256, "Grizzly", "Panda", ""),
        lambda: undo_edit(path, "0" * 64),
    ]
    before = b""
    for number, step in enumerate(steps, 1):
        step()
        assert path.read_bytes().startswith(before) and len(read_edits(path)) == number
        before = path.read_bytes()


def test_a_column_that_someone_added_stays(path):
    path.parent.mkdir()
    path.write_text(f"who,{HEADER}Ada,{SHA256},Grizzly,Polar,,\n")
    before = path.read_bytes()
    undo_edit(path, SHA256)
    assert path.read_bytes().startswith(before) and [row["who"] for row in read_edits(path)] == ["Ada", ""]


def test_a_correction_of_another_class_is_a_conflict_that_names_both(path):
    add_edit(path, SHA256, "Grizzly", "Polar", "")
    detail = label(path, "Panda")
    assert "'Grizzly'" in detail and "'Panda'" in detail and "undo the correction" in detail
    undo_edit(path, SHA256)
    assert label(path, "Panda") == "Panda"


def test_a_correction_to_an_unknown_class_is_a_conflict_that_names_it_and_the_known(path):
    add_edit(path, SHA256, "Grizzly", "Pandda", "")
    detail = label(path)
    assert "'Pandda'" in detail and "Grizzly, Panda, Polar" in detail
    add_edit(path, SHA256, "Pandda", "Panda", "")
    assert label(path) == "Panda"


def test_corrections_that_contradict_one_another_are_a_conflict(path):
    path.parent.mkdir()  # as two people's tables come together in git
    path.write_text(f"{HEADER}{SHA256},Grizzly,Polar,mine,\n{SHA256},Grizzly,Panda,yours,\n")
    for lies_in in CLASSES:
        assert all(word in label(path, lies_in) for word in ("'Polar'", "'Grizzly'", "undo one"))
    undo_edit(path, SHA256)
    assert label(path) == "Polar"


def test_two_people_who_say_the_same_do_not_contradict_one_another(path):
    path.parent.mkdir()
    path.write_text(f"{HEADER}{SHA256},Grizzly,Polar,mine,\n{SHA256},Grizzly,Polar,yours,\n")
    assert label(path) == label(path, "Polar") == "Polar"


@pytest.mark.parametrize("sha256", ["", "5e5e", "5E" * 32, "5e" * 32 + "\n", "xy" * 32, "=" + "5e" * 31 + "5"])
def test_a_hash_that_is_none_is_refused(sha256, path, refused):
    with refused(repr(sha256), "64 hexadecimal digits"):
        add_edit(path, sha256, "Grizzly", "Polar", "")
    assert not path.exists()


@pytest.mark.parametrize(("was", "is_now"), [("Polar", "Polar"), ("Polar", ""), ("new\nline", "new\nline")])
def test_a_correction_that_changes_nothing_is_refused(was, is_now, path, refused):
    with refused(repr(was), repr(is_now), "changes nothing"):
        add_edit(path, SHA256, was, is_now, "")
    assert not path.exists()


@pytest.mark.parametrize(
    "hostile", ["a\r\nb", 'quo"te, comma', "=HYPERLINK(1)", "@1+1", "\udcff", "\x00", " ", "'; DROP"]
)
def test_text_of_any_kind_comes_back_and_stays_in_its_cell(hostile, path):
    add_edit(path, SHA256, "Grizzly", f"Polar{hostile}", hostile)
    add_edit(path, "0" * 64, "Grizzly", "Polar", "next")
    one, two = read_edits(path)
    assert (one["from"], one["to"], one["why"]) == ("Grizzly", f"Polar{hostile}", " ".join(hostile.split()))
    assert two["why"] == "next"
    assert "\n" not in label(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"photo,label\n1,2\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
        b'"' + b"x" * 200_000,
        f"{HEADER}{SHA256},Grizzly\n".encode(),
        f"{HEADER}{SHA256},Grizzly,Polar,why,when,more\n".encode(),
        f"{HEADER}{SHA256[:12]},Grizzly,Polar,why,when\n".encode(),
        f"{HEADER}{SHA256},Grizzly,Polar,why,when\n{SHA256},Gri".encode(),
    ],
    ids=["empty", "other columns", "a photo", "one long field", "short row", "long row", "no hash", "cut off"],
)
def test_a_table_that_is_none_is_refused_and_left_as_it_is(content, path, refused):
    path.parent.mkdir()
    path.write_bytes(content)
    for use in (read_edits, lambda path: add_edit(path, "0" * 64, "a", "b", ""), lambda path: undo_edit(path, SHA256)):
        with refused(str(path)):
            use(path)
    assert path.read_bytes() == content


def test_the_row_that_is_half_is_named(path, refused):
    path.parent.mkdir()
    path.write_text(f"{HEADER}{SHA256},Grizzly,Polar,why,when\n{SHA256},Polar\n")
    with refused("row 3", ", ".join(EDIT_COLUMNS), "fix or remove"):
        read_edits(path)


def test_a_table_that_cannot_be_there_is_refused(tmp_path, refused):
    (tmp_path / "file").touch()
    with refused("could not be written"):
        add_edit(tmp_path / "file" / "edits.csv", SHA256, "Grizzly", "Polar", "")
    with refused(str(tmp_path)):
        read_edits(tmp_path)


def at_once(code, path):
    """Run code in four processes."""
    code = f"import sys\nfrom bears_tl.photos.edits import add_edit, undo_edit\npath, number = sys.argv[1:]\n{code}"
    command = [sys.executable, "-c", code, str(path)]
    processes = [subprocess.Popen([*command, str(i)], stderr=subprocess.PIPE, text=True) for i in range(4)]
    for process in processes:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors


def test_processes_that_add_at_once_lose_nothing(path):
    at_once('for i in range(20): add_edit(path, f"{number:>032}{i:032}", "Grizzly", "Polar", f"{number} {i}")', path)
    whys = [row["why"].split() for row in read_edits(path)]
    assert len(whys) == 4 * 20
    for number in "0123":  # each one's rows in the order in which it added them
        assert [int(i) for who, i in whys if who == number] == list(range(20))


def test_processes_that_undo_at_once_take_back_one_correction_each(path):
    for i in range(40):
        add_edit(path, SHA256, f"class {i}", f"class {i + 1}", "")
    at_once(f'for i in range(10): undo_edit(path, "{SHA256}")', path)
    assert label(path) == "Grizzly" and len(read_edits(path)) == 80


def labels(taken):
    return {photo["path"]: photo["class_name"] for photo in taken.photos}


def test_an_intake_gives_a_photo_its_corrected_class_and_leaves_its_file(folder, path):
    file = folder / "Grizzly" / "0.png"
    before = labels(take_in(folder))
    add_edit(path, sha256_of(file), "Grizzly", "Polar", "")
    taken = take_in(folder, edits=read_edits(path))
    assert labels(taken) == before | {"Grizzly/0.png": "Polar"} and file.exists()
    assert taken.per_class() == {"Grizzly": 6, "Panda": 7, "Polar": 8} and taken.quarantined == []


def test_an_intake_does_not_mind_corrections_of_photos_that_are_not_there(folder, path):
    add_edit(path, SHA256, "Grizzly", "a class of long ago", "")
    assert take_in(folder, edits=read_edits(path)) == take_in(folder)


def test_an_intake_sets_photos_with_conflicting_corrections_aside(folder, path):
    add_edit(path, sha256_of(folder / "Grizzly" / "0.png"), "Panda", "Polar", "")
    add_edit(path, sha256_of(folder / "Grizzly" / "1.png"), "Grizzly", "Brown", "")
    taken = take_in(folder, edits=read_edits(path))
    rows = {row["path"]: row for row in taken.quarantined}
    assert list(rows) == ["Grizzly/0.png", "Grizzly/1.png"] and taken.per_reason() == {"conflicting_label": 2}
    assert all(word in rows["Grizzly/0.png"]["detail"] for word in ("'Panda'", "'Grizzly'"))
    assert all(word in rows["Grizzly/1.png"]["detail"] for word in ("'Brown'", "Grizzly, Panda, Polar"))


def test_a_photo_in_two_classes_is_mended_by_a_correction(folder, path):
    shutil.copy(folder / "Grizzly" / "0.png", folder / "Panda" / "which.png")
    assert take_in(folder).per_reason() == {"conflicting_label": 2}
    add_edit(path, sha256_of(folder / "Grizzly" / "0.png"), "Grizzly", "Panda", "")
    taken = take_in(folder, edits=read_edits(path))
    assert labels(taken)["Grizzly/0.png"] == "Panda"
    assert [(row["path"], row["reason"]) for row in taken.quarantined] == [("Panda/which.png", "duplicate")]


def test_a_file_moved_to_its_right_class_later_is_fine(folder, path):
    file = folder / "Grizzly" / "0.png"
    add_edit(path, sha256_of(file), "Grizzly", "Polar", "")
    before = take_in(folder, edits=read_edits(path)).per_class()
    file.rename(folder / "Polar" / "moved.png")
    taken = take_in(folder, edits=read_edits(path))
    assert taken.per_class() == before and taken.quarantined == [] and labels(taken)["Polar/moved.png"] == "Polar"


def test_classes_are_counted_after_the_corrections(write_photos, path, refused):
    folder = write_photos(Grizzly=5, Panda=6)
    add_edit(path, sha256_of(folder / "Grizzly" / "0.png"), "Grizzly", "Panda", "")
    with refused("'Grizzly'", "4 good photos"):
        take_in(folder, edits=read_edits(path))


def test_a_run_applies_the_table_that_its_setting_names(folder, path, tmp_path, monkeypatch):
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "cache"))
    path.parent.mkdir()
    write_csv(path, EDIT_COLUMNS, [])
    run = Run(RunConfig(run=str(tmp_path / "run"), photos=str(folder), edits=str(path)))
    stages.fetch(run)
    assert stages.intake(run).per_class()["Polar"] == 7
    stages.split(run)
    add_edit(path, sha256_of(folder / "Grizzly" / "0.png"), "Grizzly", "Polar", "")
    stages.intake(run)
    assert not run.path("splits.csv").exists()  # it was made from other labels
    assert {row["path"]: row["class_name"] for row in stages.split(run)}["Grizzly/0.png"] == "Polar"
    rows = read_csv(run.path("photos.csv"), ["path", "class_name"])
    assert {row["path"]: row["class_name"] for row in rows}["Grizzly/0.png"] == "Polar"
    undo_edit(path, sha256_of(folder / "Grizzly" / "0.png"))
    assert stages.intake(run).per_class()["Polar"] == 7


def test_a_run_with_a_table_that_is_none_is_refused_and_stays_as_it_was(folder, path, tmp_path, monkeypatch, refused):
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "cache"))
    path.parent.mkdir()
    write_csv(path, EDIT_COLUMNS, [])
    run = Run(RunConfig(run=str(tmp_path / "run"), photos=str(folder), edits=str(path)))
    stages.fetch(run)
    stages.intake(run)
    before = run.path("photos.csv").read_bytes()
    path.write_text("not,a,table\n")
    with refused(str(path)):
        stages.intake(run)
    assert run.path("photos.csv").read_bytes() == before
