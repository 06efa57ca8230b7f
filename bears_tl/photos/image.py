"""Convert a photo file, or an array of pixels, to an upright 8-bit RGB image."""

import contextlib
import ctypes
import functools
import io
import logging
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from bears_tl.network.responses import is_page

# Common photo formats. Pillow would try some 30 more on every file: it runs Ghostscript on EPS files, and it mistakes
# other files for formats without a signature (TGA, SPIDER). MPO counts as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "ICO", "PSD", "QOI")
_HEIF_BRANDS = b"heic heix heim heis hevc hevx mif1 msf1".split()  # ISO/IEC 23008-12
_NO_PHOTOS = {b"<svg": "a drawing", b"%pdf": "a document"}
_TRANSPOSES = {  # EXIF orientation -> the operation that makes the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Return those of FORMATS that this installation can read; HEIF needs pillow-heif (the extra `heif`)."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # errors in a file are raised, not printed
    with contextlib.suppress(OSError, AttributeError):  # silence libtiff too; fails if it is not built into Pillow
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def open_image(file: str | Path | BinaryIO) -> Image.Image:
    """Open a photo of one of FORMATS without decoding it; `load` decodes it.

    Raises:
        OSError: none of FORMATS (`PIL.UnidentifiedImageError`), or a type of TIFF that Pillow reads incorrectly.
    """
    image = Image.open(file, formats=readable_formats())
    if image.format == "TIFF" and (fault := _fault_of_tiff(image)):
        image.close()
        raise OSError(fault)
    return image


def hint(head: bytes) -> str:
    """Guess from its first bytes what a file is that `open_image` cannot identify; "" if unknown."""
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and "HEIF" not in readable_formats():
        return "a HEIF photo: run `.venv/bin/pip install pillow-heif` to read it"
    for name in readable_formats():
        if Image.OPEN[name][1](head.ljust(16, b"\0")) is True:  # the plugin's own check of the signature
            return f"begins like {name}, but is broken or cut off"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()  # without a byte order mark
    known = (kind for signature, kind in _NO_PHOTOS.items() if start.startswith(signature))
    return "a web page" if is_page(head) else next(known, "")


def read_image(path: str | Path, smallest_side_px: int | None = None) -> Image.Image:
    """Read and fully decode a photo, upright and in sRGB.

    Args:
        path: a file of one of FORMATS; only the first frame of an animation is read.
        smallest_side_px: if given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side
            keeps at least this length.

    Returns:
        An RGB image, made upright according to its EXIF orientation.

    Raises:
        OSError: not a photo, truncated or broken (Pillow's errors, including `PIL.UnidentifiedImageError`).
    """
    with open_image(path) as image:
        if smallest_side_px is not None:
            share = smallest_side_px / min(image.size)
            image.draft(None, tuple(math.ceil(side * share) for side in image.size))
        image.load()
        return to_rgb(image)


def to_rgb(image: Image.Image | np.ndarray) -> Image.Image:
    """Convert an image of any mode, or an array of a common dtype, to an upright 8-bit sRGB image.

    Transparent pixels are blended with white. EXIF orientation and ICC profile are applied. 16-bit and float levels are
    scaled to 8 bits; 32-bit integers are read as 16-bit levels, as in PGM files, and clipped beyond.

    Args:
        image: a Pillow image, or an array [height, width], [height, width, 1], [..., 3] or [..., 4] of uint8 in
            [0, 255], uint16 in [0, 65535], bool, or float in [0, 1] (scikit-image's conventions).

    Raises:
        ValueError: an array of another shape or dtype, or floats outside [0, 1].
    """
    image = _upright(_image_of_array(image) if isinstance(image, np.ndarray) else image)
    profile = image.info.pop("icc_profile", None)
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit PNG and TIFF: Pillow's convert would clip at 255
        levels = np.array(image, dtype=np.float64)
        levels[levels == image.info.get("transparency", np.nan)] = 65535  # transparent in a 16-bit PNG: white
        image = Image.fromarray(_to_uint8(levels / 65535))
    elif image.mode == "F":
        levels = np.nan_to_num(np.asarray(image)).astype(np.float64)
        image = Image.fromarray(_to_uint8(levels / (1.0 if levels.max(initial=0) <= 1 else 255.0)))
    if not image.has_transparency_data:
        return _in_srgb(image, profile)
    over = image.convert("RGBA")  # from RGBA, LA, PA, La, RGBa, or from P, L or RGB with a transparent colour
    colours = _in_srgb(over.convert("L" if image.mode in ("L", "LA", "La") else "RGB"), profile)
    colours.putalpha(over.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), colours).convert("RGB")


def _fault_of_tiff(image: Image.Image) -> str:
    """Return why Pillow (13.0) would read a TIFF incorrectly; "" if it reads it correctly."""
    tags = image.tag_v2
    if tags.get(ExifTags.Base.NewSubfileType) == 1:  # TIFF 6.0: a reduced-resolution version of another image
        return "a raw photo, of which only the thumbnail can be read: convert it to JPEG or PNG"
    if image.mode.startswith("I;16") and tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        return "a 16-bit TIFF in which 0 is white, which Pillow reads as black: save it as PNG"
    raw_planes = tags.get(ExifTags.Base.PlanarConfiguration) == 2 and tags.get(ExifTags.Base.Compression, 1) == 1
    misread = raw_planes and tags.get(ExifTags.Base.BitsPerSample, ())[:1] == (16,)
    return "a 16-bit TIFF in separate planes, which Pillow reads as noise: save it as PNG" if misread else ""


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


def _upright(image: Image.Image) -> Image.Image:
    """Return a copy of an image, made upright according to its EXIF orientation.

    Pillow's `exif_transpose` also writes the rest of the EXIF back, and raises if another entry is broken. Here the
    EXIF is dropped, so that the copy is not transposed again.
    """
    orientation = None
    with contextlib.suppress(Exception):  # broken EXIF may raise any error: then the photo is not rotated
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    upright = image.transpose(_TRANSPOSES[orientation]) if orientation in _TRANSPOSES else image.copy()
    upright.info = {name: value for name, value in image.info.items() if name in ("transparency", "icc_profile")}
    return upright


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
