"""The stand-in body: random weights with calibrated statistics, to check the pipeline without a download."""

from pathlib import Path

import numpy as np

from bears_tl.files import seeded_rng
from bears_tl.inception import architecture, backbone, checkpoint
from bears_tl.photos import sample
from bears_tl.photos.views import scale

CALIBRATION_PHOTOS = 64


def make(path: Path, seed: int) -> None:
    """Write a seeded stand-in as a V1 checkpoint that is restored like the published one.

    Kernels are He-normal (https://arxiv.org/abs/1502.01852, equation 10). The moving statistics of each batch norm are
    those of 64 painted photos at that layer, which keeps the signal alive over 94 layers. Betas of 1 let most values
    pass the ReLUs, so that less information about a photo is lost than with betas of 0.

    Args:
        path: the checkpoint file to write.
        seed: the seed of the kernels and the painted photos.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    model = backbone.build()
    values = {}
    for name, shape in architecture.BODY.items():
        if name.endswith("/weights"):
            spread = np.sqrt(2 / np.prod(shape[:3]))
            values[name] = seeded_rng(seed, name, "stand-in kernel").normal(0, spread, shape).astype(np.float32)
        else:
            values[name] = np.full(shape, not name.endswith("moving_mean"), np.float32)
    body = backbone.Backbone(model, values)
    body.calibrate(scale(sample.calibration_views(CALIBRATION_PHOTOS, seed)))
    checkpoint.write(path, body.values())
