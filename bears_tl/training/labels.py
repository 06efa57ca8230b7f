"""Suspected wrong labels: photos that heads, near-duplicates or all other photos speak against.

Each photo is predicted out of fold, by heads that were trained without it and its near-duplicates. Photos that get
another class than their own are then left out of the training, and all are predicted again: a wrong label no longer
teaches its own mistake (Brodley and Friedl 1999, https://doi.org/10.1613/jair.606). Suspects are ranked by the
probability of their label, the self-confidence of confident learning (Northcutt et al. 2021,
https://arxiv.org/abs/1911.00068).
"""

from collections import Counter, defaultdict

import numpy as np

from bears_tl.training.folds import predictor

LABEL_COLUMNS = ["path", "sha256", "split", "class_name", "suggested"]
LABEL_COLUMNS += ["probability_given", "probability_suggested", "reason"]
MOST_PHOTOS = 20_000  # that are examined; larger sets are sampled down
KNOWN_SHARE = 0.99  # of photos that no one is to look at as strangers
_WEIGHT_DECAY = 1.0  # strong, so that single wrong labels are not learned; weaker ones found fewer of them
_SUSPECT = 0.2  # a less probable label is not learned from in the second pass


def predict_again(features, labels: np.ndarray, widths: tuple[int, ...], fold: np.ndarray) -> np.ndarray:
    """Predict each photo by a head that was trained on the other folds without the photos whose labels are suspect.

    A class of which half or more would be left out keeps all of its photos, so that no class vanishes.

    Args:
        features: [n, n views, n features], a `FeatureTable` or an array; a photo is predicted in its first view.
        labels: int [n] in [0, n classes), the given labels.
        widths: the number of features of each depth, in order.
        fold: int [n], the fold of each photo, see `folds.assign`.

    Returns:
        Probabilities, float64 [n, n classes]: the mean of both passes.
    """
    targets = np.eye(labels.max() + 1)[labels]
    predict = predictor(features, targets, widths, fold)
    first = predict(targets, _WEIGHT_DECAY)
    suspect = (first.argmax(axis=1) != labels) & (first[np.arange(len(labels)), labels] < _SUSPECT)
    share_of_class = np.bincount(labels, suspect) / np.maximum(np.bincount(labels), 1)
    targets[suspect & (share_of_class < 0.5)[labels]] = 0
    return (first + predict(targets, _WEIGHT_DECAY)) / 2


def list_suspects(
    rows: list[dict], class_names: list[str], shares: np.ndarray | None, strangeness: np.ndarray, threshold: float
) -> list[dict]:
    """List the photos whose labels may be wrong, the most suspect first, strangers last.

    Args:
        rows: path, sha256, split, class_name and group (near-duplicates share one; empty: it has none) of each photo.
        class_names: in the order of the probabilities.
        shares: float [n, n classes] in [0, 1], see `predict_again`; None: a class has too few photos to predict them.
        strangeness: float [n], see `strangers.compare_folds`.
        threshold: a photo is like no other if its strangeness is above this.

    Returns:
        Rows of labels.csv. `reason` says what speaks against the label:
        near_duplicate: near-duplicates have different labels, and this is not the most probable one of them;
        label: another class is more probable than the given one;
        stranger: it looks like no other photo; no class is suggested.
    """
    found, strange = [], []
    better = _labels_of_near_duplicates(rows, class_names, shares)
    for i, row in enumerate(rows):
        place = class_names.index(row["class_name"])
        likely = place if shares is None else int(shares[i].argmax())
        if i in better:
            suggested, reason = better[i], "near_duplicate"
        elif likely != place:
            suggested, reason = likely, "label"
        elif strangeness[i] > threshold:
            suggested, reason = None, "stranger"
        else:
            continue
        given, other = (
            "" if shares is None or of is None else round(float(shares[i, of]), 6) for of in (place, suggested)
        )
        suspect = {name: row[name] for name in ("path", "sha256", "split", "class_name")}
        suspect |= {"suggested": "" if suggested is None else class_names[suggested], "probability_given": given}
        suspect |= {"probability_suggested": other, "reason": reason}
        if reason == "stranger":
            strange.append((-strangeness[i], row["path"], suspect))
        else:
            found.append((0.0 if shares is None else shares[i, place], row["path"], suspect))
    return [suspect for *_, suspect in sorted(found, key=_rank) + sorted(strange, key=_rank)]


def _rank(entry: tuple) -> tuple:
    return entry[:2]


def _labels_of_near_duplicates(rows: list[dict], class_names: list[str], shares: np.ndarray | None) -> dict[int, int]:
    """Find near-duplicates with different labels.

    Returns:
        Place of a photo to the class that is more probable than its own: of the labels in its group, the one with the
        highest mean probability, or without probabilities the most frequent one.
    """
    members, better = defaultdict(list), {}
    for i, row in enumerate(rows):
        members[row["group"] or row["sha256"]].append(i)
    for places in members.values():
        counts = Counter(class_names.index(rows[i]["class_name"]) for i in places)
        if len(counts) == 1:
            continue
        mean = {label: 0.0 if shares is None else shares[places, label].mean() for label in counts}
        best = min(counts, key=lambda label: (-mean[label], -counts[label], label))
        better |= {i: best for i in places if class_names[best] != rows[i]["class_name"]}
    return better
