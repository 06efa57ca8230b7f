"""Figures of the procedure of 2019: drawn from few and many rows, from numbers and from a CSV file's strings."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from bears_tl.article import plots as plots_2019

ARTICLE = {
    "turned": "none", "position": "", "accuracy": "0.99", "low": "0.95", "high": "0.99", "loss_change": 0.0,
    "change_low": 0.0, "change_high": "0.0",
}  # fmt: skip
TURNED = {
    "turned": "batch_norm", "position": "stored", "accuracy": 1.0, "low": 0.96, "high": 1.0, "loss_change": -0.1,
    "change_low": -0.2, "change_high": 0.1,
}  # fmt: skip
UNPAIRED = TURNED | {"turned": "split", "position": "grouped", "loss_change": "", "change_low": "", "change_high": ""}


@pytest.mark.parametrize("count", [1, 8])
def test_each_turn_has_its_accuracy_and_the_article_its_line(count):
    figure = plots_2019.switch_costs([ARTICLE, *count * [TURNED], UNPAIRED], "a note")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["none  99.0%", *count * ["batch norm stored  100.0%"], "split grouped  100.0%"]
    assert figure.axes[0].get_legend_handles_labels()[1] == ["as in 2019"]
    drawn = figure.axes[1].collections[-1].get_offsets()
    np.testing.assert_array_equal(drawn[:-1, 0], [0, *count * [-0.1]])
    assert np.ma.is_masked(drawn[-1, 0]) or np.isnan(drawn[-1, 0])
    assert [text.get_text() for text in figure.texts] == ["a note"]
    plt.close(figure)


def test_every_feature_is_a_dot_within_the_figure():
    served, trained = np.float32([0, 1, 2]), np.float32([0, 3, 1])
    figure = plots_2019.two_modes(served, trained)
    (axis,) = figure.axes
    np.testing.assert_array_equal(axis.lines[1].get_xydata(), np.stack([served, trained], axis=1))
    assert axis.get_xlim()[1] == axis.get_ylim()[1] > 3
    plt.close(figure)
