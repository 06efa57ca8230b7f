"""Batches: what is worked on at once, cut from what there is, and filled up where a size is fixed."""

from typing import TypeVar

import numpy as np

Rows = TypeVar("Rows", np.ndarray, list)


def batches_of(rows: Rows, size: int) -> list[Rows]:
    """Cut an array or a list into batches of `size` rows, in order; the last may be smaller, and none is empty."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def padded(batch: np.ndarray, size: int) -> np.ndarray:
    """Fill a batch, [n, ...] of any dtype, up to [size, ...] with zeros; a full one is given back as it is.

    One shape means the same kernels, and so the same bits for a photo in any company. Another would also have oneDNN
    compile its kernels anew, a second or two.
    """
    if len(batch) == size:
        return batch
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)])
