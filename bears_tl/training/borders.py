"""Activations at a rung's border, computed once and kept on disk while the rung is trained."""

import hashlib
import itertools
import zipfile
from pathlib import Path

import numpy as np

from bears_tl.errors import reason_of
from bears_tl.files import atomic_path
from bears_tl.photos import views
from bears_tl.photos.storage import read_photo
from bears_tl.photos.views import View
from bears_tl.threads import map_ahead
from bears_tl.training.rungs import BATCH_SIZE, CutNetwork

VERSION = 1  # increase it when the bits of an activation change, so that those on disk are recomputed
_PHOTOS_AHEAD = 4 * BATCH_SIZE


class Borders:
    """Activations of n photos in m views at a border, one uncompressed .npz each, named by a hash of their inputs.

    One view takes 130 to 710 kB, so the activations stay on disk and the operating system caches what fits in memory.
    Indexed like an array of [n, m] rows: `borders[photos, views]` is float16 [k, ...] (uint8 for the rung `all`).
    """

    def __init__(
        self, network: CutNetwork, fingerprint: str, photo_folder: str | Path, rows: list[dict], views: list[View],
        folder: str | Path,
    ):  # fmt: skip
        """Select photos and views.

        Args:
            network: computes missing activations.
            fingerprint: the SHA-256 of the body's checkpoint.
            photo_folder: the folder that each `path` is relative to.
            rows: one row per photo, with path and sha256.
            views: the views of each photo.
            folder: the folder of the activations.
        """
        self._network, self._fingerprint, self._photo_folder = network, fingerprint, photo_folder
        self._rows, self._views, self._folder = rows, views, Path(folder)
        self.shape = (len(rows), len(views), *network.shape)

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index) -> np.ndarray:
        photos, views = index
        found = [self._read(self._rows[i], self._views[k]) for i, k in zip(photos, views, strict=True)]
        return np.stack(found)

    def fill(self, title: str) -> None:
        """Compute missing activations; those finished before an interruption are kept.

        Args:
            title: the title of the progress bar.

        Raises:
            InputError: a photo cannot be read or was changed, or the folder cannot be written.
        """
        from tqdm import tqdm

        unique = {row["sha256"]: row for row in self._rows}.values()
        missing = [(row, [view for view in self._views if not self._path(row, view).is_file()]) for row in unique]
        missing = [(row, todo) for row, todo in missing if todo]
        read = map_ahead(lambda todo: (todo, read_photo(self._photo_folder, *todo)), missing, _PHOTOS_AHEAD)
        each = ((row, view, pixels) for (row, todo), all_pixels in read
                for view, pixels in zip(todo, all_pixels, strict=True))  # fmt: skip
        total = sum(len(todo) for _, todo in missing)
        with tqdm(total=total, desc=title, unit=" views", disable=None, leave=False) as progress:
            while batch := list(itertools.islice(each, BATCH_SIZE)):
                found = self._network.activations(np.stack([pixels for _, _, pixels in batch]))
                for (row, view, _), activations in zip(batch, found, strict=True):
                    self._write(self._path(row, view), activations)
                progress.update(len(batch))

    def _read(self, row: dict, view: View) -> np.ndarray:
        path = self._path(row, view)
        try:
            with np.load(path) as saved:  # reading verifies zip's checksum
                activations = saved["activations"]
            if (activations.shape, activations.dtype) != (self._network.shape, self._network.dtype):
                raise ValueError(f"another version: {activations.dtype} {list(activations.shape)}")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{path} cannot be used ({reason_of(error)}); computing it again.")
            activations = self._network.activations(np.stack(read_photo(self._photo_folder, row, [view])))[0]
            self._write(path, activations)
        return activations

    def _write(self, path: Path, activations: np.ndarray) -> None:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, activations=activations)

    def _path(self, row: dict, view: View) -> Path:
        made_from = f"{row['sha256']}|{view}|{self._fingerprint}|{self._network.rung}|{views.VERSION}|{VERSION}"
        return self._folder / f"{hashlib.sha256(made_from.encode()).hexdigest()}.npz"
