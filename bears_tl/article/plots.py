"""Figures of the procedure of 2019: the alarm, and what each of its faults costs."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bears_tl.article.costs import CHANGE
from bears_tl.judging.plots import BLUE, GREY, ORANGE, add_note


def two_modes(served: np.ndarray, trained: np.ndarray, note: str = "") -> Figure:
    """Draw one photo's features in the mode of the test against those in the mode of training: two float [2048]."""
    figure, axis = plt.subplots(figsize=(4.4, 4), layout="constrained")
    most = 1.05 * max(served.max(), trained.max())
    axis.plot([0, most], [0, most], color=ORANGE, linewidth=1, label="the same in both modes")
    axis.plot(served, trained, ".", color=BLUE, markersize=3, alpha=0.5)
    axis.set_xlim(0, most)
    axis.set_ylim(0, most)
    axis.set_xlabel("in the test: stored statistics")
    axis.set_ylabel("in training: the batch's statistics")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    add_note(figure, note)
    return figure


def switch_costs(rows: list[dict], note: str = "") -> Figure:
    """Draw rows of `article.switches.compare`: each turn's accuracy with its interval, and how it changes the loss."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 1.5 + 0.42 * len(rows)), layout="constrained", sharey=True, width_ratios=(3, 2)
    )
    places = np.arange(len(rows))[::-1]
    colours = [ORANGE if row["turned"] == "none" else BLUE for row in rows]
    _draw_spreads(left, places, [[float(row[name]) for name in ("accuracy", "low", "high")] for row in rows], colours)
    # where no photo is in both tests there is no change
    changes = [[float("nan" if row[name] == "" else row[name]) for name in CHANGE] for row in rows]
    _draw_spreads(right, places, changes, colours)
    names = [f"{row['turned']} {row['position']}".strip().replace("_", " ") for row in rows]
    left.set_yticks(places, [f"{name}  {float(row['accuracy']):.1%}" for name, row in zip(names, rows, strict=True)])
    left.set_ylim(-0.6, len(rows) - 0.3)
    left.set_xlim(right=1.002)
    left.xaxis.set_major_locator(MaxNLocator(4))
    left.set_xlabel("accuracy on the test photos of all seeds,\nwith 95 % interval")
    right.set_xlabel("change of the test loss, nats,\nlowest to highest seed; left of the line is better")
    for axis, row_of_2019 in ((left, "accuracy"), (right, "loss_change")):
        for row in rows:
            if row["turned"] == "none":
                axis.axvline(float(row[row_of_2019]), color=ORANGE, linewidth=1, linestyle="--", label="as in 2019")
        axis.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    add_note(figure, note)
    return figure


def _draw_spreads(axis, places: np.ndarray, spreads: list[list[float]], colours: list[str]) -> None:
    middle, low, high = np.array(spreads).T
    axis.errorbar(middle, places, xerr=np.maximum([middle - low, high - middle], 0), fmt="none", ecolor=GREY, capsize=3)
    axis.scatter(middle, places, color=colours, zorder=3)
