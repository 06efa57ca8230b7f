"""Open the outputs of a run's stages: photos, splits, views, the body, its features."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import seeded_rng
from bears_tl.judging.names import shorten
from bears_tl.judging.predictions import Predictions
from bears_tl.photos.looks import STRENGTHS
from bears_tl.photos.splits import SPLITS
from bears_tl.photos.views import CENTER, View, read_views
from bears_tl.pipeline.run import Run

DATA_FOLDER = Path("data")


def cache_folder() -> Path:
    """Return the folder of the caches: BEARS_TL_CACHE if it is set, else data/cache."""
    return Path(os.environ.get("BEARS_TL_CACHE") or DATA_FOLDER / "cache").expanduser()


def photo_folder(run: Run) -> Path:
    """Return the photo folder that `fetch` found.

    Raises:
        InputError: the stage has not run, or the folder is missing.
    """
    folder = Path(run.facts("fetch")["folder"])
    if not folder.is_dir():
        raise InputError(
            f"the photo folder {str(folder)!r} of run {str(run.folder)!r} is missing: "
            f"put it back, or fetch the photos again (01_fetch, or `bears train --run {run.folder}`)"
        )
    return folder


def split_rows(run: Run) -> dict[str, list[dict]]:
    """Read splits.csv as split to rows; train rows are sorted by SHA-256, because training depends on their order."""
    rows = run.table("splits.csv")
    found = {name: [row for row in rows if row["split"] == name] for name in SPLITS}
    return found | {"train": sorted(found["train"], key=lambda row: row["sha256"])}


def train_views(run: Run) -> list[View]:
    """Return the views of each training photo."""
    config = run.config
    strengths = {effect: getattr(config, effect) for effect in STRENGTHS}
    return [View(k, config.seed, config.max_zoom, **strengths) for k in range(config.train_views)] or [CENTER]


def split_views(run: Run) -> dict[str, list[View]]:
    """Return the views of each photo, by split."""
    return {"train": train_views(run), "val": [CENTER], "test": [CENTER]}


def checkpoint_facts(run: Run) -> dict:
    """Return what `restore` found: path, kind, fingerprint, precision.

    Raises:
        InputError: the stage has not run, or the checkpoint is missing or was changed.
    """
    facts = _body_facts(run)
    from bears_tl.inception.weights import fingerprint

    try:
        is_same = fingerprint(facts["path"]) == facts["fingerprint"]
    except OSError:
        is_same = False
    if not is_same:
        raise InputError(
            f"the checkpoint {facts['path']!r} of run {str(run.folder)!r} is missing or was changed: "
            f"put it back, or train again with `bears train --run {run.folder}`"
        )
    return facts


def _body_facts(run: Run) -> dict:
    facts = _facts_with(run, "restore", "precision")
    return {"engine": "tensorflow"} | facts  # runs of earlier versions know no other engine


def train_facts(run: Run) -> dict:
    """Return what `train` found: features, weight decay, temperature, strangers.

    Raises:
        InputError: the stage has not run, or ran in an earlier version.
    """
    return _facts_with(run, "train", "strangers")


def _facts_with(run: Run, stage: str, name: str) -> dict:
    facts = run.facts(stage)
    if name not in facts:
        raise InputError(
            f"run {str(run.folder)!r} was made by an earlier version of bears_tl: "
            f"train again with `bears train --run {run.folder}`"
        )
    return facts


def load_body(run: Run, same_bits: bool = True):
    """Load the body from the checkpoint, with the precision and engine that `restore` recorded.

    Args:
        run: a run whose checkpoint is restored.
        same_bits: fail if that engine cannot be used here; else use another one, and say so.

    Raises:
        InputError: the file is missing or was changed, or the engine cannot be used.
    """
    facts = checkpoint_facts(run)
    from bears_tl.inception.body import Body

    engine = facts["engine"] if same_bits or facts["engine"] == "tensorflow" else "auto"
    body = Body.open(facts["path"], facts["fingerprint"], facts["precision"], cache_folder(), engine)
    if body.engine != facts["engine"]:
        print(
            f"{run.folder} was made with the engine {facts['engine']}; {body.engine} is used here, so the last digits "
            "of a probability may differ",
            file=sys.stderr,
        )
    return body


def load_kept_body(run: Run):
    """Load the body, but do not make its OpenVINO model for that; see `load_body`.

    Raises:
        InputError: the model is not in the cache, or as above.
    """
    from bears_tl.inception import openvino_engine

    facts = _body_facts(run)
    if facts["engine"] == openvino_engine.NAME and not openvino_engine.is_kept(facts["fingerprint"], cache_folder()):
        raise InputError(
            f"OpenVINO's model of the body is not in {str(cache_folder())!r}: "
            f"make it with `bears predict PHOTO --run {run.folder}`, then run this again"
        )
    return load_body(run, same_bits=False)


def feature_cache(run: Run):
    """Open the feature cache of the run's body."""
    from bears_tl.features.cache import FeatureCache
    from bears_tl.inception.body import bits_of

    facts = _body_facts(run)
    return FeatureCache(cache_folder(), facts["fingerprint"], bits_of(facts["engine"], facts["precision"]))


def draw(run: Run, rows: Sequence, count: int) -> list:
    """Draw up to `count` rows at random, seeded by the run's seed."""
    rng = seeded_rng(run.config.seed, "", "photos to show")
    return [rows[i] for i in rng.permutation(len(rows))[:count]]


def pixels(run: Run, rows: list[dict]) -> list[np.ndarray]:
    """Read the center views of photos, the input of the body: uint8 [299, 299, 3] each."""
    folder = photo_folder(run)
    return [read_views(folder / row["path"], [CENTER], "")[0] for row in rows]


def draw_pixels(run: Run, count: int) -> np.ndarray:
    """Draw photos of splits.csv at random and read their center views: uint8 [count, 299, 299, 3]."""
    return np.stack(pixels(run, draw(run, run.table("splits.csv"), count)))


def predictions(run: Run) -> Predictions:
    """Read predictions.csv.

    Raises:
        InputError: the run is not trained, or the file is damaged.
    """
    return Predictions.read(run.existing("predictions.csv"))


def share_of_unknown(run: Run, split: str) -> float:
    """Return the share of the photos of a split that are not like the training photos, in [0, 1]."""
    found = predictions(run).of_split(split)
    return 1 - found.count_known() / len(found) if len(found) else 0.0


def draw_predictions(run: Run, found: Predictions, count: int) -> Predictions:
    """Draw up to `count` photos at random; see `draw`."""
    return found.take(np.array(draw(run, range(len(found)), count), dtype=int))


def prediction_figure(run: Run, found: Predictions, title: str = "Test photos with their predictions"):
    """Draw photos with their true and predicted class, and one bar per class, or per probable class of many."""
    from bears_tl.judging import plots

    photos, titles, names = pixels(run, found.rows), prediction_titles(found), found.class_names
    return plots.predictions(photos, titles, found.probabilities, names, run.notice(), title, found.labels())


def prediction_titles(found: Predictions) -> list[str]:
    """Return the true and the predicted class of each photo, on a line each, for above the photo."""
    from bears_tl.judging import plots

    titles = []
    for row in found.rows:
        wrong = "" if row["predicted"] == row["class_name"] else " (wrong)"
        predicted = shorten(row["predicted"], plots.TITLE_COLUMNS - len(f"predicted: {wrong}"))
        titles.append(f"true: {shorten(row['class_name'], 21)}\npredicted: {predicted}{wrong}")
    return titles
