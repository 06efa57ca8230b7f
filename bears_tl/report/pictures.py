"""Pictures inside the page, as data: addresses: figures as PNG, photos as small WebP squares."""

import base64
import io
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from bears_tl.errors import InputError, reason_of
from bears_tl.judging import plots
from bears_tl.photos.storage import decode_photo
from bears_tl.photos.thumbnails import thumbnail
from bears_tl.photos.views import CENTER, render
from bears_tl.threads import map_ahead

SIDE_PX = 160  # of a photo in the page
_QUALITY = 70  # of its WebP; about 6 kB a photo


def figure(draw: Callable[[], Figure]) -> dict:
    """Draw a figure: source (a data: address), alt, width and height in px; or `missing`, why there is none."""
    others = plt.get_fignums()
    try:
        drawn = draw()
        png = plots.to_png(drawn)
        width, height = Image.open(io.BytesIO(png)).size
        return {"source": _address("png", png), "alt": drawn.alt, "width": width, "height": height}
    except Exception as error:  # a figure may fail in any way, and is worth less than the page
        return {"missing": f"This figure could not be drawn ({type(error).__name__}: {reason_of(error)})."}
    finally:
        for number in set(plt.get_fignums()).difference(others):
            plt.close(number)


def squares(folder: Path, photos: Iterable[dict], max_megapixels: float) -> dict[str, str]:
    """Shrink the middle squares of photos, the part that the head judges.

    Args:
        folder: the photo folder.
        photos: rows with path and sha256.
        max_megapixels: see `photos.image.read_image`.

    Returns:
        A data: address by path; photos that are gone, changed or unreadable are left out.
    """
    photos = list(photos)
    found = map_ahead(lambda photo: _square(folder, photo, max_megapixels), photos, ahead=16)
    return {photo["path"]: source for photo, source in zip(photos, found, strict=True) if source}


def _square(folder: Path, photo: dict, max_megapixels: float) -> str:
    try:
        image = decode_photo(folder, photo, lambda file: thumbnail(file, max_megapixels))
    except InputError:
        return ""
    webp, box = io.BytesIO(), CENTER.box(*image.size, photo["sha256"])
    Image.fromarray(render(image, box, side_px=SIDE_PX)).save(webp, "WEBP", quality=_QUALITY)
    return _address("webp", webp.getvalue())


def _address(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
