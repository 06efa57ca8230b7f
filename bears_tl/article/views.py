"""A photo as the article of 2019 prepared it: a random square of it, resized with scikit-image.

The article read photos with matplotlib, which gives the same pixels (compared on 549 real photos; a PNG gives floats).
It read each file twice, first to leave corrupt files out of the batch. Here each file is read once, and a corrupt file
is refused.
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
    """Cut the article's random square out of a photo and resize it with scikit-image.

    The largest square is shrunk by a factor in [1, 1.2], placed at random and mirrored half of the time. `resize`
    runs with its defaults (anti-aliased): it scales uint8 levels to [0, 1] and leaves floats unchanged.

    Args:
        image: uint8 [height, width, 3] in [0, 255], or another type that scikit-image knows; floats in [0, 1].
        rng: draws four numbers; None gives the centered square.

    Returns:
        float32 [299, 299, 3] in [-1, 1].

    Raises:
        ValueError: floats outside [0, 1].
    """
    if image.dtype.kind == "f" and not (image.min() >= 0 and image.max() <= 1):
        raise ValueError(f"float levels must be in [0, 1], not in [{image.min():.4g}, {image.max():.4g}]")
    height, width = image.shape[:2]
    side = min(height, width)
    if rng is None:
        top, left = (height - side) // 2, (width - side) // 2
    else:
        side = max(1, int(side / (1 + MAX_ZOOM * rng.random())))
        # never the last position, like the article's call of numpy's randint
        left, top = (int(rng.integers(max(1, whole - side))) for whole in (width, height))
    box = image[top : top + side, left : left + side]
    if rng is not None and rng.random() < 0.5:
        box = box[:, ::-1]
    resized = skimage.transform.resize(box, (IMAGE_SIZE_PX, IMAGE_SIZE_PX))
    return (2 * resized - 1).astype(np.float32)


def read_view(path: str | Path, views: str, rng: np.random.Generator) -> np.ndarray:
    """Read a photo as in 2019 and prepare one view of it.

    EXIF orientation and ICC profiles are ignored, alpha is dropped, grey becomes three equal channels.

    Args:
        path: a file that `skimage.io.imread` can read.
        views: random or center.
        rng: for a random view.

    Returns:
        float32 [299, 299, 3] in [-1, 1].

    Raises:
        InputError: not a photo, or scikit-image cannot read it.
    """
    try:
        image = skimage.io.imread(path)
        image = image[0] if image.ndim == 4 else image  # the first frame
        if image.ndim == 2 or image.shape[2] < 3:
            image = skimage.color.gray2rgb(image if image.ndim == 2 else image[..., 0])
        return prepare_image(image[..., :3], rng if views == "random" else None)
    except Exception as error:  # imageio's plugins raise many kinds
        raise InputError(
            f"{str(path)!r} cannot be read with scikit-image, as in 2019 ({reason_of(error)}): leave it out"
        ) from None
