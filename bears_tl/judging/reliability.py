"""The reliability diagram: confidence against accuracy, before and after the temperature."""

import numpy as np
from matplotlib.figure import Figure

from bears_tl.judging.metrics import wilson_interval
from bears_tl.judging.plots import BLUE, GREY, LIGHT, finish, new_figure


def draw_reliability(before: dict, after: dict, note: str = "") -> Figure:
    """Draw the accuracy of photos with similar confidence, and how many photos there are.

    Args:
        before: ece and reliability without the temperature, see `calibration.judge_calibration`.
        after: the same with it.
        note: a line below, in red.
    """
    figure, axes = new_figure(2, 1, figsize=(6, 5.6), height_ratios=(4, 1), sharex=True)
    upper, lower = axes[:, 0]
    upper.plot([0, 1], [0, 1], color=LIGHT, linewidth=4, zorder=0)
    shown = []
    for judged, colour, label in ((before, GREY, "before"), (after, BLUE, "after")):
        bins = judged["reliability"]
        ece = "no photos" if judged["ece"] is None else f"calibration error {judged['ece']:.3f}"
        shown.append(f"{label}: {ece}")
        places = [row["confidence"] for row in bins], [row["accuracy"] for row in bins]
        upper.plot(*places, "o-", color=colour, markersize=5, linewidth=1, label=shown[-1])
    for row in after["reliability"]:
        ends = wilson_interval(round(row["accuracy"] * row["count"]), row["count"])
        upper.plot([row["confidence"]] * 2, ends, color=BLUE, linewidth=1, alpha=0.5)
        lower.bar((row["low"] + row["high"]) / 2, row["count"], width=0.9 * (row["high"] - row["low"]), color=BLUE)
    upper.set_xlim(0, 1.02)
    upper.set_ylim(-0.02, 1.02)
    upper.set_ylabel("share that is right")
    upper.legend(frameon=False, loc="upper left")
    lower.set_yscale("symlog", linthresh=1)
    largest = max([row["count"] for row in after["reliability"]], default=1)
    lower.set_yticks([count for count in 10 ** np.arange(6) if count <= largest])
    lower.set_ylabel("photos")
    lower.set_xlabel("confidence: the probability of the predicted class")
    return finish(figure, "Confidence and accuracy", "; ".join(shown), note)
