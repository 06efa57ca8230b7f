"""Compute the features of photos once and cache them on disk."""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.features.cache import MISSING, SHARD_ROWS, FeatureCache
from bears_tl.inception import architecture
from bears_tl.photos.storage import read_photo
from bears_tl.photos.views import View
from bears_tl.threads import map_ahead

IN_MEMORY = 8_192  # views: a table of up to 96 MiB is kept in memory
WORTH_TUNING = 2_000  # views; below that, tuning costs more than it saves


class FeatureTable:
    """Features of n photos in m views, read from the cache when indexed, or once if they are few.

    Indexed like an array of [n, m] rows: `table[photos, views]` is float32 [..., n features].
    """

    def __init__(self, cache: FeatureCache, places: np.ndarray, depths: tuple[str, ...] = tuple(architecture.DEPTHS)):
        """Select rows of a cache by their places, int64 [n, m], and the depths whose features a row has, in order."""
        self._cache, self._places = cache, places
        self._rows = None  # of a small table: training reads them in every epoch
        if places.size <= IN_MEMORY:
            self._places = np.arange(places.size).reshape(places.shape)
            self._rows = cache.read(places.ravel())
        self._select(depths)

    def _select(self, depths: tuple[str, ...]) -> None:
        self._columns = architecture.columns(depths)
        self.widths = tuple(architecture.DEPTHS[depth] for depth in depths)
        self.shape = (*self._places.shape, sum(self.widths))

    def of(self, depths: tuple[str, ...]) -> "FeatureTable":
        """Return the same photos and views with the features of some depths; the rows in memory are shared."""
        table = copy.copy(self)
        table._select(depths)
        return table

    def __len__(self):
        return len(self._places)

    def __getitem__(self, index) -> np.ndarray:
        places = self._places[index]
        rows = self._cache.read(places.ravel()) if self._rows is None else self._rows[places.ravel()]
        return rows[:, self._columns].astype(np.float32).reshape(*places.shape, self.shape[-1])


def extract(
    load_body: Callable,
    folder: str | Path,
    photos: list[dict],
    views: list[View],
    cache: FeatureCache,
    title="Features",
) -> FeatureTable:
    """Compute the features of photos in several views; cached features are not computed again.

    Args:
        load_body: returns the frozen `inception.body.Body`; called only if features are missing from the cache.
        folder: the photo folder that each `path` is relative to, or its address, see `storage.read_photo`.
        photos: rows with path and sha256.
        views: the views of each photo.
        cache: read first and filled during the work, so that a killed run can resume.
        title: the title of the progress bar.

    Returns:
        The features of n photos in m views.

    Raises:
        InputError: a photo cannot be read or was changed; finished features are kept.
    """
    missing = find_missing(photos, views, cache)
    fill(cache, missing, lambda missing: compute(load_body(), folder, missing), title)
    return FeatureTable(cache, cache.places([photo["sha256"] for photo in photos], views))


def fill(cache: FeatureCache, missing: list[tuple[dict, list[View]]], engine: Callable, title="Features") -> None:
    """Compute missing features and store them in the cache, shard by shard.

    Args:
        cache: the cache to fill.
        missing: the result of `find_missing`.
        engine: called with `missing` unless it is empty; yields batches in any order, see `compute`.
        title: the title of the progress bar.

    Raises:
        InputError: the engine raised it; finished features are kept.
    """
    if missing:
        for rows, features in _in_shards(engine(missing), sum(len(todo) for _, todo in missing), title):
            cache.put(rows, features)


def find_missing(photos: list[dict], views: list[View], cache: FeatureCache) -> list[tuple[dict, list[View]]]:
    """List the photos with views missing from the cache, and those views; identical files are listed once."""
    unique = list({photo["sha256"]: photo for photo in photos}.values())
    places = cache.places([photo["sha256"] for photo in unique], views)
    return [
        (photo, [view for view, place in zip(views, row, strict=True) if place == MISSING])
        for photo, row in zip(unique, places, strict=True)
        if (row == MISSING).any()
    ]


def compute(body, folder: str | Path, missing: list[tuple[dict, list[View]]]) -> Iterator[tuple]:
    """Yield rows, (SHA-256, view) each, and their features, float16 [n, 6144], batch by batch.

    Threads read photos up to a few batches ahead of the body. The body's streams take the batches in order.

    Raises:
        InputError: a photo cannot be read or was changed; finished batches are yielded first.
    """
    total = sum(len(todo) for _, todo in missing)
    if total >= WORTH_TUNING:
        body.tune()
    plan = body.plan
    views_ahead = 2 * plan.batch_size * (plan.streams + 1)  # 268 kB each
    photos_ahead = max(views_ahead * len(missing) // total, 1)
    read = map_ahead(lambda todo: (todo, read_photo(folder, *todo)), missing, photos_ahead)
    views = ((photo["sha256"], view, pixels) for (photo, todo), all_pixels in read
             for view, pixels in zip(todo, all_pixels, strict=True))  # fmt: skip
    done = map_ahead(
        lambda batch: (batch, body.features(np.stack([pixels for _, _, pixels in batch]))),
        iter(lambda: list(itertools.islice(views, plan.batch_size)), []),
        ahead=plan.streams + 1,
        threads=plan.streams,
    )
    for batch, features in done:
        yield [(sha256, view) for sha256, view, _ in batch], features


def _in_shards(done: Iterable[tuple], total: int, title: str) -> Iterator[tuple]:
    """Collect batches of rows and features into shards; yield finished ones before raising an error."""
    from tqdm import tqdm

    rows, features = [], []
    with tqdm(total=total, desc=title, unit=" views", disable=None, leave=False) as progress:
        try:
            for of_batch, features_of_batch in done:
                rows += of_batch
                features.append(features_of_batch)
                progress.update(len(of_batch))
                if len(rows) >= SHARD_ROWS:
                    yield rows, np.concatenate(features)
                    rows, features = [], []
        except (InputError, KeyboardInterrupt):
            if rows:
                yield rows, np.concatenate(features)
            raise
    if rows:
        yield rows, np.concatenate(features)
