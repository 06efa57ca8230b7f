"""The colours of a photo and of its border."""

import pytest
from PIL import Image

from bears_tl.photos.colours import measure_colours


def test_a_photo_of_one_colour_has_that_mean_and_no_spread():
    assert measure_colours(Image.new("RGB", (640, 230), (255, 51, 0))) == pytest.approx(
        2 * [1, 0.2, 0, 0, 0, 0], abs=1e-9
    )


def test_the_border_is_the_outer_twentieth_and_nothing_else():
    photo = Image.new("RGB", (400, 200), "white")
    photo.paste("black", (30, 15, 370, 185))  # a little within the frame of 20 and 10 px
    measured = measure_colours(photo)
    assert measured[6:] == pytest.approx([1, 1, 1, 0, 0, 0], abs=1e-9)
    assert measured[0] == pytest.approx(1 - 340 * 170 / (400 * 200), abs=0.01) and measured[3] > 0.4
