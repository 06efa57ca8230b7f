"""What the body sees of a photo: the center view for judging, random views for training.

A view is a box of the upright photo, maybe mirrored, resized to 299 x 299 px. View k of a photo is a pure function of
the seed, the photo's content hash and k, so that features of views can be cached although they are random.
"""

import dataclasses
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from bears_tl.files import seeded_rng
from bears_tl.photos.image import read_image, to_rgb

VERSION = 3  # raise it when a photo's view gets other pixels: features in a cache are then computed again
IMAGE_SIZE_PX = 299  # the input of Inception v3, https://arxiv.org/abs/1512.00567, table 1
# A JPEG is decoded small only where it keeps this many times the pixels a side that are needed: with 1.0 real photos
# were up to 6.6 levels from scikit-image's, with 1.5 up to 3.5 (0.9 on average), for an eighth more time.
_MARGIN = 1.5


@dataclasses.dataclass(frozen=True)
class Box:
    """A part of a photo in shares of its width and height, all in [0, 1], and whether it is mirrored."""

    left: float
    top: float
    width: float
    height: float
    flip: bool = False


@dataclasses.dataclass(frozen=True)
class View:
    """All that a view's pixels depend on besides the photo: nothing (the center view), or the seed, max_zoom and k."""

    k: int | None = None
    seed: int = 0
    max_zoom: float = 0.0

    def __str__(self):
        return "center" if self.k is None else f"random k={self.k} seed={self.seed} max_zoom={self.max_zoom!r}"

    def box(self, width_px: int, height_px: int, sha256: str) -> Box:
        """Give the part of a photo that this view shows; sha256 is the photo's content hash."""
        if self.k is None:
            return center_box(width_px, height_px)
        return random_box(width_px, height_px, self.max_zoom, seeded_rng(self.seed, sha256, f"view {self.k}"))


CENTER = View()


def center_box(width_px: int, height_px: int, target_ratio: float = 1.0) -> Box:
    """Give the largest centered box of the target ratio (width over height)."""
    width, height = _largest_box(width_px, height_px, target_ratio)
    return Box((1 - width) / 2, (1 - height) / 2, width, height)


def random_box(
    width_px: int, height_px: int, max_zoom: float, rng: np.random.Generator, target_ratio: float = 1.0
) -> Box:
    """Draw the article's random view: the largest box of the target ratio, shrunk, placed and mirrored at random.

    Args:
        width_px: width of the upright photo.
        height_px: height of the upright photo.
        max_zoom: the box is shrunk by a factor drawn from [1 - max_zoom, 1]; 0 keeps the largest box.
        rng: where the four draws (zoom, left, top, flip) come from.
        target_ratio: width over height of the box in pixels.
    """
    zoom, left, top, flip = rng.random(4)
    width, height = (side * (1 - max_zoom * zoom) for side in _largest_box(width_px, height_px, target_ratio))
    return Box((1 - width) * left, (1 - height) * top, width, height, bool(flip < 0.5))


def render(image: Image.Image, box: Box) -> np.ndarray:
    """Cut a box out of an upright RGB image and resize it.

    Pillow's bilinear filter is widened for shrinking (anti-aliased); `reducing_gap` first shrinks by a whole factor,
    which is several times faster and within the test's distance of scikit-image's `resize(anti_aliasing=True)`.

    Returns:
        uint8 [299, 299, 3] in [0, 255].
    """
    left, top = box.left * image.width, box.top * image.height
    right, bottom = left + box.width * image.width, top + box.height * image.height
    corners = (left, top, min(right, image.width), min(bottom, image.height))  # rounding may step over the edge
    size_px = (IMAGE_SIZE_PX, IMAGE_SIZE_PX)
    pixels = np.asarray(image.resize(size_px, Image.Resampling.BILINEAR, box=corners, reducing_gap=2.0))
    return pixels[:, ::-1] if box.flip else pixels


def scale(pixels: np.ndarray) -> np.ndarray:
    """Scale uint8 levels in [0, 255] to float32 in [-1, 1], as slim's inception_preprocessing does."""
    if pixels.dtype != np.uint8:
        raise ValueError(f"expected uint8 levels in [0, 255], not {pixels.dtype}")
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def center_view(image: Image.Image | np.ndarray) -> np.ndarray:
    """Prepare a photo for validation, test and prediction; deterministic.

    Args:
        image: anything `to_rgb` takes.

    Returns:
        float32 [299, 299, 3] in [-1, 1].
    """
    image = to_rgb(image)
    return scale(render(image, center_box(*image.size)))


def random_view(image: Image.Image | np.ndarray, rng: np.random.Generator, max_zoom: float = 0.2) -> np.ndarray:
    """Prepare a photo for training, in one of many ways.

    Args:
        image: anything `to_rgb` takes.
        rng: four numbers are drawn from it, see `random_box`.
        max_zoom: in [0, 1).

    Returns:
        float32 [299, 299, 3] in [-1, 1].

    Raises:
        ValueError: max_zoom out of range.
    """
    if not 0 <= max_zoom < 1:
        raise ValueError(f"max_zoom {max_zoom} is out of range, expected 0 <= max_zoom < 1")
    image = to_rgb(image)
    return scale(render(image, random_box(*image.size, max_zoom, rng)))


def read_views(path: str | Path | BinaryIO, views: list[View], sha256: str) -> list[np.ndarray]:
    """Read a photo and render several of its views.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size (libjpeg's own scaling, several times faster) where every box that
    the view can draw still has 449 px a side; that depends on the photo and the view alone, so a view is the same in
    any company.

    Args:
        path: the photo, or its open file.
        views: which views.
        sha256: the photo's content hash, which random views are seeded with.

    Returns:
        One uint8 [299, 299, 3] in [0, 255] a view.

    Raises:
        OSError: the photo cannot be decoded.
    """
    drafts: dict[float, Image.Image] = {}
    for view in views:
        if view.max_zoom not in drafts:
            drafts[view.max_zoom] = read_image(
                path, smallest_side_px=math.ceil(_MARGIN * IMAGE_SIZE_PX / (1 - view.max_zoom))
            )
    return [render(image := drafts[view.max_zoom], view.box(*image.size, sha256)) for view in views]


def _largest_box(width_px: int, height_px: int, target_ratio: float) -> tuple[float, float]:
    """Give width and height of the largest box of the target ratio, in shares of the photo's."""
    ratio = width_px / height_px
    return (target_ratio / ratio, 1.0) if ratio > target_ratio else (1.0, ratio / target_ratio)
