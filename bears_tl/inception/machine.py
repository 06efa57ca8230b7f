"""Find the fastest precision, batch size and number of streams on this machine; measured once, then stored."""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import read_json, write_json
from bears_tl.hardware import cores, instruction_sets, may_have_gpu, processor, versions_of

FASTER = 1.2  # choose bfloat16 if its matrix products are at least this much faster, because it is less precise
WORTH = 1.03  # choose a larger plan if it is at least this much faster
_SIDE = 1024  # of the matrices: 2 * 1024^3 operations per product
_PHOTOS = 32  # per measured plan, or more


@dataclasses.dataclass(frozen=True)
class Plan:
    """Photos per call of the body, and calls at the same time. Neither changes the bits of a feature."""

    batch_size: int
    streams: int


def has_gpu() -> bool:
    """Return whether TensorFlow finds a GPU; it is imported only if the machine may have one."""
    if not may_have_gpu():
        return False
    from bears_tl.tensorflow import tf

    return bool(tf.config.list_physical_devices("GPU"))


def choose_precision(memory: Path | None) -> str:
    """Return the best precision of the body in TensorFlow on this machine.

    Processor flags are not enough: some processors with bfloat16 multiply it at twice the rate of float32, some at half
    the rate. So both are timed, which takes a tenth of a second, and the result is stored. On a GPU the compute
    capability decides: tensor cores support bfloat16 from 8.0 on and float16 from 7.0 on
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide, compute capabilities).

    Args:
        memory: a JSON file to store the result in.
    """
    from bears_tl.tensorflow import tf

    if gpus := tf.config.list_physical_devices("GPU"):
        generation = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "bfloat16" if generation >= (8, 0) else "float16" if generation >= (7, 0) else "float32"
    if "avx512f" not in instruction_sets():
        return "float32"  # oneDNN has no bfloat16 here; Eigen's is slow, and its sums depend on the batch

    return choose_faster(["float32", "bfloat16"], matrix_rate, memory, "precision")


def choose_faster(precisions: list[str], rate: Callable[[str], float], memory: Path | None, subject: str) -> str:
    """Return bfloat16 if it is possible and FASTER than float32, else float32.

    Args:
        precisions: those that are possible.
        rate: measures one of them; the best of three tries counts.
        memory: a JSON file to store the result in.
        subject: what the result is called there.
    """
    if "bfloat16" not in precisions:
        return "float32"

    def measured():
        rates = dict.fromkeys(("float32", "bfloat16"), 0.0)
        for precision in 3 * list(rates):  # alternate, so that other work on the machine affects both alike
            rates[precision] = max(rates[precision], rate(precision))
        precision = "bfloat16" if rates["bfloat16"] >= FASTER * rates["float32"] else "float32"
        return {"precision": precision, "rates": {name: round(rates[name], 1) for name in rates}}

    return _remembered(memory, subject, measured, lambda known: known["precision"] in precisions)["precision"]


def choose_plan(
    rate: Callable[[Plan], float], batch_sizes: tuple[int, ...], memory: Path | None, bits: str = "float32"
) -> Plan:
    """Return the fastest plan: choose the number of streams first, then the batch size.

    Args:
        rate: measures a plan in photos per second.
        batch_sizes: to choose from, rising.
        memory: a JSON file to store the result in.
        bits: engine and precision of the measured body, see `body.bits_of`.
    """

    def measured():
        streams = sorted({count for count in (1, 2, 4, 8, 16) if count <= max(cores(), 2)} | {cores()})
        plans = [Plan(batch_sizes[0], count) for count in streams]
        best = _first_of_the_fastest(plans, rate)
        best = _first_of_the_fastest([Plan(size, best.streams) for size in batch_sizes], rate)
        return dataclasses.asdict(best)

    subject = f"plan of {bits}"
    return Plan(**_remembered(memory, subject, measured, lambda known: Plan(**known).batch_size * known["streams"] > 0))


def _first_of_the_fastest(plans: list[Plan], rate: Callable[[Plan], float]) -> Plan:
    """Return the fastest plan; a later plan must be WORTH times faster, because larger plans take more memory."""
    best, best_rate = plans[0], rate(plans[0])
    for plan in plans[1:]:
        if (found := rate(plan)) >= WORTH * best_rate:
            best, best_rate = plan, found
    return best


def plan_rate(run: Callable[[np.ndarray, Plan], object], plan: Plan, photos: int = _PHOTOS) -> float:
    """Time `run(pixels, plan)` on random images: photos per second, the better of two tries after a warm-up."""
    count = max(photos, plan.batch_size * plan.streams)
    pixels = np.random.default_rng(0).integers(0, 256, (count, 299, 299, 3), dtype=np.uint8)
    run(pixels[: plan.batch_size], plan)  # oneDNN compiles its kernels for the new shape
    seconds = [_timed(lambda: run(pixels, plan)) for _ in range(2)]
    return len(pixels) / min(seconds)


def matrix_rate(precision: str, side: int = _SIDE, tries: int = 5) -> float:
    """Measure the rate of matrix products in 10^9 operations per second, the best of several tries."""
    from bears_tl.tensorflow import tf

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
    """Look up a result for this machine and these versions of the engines, or measure and store it."""
    versions = ", ".join(f"{name} {version}" for name, version in versions_of("tensorflow", "openvino").items())
    machine = f"{processor()}, {cores()} cores, {versions}"
    known = {}
    if memory is not None and memory.is_file():
        with contextlib.suppress(InputError):
            known = read_json(memory)
    known = known if isinstance(known, dict) else {}
    of_machine = known.get(machine) if isinstance(known.get(machine), dict) else {}
    with contextlib.suppress(KeyError, TypeError, ValueError):  # no such entry, or it was edited
        if makes_sense(of_machine[subject]):
            return of_machine[subject]
    measured = measure()
    if memory is not None:
        with contextlib.suppress(InputError):  # the folder cannot be written: the next run measures again
            write_json(memory, known | {machine: of_machine | {subject: measured}})
    return measured
