"""The article's pictures: a random square, resized by scikit-image, in [-1, 1]."""

import numpy as np
import pytest
import skimage.transform
from PIL import Image

from bears_tl.article.views import prepare_image, read_view


class Fixed:
    """A generator that always draws the same share, and the last or first position."""

    def __init__(self, share, last):
        self.share, self.last = share, last

    def random(self):
        return self.share

    def integers(self, count):
        return count - 1 if self.last else 0


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (240, 360, 3), dtype=np.uint8)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_levels_lie_between_minus_one_and_one(level, dtype):
    image = np.full((50, 40, 3), level if dtype == np.uint8 else level / 255, dtype)
    prepared = prepare_image(image, np.random.default_rng(0))
    assert prepared.dtype == np.float32 and prepared.shape == (299, 299, 3)
    assert (prepared == (1 if level else -1)).all()


def test_floats_that_were_never_scaled_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 255\]"):
        prepare_image(np.array([[[0.0, 10.0, 255.0]]]), None)


@pytest.mark.parametrize(
    ("share", "last", "rows", "columns", "mirrored"),
    [
        (0.5, False, slice(0, 218), slice(0, 218), False),  # 240 / 1.1
        (0.49999, False, slice(0, 218), slice(0, 218), True),
        (0.99999, True, slice(39, 239), slice(159, 359), False),  # 240 / 1.2, at the last position but one
        (0.0, True, slice(0, 240), slice(119, 359), True),
    ],
)
def test_the_box_is_the_largest_square_divided_by_1_to_1_2(pixels, share, last, rows, columns, mirrored):
    box = pixels[rows, columns][:, :: -1 if mirrored else 1]
    expected = 2 * skimage.transform.resize(box, (299, 299)) - 1
    np.testing.assert_allclose(prepare_image(pixels, Fixed(share, last)), expected, atol=1e-6)


def test_without_a_generator_the_middle_is_shown(pixels):
    expected = 2 * skimage.transform.resize(pixels[:, 60:300], (299, 299)) - 1
    np.testing.assert_allclose(prepare_image(pixels, None), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3)])
def test_a_tiny_photo_has_a_view(size):
    for seed in range(5):
        assert prepare_image(np.zeros((*size, 3), np.uint8), np.random.default_rng(seed)).shape == (299, 299, 3)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "1"])
def test_every_mode_becomes_three_colours(tmp_path, mode):
    name = "photo.tiff" if mode == "CMYK" else "photo.png"
    Image.new(mode if mode != "LA" else "LA", (40, 30), 0).save(tmp_path / name)
    view = read_view(tmp_path / name, "center", np.random.default_rng(0))
    assert view.shape == (299, 299, 3) and (view == -1).all()


def test_random_views_follow_the_generator_and_center_views_do_not(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "photo.png")

    def view(kind, seed):
        return read_view(tmp_path / "photo.png", kind, np.random.default_rng(seed))

    assert (view("random", 1) == view("random", 1)).all() and (view("random", 1) != view("random", 2)).any()
    assert (view("center", 1) == view("center", 2)).all()


@pytest.mark.parametrize("content", [None, b"", b"not a photo", b"\xff\xd8\xff\xe0cut off"])
def test_what_cannot_be_read_is_named(tmp_path, refused, content):
    if content is not None:
        (tmp_path / "bear.jpg").write_bytes(content)
    with refused("bear.jpg", "scikit-image", "leave it out"):
        read_view(tmp_path / "bear.jpg", "random", np.random.default_rng(0))
