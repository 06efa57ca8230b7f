"""What the article's body has said already: features that several procedures of one comparison share."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bears_tl.files import write_bytes


class FeatureMemory:
    """A folder of float32 features, a file for everything that was computed at once.

    It is not the feature cache, whose features are of single photos and rounded: here a batch's statistics may be in
    the features, and it is thrown away with the comparison.
    """

    def __init__(self, folder: str | Path):
        """Use a folder: of one checkpoint and one implementation; it may not be there yet."""
        self.folder = Path(folder)

    def find(self, what: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Give what was computed under a name, or compute and keep it.

        Args:
            what: names everything that the features depend on.
            compute: gives features, float32 [n, 2048].

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        path = self.folder / f"{hashlib.sha256(what.encode()).hexdigest()}.npy"
        if not path.is_file():
            data = io.BytesIO()
            np.save(data, compute())
            write_bytes(path, data.getvalue())
        return np.load(path)
