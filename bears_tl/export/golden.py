"""Golden photos: painted photos that programs are known to read differently, for comparing formats."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from bears_tl.photos.painting.profiles import DISPLAY_P3, rgb_profile
from bears_tl.photos.sample import CLASS_NAMES, NOT_IN_THE_SAMPLE, paint

# What TensorFlow's decoders cannot do: apply an ICC profile
BEYOND_TENSORFLOW = ("display_p3.jpg",)
_SEED = 49


def write(folder: Path) -> list[Path]:
    """Paint the golden photos into a new folder.

    They are: a plain photo, EXIF orientations 2 to 8, grey, CMYK, Display P3, a panorama of 8 : 1, a large photo that
    is decoded small, a PNG with transparency and a PNG with EXIF.

    Returns:
        Their paths, sorted.
    """
    folder.mkdir(parents=True)
    photos = [_painted(name, i) for i in range(4) for name in CLASS_NAMES]
    plain, other, third = photos[:3]
    kinds = {"plain.jpg": (plain, {}), "grey.jpg": (other.convert("L"), {}), "cmyk.jpg": (third.convert("CMYK"), {})}
    for orientation, photo in zip(range(2, 9), photos[3:], strict=False):
        kinds[f"exif_{orientation}.jpg"] = photo, {"exif": _exif(orientation)}
    kinds |= {
        "display_p3.jpg": (plain, {"icc_profile": rgb_profile(DISPLAY_P3, 2.2)}),
        "exif_6.png": (other, {"exif": _exif(6)}),
        "large.jpg": (third.resize((2600, 1950), Image.Resampling.BICUBIC), {}),
        "panorama.jpg": (plain.resize((4800, 600), Image.Resampling.BICUBIC), {}),
        "transparent.png": (_transparent(third), {}),
    }
    for name, (photo, how) in kinds.items():
        photo.save(folder / name, **({"quality": 90} if name.endswith(".jpg") else {}) | how)
    return sorted(folder.iterdir())


def _painted(class_name: str, index: int) -> Image.Image:
    photo = Image.fromarray(paint(class_name, NOT_IN_THE_SAMPLE - 1 - index, _SEED))
    return photo.resize((photo.width * 2, photo.height * 2), Image.Resampling.BICUBIC)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def _transparent(photo: Image.Image) -> Image.Image:
    """Let a photo fade out from left to right."""
    fading = np.linspace(255, 0, photo.width).astype(np.uint8)
    photo = photo.copy()
    photo.putalpha(Image.fromarray(np.broadcast_to(fading, (photo.height, photo.width)).copy()))
    return photo
