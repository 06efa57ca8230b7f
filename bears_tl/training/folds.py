"""Cross-validation on cached features: each photo is predicted by a head that was trained without it."""

from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np

from bears_tl.files import seeded_rng
from bears_tl.judging.metrics import losses
from bears_tl.training import regression

FOLDS = 5
FIRST_DECAY = 0.1  # also used where there are too few photos to choose one
WEAKER, STRONGER = (0.03, 0.01, 0.003, 0.001), (0.3, 1.0, 3.0, 10.0)
_DIRECTIONS = 1024  # the features are reduced to; on 1,400 photos of flowers this moved the loss by 0.0004 at most
_TOLERANCE = 1e-4


def assign(groups: list[str], labels: np.ndarray, seed: int, most: int = FOLDS) -> np.ndarray | None:
    """Divide photos into folds by content, so that near-duplicates stay together and classes are spread evenly.

    Args:
        groups: for each photo, a text that near-duplicates share, such as the smallest SHA-256 among them.
        labels: int [n], the class of each photo.
        seed: gives another division.
        most: the number of folds; fewer if a class has fewer groups.

    Returns:
        int64 [n] in [0, most). None if a class has a single group: it would be missing in the training without it.
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
    table, labels: np.ndarray, targets: np.ndarray, widths: tuple[int, ...], fold: np.ndarray, decays=()
) -> dict[float, np.ndarray]:
    """Predict each photo by a head that was trained on the other folds.

    Without `decays`, the search begins at FIRST_DECAY and goes on to weaker weight decays while the loss falls; if
    already the first step raises it, to stronger ones. The loss has one valley, so this finds the best of those listed.

    Args:
        table: [n, n views, n features], a `FeatureTable` or an array. A held-out photo is predicted in its first view.
        labels: int [n] in [0, n classes).
        targets: float [n, n classes], see `regression.Examples`.
        widths: the number of features of each depth, in order.
        fold: int [n], the fold of each photo, see `assign`; -1: it is not used.
        decays: weight decays to try; empty: see above.

    Returns:
        Weight decay to probabilities, float64 [n, n classes]; 0 for photos not used.
    """
    used, predict, found = fold >= 0, predictor(table, targets, widths, fold), {}

    def loss_with(decay: float) -> float:
        found[decay] = predict(targets, decay)
        return float(losses(labels[used], found[decay][used]).mean())

    if len(decays):
        for decay in decays:
            loss_with(decay)
        return found
    best = loss_with(FIRST_DECAY)
    for path in (WEAKER, STRONGER):
        for decay in path:
            loss = loss_with(decay)
            if loss >= best:
                break
            best = loss
        if len(found) > 2:
            break
    return found


def predictor(table, targets: np.ndarray, widths: tuple[int, ...], fold: np.ndarray) -> Callable:
    """Read and project features once, to predict the photos several times.

    Args:
        table: as in `out_of_fold`, likewise the others.
        targets: float [n, n classes].
        widths: the number of features of each depth, in order.
        fold: int [n].

    Returns:
        A function of targets, float [n, n classes], and a weight decay. It returns probabilities, float64 [n, n
        classes], of heads that were trained on the other folds; 0 for photos not used. Each fit starts from the one
        before.
    """
    used, views = np.flatnonzero(fold >= 0), table.shape[1]
    examples = regression.Examples.of(table, targets, widths, used, _DIRECTIONS)
    x, _ = examples.projected()
    first, of_photo, fits = x[::views], fold[used], {}

    def predict(targets: np.ndarray, decay: float) -> np.ndarray:
        shares = np.zeros(targets.shape)
        for number in range(fold.max() + 1):
            # The targets of held-out photos are 0, so they have no part in the fit
            held_out = of_photo == number
            y = np.where(held_out[:, np.newaxis], 0, targets[used] / views).astype(np.float32).repeat(views, axis=0)
            others = examples.of_projected(x, y, int((~held_out).sum()))
            fits[number] = fit = regression.fit(others, decay, fits.get(number), tolerance=_TOLERANCE)
            shares[used[held_out]] = np.exp(regression.log_softmax(first[held_out] @ fit.kernel + fit.bias))
        return shares

    return predict
