"""Augment random views: change colours, rotate, erase a part.

The strength s limits each effect. Brightness, contrast and saturation are multiplied by a factor from [1 - s, 1 + s].
The hue is rotated by up to s turns of the colour circle, the photo by up to s degrees. Erasing removes up to a share s
of the view. Colours are defined as in torchvision's ColorJitter,
https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ColorJitter.html
"""

import math

import numpy as np
from PIL import Image

# Effect -> largest strength; the fields of `View` and of `RunConfig` have the same names.
STRENGTHS = {
    "brightness": 1.0,
    "contrast": 1.0,
    "saturation": 1.0,
    "hue": 0.5,
    "rotation_degrees": 180.0,
    "erasing": 0.9,
}
_GREY = np.array([0.299, 0.587, 0.114])  # weights of red, green, blue: ITU-R BT.601, as in Pillow's mode L
# Random erasing, https://arxiv.org/abs/1708.04896: p, s_l and r_1 as in the paper; s_h (0.4 there) is the strength.
_ERASED_VIEWS, _SMALLEST_SHARE, _SMALLEST_ASPECT = 0.5, 0.02, 0.3


def check_strength(effect: str, strength: float) -> None:
    """Check that a strength is in range.

    Raises:
        ValueError: the strength is not a number from 0 to the effect's largest.
    """
    if not 0 <= strength <= STRENGTHS[effect]:
        raise ValueError(f"{effect} {strength!r} is out of range, expected 0 to {STRENGTHS[effect]}")


def shift_colours(
    pixels: np.ndarray, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
) -> np.ndarray:
    """Change brightness, contrast, saturation and hue, in this order; 0 means no change.

    The first three blend with black, with the mean grey and with each pixel's own grey, as Pillow's ImageEnhance does.
    They are combined into one matrix, and the result is rounded and clipped only once, so their order does not matter.
    The hue is rotated after that.

    Args:
        pixels: uint8 [height, width, 3] in [0, 255]; not modified.
        brightness: in [-1, 1], from black to twice as bright.
        contrast: in [-1, 1], from the mean grey everywhere to twice the contrast.
        saturation: in [-1, 1], from grey to twice as colourful.
        hue: in [-0.5, 0.5] turns of the colour circle; greys do not change.

    Returns:
        uint8 [height, width, 3] in [0, 255].

    Raises:
        ValueError: a change out of range.
    """
    changes = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    for effect, change in changes.items():
        check_strength(effect, abs(change))
    if brightness or contrast or saturation:
        image = Image.fromarray(pixels)
        mean_grey = np.asarray(image.convert("L")).mean() if contrast else 0.0
        colours = (1 + saturation) * np.eye(3) - saturation * _GREY
        matrix = (1 + brightness) * np.column_stack([(1 + contrast) * colours, [-contrast * mean_grey] * 3])
        pixels = np.asarray(image.convert("RGB", tuple(matrix.ravel())))
    return _rotate_hue(pixels, hue) if hue else pixels


def erase(pixels: np.ndarray, erasing: float, rng: np.random.Generator) -> np.ndarray:
    """Fill a rectangle with random levels in half of all cases: RE-R of Zhong et al. 2017.

    One difference: the logarithm of the aspect ratio is drawn, as in torchvision's RandomErasing, and only from ratios
    that fit. So wide and tall rectangles are equally frequent, and no rectangle has to be redrawn.

    Args:
        pixels: uint8 [height, width, 3] in [0, 255]; not modified.
        erasing: largest erased share of the area, in [0, 0.9]; the smallest is 0.02, or `erasing` if that is less.
        rng: generator for all draws.

    Returns:
        uint8 [height, width, 3] in [0, 255].

    Raises:
        ValueError: `erasing` is out of range.
    """
    check_strength("erasing", erasing)
    chance, area, aspect, top, left = rng.random(5)
    if not erasing or chance >= _ERASED_VIEWS:
        return pixels
    height, width = pixels.shape[:2]
    smallest = min(_SMALLEST_SHARE, erasing)
    share = smallest + (erasing - smallest) * area
    widest = math.log(min(1 / _SMALLEST_ASPECT, 1 / share))  # a rectangle of this aspect still fits
    stretch = math.exp(widest * (2 * aspect - 1) / 2)
    rows, columns = int(height * math.sqrt(share) * stretch), int(width * math.sqrt(share) / stretch)
    top, left = int(top * (height - rows + 1)), int(left * (width - columns + 1))
    erased = pixels.copy()
    erased[top : top + rows, left : left + columns] = rng.integers(0, 256, (rows, columns, 3), np.uint8)
    return erased


def _rotate_hue(pixels: np.ndarray, turns: float) -> np.ndarray:
    """Rotate the hue of uint8 [height, width, 3]; value and saturation (HSV) do not change.

    Computed in float32, because Pillow's HSV has only 255 hues, loses levels in both conversions and is far slower.
    """
    red, green, blue = np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(np.float32)
    value, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    chroma = value - low
    unit = np.maximum(chroma, 1)  # avoid division by zero: greys have no chroma, so their hue does not matter
    hue = np.where(
        value == red,
        (green - blue) / unit,
        np.where(value == green, 2 + (blue - red) / unit, 4 + (red - green) / unit),
    )
    hue += np.float32(6 * turns)  # in sixths of the circle: red 0, green 2, blue 4
    hue -= 6 * np.floor(hue / 6)
    shares = abs(hue - 3) - 1, 2 - abs(hue - 2), 2 - abs(hue - 4)
    return np.stack([np.rint(low + chroma * share.clip(0, 1)).astype(np.uint8) for share in shares], axis=2)
