"""Look for wrong labels among all photos of a run, from its cached features."""

import collections

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import write_csv
from bears_tl.inception.architecture import DEPTHS, LAST
from bears_tl.judging.names import in_markdown, shorten
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


def read_suspects(run: Run) -> list[dict]:
    """Read labels.csv; empty before the run is evaluated."""
    return run.table("labels.csv") if run.path("labels.csv").is_file() else []


def doubt(suspect: dict) -> str:
    """Say in a few words what speaks against the label in a row of labels.csv."""
    if suspect["reason"] == "stranger":
        return "looks like no other photo"
    if suspect["reason"] == "near_duplicate":
        return f"a near-duplicate is {suspect['suggested']}"
    return f"looks like {suspect['suggested']} ({float(suspect['probability_suggested']):.0%})"


def suspects_first(run: Run, count: int) -> list[dict]:
    """Choose photos to look at: the most suspect ones, then others at random.

    Args:
        run: a run whose photos are taken in.
        count: how many.

    Returns:
        Rows of photos.csv; those of suspects with `doubt` as well.
    """
    photos = {row["path"]: row for row in run.table("photos.csv")}
    found = [row for row in read_suspects(run) if row["path"] in photos]
    first = [photos[row["path"]] | {"doubt": doubt(row)} for row in found]
    chosen = {row["path"] for row in first}
    others = [row for row in artifacts.draw(run, list(photos.values()), len(photos)) if row["path"] not in chosen]
    return (first + others)[:count]


def sentence(run: Run) -> str:
    """Say how many photos of a run look wrong, in all and by class."""
    if not run.path("labels.csv").is_file():
        return "The labels were not checked; a warning of the evaluation says why."
    found, count = read_suspects(run), len(run.table("splits.csv"))
    if not found:
        return f"None of the {count} photos looks wrong."
    of_class = collections.Counter(row["class_name"] for row in found)
    reasons = collections.Counter(row["reason"] for row in found)
    parts = [f"{in_markdown(name)} {number}" for name, number in of_class.most_common(10)]
    more = f", and {len(of_class) - 10} classes more" if len(of_class) > 10 else ""
    counts = (
        (reasons["label"], "look like another class"),
        (reasons["near_duplicate"], "have a near-duplicate in another class"),
        (reasons["stranger"], "look like no other photo"),
    )
    why = ", ".join(f"{number} {text}" for number, text in counts if number)
    return f"{len(found)} of {count} photos are worth a look: {why}. By class: {', '.join(parts)}{more}."


def table(suspects: list[dict]) -> str:
    """Format rows of labels.csv as a Markdown table."""
    lines = ["| photo | split | label | what speaks against it | probability of the label |", "| - | - | - | - | - |"]
    for row in suspects:
        given = f"{float(row['probability_given']):.1%}" if row["probability_given"] else ""
        cells = (in_markdown(row["path"]), row["split"], in_markdown(row["class_name"]), in_markdown(doubt(row)), given)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_suspects(run: Run, suspects: list[dict]):
    """Draw the photos of some rows of labels.csv, each with its label and the doubt about it."""
    from bears_tl.judging import plots

    titles = [f"label: {shorten(row['class_name'], 20)}\n{shorten(doubt(row), 27)}" for row in suspects]
    title = f"The {len(suspects)} most suspect photos" if len(suspects) > 1 else "The most suspect photo"
    return plots.photo_grid(artifacts.pixels(run, suspects), titles, columns=3, title=title, side_inches=2.6)


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
