"""Convert a photo file, or an array of pixels, to an upright 8-bit RGB image."""

import contextlib
import functools
import io
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from bears_tl.photos.formats import (
    PhotoError,
    decodes_by_rows,
    fault_of_tiff,
    readable_formats,
    require_size,
    require_sound,
    unidentified,
)

_LARGE_PX = 64 * 10**6  # photos with more pixels are decoded one at a time, so that threads do not add up their memory
# Photos with more pixels may be shrunk while they are converted. They never had views or hashes before: this was
# Pillow's limit. So the views and hashes of all others keep their bits.
HUGE_PX = 178_956_970
_HUNGRY = ("WEBP", "JPEG2000")  # their decoders take 16 and 19 bytes per pixel, others 4 to 9
_STRIP_PX = 16 * 10**6  # converted at once
_one_at_a_time = threading.Lock()
_TRANSPOSES = {  # EXIF orientation -> the operation that makes the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@contextlib.contextmanager
def open_image(file: str | Path | BinaryIO, max_megapixels: float = math.inf) -> Iterator[Image.Image]:
    """Open a photo of one of FORMATS without decoding it; `decoded` decodes it.

    Args:
        file: the photo, or its open file.
        max_megapixels: refuse a photo that would need more to open; photos that the intake accepted need no limit.

    Raises:
        PhotoError: none of FORMATS, of a kind that is not read or not read correctly, or a PNG with a wrong checksum.
    """
    with open(file, "rb") if isinstance(file, (str, Path)) else contextlib.nullcontext(file) as stream:
        readable = readable_formats()
        require_sound(stream, max_megapixels)
        try:
            image = Image.open(stream, formats=readable)
        except UnidentifiedImageError:
            raise unidentified(stream) from None
        with image:
            if image.format == "TIFF" and (fault := fault_of_tiff(image)):
                raise PhotoError("unreadable", fault)
            yield image


@contextlib.contextmanager
def decoded(
    image: Image.Image, smallest_side_px: int | None = None, max_megapixels: float = math.inf
) -> Iterator[Image.Image]:
    """Decode an image that `open_image` opened. Large photos wait for one another.

    Args:
        image: the opened image.
        smallest_side_px: if given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side
            keeps at least this length.
        max_megapixels: refuse a photo of which more must be in memory at once.

    Raises:
        PhotoError: too large, or every pixel is transparent.
        OSError: truncated or broken (Pillow's errors).
    """
    size_px = image.size
    is_large_jpeg = image.format in ("JPEG", "MPO") and math.prod(size_px) > _LARGE_PX
    by_rows = not is_large_jpeg or decodes_by_rows(image.fp)
    if smallest_side_px is not None:
        share = smallest_side_px / min(size_px)
        image.draft(None, tuple(math.ceil(side * share) for side in size_px))
    pixels = math.prod(image.size if by_rows else size_px) * (2 if image.format in _HUNGRY else 1)
    require_size(size_px, max_megapixels, pixels)
    with _one_at_a_time if pixels > _LARGE_PX else contextlib.nullcontext():
        image.load()
        if image.format == "BMP" and image.mode == "RGBA" and not image.getchannel("A").getbbox():
            yield image.convert("RGB")  # programs that know no transparency leave the fourth byte at 0
            return
        if _is_transparent(image):
            raise PhotoError("empty", "every pixel is transparent")
        yield image


def read_image(
    path: str | Path | BinaryIO, smallest_side_px: int | None = None, max_megapixels: float = math.inf
) -> Image.Image:
    """Read and fully decode a photo, upright and in sRGB.

    Args:
        path: a file of one of FORMATS, or such an open file; only the first frame of an animation is read.
        smallest_side_px: if given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, and a photo of more than 179
            megapixels shrunk, as long as the shorter side keeps at least this length.
        max_megapixels: refuse a photo of which more must be in memory at once; photos that the intake accepted need no
            limit.

    Returns:
        An RGB image, made upright according to its EXIF orientation.

    Raises:
        OSError: not a photo, too large, transparent (all `PhotoError`), truncated or broken (Pillow's errors).
    """
    with open_image(path, max_megapixels) as image, decoded(image, smallest_side_px, max_megapixels) as pixels:
        return to_rgb(pixels, smallest_side_px)


def to_rgb(image: Image.Image | np.ndarray, smallest_side_px: int | None = None) -> Image.Image:
    """Convert an image of any mode, or an array of a common dtype, to an upright 8-bit sRGB image.

    Transparent pixels are blended with white. EXIF orientation and ICC profile are applied. 16-bit and float levels are
    scaled to 8 bits; 32-bit integers are read as 16-bit levels, as in PGM files, and clipped beyond. A large image is
    converted in strips, so that only its result takes memory.

    Args:
        image: a Pillow image, or an array [height, width], [height, width, 1], [..., 3] or [..., 4] of uint8 in
            [0, 255], uint16 in [0, 65535], bool, or float in [0, 1] (scikit-image's conventions).
        smallest_side_px: if given, an image of more than 179 megapixels is averaged down by a whole factor, as long as
            its shorter side keeps at least this length.

    Raises:
        ValueError: an array of another shape or dtype, or floats outside [0, 1].
    """
    if isinstance(image, np.ndarray):
        image = _image_of_array(image)
    (width, height), factor = image.size, 1
    if smallest_side_px is not None and width * height > HUGE_PX:
        factor = max(1, min(width, height) // smallest_side_px)
    rows = factor * max(1, _STRIP_PX // (width * factor))
    bands = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    strips = [image] if len(bands) == 1 else map(image.crop, bands)
    white = _white(image, bands) if image.mode == "F" else 1.0
    profile = image.info.get("icc_profile")
    rgb = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for (_, top, _, _), strip in zip(bands, strips, strict=True):
        strip = _strip_to_rgb(strip, profile, white)
        rgb.paste(strip if factor == 1 else strip.reduce(factor), (0, top // factor))
    orientation = None
    with contextlib.suppress(Exception):  # broken EXIF may raise any error: then the photo is not rotated
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    return rgb.transpose(_TRANSPOSES[orientation]) if orientation in _TRANSPOSES else rgb


def _strip_to_rgb(image: Image.Image, profile: bytes | None, white: float) -> Image.Image:
    """Convert rows of an image to sRGB; `white` is the level that floats have where they are white."""
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit PNG and TIFF: Pillow's convert would clip at 255
        levels = np.array(image, dtype=np.float64)
        levels[levels == image.info.get("transparency", np.nan)] = 65535  # transparent in a 16-bit PNG: white
        image = Image.fromarray(_to_uint8(levels / 65535))
    elif image.mode == "F":
        image = Image.fromarray(_to_uint8(np.nan_to_num(np.asarray(image)).astype(np.float64) / white))
    if not image.has_transparency_data:
        return _in_srgb(image, profile)
    over = image.convert("RGBA")  # from RGBA, LA, PA, La, RGBa, or from P, L or RGB with a transparent colour
    colours = _in_srgb(over.convert("L" if image.mode in ("L", "LA", "La") else "RGB"), profile)
    colours.putalpha(over.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), colours).convert("RGB")


def _white(image: Image.Image, bands: list[tuple[int, int, int, int]]) -> float:
    """Return the white of float levels: 1 if none is above it, else 255."""
    highest = max(float(np.nan_to_num(np.asarray(image.crop(band))).max(initial=0)) for band in bands)
    return 1.0 if highest <= 1 else 255.0


def _is_transparent(image: Image.Image) -> bool:
    """Return whether no pixel of a decoded image can be seen."""
    if image.getbands()[-1] in ("A", "a"):
        return not image.getchannel(image.getbands()[-1]).getbbox()
    hidden = image.info.get("transparency")  # a level, a colour, or one alpha per entry of the palette
    if isinstance(hidden, bytes):
        used = np.flatnonzero(image.histogram()) if image.mode == "P" else np.array([len(hidden)])
        return bool(used.max() < len(hidden)) and not any(hidden[i] for i in used)
    if isinstance(hidden, tuple):
        return image.getextrema() == tuple((level, level) for level in hidden)
    return isinstance(hidden, int) and image.getextrema() == (hidden, hidden)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image without alpha to RGB, applying its ICC profile if it has one."""
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    if (profile or image.mode == "LAB") and (transform := _transform_to_srgb(profile, image.mode)):
        image = transform.apply(image)
        image.info = {}  # drop the sRGB profile
    return image if image.mode == "RGB" else image.convert("RGB")


@functools.lru_cache(maxsize=32)
def _transform_to_srgb(profile: bytes | None, mode: str):
    """Return Pillow's transform from an ICC profile to sRGB, or None to leave the levels unchanged.

    None if the profile is broken or for another mode, or if no level would change by more than one: sRGB profiles
    differ by rounding. Relative colorimetric intent with black point compensation is Photoshop's default.
    """
    with contextlib.suppress(Exception):  # ImageCms raises errors of many types, and some Pillow builds lack it
        from PIL import ImageCms

        source = ImageCms.createProfile("LAB") if mode == "LAB" else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        exact = 0 if mode == "RGB" else ImageCms.Flags.NOOPTIMIZE  # otherwise dark grey and Lab are up to 20 levels off
        how = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION | exact
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", *how)
        if mode in ("CMYK", "LAB"):
            return transform
        colours = Image.fromarray(np.indices((16, 16, 16), np.uint8).reshape(3, 1, -1).T * 17).convert(mode)
        changes = np.subtract(transform.apply(colours), colours.convert("RGB"), dtype=np.int16)
        return transform if np.abs(changes).max() > 1 else None
    return None


def _image_of_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"expected an array of shape [height, width] or [height, width, 1, 3 or 4], not {array.shape}")
    if array.dtype == np.uint8:
        return Image.fromarray(array)
    if array.dtype == bool:
        return Image.fromarray(array.astype(np.uint8) * 255)
    if array.dtype == np.uint16:
        return Image.fromarray(_to_uint8(array / 65535))
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(np.min(array)), float(np.max(array))
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # NaN fails too; a thousandth allows for resampling overshoot
            raise ValueError(f"expected float levels in [0, 1], not [{low:.4g}, {high:.4g}]: divide by 255?")
        return Image.fromarray(_to_uint8(array))
    raise ValueError(f"expected an image array of uint8, uint16, bool or float, not {array.dtype}")


def _to_uint8(levels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(levels * 255), 0, 255).astype(np.uint8)
