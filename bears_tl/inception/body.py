"""The body: a frozen graph, cached on disk and run in batches by several streams."""

import hashlib
from pathlib import Path

import numpy as np

from bears_tl.batches import batches_of, padded
from bears_tl.errors import InputError
from bears_tl.files import sha256_of, write_bytes
from bears_tl.inception import checkpoint, frozen, machine
from bears_tl.inception.architecture import FEATURES, VERSION
from bears_tl.inception.machine import Plan
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.tensorflow import tf
from bears_tl.threads import map_ahead

_DIGEST_BYTES = 32
_LARGEST = np.finfo(np.float16).max


class Body:
    """A frozen Inception v3 from pixels to features. The result of a photo does not depend on the rest of its batch."""

    def __init__(self, graph, precision: str, memory: Path | None = None):
        """Load a graph.

        Args:
            graph: the result of `frozen.freeze`.
            precision: the precision of the graph.
            memory: a JSON file that stores the best plan of this machine, see `tune`.
        """
        self.precision, self.plan, self._memory = precision, Plan(), memory
        with tf.Graph().as_default() as loaded:
            tf.import_graph_def(graph, name="")
        session = tf.compat.v1.Session(graph=loaded, config=_session_config())
        self._call = session.make_callable(frozen.FEATURES_NAME, [frozen.PIXELS_NAME])

    @classmethod
    def open(
        cls, path: str | Path, fingerprint: str | None = None, precision: str = "auto", cache: Path | None = None
    ) -> "Body":
        """Load the body of a checkpoint.

        Args:
            path: the checkpoint.
            fingerprint: its SHA-256, if known.
            precision: auto, float32, bfloat16 or float16.
            cache: a folder where the graph and the best precision and plan of this machine are kept for later runs.

        Raises:
            InputError: the file is not a checkpoint of Inception v3.
        """
        memory = cache and cache / "machine.json"
        if precision == "auto":
            precision = machine.choose_precision(memory)
        return cls(load_graph(path, fingerprint or sha256_of(path), precision, cache), precision, memory)

    def tune(self) -> None:
        """Measure or look up the fastest batch size and number of streams of this machine; takes about ten seconds."""
        self.plan = machine.choose_plan(lambda plan: machine.plan_rate(self._infer, plan), self._memory, self.precision)

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the pooled features of views.

        Args:
            pixels: uint8 [n, 299, 299, 3] in [0, 255].

        Returns:
            float32 [n, 2048], 0 or more.

        Raises:
            ValueError: the shape or dtype is wrong.
        """
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3):
            raise ValueError(f"expected uint8 [n, 299, 299, 3], not {pixels.dtype} {list(pixels.shape)}")
        return self._infer(pixels, self.plan)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Compute features for the head, as the cache stores them: `infer`, rounded to float16 [n, 2048].

        Raises:
            ValueError: the shape or dtype is wrong, see `infer`.
            InputError: a feature is too large for float16, so the weights are broken.
        """
        return to_float16(self.infer(pixels), "features")

    def _infer(self, pixels: np.ndarray, plan: Plan) -> np.ndarray:
        size = plan.batch_size
        batches = batches_of(pixels, size)

        def call(batch: np.ndarray) -> np.ndarray:
            return self._call(padded(batch, size))[: len(batch)]

        parallel = len(batches) > 1 and plan.streams > 1
        rows = list(map_ahead(call, batches, len(batches), plan.streams) if parallel else map(call, batches))
        return np.concatenate(rows) if rows else np.empty((0, FEATURES), np.float32)


def to_float16(values: np.ndarray, kind: str) -> np.ndarray:
    """Round outputs of a body, float32 of any shape and 0 or more, to float16; `kind` names them in the message.

    Raises:
        InputError: a value is too large for float16, so the weights are broken.
    """
    if not (values <= _LARGEST).all():  # NaN fails too
        raise InputError(
            f"the body computes {kind} up to {values.max():.3g}, expected {_LARGEST:.0f} at most: "
            "its weights are broken, use another checkpoint"
        )
    return values.astype(np.float16)


def load_graph(path: str | Path, fingerprint: str, precision: str, cache: Path | None = None):
    """Load the frozen graph of a checkpoint, or build it. See `Body.open`; here `precision` must not be `auto`.

    Returns:
        tf.compat.v1.GraphDef.

    Raises:
        InputError: the file is not a checkpoint of Inception v3.
    """
    stored = cache and cache / "bodies" / f"{fingerprint[:16]}-{precision}-{VERSION}.pb"
    graph = stored and _load(stored)
    if graph is None:
        graph = frozen.freeze(checkpoint.read(path), precision)
        if stored:
            _save(stored, graph)
    return graph


def _session_config():
    """Configure a session that starts fast: in a graph of constants, most graph optimizers only make copies.

    The remaining ones fuse bias and ReLU into the convolutions. With all optimizers a session of this graph takes 0.5 s
    and 0.4 GB more to start. On a GPU they stay on, because they choose its memory layout, and XLA is turned on.
    """
    from tensorflow.core.protobuf import rewriter_config_pb2

    config = tf.compat.v1.ConfigProto(use_per_session_threads=True)
    config.gpu_options.allow_growth = True
    if tf.config.list_physical_devices("GPU"):
        config.graph_options.optimizer_options.global_jit_level = tf.compat.v1.OptimizerOptions.ON_1
        return config
    rewrites = config.graph_options.rewrite_options
    for name in (
        "constant_folding", "layout_optimizer", "dependency_optimization", "arithmetic_optimization",
        "shape_optimization", "loop_optimization", "function_optimization", "common_subgraph_elimination",
    ):  # fmt: skip
        setattr(rewrites, name, rewriter_config_pb2.RewriterConfig.OFF)
    rewrites.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    config.graph_options.place_pruned_graph = True
    return config


def _save(path: Path, graph) -> None:
    """Save a graph after its SHA-256. If the folder cannot be written, the next start takes two seconds longer."""
    data = graph.SerializeToString(deterministic=True)
    try:
        write_bytes(path, hashlib.sha256(data).digest() + data)
    except InputError as error:
        print(f"The frozen body is not kept for later runs: {error}")


def _load(path: Path):
    """Read a graph; None if it is missing or damaged."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        print(f"The frozen body {path} is damaged; building it again.")
        return None
    return tf.compat.v1.GraphDef.FromString(data)
