"""Measure cues: colours, border, image size and file size, which may separate the classes without any content."""

import contextlib
import os
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.photos.facts import FactCache, read_facts
from bears_tl.threads import map_ahead


def measure_cues(folder: str | Path, photos: list[dict], cache: FactCache | None = None) -> dict[str, np.ndarray]:
    """Measure the cues of photos.

    Args:
        folder: the photo folder that paths are relative to.
        photos: rows of photos.csv.
        cache: facts of files that intake has read; those that have changed since are read again.

    Returns:
        Cue name -> float64 [n, values], in the order of `photos`. colour: mean and standard deviation of red, green and
        blue, in [0, 1], over the whole photo; border: the same over the outer 5 %; image_size: logarithms of width,
        height and width / height, as stored; file_size: logarithm of the bytes.

    Raises:
        InputError: a photo can no longer be read.
    """

    def look(photo: dict) -> tuple[dict, dict | None]:
        with contextlib.suppress(OSError):
            return photo, cache and cache.get(os.stat(Path(folder, photo["path"])))
        return photo, None

    def colours(looked: tuple[dict, dict | None]) -> list[float]:
        photo, known = looked
        facts = known or read_facts(Path(folder, photo["path"]))
        if facts["reason"]:
            detail = f"{facts['reason']}: {facts['detail']}"
            raise InputError(f"{photo['path']!r} can no longer be read ({detail}): run intake and split again")
        return facts["colours"]

    measured = np.array(list(map_ahead(colours, map(look, photos), ahead=4 * (os.cpu_count() or 1))))
    sizes = np.log([[float(photo[name]) for name in ("width", "height", "bytes")] for photo in photos])
    return {
        "colour": measured[:, :6],
        "border": measured[:, 6:],
        "image_size": np.column_stack([sizes[:, :2], sizes[:, 0] - sizes[:, 1]]),
        "file_size": sizes[:, 2:],
    }
