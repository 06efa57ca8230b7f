"""The reliability of probabilities as a figure."""

import numpy as np
from matplotlib.figure import Figure

from bears_tl.judging.metrics import wilson_interval
from bears_tl.judging.plots import BLUE, GREY, ORANGE, finish, new_figure


def draw_reliability(before: dict, after: dict, note: str = "") -> Figure:
    """Draw how often photos are right over how probable that is, before and after the temperature.

    Bars are Wilson's 95 % interval; the number at a dot is its number of photos. On the diagonal both agree.

    Args:
        before: reliability (see `calibration.reliability`) and ece; empty: not known, so that only `after` is drawn.
        after: the same with the temperature.
        note: a line below, in red.
    """
    parts = [("before the temperature", before, GREY), ("after the temperature", after, BLUE)]
    parts = [part for part in parts if part[1].get("reliability")]
    figure, axes = new_figure(1, max(len(parts), 1), figsize=(3.8 * max(len(parts), 1), 3.8), sharey=True)
    shown = []
    for axis, (name, part, colour) in zip(axes.flat, parts, strict=False):
        axis.plot([0, 1], [0, 1], color=ORANGE, linewidth=1, linestyle="--")
        for row in part["reliability"]:
            _draw_bin(axis, row, colour)
        error = "" if part.get("ece") is None else f": error {part['ece']:.3f}"
        axis.set_title(f"{name}{error}", loc="left", fontsize=10)
        axis.set_xlabel("mean probability of the answer")
        axis.set_xlim(0, 1.04)
        axis.set_ylim(0, 1.08)
        bins = [f"{row['confidence']:.0%} {row['accuracy']:.0%} ({row['count']})" for row in part["reliability"]]
        shown.append(f"{name}{error}; probability, share of right answers (photos): " + ", ".join(bins))
    axes[0, 0].set_ylabel("share of right answers")
    return finish(figure, "", "Reliability. " + ". ".join(shown), note)


def _draw_bin(axis, row: dict, colour: str) -> None:
    low, high = wilson_interval(round(row["accuracy"] * row["count"]), row["count"])
    reach = np.maximum([[row["accuracy"] - low], [high - row["accuracy"]]], 0)
    axis.errorbar(row["confidence"], row["accuracy"], reach, fmt="o", color=colour, markersize=5, elinewidth=1)
    axis.annotate(
        str(row["count"]), (row["confidence"], row["accuracy"]), (-6, 4), textcoords="offset points", fontsize=7,
        ha="right",
    )  # fmt: skip
