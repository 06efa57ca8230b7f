"""The stand-in body: random weights with calibrated statistics, to check the pipeline without a network."""

import concurrent.futures
import os
from pathlib import Path

import numpy as np

from bears_tl.files import seeded_rng
from bears_tl.inception import architecture, backbone, checkpoint
from bears_tl.photos import sample
from bears_tl.photos.views import center_view

VERSION = 2  # raise it when a stand-in gets other values: one that lies there is then not taken for the new one
CALIBRATION_PHOTOS = 64
NOT_IN_THE_SAMPLE = 10_000  # their numbers start here: no photo that is tested later has a part in the body


def make(path: Path, seed: int) -> None:
    """Write a seeded stand-in as a V1 checkpoint that is restored like the published one.

    Kernels are He-normal (https://arxiv.org/abs/1502.01852, equation 10); each batch norm's moving statistics are those
    of 64 painted photos on their way through, which keeps the signal alive over 94 layers. Betas of 1 let most values
    pass the ReLUs, so that less of a photo is lost on the way than with betas of 0.

    Args:
        path: the checkpoint file to write.
        seed: of the kernels and of the painted photos.

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
    body.calibrate(_calibration_batch(seed))
    checkpoint.write(path, body.values())


def _calibration_batch(seed: int) -> np.ndarray:
    def view(i):
        class_name = sample.CLASS_NAMES[i % len(sample.CLASS_NAMES)]
        return center_view(sample.paint(class_name, NOT_IN_THE_SAMPLE + i // len(sample.CLASS_NAMES), seed))

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(view, range(CALIBRATION_PHOTOS))))
