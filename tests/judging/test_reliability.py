import numpy as np
import pytest

from bears_tl.judging.calibration import judge_calibration
from bears_tl.judging.plots import save
from bears_tl.judging.reliability import draw_reliability


@pytest.mark.parametrize("count", [0, 1, 300])
def test_the_figure_has_a_point_per_bin_and_says_both_errors(tmp_path, count):
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([0.3, 0.3, 0.3], count)
    labels = rng.integers(3, size=count)
    judged = judge_calibration(labels, chances)
    figure = draw_reliability(judged, judged)
    assert len(figure.axes[0].lines[2].get_xdata()) == len(judged["reliability"])
    assert len(figure.axes[1].patches) == len(judged["reliability"])
    said = "no photos" if not count else f"calibration error {judged['ece']:.3f}"
    assert f"before: {said}; after: {said}" in figure.alt
    save(figure, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 1000
