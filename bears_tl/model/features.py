"""Features of photos: read, seen by the body once, and kept in a cache on disk."""

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import atomic_path
from bears_tl.model.backbone import BATCH_SIZE, FEATURES, Backbone
from bears_tl.photos.views import VERSION, View, read_views, scale
from bears_tl.threads import map_ahead

PRECISION = "float32"
_SHARD_ROWS = 256  # what a killed run loses at most; a shard is 2 MiB


class FeatureCache:
    """Features on disk, found by (photo's SHA-256, view) within a folder for (weights' fingerprint, precision).

    A shard is an .npz of keys and features, written whole; its zip checksums are verified when it is read, and a shard
    that fails is named, removed and computed again.
    """

    def __init__(self, folder: str | Path, fingerprint: str, precision: str = PRECISION):
        """Open the cache of one body, or start it.

        Args:
            folder: where the caches of all bodies lie.
            fingerprint: the SHA-256 of the body's checkpoint.
            precision: what the body computes in.
        """
        self.folder = Path(folder) / f"{fingerprint[:16]}-{precision}"
        self._rows: dict[bytes, np.ndarray] = {}
        for path in sorted(self.folder.glob("*.npz")):
            self._read(path)

    def __len__(self):
        return len(self._rows)

    def get(self, sha256: str, view: View) -> np.ndarray | None:
        """Give float32 [2048], or None when it is not there."""
        return self._rows.get(_key(sha256, view))

    def put(self, rows: list[tuple[str, View]], features: np.ndarray) -> None:
        """Keep features, float32 [n, 2048], of n (SHA-256, view) pairs.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        keys = [_key(sha256, view) for sha256, view in rows]
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        with atomic_path(self.folder / f"{name}.npz") as temporary, open(temporary, "wb") as file:
            np.savez(file, keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32), features=features)
        self._rows.update(zip(keys, features, strict=True))

    def _read(self, path: Path) -> None:
        try:
            with np.load(path) as shard:
                keys, features = shard["keys"], shard["features"]
            if keys.shape != (len(features), 32) or features.shape[1:] != (FEATURES,) or features.dtype != np.float32:
                raise ValueError(f"unexpected shapes {keys.shape}, {features.shape}")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"The cache shard {path} is damaged ({error}): it is removed, its features are computed again.")
            path.unlink(missing_ok=True)
            return
        self._rows.update(zip((key.tobytes() for key in keys), features, strict=True))


def extract(
    load_body: Callable[[], Backbone],
    folder: str | Path,
    photos: list[dict],
    views: list[View],
    cache: FeatureCache,
    title="Features",
) -> np.ndarray:
    """Compute the features of photos in several views; what the cache holds is not computed again.

    Args:
        load_body: gives the frozen body; is called when the cache lacks something.
        folder: the photo folder that `path` of a photo is relative to.
        photos: rows with path and sha256.
        views: the views of each photo.
        cache: is read first, and filled as the work goes on, so that a killed run resumes where it was.
        title: of the progress bar.

    Returns:
        float32 [n photos, n views, 2048].

    Raises:
        InputError: a photo can no longer be read, or the cache cannot be written.
    """
    from tqdm import tqdm

    missing = {photo["sha256"]: photo for photo in photos}
    missing = {
        sha256: (photo, [view for view in views if cache.get(sha256, view) is None])
        for sha256, photo in missing.items()
    }
    missing = [(photo, todo) for photo, todo in missing.values() if todo]
    body = load_body() if missing else None
    total = sum(len(todo) for _, todo in missing)
    with tqdm(total=total, desc=title, unit=" views", disable=None, leave=False) as progress:
        for rows, batch in _batched(_read_ahead(Path(folder), missing), _SHARD_ROWS):
            features = [
                _infer_padded(body, batch[start : start + BATCH_SIZE], progress)
                for start in range(0, len(batch), BATCH_SIZE)
            ]
            cache.put(rows, np.concatenate(features))
    result = np.empty((len(photos), len(views), FEATURES), np.float32)
    for i, photo in enumerate(photos):
        for j, view in enumerate(views):
            result[i, j] = cache.get(photo["sha256"], view)
    return result


def _infer_padded(body: Backbone, pixels: list[np.ndarray], progress) -> np.ndarray:
    """Run the body on exactly BATCH_SIZE views, so that a feature's bits do not depend on how many were left to do."""
    batch = np.zeros((BATCH_SIZE, *pixels[0].shape), np.float32)
    batch[: len(pixels)] = scale(np.stack(pixels))
    features = body.features(batch)[: len(pixels)]
    progress.update(len(pixels))
    return features


def _read_ahead(folder: Path, photos: list[tuple[dict, list[View]]]) -> Iterator[tuple[tuple[str, View], np.ndarray]]:
    """Yield ((SHA-256, view), uint8 pixels) in order, while threads read at most a few batches ahead of the body."""
    for (photo, views), pixels in map_ahead(lambda todo: (todo, _read(folder, *todo)), photos, ahead=4 * BATCH_SIZE):
        yield from zip([(photo["sha256"], view) for view in views], pixels, strict=True)


def _read(folder: Path, photo: dict, views: list[View]) -> list[np.ndarray]:
    try:
        return read_views(folder / photo["path"], views, photo["sha256"])
    except Exception as error:  # decoders raise many kinds
        raise InputError(
            f"{str(folder / photo['path'])!r} can no longer be read ({error}): run the intake again"
        ) from error


def _batched(items: Iterable, size: int) -> Iterator[tuple[list, list]]:
    rows, pixels = [], []
    for row, pixel in items:
        rows.append(row)
        pixels.append(pixel)
        if len(rows) == size:
            yield rows, pixels
            rows, pixels = [], []
    if rows:
        yield rows, pixels


def _key(sha256: str, view: View) -> bytes:
    return hashlib.sha256(f"{sha256}|{view}|{VERSION}".encode()).digest()
