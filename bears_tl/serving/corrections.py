"""Correct the label of a photo of a run, one photo at a time, in the table that the next intake applies."""

from bears_tl.errors import InputError
from bears_tl.photos.edits import add_edit, apply_edits, read_edits
from bears_tl.pipeline.run import Run


class Corrections:
    """The labels of a run's photos, found by content. Other photos have no label, so none can be corrected."""

    def __init__(self, run: Run):
        """Read the photos of a run.

        Raises:
            InputError: the run has no photos or no split.
        """
        self._path = run.config.edits
        self.class_names = sorted(run.facts("intake")["per_class"])
        split = {row["sha256"]: row["split"] for row in run.table("splits.csv")}
        self._rows = {
            row["sha256"]: {"path": row["path"], "sha256": row["sha256"], "split": split.get(row["sha256"], "")}
            | {"class_name": _folder_class(row)}
            for row in run.table("photos.csv")
        }

    def label(self, sha256: str) -> dict | None:
        """Return path, split and class_name, as the next intake will label it; None if the run has no such photo.

        Raises:
            InputError: the table of corrections is damaged.
        """
        if sha256 not in self._rows:
            return None
        edits = [edit for edit in read_edits(self._path) if edit["sha256"] == sha256]
        (row,) = apply_edits([self._rows[sha256]], edits, set(self.class_names))
        return row

    def add(self, sha256: str, to_class: str, why: str) -> dict:
        """Add a row to the table of corrections: the photo with this content is a `to_class`.

        Returns:
            The photo's row before; see `label`.

        Raises:
            InputError: the run has no such photo or class, the photo has that label already, or see `add_edit`.
        """
        row = self.label(sha256)
        if row is None:
            raise InputError(
                "this photo is not one of the run's photos, so it has no label to correct: put it into the folder of "
                "its class and train again"
            )
        if to_class not in self.class_names:
            raise InputError(f"{to_class!r} is no class of this run: choose one of the list")
        if to_class == row["class_name"]:
            raise InputError(f"the label of this photo is {to_class!r} already: there is nothing to correct")
        add_edit(self._path, sha256, row["class_name"], to_class, why)
        return row


def _folder_class(row: dict) -> str:
    """Return the class whose folder holds a photo: below train, val or test in a folder that is already split."""
    return row["path"].split("/")[1 if row["given_split"] else 0]
