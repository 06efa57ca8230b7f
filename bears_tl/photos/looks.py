"""What a random view may change besides its box: colours, angle, a part that is missing.

A strength s says how far a change may go: brightness, contrast and saturation are multiplied by a factor from [1 - s,
1 + s], the hue is rotated by up to s of the colour circle, the photo by up to s degrees, and up to a share s of the
view is erased. Colours are defined as in torchvision's ColorJitter,
https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ColorJitter.html
"""

import math

import numpy as np
from PIL import Image

# Effect to its largest strength; the fields of `View` and of `RunConfig` have these names.
STRENGTHS = {
    "brightness": 1.0,
    "contrast": 1.0,
    "saturation": 1.0,
    "hue": 0.5,
    "rotation_degrees": 180.0,
    "erasing": 0.9,
}
_GREY = np.array([0.299, 0.587, 0.114])  # of red, green, blue: ITU-R BT.601, as Pillow's mode L
# Random erasing, https://arxiv.org/abs/1708.04896: its p, s_l and r_1; its s_h is the strength, 0.4 there.
_ERASED_VIEWS, _SMALLEST_SHARE, _SMALLEST_ASPECT = 0.5, 0.02, 0.3


def check_strength(effect: str, strength: float) -> None:
    """Refuse a strength out of range.

    Raises:
        ValueError: it is not a number from 0 to the largest of the effect.
    """
    if not 0 <= strength <= STRENGTHS[effect]:
        raise ValueError(f"{effect} {strength!r} is out of range, expected 0 to {STRENGTHS[effect]}")


def shift_colours(
    pixels: np.ndarray, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
) -> np.ndarray:
    """Change brightness, contrast, saturation and hue, in this order; 0 leaves each as it is.

    The first three blend with black, with the mean grey and with each pixel's own grey, as Pillow's ImageEnhance does.
    They are one matrix, rounded and clipped once at the end: nothing is lost between them, and their order does not
    matter. The hue is rotated after that.

    Args:
        pixels: uint8 [height, width, 3] in [0, 255]; is not changed.
        brightness: in [-1, 1]: black to twice as bright.
        contrast: in [-1, 1]: the mean grey everywhere to twice as far from it.
        saturation: in [-1, 1]: grey to twice as colourful.
        hue: in [-0.5, 0.5] turns of the colour circle; greys stay as they are.

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

    As there, but that the logarithm of the aspect is drawn, as in torchvision's RandomErasing, and only from those that
    fit: lying and standing rectangles are equally frequent, and none has to be drawn again.

    Args:
        pixels: uint8 [height, width, 3] in [0, 255]; is not changed.
        erasing: largest share of the area that is erased, in [0, 0.9]; the smallest is 0.02, or `erasing`.
        rng: where all draws come from.

    Returns:
        uint8 [height, width, 3] in [0, 255].

    Raises:
        ValueError: erasing out of range.
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
    """Rotate the hue of uint8 [height, width, 3]; value and saturation of HSV stay.

    In float32: Pillow's HSV has only 255 hues, loses levels on the way there and back, and takes far longer.
    """
    red, green, blue = np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(np.float32)
    value, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    chroma = value - low
    unit = np.maximum(chroma, 1)  # a grey has no hue, and no chroma that it could show in
    hue = np.where(
        value == red,
        (green - blue) / unit,
        np.where(value == green, 2 + (blue - red) / unit, 4 + (red - green) / unit),
    )
    hue += np.float32(6 * turns)  # in sixths of the circle: red 0, green 2, blue 4
    hue -= 6 * np.floor(hue / 6)
    shares = abs(hue - 3) - 1, 2 - abs(hue - 2), 2 - abs(hue - 4)
    return np.stack([np.rint(low + chroma * share.clip(0, 1)).astype(np.uint8) for share in shares], axis=2)
