"""Files are complete or absent, tables keep every name, and draws depend only on their arguments."""

import errno
import hashlib
import json
import os
import threading

import pytest

from bears_tl import files
from bears_tl.files import (
    atomic_folder,
    atomic_path,
    read_csv,
    read_json,
    seeded_rng,
    sha256_of,
    write_bytes,
    write_csv,
    write_json,
)

ODD_NAMES = [
    "plain.jpg",
    "with space.jpg",
    "comma, and more.jpg",
    'quo"te.jpg',
    '"quoted"',
    "new\nline.jpg",
    "carriage\rreturn.jpg",
    "both\r\n.jpg",
    "ends in return\r",
    "tab\t.jpg",
    " leads and trails ",
    "Bär 熊 🐻.jpg",
    "e\u0301 and \u00e9",
    b"not \xff utf-8 \xc3.jpg".decode("utf-8", "surrogateescape"),
    "=1+1",
    "'",
    "",
]


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(b"bears")
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"bears").hexdigest()


def test_a_written_file_takes_the_place_of_the_old_one_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    for data in (b"first", b"second", b""):
        write_bytes(path, data)
        assert path.read_bytes() == data
    assert os.listdir(path.parent) == ["file"]


def test_until_the_block_ends_the_old_file_is_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_leaves_the_file_as_it_was(error, old, tmp_path):
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert os.listdir(tmp_path) == ([] if old is None else ["file"])
    assert old is None or path.read_bytes() == old


@pytest.mark.parametrize("step", ["in the block", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_leaves_the_file_as_it_was(step, number, tmp_path, monkeypatch, refused):
    def full(*_):
        raise OSError(number, os.strerror(number))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    if step != "in the block":
        monkeypatch.setattr(files.os, step, full)
    with refused("no space left", repr(str(path))), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        if step == "in the block":
            full()
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"old"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, refused):
    (tmp_path / "file").write_bytes(b"")
    with refused("could not be written", "file/below"):
        write_bytes(tmp_path / "file" / "below", b"data")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with refused("could not be written", "folder"):
        write_bytes(tmp_path / "folder", b"data")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_long_name_can_be_written(tmp_path):
    name = "n" * 255  # as long as most file systems allow; the temporary name beside it must not be longer
    write_bytes(tmp_path / name, b"data")
    assert os.listdir(tmp_path) == [name]


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=write_bytes, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_a_folder_appears_whole(tmp_path, there):
    folder = tmp_path / "new" / "folder"
    if there:
        folder.mkdir(parents=True)
    with atomic_folder(folder) as temporary:
        (temporary / "file").write_bytes(b"data")
        assert folder.exists() == there and not (folder / "file").exists()
    assert (folder / "file").read_bytes() == b"data"
    assert os.listdir(folder.parent) == ["folder"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_no_new_folder(error, tmp_path):
    with pytest.raises(error), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "half").mkdir()
        (temporary / "half" / "file").write_bytes(b"half")
        raise error
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_line_and_leaves_no_folder(tmp_path, refused):
    with refused("no space left", "folder"), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "file").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_there_is_kept(tmp_path, refused):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine").write_bytes(b"mine")
    with refused("already exists", "folder"), atomic_folder(folder) as temporary:
        (temporary / "other").write_bytes(b"other")
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(folder) == ["mine"]


def test_the_current_folder_is_not_replaced(tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("already exists", "'.'"), atomic_folder("."):
        pass
    assert os.listdir(tmp_path) == []


def test_a_table_keeps_every_name(tmp_path):
    rows = [{"path": name, "class_name": other} for name in ODD_NAMES for other in ("Grizzly", name)]
    write_csv(tmp_path / "table.csv", ["path", "class_name"], rows)
    assert read_csv(tmp_path / "table.csv", ["path", "class_name"]) == rows


def test_a_table_has_a_header_and_plain_lines_and_no_other_keys(tmp_path):
    write_csv(tmp_path / "table.csv", ["b", "a"], [{"a": 1, "b": 0.5, "more": "gone"}, {"a": "", "b": None}])
    assert (tmp_path / "table.csv").read_bytes() == b"b,a\n0.5,1\n,\n"


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    write_csv(tmp_path / "table.csv", ["a"], [])
    assert read_csv(tmp_path / "table.csv", ["a"]) == []


def test_a_table_that_fails_half_way_is_not_written(tmp_path):
    def rows():
        yield {"a": 1}
        raise ValueError

    with pytest.raises(ValueError):
        write_csv(tmp_path / "table.csv", ["a"], rows())
    assert os.listdir(tmp_path) == []


def test_a_table_that_is_absent_empty_or_lacks_a_column_is_refused(tmp_path, refused):
    with refused("absent.csv", "does not exist"):
        read_csv(tmp_path / "absent.csv", [])
    (tmp_path / "empty.csv").write_bytes(b"")
    with refused("empty.csv", "lacks the columns path"):
        read_csv(tmp_path / "empty.csv", ["path"])
    write_csv(tmp_path / "table.csv", ["a", "b"], [])
    with refused("table.csv", "lacks the columns c, d"):
        read_csv(tmp_path / "table.csv", ["a", "c", "d"])
    with refused("could not be read"):
        read_csv(tmp_path, [])


def test_json_comes_back_with_keys_sorted(tmp_path):
    value = {"b": [1, 0.1, None, True], "a": {name: name for name in ODD_NAMES}}
    write_json(tmp_path / "file.json", value)
    assert read_json(tmp_path / "file.json") == value
    text = (tmp_path / "file.json").read_bytes()
    assert text.endswith(b"}\n") and text.index(b'"a"') < text.index(b'"b"') and "熊".encode() in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_json_cannot_say_is_not_written(value, tmp_path):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "file.json", {"value": value})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b"<html>", b"\xff\xfe"])
def test_what_is_not_json_is_refused(content, tmp_path, refused):
    (tmp_path / "file.json").write_bytes(content)
    with refused("file.json", "could not be read as JSON"):
        read_json(tmp_path / "file.json")


def test_json_that_is_absent_is_refused(tmp_path, refused):
    with refused("absent.json", "does not exist"):
        read_json(tmp_path / "absent.json")
    with refused("could not be read as JSON"):
        read_json(tmp_path)


def test_a_draw_depends_on_all_three_arguments():
    arguments = [(0, "content", "view 0"), (1, "content", "view 0"), (0, "other", "view 0"), (0, "content", "view 1")]
    draws = {tuple(seeded_rng(*each).random(4)) for each in arguments}
    assert len(draws) == len(arguments)


def test_a_draw_depends_on_nothing_else():
    first = seeded_rng(3, "content", "purpose")
    expected = first.random(5).tolist()
    seeded_rng(4, "content", "purpose").random(100)
    assert seeded_rng(3, "content", "purpose").random(5).tolist() == expected
    # must never change on any machine: cached features and splits depend on it
    digest = hashlib.sha256(b"3|content|purpose").digest()
    assert first.bit_generator.seed_seq.entropy == int.from_bytes(digest[:16], "big")


def test_a_receipt_holds_names_that_are_not_utf8_and_stays_json(tmp_path):
    write_json(tmp_path / "file.json", {"folder": "b\udce4r"})
    assert json.loads((tmp_path / "file.json").read_text(encoding="latin-1")) == {"folder": "bär"}
