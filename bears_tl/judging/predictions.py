"""The table of predictions, one row per photo: from probabilities to predictions.csv and back."""

import numpy as np

_PREFIX = "probability_"
ROUNDING = 1e-4  # how far probabilities of the same photo may differ: the head's float32 sums may depend on the batch


def to_row(photo: dict, probabilities: np.ndarray, class_names: list[str]) -> dict:
    """Make a row of predictions.csv.

    Args:
        photo: path, and class_name and split if known.
        probabilities: float [n classes] in [0, 1].
        class_names: in the order of the probabilities.
    """
    known = {name: photo.get(name, "") for name in ("path", "class_name", "split")}
    # 9 significant digits are enough to read a float32 back exactly
    shares = {f"{_PREFIX}{name}": f"{share:.9g}" for name, share in zip(class_names, probabilities, strict=True)}
    return known | {"predicted": class_names[int(np.argmax(probabilities))]} | shares


def to_rows(photos: list[dict], probabilities: np.ndarray, class_names: list[str]) -> list[dict]:
    """Make rows of predictions.csv from photos and their probabilities, float [n, n classes]; see `to_row`."""
    return [to_row(photo, shares, class_names) for photo, shares in zip(photos, probabilities, strict=True)]


def class_names_of(rows: list[dict]) -> list[str]:
    """Read the class names from the columns."""
    return [column.removeprefix(_PREFIX) for column in rows[0] if column.startswith(_PREFIX)]


def probabilities_of(rows: list[dict], class_names: list[str]) -> np.ndarray:
    """Read the probabilities: float32 [n, n classes] in [0, 1]."""
    values = [[row[f"{_PREFIX}{name}"] for name in class_names] for row in rows]
    return np.array(values, dtype=np.float32).reshape(len(rows), len(class_names))


def labels_of(rows: list[dict], class_names: list[str]) -> np.ndarray:
    """Return the index of each row's class in the class names: int64 [n]."""
    places = {name: place for place, name in enumerate(class_names)}
    return np.array([places[row["class_name"]] for row in rows], dtype=np.int64)


def true_probabilities(rows: list[dict], class_names: list[str]) -> np.ndarray:
    """Give float32 [n] in [0, 1], the probability of each row's true class."""
    return probabilities_of(rows, class_names)[np.arange(len(rows)), labels_of(rows, class_names)]


def count_errors(rows: list[dict]) -> int:
    """Count the rows whose predicted class is not the true one."""
    return sum(row["predicted"] != row["class_name"] for row in rows)


def largest_difference(rows: list[dict], others: list[dict]) -> float:
    """Compare two tables of predictions for the same photos: the largest difference of a probability, in [0, 1]."""
    class_names = class_names_of(rows)
    return float(np.abs(probabilities_of(rows, class_names) - probabilities_of(others, class_names)).max())


def worst(rows: list[dict], class_names: list[str], count: int) -> list[dict]:
    """Return the `count` rows with the lowest probability of the true class, lowest first."""
    order = np.argsort(true_probabilities(rows, class_names), kind="stable")
    return [rows[i] for i in order[:count]]
