"""The article's features, kept so that the variants of one comparison can share them."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bears_tl.files import write_bytes


class FeatureMemory:
    """A folder of float32 features, one file per name.

    Unlike the feature cache, it does not round, and it can hold the features of a whole batch, which may depend on the
    statistics of that batch. It is deleted when a comparison has finished a seed.
    """

    def __init__(self, folder: str | Path):
        """Use a folder for one checkpoint and one implementation; it need not exist yet."""
        self.folder = Path(folder)

    def find(self, names: list[str], compute: Callable[[list[int]], list[np.ndarray]]) -> list[np.ndarray]:
        """Give the features of some names; missing ones are computed in one call and kept.

        Args:
            names: each must identify everything its features depend on.
            compute: takes the positions of the missing names and gives their features, float32 [n, 2048] each.

        Raises:
            InputError: the disk is full or the folder is not writable.
        """
        paths = [self.folder / f"{hashlib.sha256(name.encode()).hexdigest()}.npy" for name in names]
        missing = [place for place, path in enumerate(paths) if not path.is_file()]
        if missing:
            for place, features in zip(missing, compute(missing), strict=True):
                data = io.BytesIO()
                np.save(data, features)
                write_bytes(paths[place], data.getvalue())
        return [np.load(path) for path in paths]
