"""Strangers: is a photo like the training photos at all?

A softmax always answers with a known class. So a photo is also compared with the training photos: its strangeness is
the mean cosine distance to its five nearest ones, on the last features. Nearest neighbours on normalized features are a
strong method in OpenOOD (Sun et al. 2022, https://arxiv.org/abs/2204.06507; Yang et al. 2022,
https://arxiv.org/abs/2210.07242). The threshold is split conformal (Vovk et al. 2005).
"""

import dataclasses
import io
import math
import zipfile
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.files import seeded_rng, write_bytes
from bears_tl.inception.architecture import FEATURES

METHOD = "mean cosine distance to the 5 nearest training photos"
MOST_EXAMPLES = 960  # training photos to compare with, in 8 bits: 2 MB; on flowers 480 were a little worse
KNOWN_SHARE = 0.95  # of known photos that are accepted
MOST_CLASSES = 20  # that are left out in turn
NEAREST = 5
_CHUNK = 1024


@dataclasses.dataclass(frozen=True)
class Strangers:
    """Training photos to compare with, and the strangeness from which on a photo is not known.

    Attributes:
        examples: int8 [m, 2048] in [0, 127], last features of training photos, each divided by its largest.
        threshold: in [0, 1]; a photo is known if its strangeness is at most this.
    """

    examples: np.ndarray
    threshold: float

    def strangeness(self, features: np.ndarray) -> np.ndarray:
        """Compute the strangeness of photos from their last features, float [n, 2048]: float64 [n] in [0, 1].

        A photo gets the same bits in any batch: each row is a product of its own.
        """
        examples, rows = _normalized(self.examples), _normalized(features)
        return np.concatenate([_strangeness(examples, rows[i : i + 1]) for i in range(len(rows))] or [np.empty(0)])

    def answer_all(self, table) -> list[dict]:
        """Judge photos in their first view, from a table [n, n views, 2048], in chunks; see `answer`."""
        return [row for i in range(0, len(table), _CHUNK) for row in self.answer(table[i : i + _CHUNK, 0])]

    def answer(self, features: np.ndarray) -> list[dict]:
        """Judge photos from their last features, float [n, 2048].

        Returns:
            One dict per photo, as in predictions.csv: known, `true` or `false`, and strangeness.
        """
        found = self.strangeness(features)
        return [{"known": str(bool(value <= self.threshold)).lower(), "strangeness": f"{value:.9g}"} for value in found]

    def save(self, path: str | Path) -> None:
        """Write an .npz file atomically; equal values give equal bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, examples=self.examples, threshold=np.float64(self.threshold))
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "Strangers":
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or holds something else.
        """
        try:
            with np.load(path) as saved:
                found = cls(saved["examples"], float(saved["threshold"]))
            if found.examples.dtype != np.int8 or found.examples.shape[1:] != (FEATURES,) or not len(found.examples):
                raise ValueError(f"examples {found.examples.dtype} {list(found.examples.shape)}")
            return found
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{str(path)!r} does not hold the training photos to compare with ({reason_of(error)}): train the run "
                "again (bears train)"
            ) from None


def learn(features, labels: np.ndarray, fold: np.ndarray | None, val_features, seed: int) -> Strangers:
    """Draw training photos to compare with, and find the threshold.

    The threshold is conformal: it accepts 95 % of known photos or more, whatever they look like, if they are drawn like
    those it was found on. These are validation photos, and training photos that are compared with other folds only.

    Args:
        features: last features, [n, n views, 2048], a `FeatureTable` or an array; the first view is used.
        labels: int [n].
        fold: int [n], the fold of each photo, see `folds.assign`; None, or -1 for a photo: it has none.
        val_features: [m, n views, 2048], likewise.
        seed: of the draw.
    """
    drawn = _draw(labels, seed)
    rounded = _rounded(features[drawn, 0])
    examples = _normalized(rounded)
    chunks = range(0, len(val_features), _CHUNK)
    scores = [_strangeness(examples, _normalized(val_features[i : i + _CHUNK, 0])) for i in chunks]
    for number in np.unique(fold[fold >= 0]) if fold is not None else ():
        others, held_out = examples[fold[drawn] != number], drawn[fold[drawn] == number]
        if len(others) and len(held_out):
            scores.append(_strangeness(others, _normalized(features[held_out, 0])))
    return Strangers(rounded, conformal_threshold(np.concatenate([*scores, np.empty(0)])))


def compare_folds(features, labels: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Compute the strangeness of photos among their own kind: each is compared with photos of the other folds.

    Args:
        features: last features, [n, n views, 2048], a `FeatureTable` or an array; the first view is used.
        labels: int [n].
        fold: int [n], the fold of each photo, see `folds.assign`.
        seed: of the draw of photos to compare with.

    Returns:
        float64 [n] in [0, 1].
    """
    drawn, found = _draw(labels, seed), np.empty(len(labels))
    examples = _normalized(_rounded(features[drawn, 0]))
    for number in np.unique(fold):
        others, held_out = examples[fold[drawn] != number], np.flatnonzero(fold == number)
        for start in range(0, len(held_out), _CHUNK):
            chunk = held_out[start : start + _CHUNK]
            found[chunk] = _strangeness(others, _normalized(features[chunk, 0])) if len(others) else 0
    return found


def leave_classes_out(features, labels: np.ndarray, val_features, val_labels: np.ndarray, seed: int) -> list[dict]:
    """Leave each class out in turn, and see how well its photos are told from the validation photos of the others.

    Returns:
        One row for each of the first MOST_CLASSES classes: label, count (its training photos, at most MOST_EXAMPLES),
        auroc in [0, 1], and accepted: how many of them would be taken for known ones. None where there is nothing to
        compare.
    """
    rows, val = [], val_features[:_CHUNK, 0]
    for label in np.unique(labels)[:MOST_CLASSES]:
        others, own = np.flatnonzero(labels != label), np.flatnonzero(labels == label)[:MOST_EXAMPLES]
        of_others = val[val_labels[:_CHUNK] != label]
        row = {"label": int(label), "count": len(own), "auroc": None, "accepted": None}
        if len(others) and len(of_others):
            examples = _normalized(_rounded(features[others[_draw(labels[others], seed)], 0]))
            familiar, strange = (_strangeness(examples, _normalized(x)) for x in (of_others, features[own, 0]))
            threshold = conformal_threshold(familiar)
            row |= {"auroc": auroc(familiar, strange), "accepted": int((strange <= threshold).sum())}
        rows.append(row)
    return rows


def conformal_threshold(scores: np.ndarray, share: float = KNOWN_SHARE) -> float:
    """Return the score that a further one like these does not exceed with a probability of `share` or more.

    Split conformal prediction: the ceil((n + 1) * share)-th smallest of n scores; 1, the largest strangeness, if there
    are too few for that.
    """
    rank = math.ceil((len(scores) + 1) * share)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else 1.0


def auroc(familiar: np.ndarray, strange: np.ndarray) -> float:
    """Return the probability that a strange score exceeds a familiar one, ties counting half: in [0, 1]."""
    below = np.searchsorted(np.sort(familiar), strange, "left") + np.searchsorted(np.sort(familiar), strange, "right")
    return float(below.mean() / 2 / len(familiar))


def _draw(labels: np.ndarray, seed: int) -> np.ndarray:
    """Draw up to MOST_EXAMPLES photos, as many of each class as possible: places in rising order, int64 [m]."""
    order = seeded_rng(seed, "", "photos to compare with").permutation(len(labels))
    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        ranks[of_class] = np.arange(len(of_class))
    return np.sort(order[np.argsort(ranks[order], kind="stable")][:MOST_EXAMPLES])


def _strangeness(examples: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Compute 1 - the mean of the largest similarities of normalized rows to normalized examples: float64 [n]."""
    count = min(NEAREST, len(examples))
    nearest = np.partition(rows @ examples.T, len(examples) - count, axis=1)[:, -count:]
    return (1 - nearest.mean(axis=1, dtype=np.float64)).clip(0, 1)


def _rounded(features: np.ndarray) -> np.ndarray:
    largest = np.maximum(features.max(axis=1, keepdims=True), 1e-30)
    return np.round(features / largest * 127).astype(np.int8)


def _normalized(features: np.ndarray) -> np.ndarray:
    rows = features.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
