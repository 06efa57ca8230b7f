"""The article's features: several procedures of one comparison share what is computed already."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bears_tl.files import write_bytes


class FeatureMemory:
    """A folder of float32 features, a file for what belongs together.

    It is not the feature cache, whose features are of single photos and rounded: here a batch's statistics may be in
    the features, and it is thrown away with the comparison.
    """

    def __init__(self, folder: str | Path):
        """Use a folder: of one checkpoint and one implementation; it may not be there yet."""
        self.folder = Path(folder)

    def find(self, names: list[str], compute: Callable[[list[int]], list[np.ndarray]]) -> list[np.ndarray]:
        """Give what was computed under some names; what is not there is computed, at once, and kept.

        Args:
            names: each holds everything that its features depend on.
            compute: is given the places of the names that are not there, and gives features, float32 [n, 2048] each.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        paths = [self.folder / f"{hashlib.sha256(name.encode()).hexdigest()}.npy" for name in names]
        missing = [place for place, path in enumerate(paths) if not path.is_file()]
        if missing:
            for place, features in zip(missing, compute(missing), strict=True):
                data = io.BytesIO()
                np.save(data, features)
                write_bytes(paths[place], data.getvalue())
        return [np.load(path) for path in paths]
