"""Predictions are read back from their table bit for bit, and the worst ones are found."""

import numpy as np
import pytest

from bears_tl.files import read_csv, write_csv
from bears_tl.judging.predictions import (
    Predictions,
    class_names_of,
    count_errors,
    labels_of,
    probabilities_of,
    to_row,
)

CLASSES = ["Bär, braun", "Panda", 'Polar "ice"']


def table(shares, labels, class_names=CLASSES):
    photos = [{"path": f"{i}.jpg", "class_name": class_names[k], "split": "test"} for i, k in enumerate(labels)]
    return [to_row(photo, share, class_names) for photo, share in zip(photos, shares, strict=True)]


def test_every_float32_comes_back_from_the_table_exactly(tmp_path):
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 20, (500, 3)).astype(np.float32)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[0] = [0, 1, np.finfo(np.float32).smallest_subnormal]
    shares[1] = [np.nextafter(np.float32(1), np.float32(0)), np.finfo(np.float32).tiny, np.float32(1 / 3)]
    labels = draw.integers(0, 3, 500)
    rows = table(shares, labels)
    write_csv(tmp_path / "predictions.csv", list(rows[0]), rows)
    again = read_csv(tmp_path / "predictions.csv", ["path", "class_name", "split", "predicted"])
    assert class_names_of(again) == CLASSES
    assert probabilities_of(again, CLASSES).dtype == np.float32
    assert probabilities_of(again, CLASSES).tobytes() == shares.astype(np.float32).tobytes()
    assert labels_of(again, CLASSES).tolist() == labels.tolist()
    assert [row["predicted"] for row in again] == [CLASSES[k] for k in shares.argmax(axis=1)]
    found = Predictions.read(tmp_path / "predictions.csv")
    assert found.class_names == CLASSES and found.probabilities.dtype == np.float32
    assert found.probabilities.tobytes() == shares.astype(np.float32).tobytes()
    assert found.labels().tolist() == labels.tolist()
    assert found.rows == [{name: row[name] for name in list(row)[:4]} for row in rows]


NAMES = ["a,b", 'q"u"o', "n\nr\r", "caf\udce9", "#no comment", " spaces ", "日本 🐻", '"', "x\r\ny", "\u2028"]


def test_names_of_all_kinds_are_read_back(tmp_path):
    draw = np.random.default_rng(0)
    for class_names in (NAMES, NAMES[::-1]):  # as the first column and as the last one
        photos = [{"path": f"{name}/{name}.jpg", "class_name": name, "split": "test"} for name in class_names]
        rows = [to_row(photo, draw.dirichlet(np.ones(10)).astype(np.float32), class_names) for photo in photos]
        write_csv(tmp_path / "predictions.csv", list(rows[0]), rows)
        found = Predictions.read(tmp_path / "predictions.csv")
        assert found.class_names == class_names
        assert found.rows == [{name: row[name] for name in list(row)[:4]} for row in rows]
        np.testing.assert_array_equal(found.probabilities, probabilities_of(rows, class_names))


@pytest.mark.parametrize("damage", ["", "x", "0.5"])
def test_a_table_with_a_missing_or_broken_number_is_refused(tmp_path, refused, damage):
    rows = table([[0.25, 0.5, 0.25]] * 2, [2, 1])
    write_csv(tmp_path / "predictions.csv", list(rows[0]), rows)
    text = (tmp_path / "predictions.csv").read_text(encoding="utf-8").removesuffix(",0.25\n")
    text += f",{damage}\n" if damage != "0.5" else "\n"  # or one number less
    (tmp_path / "predictions.csv").write_text(text, encoding="utf-8")
    with refused("predictions.csv", "train the run again"):
        Predictions.read(tmp_path / "predictions.csv")


def predictions(shares, labels):
    rows = table(shares, labels)
    return Predictions(rows, probabilities_of(rows, CLASSES), CLASSES)


def paths(found):
    return [row["path"] for row in found.rows]


def test_the_photos_of_a_split_keep_their_probabilities():
    found = predictions([[0.25, 0.5, 0.25], [0.5, 0.3, 0.2], [1, 0, 0]], [2, 1, 0])
    for row, split in zip(found.rows, ("val", "test", "val"), strict=True):
        row["split"] = split
    val = found.of_split("val")
    assert (len(val), paths(val), val.probabilities[:, 0].tolist()) == (2, ["0.jpg", "2.jpg"], [0.25, 1])
    none = found.of_split("train")
    assert len(none) == 0 and none.probabilities.shape == (0, 3) and none.labels().shape == (0,)


def test_columns_are_those_of_the_design():
    (row,) = table([[0.25, 0.5, 0.25]], [2])
    assert list(row) == ["path", "class_name", "split", "predicted", *(f"probability_{name}" for name in CLASSES)]
    assert (row["class_name"], row["predicted"], row["probability_Panda"]) == (CLASSES[2], "Panda", "0.5")


def test_a_photo_of_unknown_class_has_an_empty_one():
    row = to_row({"path": "a.jpg"}, np.array([1.0, 0.0]), CLASSES[:2])
    assert (row["path"], row["class_name"], row["split"]) == ("a.jpg", "", "")


def test_as_many_probabilities_as_classes_are_needed():
    with pytest.raises(ValueError):
        to_row({"path": "a.jpg"}, np.array([1.0]), CLASSES)


def test_no_rows_are_an_array_without_rows():
    assert probabilities_of([], CLASSES).shape == (0, 3) and labels_of([], CLASSES).shape == (0,)


def test_the_worst_come_first_and_those_alike_in_their_order():
    chosen = [0.9, 0.2] * 50 + [0.0]
    found = predictions([[share, 1 - share, 0] for share in chosen], [0] * 101)
    expected = [100, *range(1, 100, 2), *range(0, 100, 2)]
    assert paths(found.worst(101)) == [f"{i}.jpg" for i in expected]
    assert paths(found.worst(3)) == paths(found.worst(999))[:3] and len(found.worst(0)) == 0


def test_the_worst_go_by_the_true_class_not_by_the_predicted_one():
    found = predictions([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2]], [0, 2])
    assert paths(found.worst(2)) == ["1.jpg", "0.jpg"]
    np.testing.assert_allclose(found.of_true_class(), [0.6, 0.2])


def test_errors_are_counted():
    rows = table([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2]], [0, 2])
    assert (count_errors(rows), count_errors(rows[:1]), count_errors([])) == (1, 0, 0)
