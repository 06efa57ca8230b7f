"""Look for wrong labels among all photos of a run, from its cached features."""

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import write_csv
from bears_tl.inception.architecture import DEPTHS, LAST
from bears_tl.judging.predictions import labels_of
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.training import folds, labels, strangers


def find_suspects(run: Run) -> list[dict]:
    """Predict every photo from the others and write labels.csv, see `training.labels`.

    Training photos have the features of their first view, others those of the center view. Large sets are sampled down
    to MOST_PHOTOS.

    Args:
        run: a trained run.

    Returns:
        Rows of labels.csv.

    Raises:
        InputError: features are missing from the cache.
    """
    rows = artifacts.draw(run, run.table("splits.csv"), labels.MOST_PHOTOS)
    rows.sort(key=lambda row: row["sha256"])
    group_of = {row["path"]: row["group"] for row in run.table("photos.csv")}  # splits.csv may ignore near-duplicates
    rows = [row | {"group": group_of[row["path"]]} for row in rows]
    class_names = sorted({row["class_name"] for row in rows})
    given, table, seed = labels_of(rows, class_names), _first_views(run, rows), run.config.seed
    fold, shares = folds.assign([row["group"] or row["sha256"] for row in rows], given, seed), None
    strangeness, threshold = np.zeros(len(rows)), 1.0
    if fold is not None:
        depths = table.of(tuple(DEPTHS))
        shares = labels.predict_again(depths, given, depths.widths, fold)
        strangeness = strangers.compare_folds(table.of(LAST), given, fold, seed)
        threshold = strangers.conformal_threshold(strangeness, labels.KNOWN_SHARE)
    found = labels.list_suspects(rows, class_names, shares, strangeness, threshold)
    write_csv(run.path("labels.csv"), labels.LABEL_COLUMNS, found)
    return found


def _first_views(run: Run, rows: list[dict]):
    """Return the features of photos in one view each: a `FeatureTable` [n, 1, n features].

    Raises:
        InputError: features are missing from the cache.
    """
    from bears_tl.features.cache import MISSING
    from bears_tl.features.extract import FeatureTable

    cache, views = artifacts.feature_cache(run), artifacts.split_views(run)
    places = np.full((len(rows), 1), MISSING)
    for split, of_split in views.items():
        chosen = [i for i, row in enumerate(rows) if row["split"] == split]
        if chosen:
            places[chosen] = cache.places([rows[i]["sha256"] for i in chosen], of_split[:1])
    if (places == MISSING).any():
        raise InputError(
            f"{int((places == MISSING).sum())} of {len(rows)} photos have no features in the cache: fill it with "
            f"`bears features --run {run.folder}`"
        )
    return FeatureTable(cache, places)
