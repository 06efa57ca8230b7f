"""The table of predictions, one row per photo: from probabilities to predictions.csv and back."""

import csv
import dataclasses
import warnings
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError

_PREFIX = "probability_"
ROUNDING = 1e-4  # how far probabilities of the same photo may differ: the head's float32 sums may depend on the batch


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predictions for some photos. With many classes this takes a twentieth of the memory of rows of text.

    Attributes:
        rows: path, class_name, split and predicted of each photo.
        probabilities: float32 [n, n classes] in [0, 1].
        class_names: in the order of the columns.
    """

    rows: list[dict]
    probabilities: np.ndarray
    class_names: list[str]

    @classmethod
    def read(cls, path: str | Path) -> "Predictions":
        """Read predictions.csv.

        Raises:
            InputError: the file cannot be read, or a probability is missing or not a number.
        """
        try:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                columns = next(csv.reader(file), [])
                texts = [column for column in columns if not column.startswith(_PREFIX)]
                class_names = [column.removeprefix(_PREFIX) for column in columns[len(texts) :]]
                fields = [("texts", "O", len(texts)), ("shares", np.float32, len(class_names))]
                # Twice as fast as the csv module, and needs no memory for a text per number
                with warnings.catch_warnings(action="ignore", category=UserWarning):  # of a table without rows
                    table = np.loadtxt(file, fields, comments=None, delimiter=",", quotechar='"', ndmin=1)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{str(path)!r} could not be read as a table of predictions ({error}): train the run again"
            ) from None
        rows = [dict(zip(texts, row, strict=True)) for row in table["texts"]]
        return cls(rows, np.ascontiguousarray(table["shares"]), class_names)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: np.ndarray) -> "Predictions":
        """Return some of the photos.

        Args:
            places: int [k], which ones and in which order.
        """
        return Predictions([self.rows[i] for i in places], self.probabilities[places], self.class_names)

    def of_split(self, split: str) -> "Predictions":
        """Return the photos of one split."""
        return self.take(np.flatnonzero([row["split"] == split for row in self.rows]))

    def labels(self) -> np.ndarray:
        """Return the index of each photo's true class: int64 [n]."""
        return labels_of(self.rows, self.class_names)

    def of_true_class(self) -> np.ndarray:
        """Return the probability of each photo's true class: float32 [n] in [0, 1]."""
        return self.probabilities[np.arange(len(self)), self.labels()]

    def count_known(self) -> int:
        """Count the photos that are like the training photos."""
        return sum(row["known"] == "true" for row in self.rows)

    def worst(self, count: int) -> "Predictions":
        """Return the `count` photos with the lowest probability of the true class, lowest first."""
        return self.take(np.argsort(self.of_true_class(), kind="stable")[:count])


def to_row(photo: dict, probabilities: np.ndarray, class_names: list[str]) -> dict:
    """Make a row of predictions.csv.

    Args:
        photo: path, and class_name, split, known and strangeness if there are any.
        probabilities: float [n classes] in [0, 1].
        class_names: in the order of the probabilities.
    """
    known = {name: photo.get(name, "") for name in ("path", "class_name", "split")}
    # 9 significant digits are enough to read a float32 back exactly
    shares = {f"{_PREFIX}{name}": f"{share:.9g}" for name, share in zip(class_names, probabilities, strict=True)}
    known |= {"predicted": class_names[int(np.argmax(probabilities))]}
    return known | {name: photo[name] for name in ("known", "strangeness") if name in photo} | shares


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
    places = {name: i for i, name in enumerate(class_names)}
    return np.array([places[row["class_name"]] for row in rows], dtype=np.int64)


def count_errors(rows: list[dict]) -> int:
    """Count the rows whose predicted class is not the true one."""
    return sum(row["predicted"] != row["class_name"] for row in rows)
