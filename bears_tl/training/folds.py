"""Cross-validation on cached features: each photo is predicted by a head that was trained without it."""

from collections import Counter, defaultdict

import numpy as np

from bears_tl.files import seeded_rng
from bears_tl.judging.metrics import losses
from bears_tl.training import regression

FOLDS = 5
WEIGHT_DECAYS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)  # from strong to weak
USUAL_DECAY = 0.1  # where there are too few photos to choose one
_DIRECTIONS = 1024  # the features are reduced to; on 1,400 photos of flowers this moved the loss by 0.0004 at most
_TOLERANCE = 1e-4
_WORSE = 2  # the search ends after so many weight decays in a row that raise the loss


def assign(groups: list[str], labels: np.ndarray, seed: int, most: int = FOLDS) -> np.ndarray | None:
    """Divide photos into folds by content, so that near-duplicates stay together and classes are spread evenly.

    Args:
        groups: for each photo, a text that near-duplicates share, such as the smallest SHA-256 among them.
        labels: int [n], the class of each photo.
        seed: gives another division.
        most: the number of folds; fewer if a class has fewer groups.

    Returns:
        int64 [n] in [0, most). None if a class has a single group: it
        would be missing in the training without it.
    """
    members = defaultdict(list)
    for i, group in enumerate(groups):
        members[group].append(i)
    of_class = Counter(label for places in members.values() for label in set(labels[places].tolist()))
    count = min([most, *of_class.values()]) if of_class else 0
    if count < 2:
        return None
    counts, found = Counter(), np.empty(len(groups), np.int64)
    for group in sorted(members, key=lambda group: seeded_rng(seed, group, "folds").random()):
        inside = labels[members[group]].tolist()
        found[members[group]] = least = min(range(count), key=lambda fold: sum(counts[fold, label] for label in inside))
        counts.update((least, label) for label in inside)
    return found


def out_of_fold(
    table, labels: np.ndarray, targets: np.ndarray, widths: tuple[int, ...], fold: np.ndarray, decays=WEIGHT_DECAYS
) -> dict[float, np.ndarray]:
    """Predict each photo by a head that was trained on the other folds.

    The fits of a fold go from strong to weak weight decay, each from the one before. They end early when the loss of
    the held-out photos has risen twice in a row.

    Args:
        table: [n, n views, n features], a `FeatureTable` or an array. A held-out photo is predicted in its first view.
        labels: int [n] in [0, n classes).
        targets: float [n, n classes], see `regression.Examples`.
        widths: the number of features of each depth, in order.
        fold: int [n], the fold of each photo, see `assign`; -1: it is not used.
        decays: weight decays to try, from strong to weak.

    Returns:
        Weight decay to probabilities, float64 [n, n classes], for those that every fold reached; 0 for photos not used.
    """
    found = {decay: np.zeros(targets.shape) for decay in decays}
    used, views = np.flatnonzero(fold >= 0), table.shape[1]
    x, y, variances = regression.Examples.of(table, targets, widths, used).projected(_DIRECTIONS)
    of_row = fold[used].repeat(views)
    for number in range(fold.max() + 1):
        held_out, others, fit, best, risen = used[fold[used] == number], of_row != number, None, np.inf, 0
        examples = regression.Examples.of_projected(x[others], y[others], variances, int(others.sum()) // views)
        first = x[::views][fold[used] == number]
        for decay in decays:
            if decay not in found:
                break
            fit = regression.fit(examples, decay, fit, tolerance=_TOLERANCE)
            found[decay][held_out] = np.exp(regression.log_softmax(first @ fit.kernel + fit.bias))
            loss = losses(labels[held_out], found[decay][held_out]).mean()
            best, risen = min(best, loss), risen + 1 if loss > best else 0
            if risen == _WORSE:
                found = {tried: shares for tried, shares in found.items() if tried >= decay}
    return found
