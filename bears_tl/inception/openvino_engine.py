"""OpenVINO's CPU plugin as the engine of the body: it starts without TensorFlow and is often faster.

The frozen graph is converted once per checkpoint to OpenVINO's IR, compared with TensorFlow, and kept on disk. The
comparison runs in a process of its own, because a broken installation may crash instead of raising an error.
"""

import contextlib
import functools
import importlib.util
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.files import atomic_path, read_json, sha256_of, write_json
from bears_tl.hardware import cores, processor
from bears_tl.inception import architecture
from bears_tl.inception.cosine import cosines
from bears_tl.inception.machine import Plan
from bears_tl.lock import one_at_a_time
from bears_tl.photos.views import IMAGE_SIZE_PX

NAME = "openvino"
LEAST_VERSION = (2025, 0)
LEAST_COSINE = 0.9999  # of features in float32 to TensorFlow's; measured: 1 - 1e-7 or more with trained weights
_TEST_PICTURES = 4
_TEST_SECONDS = 300
SUFFIXES = (".xml", ".bin")


class EngineError(Exception):
    """OpenVINO cannot be used here; the message says why."""


class OpenVinoEngine:
    """A compiled model. Calls may run in several threads at once, up to the plan's streams.

    One photo per call and one stream per core are the start: larger batches gain a few percent at most on the
    processors that were tried, and a single photo would wait for a padded batch.
    """

    name = NAME
    batch_sizes = (1, 4, 8)
    plan = Plan(1, cores())

    def __init__(self, model: str | Path | list[bytes], precision: str):
        """Name a model; it is compiled when it is first used.

        Args:
            model: the .xml file of an IR, or the contents of its .xml and .bin.
            precision: float32, bfloat16, or int8 for a quantized model.
        """
        self._model, self._precision = model if isinstance(model, list) else [str(model)], precision
        self._compiled: dict[tuple, queue.SimpleQueue] = {}
        self._lock = threading.Lock()

    def call(self, batch: np.ndarray, plan: Plan, outputs: tuple[str, ...]) -> list[np.ndarray]:
        """Run the model.

        Args:
            batch: uint8 [plan.batch_size, 299, 299, 3] in [0, 255].
            plan: the fixed batch size and the number of calls at the same time that the model is compiled for.
            outputs: names of outputs, see `frozen.freeze`.

        Returns:
            float32, one array per output.
        """
        requests = self._requests(plan, outputs)
        request, pixels, results = requests.get()
        try:
            pixels[:] = batch
            request.infer(share_outputs=True)
            return [result.astype(np.float32) for result in results]
        finally:
            requests.put((request, pixels, results))

    def _requests(self, plan: Plan, outputs: tuple[str, ...]) -> queue.SimpleQueue:
        """Compile the model for a plan, 0.2 s, the first time; return the free requests with their arrays."""
        with self._lock:
            if (plan, outputs) not in self._compiled:
                openvino, core = load_openvino(), _core()
                model = core.read_model(*self._model)
                wanted = [model.output(f"{output}:0") for output in outputs]
                model = openvino.Model(wanted, model.get_parameters())  # the others cost time
                model.reshape([plan.batch_size, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3])
                properties = {
                    "INFERENCE_PRECISION_HINT": _type_of(openvino, self._precision),
                    "NUM_STREAMS": str(plan.streams),
                }
                compiled = core.compile_model(model, "CPU", properties)
                # Arrays are wrapped here, by one thread: two threads that wrap their first array at the same time
                # deadlock (seen in 2026.4: pybind11 initializes itself for NumPy without the GIL).
                requests: queue.SimpleQueue = queue.SimpleQueue()
                for _ in range(plan.streams):
                    request = compiled.create_infer_request()
                    pixels = np.empty(tuple(model.input(0).shape), np.uint8)
                    request.set_input_tensor(openvino.Tensor(pixels, shared_memory=True))
                    requests.put((request, pixels, [request.get_tensor(f"{name}:0").data for name in outputs]))
                self._compiled[plan, outputs] = requests
            return self._compiled[plan, outputs]


def load_openvino():
    """Import OpenVINO without its telemetry.

    Raises:
        EngineError: it is not installed, cannot be imported, or is too old.
    """
    if not is_installed():
        raise EngineError("it is not installed")
    # On import, OpenVINO sends telemetry unless a file in the user's home forbids it. If this package is missing, it
    # uses its own stub, which sends nothing.
    sys.modules.setdefault("openvino_telemetry", None)
    try:
        import openvino

        version = tuple(int(part) for part in openvino.__version__.split("-")[0].split(".")[:2])
    except Exception as error:  # a broken installation raises errors of many types
        raise EngineError(f"it cannot be imported: {reason_of(error)}") from None
    if version < LEAST_VERSION:
        raise EngineError(f"version {openvino.__version__} is too old, expected {LEAST_VERSION[0]} or later")
    return openvino


def is_installed() -> bool:
    """Return whether there is an OpenVINO, working or not."""
    return importlib.util.find_spec("openvino") is not None


@functools.cache
def _core():
    """Return OpenVINO's registry of devices; loading its CPU plugin takes a tenth of a second, once."""
    return load_openvino().Core()


def load_model(path: str | Path, fingerprint: str, cache: Path) -> tuple[Path, list[str]]:
    """Find the IR of a checkpoint, or make it and compare it with TensorFlow.

    Args:
        path: the checkpoint.
        fingerprint: its SHA-256.
        cache: the folder where models are kept.

    Returns:
        The .xml file, and the precisions that OpenVINO computes in natively on this processor: float32, and perhaps
        bfloat16.

    Raises:
        EngineError: OpenVINO cannot be used, its features differ from TensorFlow's, or the folder cannot be written.
        InputError: the file is not a checkpoint of Inception v3.
    """
    receipt = _receipt(fingerprint, cache)
    known = find_or_make(
        receipt, fingerprint, "the conversion of the body for OpenVINO",
        lambda: _convert(path, fingerprint, cache, receipt),
    )  # fmt: skip
    return receipt.with_suffix(".xml"), known["precisions"]


def is_kept(fingerprint: str, cache: Path) -> bool:
    """Return whether the IR of a checkpoint is in the cache; `load_model` would make it with TensorFlow."""
    try:
        return _receipt(fingerprint, cache).is_file()
    except EngineError:
        return False


def _receipt(fingerprint: str, cache: Path) -> Path:
    release = load_openvino().__version__.partition("-")[0]
    version = f"{architecture.VERSION}.{architecture.GRAPH_VERSION}-openvino-{release}"
    return cache / "bodies" / f"{fingerprint[:16]}-{version}.json"


def find_or_make(receipt: Path, fingerprint: str, subject: str, make: Callable[[], dict]) -> dict:
    """Return the receipt of a model that is kept, or make the model while other processes wait.

    Args:
        receipt: a JSON file beside the model.
        fingerprint: SHA-256 of the checkpoint.
        subject: what the others wait for.
        make: makes the model and returns its receipt, see `keep_model`.

    Raises:
        EngineError: the model failed its test, now or earlier, or the folder cannot be written.
        InputError: the file is not a checkpoint of Inception v3.
    """
    known = _known_model(receipt, fingerprint)
    if not known:
        try:
            with one_at_a_time(receipt, subject):
                known = _known_model(receipt, fingerprint) or make()
        except (InputError, OSError) as error:
            if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
                raise EngineError(f"its model cannot be kept: {reason_of(error)}") from None
            raise
    if known["failure"]:
        raise EngineError(f"{known['failure']}; to try again, delete {receipt}")
    return known


def _convert(path: str | Path, fingerprint: str, cache: Path, receipt: Path) -> dict:
    """Write .xml and .bin, compare their features with TensorFlow's, and write and return the receipt."""
    from bears_tl.inception.tensorflow_engine import TensorFlowEngine, load_graph

    if receipt.is_file():
        print(f"The OpenVINO model {receipt.with_suffix('.xml')} is damaged; making it again.")
    graph = load_graph(path, fingerprint, "float32", cache)
    pixels = _test_pictures()
    (expected,) = TensorFlowEngine(graph).call(pixels, Plan(_TEST_PICTURES, 1), (architecture.FEATURES_NAME,))
    facts: dict = {"failure": "", "precisions": []}
    with tempfile.TemporaryDirectory(dir=receipt.parent, prefix=".openvino.") as work:
        Path(work, "body.pb").write_bytes(graph.SerializeToString(deterministic=True))
        np.save(Path(work, "pixels.npy"), pixels)
        facts["failure"] = _failure_of_test(work, expected)
        if not facts["failure"]:
            facts["precisions"] = read_json(Path(work, "precisions.json"))
        return keep_model(work, fingerprint, receipt, facts)


def keep_model(work: str, fingerprint: str, receipt: Path, facts: dict) -> dict:
    """Move a model that passed its test from a work folder beside its receipt, and write the receipt.

    Args:
        work: a folder with body.xml and body.bin.
        fingerprint: SHA-256 of the checkpoint.
        receipt: the JSON file to write.
        facts: to add to it; `failure` is empty if the model is good.

    Returns:
        The content of the receipt.
    """
    known = {"fingerprint": fingerprint, "processor": processor(), "sha256": {}} | facts
    for suffix in SUFFIXES if not known["failure"] else ():
        with atomic_path(receipt.with_suffix(suffix)) as temporary:
            Path(work, f"body{suffix}").rename(temporary)
        known["sha256"][suffix] = sha256_of(receipt.with_suffix(suffix))
    write_json(receipt, known)
    return known


def _failure_of_test(work: str, expected: np.ndarray) -> str:
    """Convert and test the model in another process; return what is wrong, or an empty string."""
    command = [sys.executable, "-m", __name__, work]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TEST_SECONDS)
    except subprocess.TimeoutExpired:
        return f"its test took more than {_TEST_SECONDS} s"
    if ended.returncode or not Path(work, "precisions.json").is_file():
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        return f"it failed its test with exit status {ended.returncode}: {last}"
    cosine = cosines(np.load(Path(work, "features.npy")), expected).min()
    # NaN fails too
    return "" if cosine >= LEAST_COSINE else f"its features differ from TensorFlow's: cosine {cosine:.5f}"


def _known_model(receipt: Path, fingerprint: str) -> dict | None:
    """Read the receipt; None if it is missing, of another checkpoint or processor, or does not fit the files."""
    with contextlib.suppress(OSError, InputError, KeyError, TypeError, AttributeError):
        known = read_json(receipt)
        is_ours = (known["fingerprint"], known["processor"]) == (fingerprint, processor())
        digests = known["sha256"].items()
        if is_ours and all(sha256_of(receipt.with_suffix(suffix)) == digest for suffix, digest in digests):
            return known if known["failure"] or len(digests) == len(SUFFIXES) else None
    return None


def _type_of(openvino, precision: str):
    """Return the type of what is not quantized."""
    return openvino.Type.bf16 if precision == "bfloat16" else openvino.Type.f32


def _test_pictures() -> np.ndarray:
    """Paint four pictures of coloured blocks, uint8 [4, 299, 299, 3]; noise alone would make all features alike."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (_TEST_PICTURES, 10, 10, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(30, axis=1).repeat(30, axis=2)[:, :299, :299])


def _test(work: str) -> None:
    """Convert body.pb in a folder to an IR, and write features of pixels.npy and the precisions of this processor."""
    openvino = load_openvino()
    model = _core().read_model(str(Path(work, "body.pb")))
    openvino.save_model(model, str(Path(work, "body.xml")), compress_to_fp16=False)
    pixels = np.load(Path(work, "pixels.npy"))
    engine = OpenVinoEngine(Path(work, "body.xml"), "float32")
    (features,) = engine.call(pixels, Plan(len(pixels), 1), (architecture.FEATURES_NAME,))
    np.save(Path(work, "features.npy"), features)
    capable = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    write_json(Path(work, "precisions.json"), ["float32"] + ["bfloat16"] * ("BF16" in capable))


if __name__ == "__main__":
    _test(sys.argv[1])
