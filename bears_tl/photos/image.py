"""From a photo file, or pixels of any kind, to an upright 8-bit RGB image."""

import contextlib
import math
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

_WHITE = (255, 255, 255)
_TURNS = {  # EXIF orientation to what makes the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path, smallest_side_px: int | None = None) -> Image.Image:
    """Open and fully decode a photo, upright and in RGB.

    Args:
        path: any format that Pillow reads; of an animated file the first frame is read.
        smallest_side_px: when given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side
            keeps at least this length.

    Returns:
        An image of mode RGB, turned as its EXIF orientation says.

    Raises:
        OSError: not a photo, truncated or broken (Pillow's errors, among them `PIL.UnidentifiedImageError`).
    """
    with Image.open(path) as image:
        if smallest_side_px is not None:
            share = smallest_side_px / min(image.size)
            image.draft(None, tuple(math.ceil(side * share) for side in image.size))
        image.load()
        return to_rgb(image)


def to_rgb(image: Image.Image | np.ndarray) -> Image.Image:
    """Turn an image of any mode or an array of any usual dtype into an upright 8-bit RGB image.

    Alpha is laid over white; 16-bit and float levels are scaled, not cut; EXIF orientation is obeyed.

    Args:
        image: a Pillow image, or an array [height, width], [height, width, 1], [..., 3] or [..., 4] of uint8 in
            [0, 255], uint16 in [0, 65535], bool, or float in [0, 1] (scikit-image's conventions).

    Raises:
        ValueError: an array of another shape or dtype, or floats out of [0, 1].
    """
    if isinstance(image, np.ndarray):
        return to_rgb(_image_of_array(image))
    image = _upright(image)
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit PNG and TIFF; Pillow's own convert cuts at 255
        levels = np.asarray(image, dtype=np.float64)
        return Image.fromarray(_to_uint8(levels / 65535)).convert("RGB")
    if image.mode == "F":
        levels = np.nan_to_num(np.asarray(image, dtype=np.float64))
        return Image.fromarray(_to_uint8(levels / (1.0 if levels.max(initial=0) <= 1 else 255.0))).convert("RGB")
    if image.has_transparency_data:  # RGBA, LA, PA, La, RGBa, and P, L or RGB with a transparent colour
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, (*_WHITE, 255)), over).convert("RGB")
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF says; a copy.

    Pillow's `exif_transpose` also writes the rest of the EXIF back, which raises when some other entry is broken. Here
    the EXIF is left out, so that the copy is not turned again.
    """
    orientation = None
    with contextlib.suppress(Exception):  # a broken EXIF raises anything; the photo is then taken as it lies
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    turned = image.transpose(_TURNS[orientation]) if orientation in _TURNS else image.copy()
    turned.info = {name: value for name, value in image.info.items() if name == "transparency"}
    return turned


def _image_of_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(
            f"an image array has shape [height, width] or [height, width, 1, 3 or 4], not {list(array.shape)}"
        )
    if array.dtype == np.uint8:
        return Image.fromarray(array)
    if array.dtype == bool:
        return Image.fromarray(array.astype(np.uint8) * 255)
    if array.dtype == np.uint16:
        return Image.fromarray(_to_uint8(array / 65535))
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(np.min(array)), float(np.max(array))
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # NaN fails too; a thousandth allows for resampling overshoot
            raise ValueError(f"a float image array holds levels in [0, 1], not [{low:.4g}, {high:.4g}]: divide by 255?")
        return Image.fromarray(_to_uint8(array))
    raise ValueError(f"an image array is uint8, uint16, bool or float, not {array.dtype}")


def _to_uint8(levels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(levels * 255), 0, 255).astype(np.uint8)
