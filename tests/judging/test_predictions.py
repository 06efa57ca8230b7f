"""Predictions are read back from their table bit for bit, and the worst ones are found."""

import numpy as np
import pytest

from bears_tl.files import read_csv, write_csv
from bears_tl.judging.predictions import (
    class_names_of,
    count_errors,
    labels_of,
    largest_difference,
    probabilities_of,
    to_row,
    worst,
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
    rows = table([[share, 1 - share, 0] for share in chosen], [0] * 101)
    expected = [100, *range(1, 100, 2), *range(0, 100, 2)]
    assert [row["path"] for row in worst(rows, CLASSES, 101)] == [f"{i}.jpg" for i in expected]
    assert worst(rows, CLASSES, 3) == worst(rows, CLASSES, 999)[:3] and worst(rows, CLASSES, 0) == []


def test_the_worst_go_by_the_true_class_not_by_the_predicted_one():
    rows = table([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2]], [0, 2])
    assert [row["path"] for row in worst(rows, CLASSES, 2)] == ["1.jpg", "0.jpg"]


def test_errors_and_differences_of_tables_are_counted():
    rows = table([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2]], [0, 2])
    others = table([[0.6, 0.4, 0.0], [0.25, 0.55, 0.2]], [0, 2])
    assert (count_errors(rows), count_errors(rows[:1]), count_errors([])) == (1, 0, 0)
    assert largest_difference(rows, rows) == 0 and largest_difference(rows, others) == pytest.approx(0.25)
