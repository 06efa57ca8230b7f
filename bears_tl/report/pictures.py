"""Pictures inside the page, as data: addresses: figures as PNG, photos as small WebP squares."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from bears_tl.errors import InputError
from bears_tl.photos.storage import decode_photo
from bears_tl.photos.thumbnails import thumbnail
from bears_tl.photos.views import CENTER, render
from bears_tl.threads import map_ahead

SIDE_PX = 160  # of a photo in the page
_QUALITY = 70  # of its WebP; about 6 kB a photo


def figure(path: Path) -> dict:
    """Read a figure of the run: source (a data: address), alt, width and height in px; or `missing`, why not."""
    try:
        png = path.read_bytes()
        with Image.open(io.BytesIO(png)) as image:
            width, height = image.size
            alt = image.info.get("Description", "")
    except (OSError, SyntaxError) as error:
        why = "it was not drawn" if isinstance(error, FileNotFoundError) else "it cannot be read"
        return {"missing": f"The figure {path.name} is missing: {why}."}
    return {"source": _address("png", png), "alt": alt, "width": width, "height": height}


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
