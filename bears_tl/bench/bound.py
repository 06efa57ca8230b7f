"""The upper bound of a body's speed here: the machine's matrix-product rate divided by operations per photo."""

import time
from pathlib import Path

import numpy as np

from bears_tl.inception import checkpoint, frozen
from bears_tl.tensorflow import tf


def operations_per_photo(path: str | Path) -> int:
    """Count the operations of the body's convolutions per photo; a multiplication and an addition count as two.

    Args:
        path: a checkpoint.
    """
    return 2 * frozen.multiplications(checkpoint.read(path))


def matrix_rates(precision: str, side: int = 4096, tries: int = 5) -> list[float]:
    """Measure the machine's rate in products of square matrices, on its GPU or on all cores.

    Args:
        precision: float32, bfloat16 or float16.
        side: side of the matrices; 4096 also fills a large GPU.
        tries: number of products timed separately, after one untimed product.

    Returns:
        10^9 operations per second, one value per try.
    """
    matrix = tf.cast(tf.random.stateless_normal([side, side], seed=[0, 0]), precision)
    seconds = []
    for _ in range(tries + 1):
        started = time.perf_counter()
        tf.linalg.matmul(matrix, matrix)[0, 0].numpy()  # one value: copying all would add the transfer from the GPU
        seconds.append(time.perf_counter() - started)
    return (2 * side**3 / np.array(seconds[1:]) / 1e9).tolist()


def gpu_names() -> list[str]:
    """Name the GPUs that TensorFlow uses."""
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
