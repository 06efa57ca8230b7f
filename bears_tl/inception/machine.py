"""What this machine does best: the precision of the body, and how many photos in how many streams; found out once."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bears_tl.config import PRECISIONS
from bears_tl.errors import InputError
from bears_tl.files import read_json, write_json
from bears_tl.hardware import instruction_sets, processor
from bears_tl.tensorflow import tf

FASTER = 1.2  # bfloat16 is chosen where its matrix products are this much faster: it costs digits
WORTH = 1.03  # a larger plan is chosen where it is this much faster
_SIDE = 1024  # of the matrices, 2 * 1024^3 operations a product
_PHOTOS = 32  # a candidate of the self-test


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the body is fed: photos a call, and calls at the same time. Neither changes a bit of a feature."""

    batch_size: int = 8
    streams: int = 2


def choose_precision(memory: Path | None) -> str:
    """Give what the body should compute in here.

    A flag of the processor is not enough: of those that have bfloat16 some multiply it at twice the rate of float32,
    some at half. So both are timed, a tenth of a second, and the result is remembered. On a GPU its generation decides:
    bfloat16 has tensor cores from 8.0 on, float16 from 7.0 on
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide, compute capabilities).

    Args:
        memory: a JSON file to remember it in.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        generation = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "bfloat16" if generation >= (8, 0) else "float16" if generation >= (7, 0) else "float32"
    if (known := instruction_sets()) and "avx512f" not in known:
        return "float32"  # oneDNN has no bfloat16 there; Eigen's is slow, and its sums depend on the batch

    def measured():
        rates = dict.fromkeys(("float32", "bfloat16"), 0.0)
        for precision in 3 * list(rates):  # one after the other: other work on the machine troubles both alike
            rates[precision] = max(rates[precision], matrix_rate(precision))
        precision = "bfloat16" if rates["bfloat16"] >= FASTER * rates["float32"] else "float32"
        return {"precision": precision, "matrix_gflop_per_second": {name: round(rates[name], 1) for name in rates}}

    return _remembered(memory, "precision", measured, lambda known: known["precision"] in PRECISIONS[1:])["precision"]


def choose_plan(rate: Callable[[Plan], float], memory: Path | None, precision: str = "float32") -> Plan:
    """Give the fastest plan: first of some numbers of streams, then of some batch sizes.

    Args:
        rate: times a plan on some photos and gives photos per second.
        memory: a JSON file to remember it in.
        precision: of the body that is timed.
    """

    def measured():
        cores = os.cpu_count() or 1
        plans = [Plan(8, streams) for streams in (1, 2, 4, 8, 16) if streams <= max(cores, 2)]
        best = _first_of_the_fastest(plans, rate)
        best = _first_of_the_fastest([Plan(size, best.streams) for size in (8, 16)], rate)
        return dataclasses.asdict(best)

    subject = f"plan of {precision}"
    return Plan(**_remembered(memory, subject, measured, lambda known: Plan(**known).batch_size * known["streams"] > 0))


def _first_of_the_fastest(plans: list[Plan], rate: Callable[[Plan], float]) -> Plan:
    """Give the first plan that no later one beats by WORTH or more: larger ones take more memory."""
    best, best_rate = plans[0], rate(plans[0])
    for plan in plans[1:]:
        if (found := rate(plan)) >= WORTH * best_rate:
            best, best_rate = plan, found
    return best


def plan_rate(run: Callable[[np.ndarray, Plan], object], plan: Plan) -> float:
    """Time `run(pixels, plan)` on made-up pictures: photos per second, the better of two tries after a warm-up."""
    pixels = np.random.default_rng(0).integers(0, 256, (max(_PHOTOS, plan.batch_size * plan.streams), 299, 299, 3))
    pixels = pixels.astype(np.uint8)
    run(pixels[: plan.batch_size], plan)  # oneDNN compiles its kernels for the new shape
    seconds = [_timed(lambda: run(pixels, plan)) for _ in range(2)]
    return len(pixels) / min(seconds)


def matrix_rate(precision: str, side: int = _SIDE, tries: int = 5) -> float:
    """Measure the machine's rate in matrix products: 10^9 operations per second, the best of some tries."""
    matrix = tf.cast(tf.random.stateless_normal([side, side], seed=[0, 0]), precision)
    tf.linalg.matmul(matrix, matrix)
    seconds = [_timed(lambda: tf.linalg.matmul(matrix, matrix).numpy()) for _ in range(tries)]
    return 2 * side**3 / min(seconds) / 1e9


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _remembered(
    memory: Path | None, subject: str, measure: Callable[[], dict], makes_sense: Callable[[dict], bool]
) -> dict:
    """Look up what was measured on this machine with this TensorFlow, or measure it and write it down."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    machine = f"{processor()}, {os.cpu_count()} cores, {gpus} GPUs, TensorFlow {tf.__version__}"
    known = {}
    if memory is not None and memory.is_file():
        with contextlib.suppress(InputError):
            known = read_json(memory)
    known = known if isinstance(known, dict) else {}
    of_machine = known.get(machine) if isinstance(known.get(machine), dict) else {}
    with contextlib.suppress(KeyError, TypeError, ValueError):  # no such entry, or someone has edited it
        if makes_sense(of_machine[subject]):
            return of_machine[subject]
    measured = measure()
    if memory is not None:
        with contextlib.suppress(InputError):  # a folder that cannot be written: it is measured again next time
            write_json(memory, known | {machine: of_machine | {subject: measured}})
    return measured
