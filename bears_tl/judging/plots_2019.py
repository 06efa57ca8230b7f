"""Figures of the procedure of 2019: the alarm, and what each of its faults costs."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

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


def switch_accuracies(rows: list[dict], note: str = "") -> Figure:
    """Draw rows of `model.switches.compare`: the accuracy of each turn with its interval, 2019's as a line."""
    figure, axis = plt.subplots(figsize=(7, 1.3 + 0.42 * len(rows)), layout="constrained")
    places = np.arange(len(rows))[::-1]
    shares, low, high = (np.array([float(row[name]) for row in rows]) for name in ("accuracy", "low", "high"))
    colours = [ORANGE if row["turned"] == "none" else BLUE for row in rows]
    axis.errorbar(shares, places, xerr=np.maximum([shares - low, high - shares], 0), fmt="none", ecolor=GREY, capsize=3)
    axis.scatter(shares, places, color=colours, zorder=3)
    for row, share in zip(rows, shares, strict=True):
        if row["turned"] == "none":
            axis.axvline(share, color=ORANGE, linewidth=1, linestyle="--", label=f"as in 2019: {share:.1%}")
    names = [f"{row['turned']} {row['position']}".strip().replace("_", " ") for row in rows]
    axis.set_yticks(places, [f"{name}  {share:.1%}" for name, share in zip(names, shares, strict=True)])
    axis.set_ylim(-0.6, len(rows) - 0.3)
    axis.set_xlim(right=1.002)
    axis.set_xlabel("accuracy on the test photos of all seeds, with 95 % interval")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    add_note(figure, note)
    return figure
