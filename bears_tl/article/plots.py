"""The figure of notebook 09 that compares the two modes of batch normalization."""

import numpy as np
from matplotlib.figure import Figure

from bears_tl.judging.plots import BLUE, ORANGE, finish, new_figure


def two_modes(served: np.ndarray, trained: np.ndarray, note: str = "") -> Figure:
    """Plot one photo's features in inference mode against those in training mode.

    Args:
        served: float [2048], with the stored statistics.
        trained: float [2048], with the statistics of the batch.
        note: a line below, in red.
    """
    figure, ((axis,),) = new_figure(figsize=(4.6, 4.4))
    most = 1.05 * max(served.max(), trained.max())
    axis.plot([0, most], [0, most], color=ORANGE, linewidth=1.5, label="equal in both modes", zorder=3)
    axis.plot(served, trained, ".", color=BLUE, markersize=3, alpha=0.5)
    axis.set_xlim(0, most)
    axis.set_ylim(0, most)
    axis.set_xlabel("in the test: stored statistics")
    axis.set_ylabel("in training: statistics of the batch")
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    shown = f"Scatter plot of {len(served)} features; equal ones would lie on the diagonal"
    return finish(figure, "Features of one photo in both modes", shown, note)
