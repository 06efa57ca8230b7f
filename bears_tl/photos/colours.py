"""Measure the colours of a photo and of its border."""

import numpy as np
from PIL import Image

_SIDE_PX = 96  # colours are measured at one size, because the standard deviation depends on the level of detail
_FRAME_PX = 5  # the outer 5 % on each side


def measure_colours(image: Image.Image) -> list[float]:
    """Return mean and standard deviation of red, green and blue, in [0, 1], of an RGB image and of its border: 12."""
    small = image.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    levels = np.asarray(small) / 255
    border = np.ones((_SIDE_PX, _SIDE_PX), bool)
    border[_FRAME_PX:-_FRAME_PX, _FRAME_PX:-_FRAME_PX] = False
    return [*_mean_and_spread(levels.reshape(-1, 3)), *_mean_and_spread(levels[border])]


def _mean_and_spread(levels: np.ndarray) -> list[float]:
    return [*levels.mean(axis=0).tolist(), *levels.std(axis=0).tolist()]
