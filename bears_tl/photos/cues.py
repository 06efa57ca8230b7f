"""Measure cues: colours, border, image size and file size, which may separate the classes without any content."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from bears_tl.errors import InputError, reason_of
from bears_tl.photos.image import read_image
from bears_tl.threads import map_ahead

SIDE_PX = 100  # colours are measured at one size, because the standard deviation depends on the level of detail
FRAME_PX = 5  # the outer 5 % on each side


def measure_cues(folder: str | Path, photos: list[dict]) -> dict[str, np.ndarray]:
    """Measure the cues of photos.

    Args:
        folder: the photo folder that paths are relative to.
        photos: rows of photos.csv.

    Returns:
        Cue name -> float64 [n, values], in the order of `photos`. colour: mean and standard deviation of red, green and
        blue, in [0, 1], over the whole photo; border: the same over the outer 5 %; image_size: logarithms of width,
        height and width / height, as stored; file_size: logarithm of the bytes.

    Raises:
        InputError: a photo can no longer be read.
    """

    def colours(photo: dict) -> tuple[np.ndarray, np.ndarray]:
        try:
            return measure_colours(read_image(Path(folder, photo["path"]), smallest_side_px=2 * SIDE_PX))
        except Exception as error:  # decoders raise errors of many types on files damaged since intake
            raise InputError(
                f"{photo['path']!r} can no longer be read ({reason_of(error)}): run intake and split again"
            ) from None

    measured = list(map_ahead(colours, photos, ahead=4 * (os.cpu_count() or 1)))
    sizes = np.log([[float(photo[name]) for name in ("width", "height", "bytes")] for photo in photos])
    return {
        "colour": np.array([whole for whole, _ in measured]),
        "border": np.array([border for _, border in measured]),
        "image_size": np.column_stack([sizes[:, :2], sizes[:, 0] - sizes[:, 1]]),
        "file_size": sizes[:, 2:],
    }


def measure_colours(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of red, green and blue of an RGB image and of its border: float64 [6] each.

    Levels are in [0, 1].
    """
    small = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    levels = np.asarray(small) / 255
    border = np.ones((SIDE_PX, SIDE_PX), bool)
    border[FRAME_PX:-FRAME_PX, FRAME_PX:-FRAME_PX] = False
    return _mean_and_spread(levels.reshape(-1, 3)), _mean_and_spread(levels[border])


def _mean_and_spread(levels: np.ndarray) -> np.ndarray:
    return np.concatenate([levels.mean(axis=0), levels.std(axis=0)])
