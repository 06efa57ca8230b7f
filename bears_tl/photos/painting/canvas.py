"""Tools for painting: smooth noise, blur, and conversion between pictures and images.

A picture is float32 [3, height, width], rgb in 0..1. numpy processes this layout many times faster than
[height, width, 3].
"""

import numpy as np
from PIL import Image


def picture_of(image: Image.Image) -> np.ndarray:
    """Convert an rgb image to a picture, float32 [3, height, width] in 0..1."""
    return np.moveaxis(np.asarray(image), 2, 0).astype(np.float32, order="C") / 255


def pixels_of(picture: np.ndarray, rounding: float = 0.5) -> np.ndarray:
    """Convert a picture, float32 [3, height, width], to uint8 [height, width, 3]; values outside 0..1 are clipped.

    Args:
        picture: rgb in 0..1.
        rounding: 0.5 rounds to the nearest level, 0 rounds down.
    """
    levels = np.clip(picture, 0, 1)
    levels *= 255
    levels += rounding
    return np.ascontiguousarray(np.moveaxis(levels.astype(np.uint8), 0, 2))


def cloud(rng: np.random.Generator, height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Generate smooth noise, float32 [height, width], about -1..1, with `rows` x `columns` lumps."""
    coarse = np.clip(rng.standard_normal((rows + 1, columns + 1), np.float32) * 0.5, -1, 1)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def blurred(values: np.ndarray, radius: float) -> np.ndarray:
    """Blur float32 [height, width] by shrinking and enlarging, which is fast for any radius."""
    image, step = Image.fromarray(np.ascontiguousarray(values)), max(1, round(radius))
    small = image.resize((image.width // step + 1, image.height // step + 1), Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))


def pixel_grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of each pixel, float32 [height, 1], and its column, float32 [1, width]."""
    return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]


def nearest(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Find the pixels nearest to given positions in a picture.

    Args:
        rows: float32 [height, width], in pixels of a picture of this size; positions outside are moved to its border.
        columns: the same for columns.

    Returns:
        Their flat indices, int [height, width].
    """
    height, width = rows.shape
    rows = np.clip(rows + 0.5, 0, height - 1).astype(np.intp)
    rows *= width
    rows += np.clip(columns + 0.5, 0, width - 1).astype(np.intp)
    return rows


def developed(image: Image.Image, tint: tuple, contrast: float, rng: np.random.Generator) -> np.ndarray:
    """Apply tint, contrast, exposure, vignette and grain to an image.

    Args:
        image: rgb.
        tint: factors for red, green and blue.
        contrast: factor for the distance from mid-grey.
        rng: draws exposure and grain.

    Returns:
        uint8 [height, width, 3].
    """
    picture = picture_of(image)
    height, width = picture.shape[1:]
    down, across = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    vignette = 1 - 0.10 * (down[:, None] ** 2 + across**2)
    gain = np.float32(tint)[:, None, None] * rng.uniform(0.97, 1.06)
    grain = 0.012 * rng.standard_normal((height, width), np.float32)
    return pixels_of(((picture - 0.5) * contrast + 0.5) * vignette * gain + grain)
