"""Cut rows into batches, and pad a batch to a fixed size."""

from typing import TypeVar

import numpy as np

Rows = TypeVar("Rows", np.ndarray, list)


def batches_of(rows: Rows, size: int) -> list[Rows]:
    """Cut an array or a list into batches of `size` rows, in order; the last one may be smaller, none is empty."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def padded(batch: np.ndarray, size: int) -> np.ndarray:
    """Pad a batch, [n, ...] of any dtype, with zeros to [size, ...]; a full batch is returned unchanged.

    With one fixed shape, TensorFlow always runs the same kernels, so a photo's result is the same to the bit in any
    batch. It also saves a second or two: oneDNN compiles its kernels anew for each new shape.
    """
    if len(batch) == size:
        return batch
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)])
