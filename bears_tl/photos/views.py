"""What the body sees of a photo: the center view for judging, random views for training.

A view is a box of the upright photo, maybe mirrored, resized to 299 x 299 px; a random one may also be rotated, have
other colours or lack a part (looks.py). View k of a photo is a pure function of the seed, the photo's content hash, k
and the strengths, so that features of views can be cached although they are random.
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
    """All that a view's pixels depend on besides the photo: nothing (the center view), or k, the seed and strengths.

    Every effect draws from numbers of its own, so that switching one on changes no draw of the others.

    Raises:
        ValueError: a strength out of range, or one for the center view.
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
        """Name the view in the feature cache; strengths of 0 are left out, as in names from before there were any."""
        if self.k is None:
            return "center"
        strengths = [f" {effect}={float(getattr(self, effect))!r}" for effect in STRENGTHS if getattr(self, effect)]
        return f"random k={self.k} seed={self.seed} max_zoom={self.max_zoom!r}{''.join(strengths)}"

    def rng(self, sha256: str, effect: str) -> np.random.Generator:
        """Give what an effect draws from in the photo with this content hash."""
        return seeded_rng(self.seed, sha256, f"view {self.k} {effect}")

    def change(self, sha256: str, effect: str) -> float:
        """Draw how far an effect goes: in [-strength, strength]."""
        strength = getattr(self, effect)
        return strength * (2 * self.rng(sha256, effect).random() - 1) if strength else 0.0

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


def render(image: Image.Image, box: Box, degrees: float = 0.0, side_px: int = IMAGE_SIZE_PX) -> np.ndarray:
    """Cut a box out of an upright RGB image, rotated about its center, and resize it.

    Pillow's bilinear filter is widened for shrinking (anti-aliased); `reducing_gap` first shrinks by a whole factor,
    which is several times faster and within the test's distance of scikit-image's `resize(anti_aliasing=True)`.

    Args:
        image: the photo.
        box: which part of it.
        degrees: by how much the photo is rotated, anticlockwise; beyond its border it is mirrored.
        side_px: of the view.

    Returns:
        uint8 [side_px, side_px, 3] in [0, 255].
    """
    left, top = box.left * image.width, box.top * image.height
    right, bottom = left + box.width * image.width, top + box.height * image.height
    corners = (left, top, min(right, image.width), min(bottom, image.height))  # rounding may step over the edge
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
    """Prepare a photo for validation, test and prediction; deterministic.

    Args:
        image: anything `to_rgb` takes.

    Returns:
        float32 [299, 299, 3] in [-1, 1].
    """
    image = to_rgb(image)
    return scale(render(image, center_box(*image.size)))


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
    """Render a view: its box and angle first, then colours, then what is erased."""
    pixels = render(image, view.box(*image.size, sha256), view.change(sha256, "rotation_degrees"))
    colours = {effect: view.change(sha256, effect) for effect in ("brightness", "contrast", "saturation", "hue")}
    pixels = shift_colours(pixels, **colours)
    return erase(pixels, view.erasing, view.rng(sha256, "erasing")) if view.erasing else pixels


def _rotate(image: Image.Image, corners: tuple[float, ...], degrees: float, side_px: int) -> Image.Image:
    """Resize a part of an RGB image that is rotated about its center; beyond the border the image is mirrored.

    Shrinking by a whole factor averages, and one bilinear sampling rotates and shrinks by what is left, less than 2.
    To resize first and rotate then would cost twice the time and blur.
    """
    start, end = np.reshape(corners, (2, 2))  # x and y, here and below
    size, center = end - start, (start + end) / 2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    factor = max(int(size.min() / side_px), 1)
    reach = abs(rotation) @ size / 2 + factor  # from the center; one pixel of what is left more, for the filter
    start = np.maximum(np.floor(center - reach), 0).astype(int)
    end = np.minimum(np.ceil(center + reach), image.size).astype(int)
    part = image.reduce(factor, box=(*start.tolist(), *end.tolist()))
    center, reach = (center - start) / factor, reach / factor
    before = np.maximum(np.ceil(reach - center), 0).astype(int)  # pixels that the image lacks on each side
    after = np.maximum(np.ceil(center + reach) - part.size, 0).astype(int)
    if before.any() or after.any():
        borders = (before[1], after[1]), (before[0], after[0]), (0, 0)
        part = Image.fromarray(np.pad(np.asarray(part), borders, "symmetric"))
    steps = rotation * size / (factor * side_px)  # what a pixel of the view to the right, and one down, is there
    origin = center + before - steps.sum(axis=1) * side_px / 2
    matrix = np.column_stack([steps, origin]).ravel().tolist()
    return part.transform((side_px, side_px), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _largest_box(width_px: int, height_px: int, target_ratio: float) -> tuple[float, float]:
    """Give width and height of the largest box of the target ratio, in shares of the photo's."""
    ratio = width_px / height_px
    return (target_ratio / ratio, 1.0) if ratio > target_ratio else (1.0, ratio / target_ratio)
