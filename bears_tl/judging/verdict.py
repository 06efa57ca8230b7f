"""The verdict on a trained run in one figure: how often it is right, how confident it is, and what it might rely on."""

import numpy as np
from matplotlib.figure import Figure

from bears_tl.judging.names import shorten
from bears_tl.judging.plots import BLUE, GREY, ORANGE, finish, new_figure
from bears_tl.judging.predictions import Predictions

_LEAST = 1e-5  # probabilities closer to 0 or 1 are drawn at the border
_NAMED = 6  # more mistakes than this are not named: the texts would overlap
_MOST_CLASSES = 12  # of more classes, those with the lowest accuracy are shown


def draw_verdict(test: dict, tests: Predictions, cues: list[dict], note: str = "") -> Figure:
    """Draw accuracy with its interval, each test photo's probability for its true class, and what simple cues reach.

    Args:
        test: the test part of metrics.json.
        tests: the test photos of predictions.csv.
        cues: the rows of cues.csv.
        note: a line below, in red.
    """
    size = (12, 1.9 + 0.5 * max(min(len(tests.class_names), _MOST_CLASSES), len(cues)))
    figure, ((left, middle, right),) = new_figure(1, 3, figsize=size, width_ratios=(3, 5, 4))
    figure.get_layout_engine().set(wspace=0.06)
    _draw_score(left, test)
    _draw_confidence(middle, tests)
    _draw_cues(right, test, cues)
    low, high = test["interval"]
    shown = f"{test['accuracy']:.1%} of {test['count']} test photos are right, 95 % interval {low:.1%} to {high:.1%}"
    shown += "; simple cues: " + ", ".join(f"{row['cue']} {float(row['accuracy']):.0%}" for row in cues)
    return finish(figure, "", shown, note)


def _draw_score(axis, test: dict) -> None:
    low, high = test["interval"]
    right = test["count"] - test["errors"]
    axis.axis("off")
    axis.set_title("How often is it right?", loc="left", fontsize=10)
    axis.text(0, 0.62, f"{test['accuracy']:.1%}", fontsize=34, color=BLUE, transform=axis.transAxes)
    lines = f"{right} of {test['count']} test photos\n95 % interval: {low:.1%} to {high:.1%}"
    axis.text(0, 0.55, lines, fontsize=10, va="top", linespacing=1.6, transform=axis.transAxes)


def _draw_confidence(axis, tests: Predictions) -> None:
    classes = _lowest_classes(tests)
    tests = tests.take(np.flatnonzero(np.isin(tests.labels(), classes)))
    true = tests.labels()
    wrong = np.array([row["predicted"] != row["class_name"] for row in tests.rows])
    of_true = np.clip(tests.of_true_class(), _LEAST, 1 - _LEAST)
    places = np.empty(len(tests))
    for place, i in enumerate(classes):  # the photos of a class side by side, so that no dot hides another
        members = np.flatnonzero(true == i)[np.argsort(of_true[true == i])]
        places[members] = place + 0.6 * (np.arange(len(members)) / max(len(members) - 1, 1) - 0.5)
    for group, colour, label in ((~wrong, BLUE, "right"), (wrong, ORANGE, "wrong")):
        if group.any():
            axis.scatter(of_true[group], places[group], 14, colour, label=f"{label}: {group.sum()}", linewidths=0)
    if wrong.sum() <= _NAMED:
        for i in np.flatnonzero(wrong):
            text = f" called {shorten(tests.rows[i]['predicted'], 20)}"
            axis.text(of_true[i], places[i], text, fontsize=8, va="center", color=ORANGE)
    axis.set_xscale("logit")
    axis.set_xlim(_LEAST / 2, 1 - _LEAST / 2)
    axis.set_xticks([1e-4, 1e-2, 0.5, 0.99, 0.9999], ["0.0001", "0.01", "0.5", "0.99", "0.9999"])
    axis.set_xticks([], minor=True)
    axis.set_yticks(range(len(classes)), [shorten(tests.class_names[i], 24) for i in classes])
    axis.set_ylim(len(classes) - 0.5, -0.5)
    axis.set_xlabel("probability of the true class")
    count = len(tests.class_names)
    part = f"\n{len(classes)} of {count} classes shown: the lowest accuracies" if len(classes) < count else ""
    axis.set_title(f"How confident is it? One dot per test photo{part}", loc="left", fontsize=10)
    axis.legend(frameon=False, fontsize=8, loc="lower left")


def _lowest_classes(tests: Predictions) -> np.ndarray:
    """Return the classes to show: all of a few, else those with the lowest accuracy, lowest first."""
    count = len(tests.class_names)
    if count <= _MOST_CLASSES:
        return np.arange(count)
    labels = tests.labels()
    photos = np.bincount(labels, minlength=count)
    hits = np.bincount(labels[tests.probabilities.argmax(axis=1) == labels], minlength=count)
    accuracies = np.where(photos, hits / np.maximum(photos, 1), 2)  # a class without test photos comes last
    return np.argsort(accuracies, kind="stable")[:_MOST_CLASSES]


def _draw_cues(axis, test: dict, cues: list[dict]) -> None:
    rows = [("this run", test["accuracy"], *test["interval"])]
    rows += [
        (row["cue"].replace("_", " "), *(float(row[name]) for name in ("accuracy", "interval_low", "interval_high")))
        for row in cues
    ]
    for place, (_, share, low, high) in enumerate(rows):
        colour = GREY if place else BLUE
        axis.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axis.plot(share, place, "o", color=colour, markersize=6)
    axis.set_yticks(range(len(rows)), [f"{name}  {share:.0%}" for name, share, _, _ in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlim(right=1.01)
    axis.set_xlabel("test accuracy, 95 % interval")
    axis.set_title("Would a simple cue do as well?", loc="left", fontsize=10)
