"""From a photo file, or pixels of any kind, to an upright 8-bit RGB image."""

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

# What photos come in. Pillow knows some 30 more formats and tries them on whatever a folder holds: it runs Ghostscript
# on an EPS, and takes files without a signature (TGA, SPIDER) for photos that are none. MPO counts as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "ICO", "PSD", "QOI")
_HEIF_BRANDS = b"heic heix heim heis hevc hevx mif1 msf1".split()  # ISO/IEC 23008-12
_NO_PHOTOS = {b"<svg": "a drawing", b"%pdf": "a document"}
_TRANSPOSES = {  # EXIF orientation to what makes the photo upright
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
    """Give those of FORMATS that can be read here; HEIF needs the package pillow-heif (the extra `heif`)."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is broken in a file is raised, not printed
    with contextlib.suppress(OSError, AttributeError):  # nor printed by libtiff, where it is not built into Pillow
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def open_image(file: str | Path | BinaryIO) -> Image.Image:
    """Open a photo of one of FORMATS; it is decoded later, by the image's `load`.

    Raises:
        OSError: none of FORMATS (`PIL.UnidentifiedImageError`), or a kind of TIFF that Pillow reads wrongly.
    """
    image = Image.open(file, formats=readable_formats())
    if image.format == "TIFF" and (fault := _fault_of_tiff(image)):
        image.close()
        raise OSError(fault)
    return image


def hint(head: bytes) -> str:
    """Say by its first bytes what a file that `open_image` cannot identify seems to be; "" where that is open."""
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and "HEIF" not in readable_formats():
        return "a HEIF photo: it can be read after `pip install pillow-heif`"
    for name in readable_formats():
        if Image.OPEN[name][1](head.ljust(16, b"\0")) is True:  # the plugin's own look at the signature
            return f"begins like {name}, but is broken or cut off"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()  # without a byte order mark
    known = (kind for signature, kind in _NO_PHOTOS.items() if start.startswith(signature))
    return "a web page" if is_page(head) else next(known, "")


def read_image(path: str | Path, smallest_side_px: int | None = None) -> Image.Image:
    """Open and fully decode a photo, upright and in sRGB.

    Args:
        path: a file of one of FORMATS; of an animated file the first frame is read.
        smallest_side_px: when given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side
            keeps at least this length.

    Returns:
        An image of mode RGB, upright as its EXIF orientation says.

    Raises:
        OSError: not a photo, truncated or broken (Pillow's errors, among them `PIL.UnidentifiedImageError`).
    """
    with open_image(path) as image:
        if smallest_side_px is not None:
            share = smallest_side_px / min(image.size)
            image.draft(None, tuple(math.ceil(side * share) for side in image.size))
        image.load()
        return to_rgb(image)


def to_rgb(image: Image.Image | np.ndarray) -> Image.Image:
    """Convert an image of any mode or an array of any usual dtype to an upright 8-bit sRGB image.

    Alpha is laid over white; EXIF orientation and ICC profile are obeyed; 16-bit and float levels are scaled, not cut
    (32-bit integers are taken for 16-bit levels, as a PGM holds them: what lies beyond is cut).

    Args:
        image: a Pillow image, or an array [height, width], [height, width, 1], [..., 3] or [..., 4] of uint8 in
            [0, 255], uint16 in [0, 65535], bool, or float in [0, 1] (scikit-image's conventions).

    Raises:
        ValueError: an array of another shape or dtype, or floats out of [0, 1].
    """
    image = _upright(_image_of_array(image) if isinstance(image, np.ndarray) else image)
    profile = image.info.pop("icc_profile", None)
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit PNG and TIFF; Pillow's own convert cuts at 255
        levels = np.array(image, dtype=np.float64)
        levels[levels == image.info.get("transparency", np.nan)] = 65535  # the level that a 16-bit PNG shows as nothing
        image = Image.fromarray(_to_uint8(levels / 65535))
    elif image.mode == "F":
        levels = np.nan_to_num(np.asarray(image)).astype(np.float64)
        image = Image.fromarray(_to_uint8(levels / (1.0 if levels.max(initial=0) <= 1 else 255.0)))
    if not image.has_transparency_data:
        return _in_srgb(image, profile)
    over = image.convert("RGBA")  # of RGBA, LA, PA, La, RGBa, and P, L or RGB with a transparent colour
    colours = _in_srgb(over.convert("L" if image.mode in ("L", "LA", "La") else "RGB"), profile)
    colours.putalpha(over.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), colours).convert("RGB")


def _fault_of_tiff(image: Image.Image) -> str:
    """Tell why the pixels that Pillow (13.0) makes of a TIFF are not the photo; "" where they are."""
    tags = image.tag_v2
    if tags.get(ExifTags.Base.NewSubfileType) == 1:  # TIFF 6.0: a reduced-resolution version of another image
        return "a raw photo, of which only the thumbnail can be read: develop it to JPEG or PNG"
    if image.mode.startswith("I;16") and tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        return "a 16-bit TIFF whose 0 is white, which Pillow reads as black: save it as PNG"
    raw_planes = tags.get(ExifTags.Base.PlanarConfiguration) == 2 and tags.get(ExifTags.Base.Compression, 1) == 1
    misread = raw_planes and tags.get(ExifTags.Base.BitsPerSample, ())[:1] == (16,)
    return "a 16-bit TIFF in separate planes, which Pillow reads as noise: save it as PNG" if misread else ""


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image without alpha to RGB as its ICC profile, if any, says."""
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    if (profile or image.mode == "LAB") and (transform := _transform_to_srgb(profile, image.mode)):
        image = transform.apply(image)
        image.info = {}  # or the profile of sRGB would stay with it
    return image if image.mode == "RGB" else image.convert("RGB")


@functools.lru_cache(maxsize=32)
def _transform_to_srgb(profile: bytes | None, mode: str):
    """Give Pillow's transform from an ICC profile to sRGB, None where the levels can stay as they are.

    They stay where the profile is broken or of another mode, and where none would change by more than one: profiles of
    sRGB differ by rounding. Relative colours with black point compensation are Photoshop's way.
    """
    with contextlib.suppress(Exception):  # ImageCms raises many kinds, and is not in every Pillow
        from PIL import ImageCms

        source = ImageCms.createProfile("LAB") if mode == "LAB" else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        exact = 0 if mode == "RGB" else ImageCms.Flags.NOOPTIMIZE  # or dark grey and Lab are up to 20 levels off
        how = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION | exact
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", *how)
        if mode in ("CMYK", "LAB"):
            return transform
        colours = Image.fromarray(np.indices((16, 16, 16), np.uint8).reshape(3, 1, -1).T * 17).convert(mode)
        changes = np.subtract(transform.apply(colours), colours.convert("RGB"), dtype=np.int16)
        return transform if np.abs(changes).max() > 1 else None
    return None


def _upright(image: Image.Image) -> Image.Image:
    """Make an image upright as its EXIF says; a copy.

    Pillow's `exif_transpose` also writes the rest of the EXIF back, which raises when some other entry is broken. Here
    the EXIF is left out, so that the copy is not transposed again.
    """
    orientation = None
    with contextlib.suppress(Exception):  # a broken EXIF raises anything; the photo is then taken as it lies
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    upright = image.transpose(_TRANSPOSES[orientation]) if orientation in _TRANSPOSES else image.copy()
    upright.info = {name: value for name, value in image.info.items() if name in ("transparency", "icc_profile")}
    return upright


def _image_of_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"an array has the shape [height, width] or [height, width, 1, 3 or 4], not {array.shape}")
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
