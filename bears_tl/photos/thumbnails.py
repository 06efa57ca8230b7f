"""Keep small copies of photos in memory and render 128 px views of them, the input of the network from scratch.

Each photo is decoded once, then cropped anew in each epoch, with the same boxes as for the frozen body.
"""

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from bears_tl.photos.image import read_image
from bears_tl.photos.storage import decode_photo
from bears_tl.photos.views import CENTER, View, render
from bears_tl.threads import map_ahead

IMAGE_SIZE_PX = 128
SHORTER_SIDE_PX = 160  # of a thumbnail; the smallest box at the default max_zoom (0.2) still has 128 px
MEMORY_BYTES = 2**30  # about 8,000 thumbnails of 136 kB; further photos are decoded again each time


class Thumbnails:
    """Views at 128 px of the photos in a folder; a view does not depend on the other photos or on what is cached."""

    def __init__(self, folder: str | Path):
        """Set the photo folder that paths are relative to; nothing is read yet."""
        self._folder, self._kept, self._bytes = Path(folder), {}, 0

    def views(self, photos: list[dict], view: View = CENTER) -> np.ndarray:
        """Render one view of some photos: uint8 [n, 128, 128, 3] in [0, 255].

        Args:
            photos: rows with path and sha256.
            view: which view; a random view has a different box for each photo.

        Raises:
            InputError: a photo can no longer be read or has changed.
        """
        lacking = [photo for photo in photos if photo["sha256"] not in self._kept]
        found = map_ahead(lambda photo: decode_photo(self._folder, photo, thumbnail), lacking, ahead=16)
        read = {photo["sha256"]: image for photo, image in zip(lacking, found, strict=True)}
        images = [self._kept.get(photo["sha256"]) or read[photo["sha256"]] for photo in photos]
        for sha256, image in read.items():
            size = 4 * image.width * image.height  # Pillow uses four bytes per pixel
            if self._bytes + size <= MEMORY_BYTES:
                self._kept[sha256], self._bytes = image, self._bytes + size
        boxes = [view.box(*image.size, photo["sha256"]) for image, photo in zip(images, photos, strict=True)]
        rendered = [render(image, box, side_px=IMAGE_SIZE_PX) for image, box in zip(images, boxes, strict=True)]
        return np.stack(rendered) if rendered else np.empty((0, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), np.uint8)


def thumbnail(file: str | Path | BinaryIO, max_megapixels: float = math.inf) -> Image.Image:
    """Read a photo and shrink it to a shorter side of 160 px, never enlarging it: an upright RGB image.

    `max_megapixels`: see `photos.image.read_image`.

    Raises:
        OSError: the photo cannot be decoded.
    """
    image = read_image(file, math.ceil(1.5 * SHORTER_SIDE_PX), max_megapixels)
    share = min(1.0, SHORTER_SIDE_PX / min(image.size))
    size_px = tuple(max(1, round(share * side)) for side in image.size)
    return image.resize(size_px, Image.Resampling.BILINEAR, reducing_gap=2.0)


def read_center_view(file: str | Path | BinaryIO, max_megapixels: float = math.inf) -> np.ndarray:
    """Read any photo exactly as for validation and test: uint8 [128, 128, 3] in [0, 255].

    `max_megapixels`: see `photos.image.read_image`.

    Raises:
        OSError: the photo cannot be decoded.
    """
    image = thumbnail(file, max_megapixels)
    return render(image, CENTER.box(*image.size, ""), side_px=IMAGE_SIZE_PX)
