"""The body as it is run: a frozen graph, kept on disk, fed in batches by a few streams."""

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
    """A frozen Inception v3 that computes the features of pixels; the same photo has the same bits in any company."""

    def __init__(self, graph, precision: str, memory: Path | None = None):
        """Load a graph.

        Args:
            graph: what `frozen.freeze` gave.
            precision: what it computes in.
            memory: a JSON file of what is best on this machine, see `tune`.
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
            fingerprint: its SHA-256, when that is known.
            precision: auto, float32, bfloat16 or float16.
            cache: a folder in which the finished graph, and what is best on this machine, are kept for the next time.

        Raises:
            InputError: not a checkpoint, or another network's.
        """
        memory = cache and cache / "machine.json"
        if precision == "auto":
            precision = machine.choose_precision(memory)
        return cls(load_graph(path, fingerprint or sha256_of(path), precision, cache), precision, memory)

    def tune(self) -> None:
        """Find out, or remember, which batch size and how many streams are the fastest here; some ten seconds."""
        self.plan = machine.choose_plan(lambda plan: machine.plan_rate(self._infer, plan), self._memory, self.precision)

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the pooled features of views.

        Args:
            pixels: uint8 [n, 299, 299, 3] in [0, 255].

        Returns:
            float32 [n, 2048], 0 or more.

        Raises:
            ValueError: another shape or dtype.
        """
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3):
            raise ValueError(f"expected uint8 [n, 299, 299, 3], not {pixels.dtype} {list(pixels.shape)}")
        return self._infer(pixels, self.plan)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Compute features as the head is given them, from the cache or not: `infer`, rounded to float16 [n, 2048].

        Raises:
            ValueError: another shape or dtype than `infer` takes.
            InputError: a feature that float16 cannot hold: these weights are not trained ones.
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
    """Round what a body computes, float32 of any shape and 0 or more, to float16; `kind` is what to call it.

    Raises:
        InputError: a value that float16 cannot hold: these weights are not trained ones.
    """
    if not (values <= _LARGEST).all():  # not a number fails too
        raise InputError(
            f"the body gives {kind} up to {values.max():.3g}, expected {_LARGEST:.0f} at most: "
            "its weights are broken, name another checkpoint"
        )
    return values.astype(np.float16)


def load_graph(path: str | Path, fingerprint: str, precision: str, cache: Path | None = None):
    """Load the frozen graph of a checkpoint, or make it; see `Body.open`, whose precision `auto` is decided by then.

    Returns:
        tf.compat.v1.GraphDef.

    Raises:
        InputError: not a checkpoint, or another network's.
    """
    stored = cache and cache / "bodies" / f"{fingerprint[:16]}-{precision}-{VERSION}.pb"
    graph = stored and _load(stored)
    if graph is None:
        graph = frozen.freeze(checkpoint.read(path), precision)
        if stored:
            _save(stored, graph)
    return graph


def _session_config():
    """Set up a session that starts fast: there is nothing to fold in a graph of constants, only copies to make.

    What is left of the optimizers puts bias and ReLU into the convolution. With all of them a session of this graph
    takes 0.5 s and 0.4 GB more to start. A GPU keeps them, for they choose its memory layout, and gets XLA.
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
    """Keep a graph, its SHA-256 before it; a folder that cannot be written costs the next start two seconds."""
    data = graph.SerializeToString(deterministic=True)
    try:
        write_bytes(path, hashlib.sha256(data).digest() + data)
    except InputError as error:
        print(f"The frozen body is not kept for the next time: {error}")


def _load(path: Path):
    """Read a graph; None where there is none, or one that is damaged."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        print(f"The frozen body {path} is damaged: it is made again.")
        return None
    return tf.compat.v1.GraphDef.FromString(data)
