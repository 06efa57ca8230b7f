"""The verdict on a trained run in one figure: how often it is right, how confident it is, and what it might rely on."""

import collections

import numpy as np
from matplotlib.figure import Figure

from bears_tl.judging.names import shown as name_of
from bears_tl.judging.plots import BLUE, GREY, ORANGE, finish, new_figure
from bears_tl.judging.predictions import true_probabilities

_LEAST = 1e-5  # probabilities closer to 0 or 1 are drawn at the border
_MOST_CLASSES = 12  # of more classes, those with the most mistakes are drawn
_NAMED = 6  # more mistakes than this are not named: the texts would overlap


def draw_verdict(test: dict, tests: list[dict], class_names: list[str], cues: list[dict], note: str = "") -> Figure:
    """Draw accuracy with its interval, each test photo's probability for its true class, and what simple cues reach.

    Args:
        test: the test part of metrics.json.
        tests: the test rows of predictions.csv.
        class_names: all classes.
        cues: the rows of cues.csv.
        note: a line below, in red.
    """
    size = (12, 1.9 + 0.5 * max(min(len(class_names), _MOST_CLASSES), len(cues)))
    figure, ((left, middle, right),) = new_figure(1, 3, figsize=size, width_ratios=(3, 5, 4))
    figure.get_layout_engine().set(wspace=0.06)
    _draw_score(left, test)
    _draw_confidence(middle, tests, class_names)
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


def _draw_confidence(axis, tests: list[dict], class_names: list[str]) -> None:
    title = "How confident is it? One dot per test photo"
    if len(class_names) > _MOST_CLASSES:
        mistakes = collections.Counter(row["class_name"] for row in tests if row["predicted"] != row["class_name"])
        drawn = sorted(class_names, key=lambda name: (-mistakes[name], name))[:_MOST_CLASSES]
        title += f",\n{_MOST_CLASSES} of {len(class_names)} classes: those with the most mistakes"
    else:
        drawn = class_names
    places_of = {name: place for place, name in enumerate(drawn)}
    is_drawn = np.array([row["class_name"] in places_of for row in tests])
    of_true = np.clip(true_probabilities(tests, class_names)[is_drawn], _LEAST, 1 - _LEAST)
    tests = [row for row in tests if row["class_name"] in places_of]
    true = np.array([places_of[row["class_name"]] for row in tests], dtype=np.int64)
    class_names = [name_of(name) for name in drawn]
    wrong = np.array([row["predicted"] != row["class_name"] for row in tests])
    places = np.empty(len(tests))
    for i in range(len(class_names)):  # the photos of a class side by side, so that no dot hides another
        members = np.flatnonzero(true == i)[np.argsort(of_true[true == i])]
        places[members] = i + 0.6 * (np.arange(len(members)) / max(len(members) - 1, 1) - 0.5)
    for group, colour, label in ((~wrong, BLUE, "right"), (wrong, ORANGE, "wrong")):
        if group.any():
            axis.scatter(of_true[group], places[group], 14, colour, label=f"{label}: {group.sum()}", linewidths=0)
    if wrong.sum() <= _NAMED:
        for i in np.flatnonzero(wrong):
            text = f" called {name_of(tests[i]['predicted'])}"
            axis.text(of_true[i], places[i], text, fontsize=8, va="center", color=ORANGE, parse_math=False)
    axis.set_xscale("logit")
    axis.set_xlim(_LEAST / 2, 1 - _LEAST / 2)
    axis.set_xticks([1e-4, 1e-2, 0.5, 0.99, 0.9999], ["0.0001", "0.01", "0.5", "0.99", "0.9999"])
    axis.set_xticks([], minor=True)
    axis.set_yticks(range(len(class_names)), class_names, parse_math=False)
    axis.set_ylim(len(class_names) - 0.5, -0.5)
    axis.set_xlabel("probability of the true class")
    axis.set_title(title, loc="left", fontsize=10)
    axis.legend(frameon=False, fontsize=8, loc="lower left")


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
