"""The upper bound of a body's speed here: the best rate of any library, divided by the operations per photo.

Square matrix products and the convolutions that dominate Inception v3 are timed in each installed library, at several
sizes. OpenVINO lays out its weights beforehand; TensorFlow multiplies on a GPU too.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bears_tl.hardware import cores, may_have_gpu

_TRIES = 5
_LEAST_SECONDS = 0.3  # of work per try
_LAYERS = 4  # of a model for OpenVINO: most of the work is then inside
_SIDES = (1024, 2048, 4096)  # of matrices; 4096 also fills a large GPU
_CONVOLUTIONS = (  # photos per call, channels in and out, side of the map, side of the kernel: as in Inception v3
    (1, 64, 73, 3), (1, 128, 35, 3), (4, 128, 35, 3),
    (1, 192, 17, 3), (8, 192, 17, 3), (1, 768, 17, 1), (8, 768, 17, 1),
)  # fmt: skip


def operations_per_photo(path: str | Path) -> int:
    """Count the operations of the body's convolutions per photo; a multiplication and an addition count as two.

    Args:
        path: a checkpoint.
    """
    from bears_tl.inception import checkpoint, frozen

    return 2 * frozen.multiplications(checkpoint.read(path))


def best_rates(precision: str) -> list[dict]:
    """Measure the best rate of each kind of work here.

    Args:
        precision: float32, bfloat16, float16 or int8.

    Returns:
        Rows with work (library, kind and size), gflop_per_second (the best of several tries) and median; the fastest
        first. Empty where no library computes in this precision.
    """
    works: dict[str, tuple[Callable[[], object], int]] = {}
    if precision == "float32":
        works |= {f"NumPy, matrices of {side}": _numpy_product(side) for side in _SIDES}
    if precision != "int8":
        works |= {f"TensorFlow, matrices of {side}": _tensorflow_product(side, precision) for side in _SIDES}
    if not may_have_gpu():
        works |= _openvino_works(precision)
    rows = []
    for name, (work, operations) in works.items():
        rates = [operations / seconds / 1e9 for seconds in _seconds_of(work)]
        rows.append({"work": name, "gflop_per_second": max(rates), "median": float(np.median(rates))})
    return sorted(rows, key=lambda row: -row["gflop_per_second"])


def gpu_names() -> list[str]:
    """Name the GPUs that TensorFlow uses."""
    from bears_tl.tensorflow import tf

    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def _seconds_of(work: Callable[[], object]) -> list[float]:
    """Time a piece of work: seconds per call, one value per try."""
    work()
    started = time.perf_counter()
    work()
    calls = max(1, round(_LEAST_SECONDS / max(time.perf_counter() - started, 1e-6)))
    seconds = []
    for _ in range(_TRIES):
        started = time.perf_counter()
        for _ in range(calls):
            work()
        seconds.append((time.perf_counter() - started) / calls)
    return seconds


def _numpy_product(side: int) -> tuple[Callable[[], object], int]:
    matrix = np.random.default_rng(0).standard_normal((side, side), np.float32)
    out = np.empty_like(matrix)
    return lambda: np.matmul(matrix, matrix, out=out), 2 * side**3


def _tensorflow_product(side: int, precision: str) -> tuple[Callable[[], object], int]:
    from bears_tl.tensorflow import tf

    matrix = tf.cast(tf.random.stateless_normal([side, side], seed=[0, 0]), precision)
    # One value is copied: copying all would add the transfer from the GPU
    return lambda: tf.linalg.matmul(matrix, matrix)[0, 0].numpy(), 2 * side**3


def _openvino_works(precision: str) -> dict[str, tuple[Callable[[], object], int]]:
    from bears_tl.inception.openvino_engine import EngineError, load_openvino

    try:
        openvino = load_openvino()
    except EngineError:
        return {}
    core = openvino.Core()
    if {"bfloat16": "BF16", "int8": "INT8", "float16": "FP16"}.get(precision, "FP32") not in core.get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        return {}
    works = {}
    for side in _SIDES[:2]:
        operations = 2 * side**3
        works[f"OpenVINO, matrices of {side}"] = _compiled(core, openvino, precision, [side, side], None, operations)
    for batch, channels, side, kernel in _CONVOLUTIONS:
        name = f"OpenVINO, {kernel} x {kernel} convolution of {channels} channels, {side} x {side}, {batch} at a time"
        operations = 2 * batch * side**2 * kernel**2 * channels**2
        works[name] = _compiled(core, openvino, precision, [batch, channels, side, side], kernel, operations)
    return works


def _compiled(core, openvino, precision: str, shape: list[int], kernel: int | None, operations: int):
    """Compile a model of several equal layers, and run it once per core at the same time."""
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    weights_shape = (shape[1], shape[1]) if kernel is None else (shape[1], shape[1], kernel, kernel)
    first = x = ops.parameter(shape, np.float32)
    for _ in range(_LAYERS):
        weights = ops.constant(rng.integers(-127, 128, weights_shape).astype(np.float32) / 127)
        if precision == "int8":
            x = ops.fake_quantize(x, *np.float32([0, 255, 0, 255]), 256)
            weights = ops.fake_quantize(weights, *np.float32([-1, 1, -1, 1]), 255)
        if kernel is None:
            x = ops.matmul(x, weights, False, False)
        else:
            x = ops.convolution(x, weights, [1, 1], [kernel // 2] * 2, [kernel // 2] * 2, [1, 1])
        x = ops.relu(x)
    number = {"bfloat16": openvino.Type.bf16, "float16": openvino.Type.f16}.get(precision, openvino.Type.f32)
    streams = cores()
    compiled = core.compile_model(
        openvino.Model([x], [first]), "CPU", {"INFERENCE_PRECISION_HINT": number, "NUM_STREAMS": str(streams)}
    )
    requests = [compiled.create_infer_request() for _ in range(streams)]
    for request in requests:
        request.set_input_tensor(openvino.Tensor(rng.random(shape, np.float32)))

    def work():
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()

    return work, _LAYERS * streams * operations
