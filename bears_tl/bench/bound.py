"""How fast a body could be on this machine at best: its rate in matrix products over the operations of a photo."""

import time
from pathlib import Path

import numpy as np

from bears_tl.inception import checkpoint, frozen
from bears_tl.tensorflow import tf


def operations_per_photo(path: str | Path) -> int:
    """Count the operations of the body's convolutions for one photo: a multiplication and an addition are two.

    Args:
        path: a checkpoint.
    """
    return 2 * frozen.multiplications(checkpoint.read(path))


def matrix_rates(precision: str, side: int = 4096, tries: int = 5) -> list[float]:
    """Measure the machine's rate in products of square matrices, on its GPU or on all of its cores.

    Args:
        precision: float32, bfloat16 or float16.
        side: of the matrices; 4096 fills a large GPU too.
        tries: how many products are timed, each by itself, after one that is not.

    Returns:
        10^9 operations per second, one a try.
    """
    matrix = tf.cast(tf.random.stateless_normal([side, side], seed=[0, 0]), precision)
    seconds = []
    for _ in range(tries + 1):
        started = time.perf_counter()
        tf.linalg.matmul(matrix, matrix)[0, 0].numpy()  # one value: a copy of all would count the way from the GPU
        seconds.append(time.perf_counter() - started)
    return (2 * side**3 / np.array(seconds[1:]) / 1e9).tolist()


def gpu_names() -> list[str]:
    """Name the GPUs that TensorFlow uses."""
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
