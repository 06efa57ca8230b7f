"""What a run holds for its report: its files, each read once and only when a section needs it."""

import functools
import math
from collections.abc import Iterable

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import read_json
from bears_tl.judging.predictions import Predictions
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.report import pictures


class Contents:
    """The files of a run. Each attribute raises InputError if its file is missing, with the command that writes it."""

    def __init__(self, run: Run):
        self.run = run

    @functools.cached_property
    def metrics(self) -> dict:
        """metrics.json."""
        return read_json(self.run.existing("metrics.json"))

    @functools.cached_property
    def splits(self) -> list[dict]:
        """The rows of splits.csv."""
        return self.run.table("splits.csv")

    @functools.cached_property
    def judged(self) -> Predictions:
        """The test photos of predictions.csv, or the validation photos if there is no test photo."""
        found = artifacts.predictions(self.run)
        tests = found.of_split("test")
        return tests if len(tests) else found.of_split("val")

    @functools.cached_property
    def judged_split(self) -> str:
        """In words: which photos `judged` holds."""
        return "test" if self.judged.rows and self.judged.rows[0]["split"] == "test" else "validation"

    def facts(self, stage: str) -> dict:
        """The facts of a stage; empty if it has not run."""
        return self.run.receipt()["stages"].get(stage, {}).get("facts", {})

    def notice(self) -> str:
        """The warning that the body is the stand-in, or an empty string."""
        return self.run.notice() if self.facts("restore") else ""

    def figure(self, name: str) -> dict:
        """A figure that the evaluation drew, see `pictures.figure`."""
        return pictures.figure(self.run.path("figures") / f"{name}.png")

    def cards(self, rows: Iterable[dict]) -> list[dict]:
        """Add to rows with a path `picture`: the photo as a data: address, empty if it cannot be read any more."""
        rows = list(rows)
        sha256 = {row["path"]: row["sha256"] for row in self.splits}
        photos = [{"path": row["path"], "sha256": sha256[row["path"]]} for row in rows if row["path"] in sha256]
        try:
            folder = artifacts.photo_folder(self.run)
        except InputError:
            found = {}
        else:
            found = pictures.squares(folder, photos, self.run.config.max_megapixels)
        return [row | {"picture": found.get(row["path"], "")} for row in rows]


def confidences(found: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of photos whose probabilities are all numbers, and their highest probability.

    Returns:
        int [k] and float64 [k] in [0, 1], the surest first.
    """
    highest = found.probabilities.astype(np.float64).max(axis=1, initial=0)
    highest[~np.isfinite(found.probabilities).all(axis=1)] = math.nan
    places = np.argsort(-highest, kind="stable")  # NaN comes last
    places = places[np.isfinite(highest[places])]
    return places, highest[places]
