"""Reasons for a prediction: where in the photo the class comes from, and which training photos are most alike."""

import dataclasses

import numpy as np

from bears_tl.batches import batches_of
from bears_tl.errors import InputError
from bears_tl.inception.architecture import DEPTHS
from bears_tl.judging.names import visible
from bears_tl.judging.predictions import Predictions
from bears_tl.photos.views import CENTER, View
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.training.head import Head

NEAREST = 3  # training photos beside a photo
_BATCH_SIZE = 16  # photos whose maps are in memory at once: 2.5 MB each with all depths
_CHUNK = 1024  # training photos whose features are in memory at once: 25 MB with all depths


def class_maps(head: Head, maps: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
    """Compute class activation maps: what each place of a photo adds to the logit of a class.

    Features are means over places, and the head is linear. So the mean of a class map plus the class's bias is the
    logit (Zhou et al. 2016, https://arxiv.org/abs/1512.04150). Coarse maps are drawn on the finest side: a fine cell is
    the mean of the coarse cells below it, weighted by area. This keeps the mean, and a constant map stays constant.

    Args:
        head: the head; its `depths` name the maps.
        maps: one array per depth, float32 [n, side, side, channels], see `Body.maps`.
        classes: int [n], the class of each photo.

    Returns:
        float64 [n, side, side], in logits before the temperature; the side of the finest map: 17 with Mixed_6e, else 8.
    """
    side = max(values.shape[1] for values in maps)
    parts = np.split(head.kernel.astype(np.float64), np.cumsum([DEPTHS[depth] for depth in head.depths])[:-1])
    total = np.zeros((len(classes), side, side))
    for part, values in zip(parts, maps, strict=True):
        own = np.einsum("nijc,cn->nij", values, part[:, classes], optimize=True)
        areas = _shared_areas(side, own.shape[1])
        total += areas @ own @ areas.T
    return total


def _shared_areas(fine: int, coarse: int) -> np.ndarray:
    """Return the share of each fine cell that each coarse cell covers, along one side: float64 [fine, coarse]."""
    low = np.maximum.outer(np.arange(fine) / fine, np.arange(coarse) / coarse)
    high = np.minimum.outer(np.arange(1, fine + 1) / fine, np.arange(1, coarse + 1) / coarse)
    return np.maximum(high - low, 0) * fine


def centred(head: Head) -> Head:
    """Return a head with the same probabilities whose logits have a mean of zero over the classes.

    Softmax ignores what is added to all logits. So "why this class and not another" is answered by a class's map less
    the mean map of all classes, which is the class map of this head.
    """
    kernel, bias = (weights - weights.mean(axis=-1, keepdims=True) for weights in (head.kernel, head.bias))
    return dataclasses.replace(head, kernel=kernel, bias=bias)


def explain(head: Head, body, pixels: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """Compute the class maps of views with a `centred` head, in batches.

    Args:
        head: the head.
        body: the bears_tl.inception.body.Body that it was trained on.
        pixels: uint8 [n, 299, 299, 3] in [0, 255].
        classes: int [n], the class of each photo; None: its predicted class.

    Returns:
        float64 [n, side, side], in logits: above 0 where the photo speaks for the class, below 0 for the others.
    """
    head, found = centred(head), []
    places = batches_of(np.arange(len(pixels)), _BATCH_SIZE)
    for batch in places:
        _, *maps = body.maps(pixels[batch], head.depths)
        if classes is None:
            means = np.concatenate([values.mean(axis=(1, 2)) for values in maps], axis=1)
            found.append(class_maps(head, maps, head.logits(means).argmax(axis=1)))
        else:
            found.append(class_maps(head, maps, classes[batch]))
    return np.concatenate(found) if found else np.empty((0, 0, 0))


class Neighbours:
    """The training photos of a run, to find those whose features are most similar, by the cosine."""

    def __init__(self, run: Run):
        """Open the cached features of the training photos in their first view; none is computed.

        Raises:
            InputError: the run is not trained, or features are missing from the cache.
        """
        self._rows, depths = artifacts.split_rows(run)["train"], Head.load(run.path("head.npz")).depths
        self._table = _cached(run, self._rows, artifacts.train_views(run)[0], depths)
        self._hashes = np.array([row["sha256"] for row in self._rows])

    def find(self, features: np.ndarray, sha256s: list[str], count: int = NEAREST) -> list[list[dict]]:
        """Find the training photos most similar to some photos.

        Args:
            features: float [n, n features] of the photos, the columns that the head uses, see `Predictor.features`.
            sha256s: the SHA-256 of each photo's file; a photo is never its own neighbour.
            count: how many to find per photo.

        Returns:
            Per photo up to `count` rows of splits.csv with `similarity`, float in [0, 1], the most similar first.
        """
        own, wanted = _normalized(features), np.array(sha256s).reshape(-1, 1)
        best, places = np.empty((len(own), 0)), np.empty((len(own), 0), int)
        for chunk in batches_of(np.arange(len(self._rows)), _CHUNK):
            similarities = own @ _normalized(self._table[chunk, 0]).T
            best = np.concatenate([best, np.where(self._hashes[chunk] == wanted, -1, similarities)], axis=1)
            places = np.concatenate([places, np.broadcast_to(chunk, similarities.shape)], axis=1)
            first = np.argsort(-best, axis=1, kind="stable")[:, :count]
            best, places = (np.take_along_axis(values, first, axis=1) for values in (best, places))
        return [
            [
                self._rows[place] | {"similarity": float(share)}
                for place, share in zip(*of_photo, strict=True)
                if share >= 0
            ]
            for of_photo in zip(places, best, strict=True)
        ]


def nearest(run: Run, features: np.ndarray, sha256s: list[str], count: int = NEAREST) -> list[list[dict]]:
    """Find the training photos most similar to some photos; see `Neighbours`."""
    return Neighbours(run).find(features, sha256s, count)


def _normalized(features: np.ndarray) -> np.ndarray:
    """Divide features, float [n, n features], by their length: float64 of length 1, or 0 where all are 0."""
    features = features.astype(np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _cached(run: Run, rows: list[dict], view: View, depths: tuple[str, ...]):
    """Open the cached features of photos in one view: a FeatureTable [n, 1, n features].

    Raises:
        InputError: features are missing.
    """
    from bears_tl.features.cache import MISSING
    from bears_tl.features.extract import FeatureTable

    cache = artifacts.feature_cache(run)
    places = cache.places([row["sha256"] for row in rows], [view])
    if missing := int((places == MISSING).sum()):
        raise InputError(
            f"features of {missing} of {len(rows)} photos of run {str(run.folder)!r} are missing from the cache: "
            f"compute them with `bears features --run {run.folder}`"
        )
    return FeatureTable(cache, places).of(depths)


def draw(run: Run, photos: np.ndarray, titles: list[str], maps: np.ndarray, alike: list[list[dict]], title: str = ""):
    """Draw photos, their maps from `explain` and their training photos from `nearest`, one photo per row."""
    from bears_tl.judging import reason_plots

    beside = [
        [
            (pixels, f"{visible(row['class_name'])}\ncosine {row['similarity']:.2f}")
            for pixels, row in zip(artifacts.pixels(run, rows), rows, strict=True)
        ]
        for rows in alike
    ]
    return reason_plots.reasons(photos, titles, maps, beside, run.notice(), title)


def draw_predictions(
    run: Run, found: Predictions, body=None, title: str = "Where the classes come from, and similar photos"
):
    """Draw the reasons for predictions of val or test photos.

    Args:
        run: a trained run.
        found: the photos.
        body: the restored body; if None, it is loaded.
        title: of the figure.

    Raises:
        InputError: cached features, photos or the body are missing.
    """
    head, row_of = Head.load(run.path("head.npz")), {row["path"]: row for row in run.table("splits.csv")}
    hashes = [row_of[row["path"]]["sha256"] for row in found.rows]
    table = _cached(run, [{"sha256": sha256} for sha256 in hashes], CENTER, head.depths)
    alike = nearest(run, table[:, 0], hashes)  # before the body: what is missing is said without loading it
    photos = np.stack(artifacts.pixels(run, found.rows))
    classes = np.array([found.class_names.index(row["predicted"]) for row in found.rows])
    maps = explain(head, body or artifacts.load_kept_body(run), photos, classes)
    return draw(run, photos, artifacts.prediction_titles(found), maps, alike, title)
