"""A photo as the article of 2019 prepared it: read whole, one random box of it resized by scikit-image.

The article read with matplotlib, which gives the same pixels (compared on 549 real photos; those of a PNG as floats),
and read each file twice, to leave corrupt ones out of the batch first. Here a file is read once, and a corrupt one is
refused.
"""

from pathlib import Path

import numpy as np
import skimage.color
import skimage.io
import skimage.transform

from bears_tl.errors import InputError, reason_of
from bears_tl.photos.views import IMAGE_SIZE_PX

MAX_ZOOM = 0.2


def prepare_image(image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """Cut the article's random box out of a photo and resize it with scikit-image.

    The largest square is shrunk by a factor in [1, 1.2], placed at random and mirrored half of the time. `resize` is
    used with its defaults (anti-aliased); it scales uint8 levels to [0, 1], and leaves floats as they are.

    Args:
        image: uint8 [height, width, 3] in [0, 255], or any other type that scikit-image knows; floats in [0, 1].
        rng: four numbers are drawn from it; None gives the centered box.

    Returns:
        float32 [299, 299, 3] in [-1, 1].

    Raises:
        ValueError: floats out of [0, 1].
    """
    if image.dtype.kind == "f" and not (image.min() >= 0 and image.max() <= 1):
        raise ValueError(f"float levels lie in [0, 1], not in [{image.min():.4g}, {image.max():.4g}]")
    height, width = image.shape[:2]
    side = min(height, width)
    if rng is None:
        top, left = (height - side) // 2, (width - side) // 2
    else:
        side = max(1, int(side / (1 + MAX_ZOOM * rng.random())))
        # 0 to the last place but one, as numpy's randint is called in 2019
        left, top = (int(rng.integers(max(1, whole - side))) for whole in (width, height))
    box = image[top : top + side, left : left + side]
    if rng is not None and rng.random() < 0.5:
        box = box[:, ::-1]
    resized = skimage.transform.resize(box, (IMAGE_SIZE_PX, IMAGE_SIZE_PX))
    return (2 * resized - 1).astype(np.float32)


def read_view(path: str | Path, views: str, rng: np.random.Generator) -> np.ndarray:
    """Read a photo as in 2019 and prepare one view of it.

    EXIF orientation and ICC profiles are not looked at, alpha is cut off, grey becomes three equal colours.

    Args:
        path: a file that `skimage.io.imread` reads.
        views: random or center.
        rng: for the random view.

    Returns:
        float32 [299, 299, 3] in [-1, 1].

    Raises:
        InputError: not a photo, or one that scikit-image cannot read.
    """
    try:
        image = skimage.io.imread(path)
        image = image[0] if image.ndim == 4 else image  # the first frame
        if image.ndim == 2 or image.shape[2] < 3:
            image = skimage.color.gray2rgb(image if image.ndim == 2 else image[..., 0])
        return prepare_image(image[..., :3], rng if views == "random" else None)
    except Exception as error:  # imageio's plugins raise many kinds
        raise InputError(
            f"{str(path)!r} cannot be read as in 2019, with scikit-image ({reason_of(error)}): leave it out"
        ) from None
