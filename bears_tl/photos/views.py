"""Render views, the network's input: the center view for evaluation, random views for training.

A view is a box of the upright photo, possibly mirrored, resized to 299 x 299 px. Random views may also be rotated, have
changed colours or an erased part (looks.py). View k of a photo depends only on the seed, the photo's content hash, k
and the strengths, so the features of random views can be cached.
"""

import dataclasses
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from bears_tl.files import seeded_rng
from bears_tl.photos.image import read_image, to_rgb
from bears_tl.photos.looks import STRENGTHS, check_strength, erase, shift_colours

VERSION = 4  # increase it when the pixels of views change, so that cached features are computed again
IMAGE_SIZE_PX = 299  # the input of Inception v3, https://arxiv.org/abs/1512.00567, table 1
# A JPEG is decoded at reduced size only if it keeps this many times the pixels needed per side. With 1.0, views of real
# photos differ from scikit-image's by up to 6.6 levels; with 1.5 by up to 3.5 (0.9 on average), in an eighth more time.
_MARGIN = 1.5
LEAST_SIDE_PX = math.ceil(_MARGIN * IMAGE_SIZE_PX)  # of a JPEG that is decoded for its center view


@dataclasses.dataclass(frozen=True)
class Box:
    """A part of a photo, as shares of its width and height in [0, 1], and whether it is mirrored."""

    left: float
    top: float
    width: float
    height: float
    flip: bool = False


@dataclasses.dataclass(frozen=True)
class View:
    """All parameters of a view besides the photo: none (the center view), or k, the seed and the strengths.

    Each effect has its own random numbers, so that turning one on does not change the others.

    Raises:
        ValueError: a strength is out of range, or is given for the center view.
    """

    k: int | None = None
    seed: int = 0
    max_zoom: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    rotation_degrees: float = 0.0
    erasing: float = 0.0

    def __post_init__(self):
        if not 0 <= self.max_zoom < 1:
            raise ValueError(f"max_zoom {self.max_zoom} is out of range, expected 0 <= max_zoom < 1")
        for effect in STRENGTHS:
            check_strength(effect, getattr(self, effect))
            if self.k is None and getattr(self, effect):
                raise ValueError(f"{effect} {getattr(self, effect)!r} without k: the center view is not random")

    def __str__(self):
        """Return the view's name in the feature cache; strengths of 0 are omitted, which keeps older names valid."""
        if self.k is None:
            return "center"
        strengths = [f" {effect}={float(getattr(self, effect))!r}" for effect in STRENGTHS if getattr(self, effect)]
        return f"random k={self.k} seed={self.seed} max_zoom={self.max_zoom!r}{''.join(strengths)}"

    def rng(self, sha256: str, effect: str) -> np.random.Generator:
        """Return the random generator of an effect for the photo with this content hash."""
        return seeded_rng(self.seed, sha256, f"view {self.k} {effect}")

    def change(self, sha256: str, effect: str) -> float:
        """Draw the amount of an effect, in [-strength, strength]."""
        strength = getattr(self, effect)
        return strength * (2 * self.rng(sha256, effect).random() - 1) if strength else 0.0

    def box(self, width_px: int, height_px: int, sha256: str) -> Box:
        """Return the part of a photo that this view shows; `sha256` is the photo's content hash."""
        if self.k is None:
            return center_box(width_px, height_px)
        return random_box(width_px, height_px, self.max_zoom, seeded_rng(self.seed, sha256, f"view {self.k}"))


CENTER = View()


def center_box(width_px: int, height_px: int, target_ratio: float = 1.0) -> Box:
    """Return the largest centered box of the target ratio (width / height)."""
    width, height = _largest_box(width_px, height_px, target_ratio)
    return Box((1 - width) / 2, (1 - height) / 2, width, height)


def random_box(
    width_px: int, height_px: int, max_zoom: float, rng: np.random.Generator, target_ratio: float = 1.0
) -> Box:
    """Draw the box of a random view as in the article: the largest box, shrunk, placed and mirrored at random.

    Args:
        width_px: width of the upright photo.
        height_px: height of the upright photo.
        max_zoom: the box is shrunk by a factor drawn from [1 - max_zoom, 1]; 0 keeps the largest box.
        rng: generator for the four draws (zoom, left, top, flip).
        target_ratio: width / height of the box in pixels.
    """
    zoom, left, top, flip = rng.random(4)
    width, height = (side * (1 - max_zoom * zoom) for side in _largest_box(width_px, height_px, target_ratio))
    return Box((1 - width) * left, (1 - height) * top, width, height, bool(flip < 0.5))


def render(image: Image.Image, box: Box, degrees: float = 0.0, side_px: int = IMAGE_SIZE_PX) -> np.ndarray:
    """Crop a box from an upright RGB image, rotated about the box's center, and resize it.

    Pillow widens its bilinear filter when shrinking (anti-aliasing). `reducing_gap` first shrinks by a whole factor,
    which is several times faster; tests bound the difference from scikit-image's `resize(anti_aliasing=True)`.

    Args:
        image: the photo.
        box: the part to render.
        degrees: anticlockwise rotation of the photo; beyond its border it is continued as a mirror image.
        side_px: side of the view.

    Returns:
        uint8 [side_px, side_px, 3] in [0, 255].
    """
    left, top = box.left * image.width, box.top * image.height
    right, bottom = left + box.width * image.width, top + box.height * image.height
    corners = (left, top, min(right, image.width), min(bottom, image.height))  # rounding may exceed the edge
    if degrees:
        pixels = np.asarray(_rotate(image, corners, degrees, side_px))
    else:
        pixels = np.asarray(image.resize((side_px, side_px), Image.Resampling.BILINEAR, box=corners, reducing_gap=2.0))
    return pixels[:, ::-1] if box.flip else pixels


def scale(pixels: np.ndarray) -> np.ndarray:
    """Scale uint8 levels in [0, 255] to float32 in [-1, 1], as slim's inception_preprocessing does."""
    if pixels.dtype != np.uint8:
        raise ValueError(f"expected uint8 levels in [0, 255], not {pixels.dtype}")
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def center_view(image: Image.Image | np.ndarray) -> np.ndarray:
    """Render a photo's view for validation, test and prediction; deterministic.

    Args:
        image: anything `to_rgb` takes.

    Returns:
        float32 [299, 299, 3] in [-1, 1].
    """
    image = to_rgb(image)
    return scale(render(image, center_box(*image.size)))


def read_views(
    path: str | Path | BinaryIO, views: list[View], sha256: str, max_megapixels: float = math.inf
) -> list[np.ndarray]:
    """Read a photo and render several of its views.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size (by libjpeg, several times faster) if every possible box of the
    view still has 449 px per side. This depends only on the photo and the view, not on the other views requested.

    Args:
        path: the photo, or its open file.
        views: the views to render.
        sha256: the photo's content hash, part of the seed of random views.
        max_megapixels: see `photos.image.read_image`.

    Returns:
        One array per view, uint8 [299, 299, 3] in [0, 255].

    Raises:
        OSError: the photo cannot be decoded, or is refused (`PhotoError`).
    """
    drafts: dict[float, Image.Image] = {}
    for view in views:
        if view.max_zoom not in drafts:
            smallest_side_px = math.ceil(_MARGIN * IMAGE_SIZE_PX / (1 - view.max_zoom))
            drafts[view.max_zoom] = read_image(path, smallest_side_px, max_megapixels)
    return [_show(drafts[view.max_zoom], view, sha256) for view in views]


def rising_strength(
    path: str | Path, sha256: str, strengths: dict[str, float], shares: list[float], seed: int = 0, tries: int = 8
) -> list[np.ndarray]:
    """Render one view of a photo at rising strength, to show what effects do.

    An effect may happen to do little in one view. So the view is chosen, among the first few, that the full strengths
    change most.

    Args:
        path: the photo.
        sha256: its content hash.
        strengths: effect to its full strength, see `View`.
        shares: of the full strengths, in [0, 1].
        seed: of the views.
        tries: how many views are tried.

    Returns:
        One uint8 [299, 299, 3] per share.
    """
    plain = read_views(path, [View(k, seed) for k in range(tries)], sha256)
    full = read_views(path, [View(k, seed, **strengths) for k in range(tries)], sha256)
    changes = [np.abs(np.subtract(one, other, dtype=float)).mean() for one, other in zip(plain, full, strict=True)]
    k = int(np.argmax(changes))
    scaled = [{effect: share * strength for effect, strength in strengths.items()} for share in shares]
    return read_views(path, [View(k, seed, **strengths) for strengths in scaled], sha256)


def _show(image: Image.Image, view: View, sha256: str) -> np.ndarray:
    """Render a view: first box and rotation, then colours, then erasing."""
    pixels = render(image, view.box(*image.size, sha256), view.change(sha256, "rotation_degrees"))
    colours = {effect: view.change(sha256, effect) for effect in ("brightness", "contrast", "saturation", "hue")}
    pixels = shift_colours(pixels, **colours)
    return erase(pixels, view.erasing, view.rng(sha256, "erasing")) if view.erasing else pixels


def _rotate(image: Image.Image, corners: tuple[float, ...], degrees: float, side_px: int) -> Image.Image:
    """Rotate a part of an RGB image about its center and resize it; beyond the border the image is mirrored.

    First the image is averaged down by a whole factor. Then one bilinear sampling rotates it and shrinks it by the
    remaining factor, less than 2. Resizing first and rotating afterwards would take twice the time and blur the view.
    """
    start, end = np.reshape(corners, (2, 2))  # x and y, here and below
    size, center = end - start, (start + end) / 2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    factor = max(int(size.min() / side_px), 1)
    reach = abs(rotation) @ size / 2 + factor  # from the center, plus one pixel after averaging, for the filter
    start = np.maximum(np.floor(center - reach), 0).astype(int)
    end = np.minimum(np.ceil(center + reach), image.size).astype(int)
    part = image.reduce(factor, box=(*start.tolist(), *end.tolist()))
    center, reach = (center - start) / factor, reach / factor
    before = np.maximum(np.ceil(reach - center), 0).astype(int)  # pixels missing on each side
    after = np.maximum(np.ceil(center + reach) - part.size, 0).astype(int)
    if before.any() or after.any():
        borders = (before[1], after[1]), (before[0], after[0]), (0, 0)
        part = Image.fromarray(np.pad(np.asarray(part), borders, "symmetric"))
    steps = rotation * size / (factor * side_px)  # in `part`, per pixel right and down
    origin = center + before - steps.sum(axis=1) * side_px / 2
    matrix = np.column_stack([steps, origin]).ravel().tolist()
    return part.transform((side_px, side_px), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _largest_box(width_px: int, height_px: int, target_ratio: float) -> tuple[float, float]:
    """Return width and height of the largest box of the target ratio, as shares of the photo's."""
    ratio = width_px / height_px
    return (target_ratio / ratio, 1.0) if ratio > target_ratio else (1.0, ratio / target_ratio)
