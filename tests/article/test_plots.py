"""The figure of the alarm."""

import matplotlib.pyplot as plt
import numpy as np

from bears_tl.article import plots as plots_2019


def test_every_feature_is_a_dot_within_the_figure():
    served, trained = np.float32([0, 1, 2]), np.float32([0, 3, 1])
    figure = plots_2019.two_modes(served, trained)
    (axis,) = figure.axes
    np.testing.assert_array_equal(axis.lines[1].get_xydata(), np.stack([served, trained], axis=1))
    assert axis.get_xlim()[1] == axis.get_ylim()[1] > 3
    plt.close(figure)
