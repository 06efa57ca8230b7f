"""A table of answers is the same whether it was interrupted or not, and never mixes models or files."""

import dataclasses
import json
import os

import pytest

from bears_tl.judging.predictions import to_row
from bears_tl.serving.ledger import Ledger

NAMES = ["Grizzly", "Panda, giant"]


@dataclasses.dataclass
class MadeUp:
    """A predictor that answers without a network, and counts what it is asked."""

    model: str = "a"
    class_names = NAMES
    asked = 0

    def identity(self):
        return self.model

    def predict(self, paths):
        for path in paths:
            self.asked += 1
            if not os.path.isfile(path) or os.path.getsize(path) == 0:
                yield {"path": str(path), "error": "no photo"}
            else:
                yield to_row({"path": str(path), "known": "true", "strangeness": "0.25"}, [0.75, 0.25], NAMES)


@pytest.fixture
def photos(tmp_path):
    """Give files whose names are a trial for tables."""
    names = ["a.jpg", 'b",c\n.jpg', "d\r.jpg", os.fsdecode(b"e\xff.jpg"), "熊.jpg", "z" * 200 + ".jpg"]
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / name for name in names]
    for path in paths:
        path.write_bytes(b"photo")
    return paths


def fill(table, photos, predictor=None, stop=None):
    with Ledger.opened(table, predictor or MadeUp()) as answers:
        for row in answers.to(photos[:stop]):
            answers.write(row)
        return answers


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_file_cut_off_anywhere_is_continued_to_the_same_bytes(ending, photos, tmp_path):
    whole = tmp_path / f"whole{ending}"
    fill(whole, photos)
    expected = whole.read_bytes()
    for end in range(0, len(expected), 7):
        table = tmp_path / f"cut{ending}"
        table.write_bytes(expected[:end])
        fill(table, photos)
        assert table.read_bytes() == expected, end


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_what_is_answered_is_not_asked_again_unless_the_file_changed_or_failed(ending, photos, tmp_path):
    table, gone = tmp_path / f"t{ending}", tmp_path / "photos/gone.jpg"
    fill(table, [*photos, gone])
    photos[0].write_bytes(b"another photo")
    os.utime(photos[1], ns=(1, 1))
    photos[2].unlink()  # its answer is kept
    again = MadeUp()
    answers = fill(table, [*photos[:2], *photos[3:], gone], again)
    assert again.asked == 3 and (answers.kept, answers.skipped) == (len(photos) - 2, len(photos) - 3)
    with Ledger.opened(table, MadeUp()) as answers:
        assert sorted(row["path"] for row in answers.rows()) == sorted(map(str, photos))


def test_json_lines_have_plain_values(photos, tmp_path):
    fill(tmp_path / "t.jsonl", [photos[0], tmp_path / "gone.jpg"])
    first, second = map(json.loads, (tmp_path / "t.jsonl").read_text().splitlines())
    assert first["probabilities"] == {"Grizzly": 0.75, "Panda, giant": 0.25} and first["known"] is True
    assert first["bytes"] == 5 and second["error"] == "no photo"


def test_answers_of_another_model_or_other_tables_are_refused_and_left_as_they_are(photos, tmp_path, refused):
    table = tmp_path / "t.csv"
    fill(table, photos)
    before = table.read_bytes()
    with refused(repr(str(table)), "another model", "name another file"):
        fill(table, photos, MadeUp("b"))
    assert table.read_bytes() == before
    for content in (b"name,price\nbread,2\n", before.replace(b",a\n", b"\n", 1)):
        table.write_bytes(content)
        with refused(repr(str(table)), "no table of answers"):
            fill(table, photos)
        assert table.read_bytes() == content
    for content in (b"[1]\n", b'"text"\n', b"{\n", b"\xff\n"):
        other = tmp_path / "t.jsonl"
        other.write_bytes(content)
        with refused(repr(str(other)), "no table of answers"):
            fill(other, photos)
        assert other.read_bytes() == content
    with refused("'t.txt'", ".csv or .jsonl"):
        fill("t.txt", photos)
