"""What is read from the CSV files of Open Images, whoever wrote them."""

import tracemalloc

import pytest

from bears_tl.errors import InputError
from bears_tl.photos.open_images import catalogue

DESCRIPTIONS = "/m/01dxs,Brown bear\n/m/0633h,Polar bear\n/m/03bj1,Panda\n" + '/m/0x,"Rock, paper & ""scissors"""\n'


@pytest.mark.parametrize("header", ["", "LabelName,DisplayName\n", "\ufeffLabelName,DisplayName\n", "id,name\n"])
def test_classes_are_found_by_name_or_label_with_and_without_a_header(tmp_path, header):
    (tmp_path / "classes.csv").write_text(header + DESCRIPTIONS, encoding="utf-8")
    wanted = {"A": "pOLAR bear", "B": "/m/03bj1", "C": 'rock, paper & "scissors"'}
    found = {"/m/0633h": "A", "/m/03bj1": "B", "/m/0x": "C"}
    assert catalogue.find_labels(tmp_path / "classes.csv", wanted) == found


def test_columns_are_found_by_name_and_line_ends_of_all_systems_are_read(tmp_path):
    rows = ["LabelName,Extra,Confidence,ImageID,Source", "/m/03bj1,,1,0123456789abcdef,verification"]
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "labels.csv").write_bytes(end.join([*rows, ""]).encode())
        found = catalogue.find_positives(tmp_path / "labels.csv", {"/m/03bj1": "Panda"})
        assert found == {"0123456789abcdef": ("Panda",)}


def test_metadata_of_any_bytes_are_read(tmp_path):
    (tmp_path / "images.csv").write_bytes(
        b"ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,"
        b"Thumbnail300KURL,Rotation\n"
        b"b,train,http://a.example/o.jpg,,https://l.example/,,,,,,,\n"
        b'a,train,,,,,"B\xff\n\x00""r"", the first",\xe7\x86\x8a,1,x==,,270.0\n'
    )
    wanted = {"a": "Panda", "c": "Panda"}
    (row,) = catalogue.read_metadata(tmp_path / "images.csv", wanted)
    assert list(wanted) == ["c"]
    assert row == {
        "image_id": "a", "licence": "", "author": 'B\ufffd "r", the first', "author_page": "", "title": "熊",
        "landing_page": "", "original_url": "", "rotation": 270,
    }  # fmt: skip


def test_a_file_without_line_breaks_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "MAX_LINE_CHARACTERS", 1000)
    for content in (b"x" * 10**7, b"," * 10**7, b'"' + b"x\n" * 10**7):
        (tmp_path / "x.csv").write_bytes(content)
        tracemalloc.start()
        with pytest.raises(InputError):
            catalogue.find_positives(tmp_path / "x.csv", {"/m/03bj1": "Panda"})
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 2 * 10**6
