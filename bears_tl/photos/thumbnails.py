"""Small copies of photos, kept in memory, and their views at 128 px: what a network trained from scratch sees.

A photo is decoded once and then cut in another way each epoch, by the same boxes that the frozen body is shown.
"""

import hashlib
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from bears_tl.errors import InputError
from bears_tl.photos.image import read_image
from bears_tl.photos.views import CENTER, Box, View
from bears_tl.threads import map_ahead

IMAGE_SIZE_PX = 128
SHORTER_SIDE_PX = 160  # of a thumbnail: the smallest box of the default max_zoom, 0.2, still has 128 px
MEMORY_BYTES = 2**30  # about 8,000 thumbnails of 136 kB; photos beyond are decoded again whenever they are seen


class Thumbnails:
    """Views at 128 px of a table of photos; a photo's pixels are the same in any company, in memory or not."""

    def __init__(self, folder: str | Path, photos: list[dict]):
        """Name the photos; none is read yet.

        Args:
            folder: the photo folder that `path` of a photo is relative to.
            photos: rows with path and sha256.
        """
        self.photos = photos
        self._folder, self._kept, self._bytes = Path(folder), {}, 0

    def views(self, places: Iterable[int], view: View = CENTER) -> np.ndarray:
        """Render one view of some photos: uint8 [n, 128, 128, 3] in [0, 255].

        Args:
            places: of the photos in the table.
            view: which view; a random one is another box for each photo.

        Raises:
            InputError: a photo can no longer be read or was changed.
        """
        places = [int(place) for place in places]
        lacking = [place for place in dict.fromkeys(places) if place not in self._kept]
        read = dict(zip(lacking, map_ahead(self._read, lacking, ahead=16), strict=True))
        for place, image in read.items():
            size = 4 * image.width * image.height  # Pillow keeps four bytes a pixel
            if self._bytes + size <= MEMORY_BYTES:
                self._kept[place], self._bytes = image, self._bytes + size
        rendered = [self._render(read.get(place) or self._kept[place], place, view) for place in places]
        return np.stack(rendered) if rendered else np.empty((0, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), np.uint8)

    def _read(self, place: int) -> Image.Image:
        photo = self.photos[place]
        path = self._folder / photo["path"]
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == photo["sha256"]:
                return thumbnail(io.BytesIO(data))
            reason = "it was changed since the intake"
        except Exception as error:  # decoders raise many kinds
            reason = " ".join(str(error).split())
        raise InputError(f"{str(path)!r} can no longer be used ({reason}): run the intake again")

    def _render(self, image: Image.Image, place: int, view: View) -> np.ndarray:
        return render(image, view.box(*image.size, self.photos[place]["sha256"]))


def thumbnail(file: str | Path | BinaryIO) -> Image.Image:
    """Read a photo and shrink it: upright RGB whose shorter side has 160 px, or fewer where the photo has fewer.

    Raises:
        OSError: the photo cannot be decoded.
    """
    image = read_image(file, smallest_side_px=math.ceil(1.5 * SHORTER_SIDE_PX))
    share = min(1.0, SHORTER_SIDE_PX / min(image.size))
    size_px = tuple(max(1, round(share * side)) for side in image.size)
    return image.resize(size_px, Image.Resampling.BILINEAR, reducing_gap=2.0)


def render(image: Image.Image, box: Box) -> np.ndarray:
    """Cut a box out of a thumbnail and resize it: uint8 [128, 128, 3] in [0, 255]."""
    left, top = box.left * image.width, box.top * image.height
    right, bottom = left + box.width * image.width, top + box.height * image.height
    corners = (left, top, min(right, image.width), min(bottom, image.height))  # rounding may step over the edge
    pixels = np.asarray(image.resize((IMAGE_SIZE_PX, IMAGE_SIZE_PX), Image.Resampling.BILINEAR, box=corners))
    return pixels[:, ::-1] if box.flip else pixels


def read_center_view(file: str | Path | BinaryIO) -> np.ndarray:
    """Prepare any photo for prediction, exactly as validation and test photos are: uint8 [128, 128, 3] in [0, 255].

    Raises:
        OSError: the photo cannot be decoded.
    """
    image = thumbnail(file)
    return render(image, CENTER.box(*image.size, ""))
