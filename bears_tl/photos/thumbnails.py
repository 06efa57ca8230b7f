"""Small copies of photos, kept in memory, and their views at 128 px: what a network trained from scratch sees.

A photo is decoded once and then cut in another way each epoch, by the same boxes that the frozen body is shown.
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
SHORTER_SIDE_PX = 160  # of a thumbnail: the smallest box of the default max_zoom, 0.2, still has 128 px
MEMORY_BYTES = 2**30  # about 8,000 thumbnails of 136 kB; photos beyond are decoded again whenever they are seen


class Thumbnails:
    """Views at 128 px of the photos of a folder; a photo's pixels are the same in any company, in memory or not."""

    def __init__(self, folder: str | Path):
        """Name the photo folder that `path` of a photo is relative to; nothing is read yet."""
        self._folder, self._kept, self._bytes = Path(folder), {}, 0

    def views(self, photos: list[dict], view: View = CENTER) -> np.ndarray:
        """Render one view of some photos: uint8 [n, 128, 128, 3] in [0, 255].

        Args:
            photos: rows with path and sha256.
            view: which view; a random one is another box for each photo.

        Raises:
            InputError: a photo can no longer be read or was changed.
        """
        lacking = [photo for photo in photos if photo["sha256"] not in self._kept]
        found = map_ahead(lambda photo: decode_photo(self._folder, photo, thumbnail), lacking, ahead=16)
        read = {photo["sha256"]: image for photo, image in zip(lacking, found, strict=True)}
        images = [self._kept.get(photo["sha256"]) or read[photo["sha256"]] for photo in photos]
        for sha256, image in read.items():
            size = 4 * image.width * image.height  # Pillow keeps four bytes a pixel
            if self._bytes + size <= MEMORY_BYTES:
                self._kept[sha256], self._bytes = image, self._bytes + size
        boxes = [view.box(*image.size, photo["sha256"]) for image, photo in zip(images, photos, strict=True)]
        rendered = [render(image, box, side_px=IMAGE_SIZE_PX) for image, box in zip(images, boxes, strict=True)]
        return np.stack(rendered) if rendered else np.empty((0, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), np.uint8)


def thumbnail(file: str | Path | BinaryIO) -> Image.Image:
    """Read a photo and shrink it: upright RGB whose shorter side has 160 px, or fewer where the photo has fewer.

    Raises:
        OSError: the photo cannot be decoded.
    """
    image = read_image(file, smallest_side_px=math.ceil(1.5 * SHORTER_SIDE_PX))
    share = min(1.0, SHORTER_SIDE_PX / min(image.size))
    size_px = tuple(max(1, round(share * side)) for side in image.size)
    return image.resize(size_px, Image.Resampling.BILINEAR, reducing_gap=2.0)


def read_center_view(file: str | Path | BinaryIO) -> np.ndarray:
    """Prepare any photo for prediction, exactly as validation and test photos are: uint8 [128, 128, 3] in [0, 255].

    Raises:
        OSError: the photo cannot be decoded.
    """
    image = thumbnail(file)
    return render(image, CENTER.box(*image.size, ""), side_px=IMAGE_SIZE_PX)
