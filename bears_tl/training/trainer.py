"""Train a head: choose features and weight decay by folds, fit, and look at validation after each step."""

import dataclasses
import time
from typing import NamedTuple

import numpy as np

from bears_tl.config import RunConfig
from bears_tl.files import seeded_rng
from bears_tl.inception.architecture import DEPTHS, LAST
from bears_tl.judging.calibration import fit_temperature
from bears_tl.judging.metrics import losses
from bears_tl.training import adam, folds, regression
from bears_tl.training.head import CHUNK_PHOTOS, Head

FEATURES = {"last": LAST, "depths": tuple(DEPTHS)}  # values of the setting `features`: the blocks they stand for
TRIAL_COLUMNS = ["features", "weight_decay", "cross_entropy", "accuracy"]
MOST_ROWS = 6144  # photos times views that features and weight decay are chosen on; more take longer and decide alike


class Trained(NamedTuple):
    """A trained head and how it came about.

    Attributes:
        head: the head, with its temperature.
        history: the rows of history.csv.
        features: `last` or `depths`.
        weight_decay: of the fit; 0 for Adam.
        trials: a row of TRIAL_COLUMNS per choice that was tried on folds of the training photos; empty for Adam.
        temperature_interval: 95 %, see `calibration.fit_temperature`.
    """

    head: Head
    history: list[dict]
    features: str
    weight_decay: float
    trials: list[dict]
    temperature_interval: tuple[float, float]


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weigh classes by n / (classes * photos of the class), as scikit-learn's `balanced` does: float32 [classes].

    The mean weight over photos is 1, so the learning rate keeps its meaning.
    """
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)


def targets_of(labels: np.ndarray, classes: int, config: RunConfig) -> np.ndarray:
    """Return what the log-probabilities of photos are multiplied by: smoothed labels, times the weight of the class.

    Args:
        labels: int [n] in [0, classes).
        classes: the number of classes.
        config: label_smoothing (Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, section 7) and class_weights.

    Returns:
        float64 [n, classes], 0 or more.
    """
    return adam.class_targets(class_weights(labels, classes, config), config.label_smoothing)[labels]


def class_weights(labels: np.ndarray, classes: int, config: RunConfig) -> np.ndarray:
    """Return what the losses of each class are multiplied by: float32 [classes]."""
    return balanced_weights(labels, classes) if config.class_weights == "balanced" else np.ones(classes, np.float32)


def train_head(
    features,
    labels: np.ndarray,
    val_features,
    val_labels: np.ndarray,
    class_names: list[str],
    config: RunConfig,
    groups: list[str] | None = None,
) -> Trained:
    """Train a softmax layer.

    With L-BFGS, features and weight decay are those with the lowest cross-entropy on held-out folds of the training
    photos; validation photos decide nothing. With Adam, the weights of the epoch with the lowest validation loss are
    kept. Either way the same seed gives the same bits on the same machine.

    Args:
        features: [n, n views, n features], a `FeatureTable` or an array.
        labels: int [n] in [0, n classes).
        val_features: [m, 1, n features], likewise.
        val_labels: int [m] in [0, n classes).
        class_names: in the order of the labels.
        config: the settings that decide `head` are used.
        groups: for each training photo, a text that near-duplicates share, see `folds.assign`; None: the photos differ.
    """
    is_table = hasattr(features, "of")  # an array has only one kind of features
    names = [name for name in FEATURES if config.features in (name, "auto")] if is_table else ["last"]
    train = {name: features.of(FEATURES[name]) if is_table else features for name in names}
    val = {name: val_features.of(FEATURES[name]) if is_table else val_features for name in names}
    if config.optimizer == "adam":
        name, decay, trials, unseen = names[0], 0.0, [], None
        weights = class_weights(labels, len(class_names), config)
        kernel, bias, history = adam.train(train[name], labels, val[name], val_labels, weights, config)
    else:
        targets = targets_of(labels, len(class_names), config)
        groups = groups or [str(i) for i in range(len(labels))]
        trials, unseen_of = _try_on_folds(train, labels, targets, groups, config.seed)
        best = min(trials, key=lambda trial: trial["cross_entropy"], default=None)
        name, decay = (best["features"], best["weight_decay"]) if best else (names[0], folds.FIRST_DECAY)
        unseen = unseen_of.get((name, decay))
        kernel, bias, history = _fit(train[name], targets, val[name], val_labels, decay, config.epochs)
    head = Head(kernel, bias, list(class_names), FEATURES[name])

    logits, true = head.logits_of(val[name]), val_labels
    if unseen is not None:  # photos that were predicted by heads that had not seen them help, too
        used = unseen.any(axis=1)
        logits, true = np.concatenate([logits, np.log(unseen[used] + 1e-300)]), np.concatenate([true, labels[used]])
    temperature, interval = fit_temperature(logits, true)
    return Trained(dataclasses.replace(head, temperature=temperature), history, name, decay, trials, interval)


def _fit(table, targets: np.ndarray, val_table, val_labels: np.ndarray, decay: float, steps: int) -> tuple:
    """Fit all training photos; return kernel, bias and history, with the validation loss after each step."""
    history, started = [], time.perf_counter()

    def watch(fit: regression.Fit) -> None:
        chunks = range(0, len(val_labels), CHUNK_PHOTOS)
        logits = [val_table[i : i + CHUNK_PHOTOS, 0] @ fit.kernel + fit.bias for i in chunks]
        logs = regression.log_softmax(np.concatenate(logits))
        loss, right = -logs[np.arange(len(logs)), val_labels].mean(), (logs.argmax(axis=1) == val_labels).mean()
        seconds = time.perf_counter() - started - sum(row["seconds"] for row in history)
        numbers = [len(history) + 1, fit.loss, fit.accuracy, float(loss), float(right), seconds]
        history.append(dict(zip(adam.HISTORY_COLUMNS, numbers, strict=True)))

    examples = regression.Examples.of(table, targets, widths_of(table))
    fit = regression.fit(examples, decay, watch=watch, most_steps=steps)
    return fit.kernel.astype(np.float32), fit.bias.astype(np.float32), history


def widths_of(table) -> tuple[int, ...]:
    """Return the number of features of each depth of a `FeatureTable`; an array has one depth."""
    return getattr(table, "widths", table.shape[-1:])


def _try_on_folds(
    tables: dict, labels: np.ndarray, targets: np.ndarray, groups: list[str], seed: int
) -> tuple[list[dict], dict[tuple, np.ndarray]]:
    """Try features and weight decays on up to MOST_ROWS views; no trials if a class has too few photos.

    Returns:
        The trials, and by features and weight decay the probabilities of the photos, out of fold.
    """
    views = next(iter(tables.values())).shape[1]
    drawn = np.sort(seeded_rng(seed, "", "photos for folds").permutation(len(labels))[: max(MOST_ROWS // views, 1)])
    of_drawn = folds.assign([groups[i] for i in drawn], labels[drawn], seed)
    if of_drawn is None:
        return [], {}
    fold = np.full(len(labels), -1)
    fold[drawn] = of_drawn
    trials, shares_of = [], {}
    for name, table in tables.items():
        found = folds.out_of_fold(table, labels, targets, widths_of(table), fold)
        for decay, shares in found.items():
            shares_of[name, decay] = shares
            loss, right = losses(labels[drawn], shares[drawn]).mean(), (shares.argmax(axis=1) == labels)[drawn].mean()
            trials.append(dict(zip(TRIAL_COLUMNS, [name, decay, float(loss), float(right)], strict=True)))
    return trials, shares_of
