"""The figure of the alarm of 2019."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from bears_tl.judging.plots import BLUE, ORANGE, add_note


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
