"""TensorFlow as the engine of the body: the frozen graph, cached on disk, in a session of its own."""

import hashlib
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import write_bytes
from bears_tl.inception import checkpoint, frozen
from bears_tl.inception.architecture import GRAPH_VERSION, VERSION
from bears_tl.inception.machine import Plan
from bears_tl.tensorflow import tf

NAME = "tensorflow"
_DIGEST_BYTES = 32


class TensorFlowEngine:
    """A frozen graph in TensorFlow. Calls may run in several threads at once."""

    name = NAME
    batch_sizes = (8, 16)
    plan = Plan(8, 2)

    def __init__(self, graph):
        """Load a graph, the result of `frozen.freeze`."""
        with tf.Graph().as_default() as loaded:
            tf.import_graph_def(graph, name="")
        self._session = tf.compat.v1.Session(graph=loaded, config=_session_config())
        self._calls = {}

    def call(self, batch: np.ndarray, plan: Plan, outputs: tuple[str, ...]) -> list[np.ndarray]:
        """Run the graph.

        Args:
            batch: uint8 [plan.batch_size, 299, 299, 3] in [0, 255].
            plan: not used here: TensorFlow shares its threads between all calls.
            outputs: names of outputs, see `frozen.freeze`.

        Returns:
            float32, one array per output.
        """
        if outputs not in self._calls:
            fetches = [f"{output}:0" for output in outputs]
            self._calls[outputs] = self._session.make_callable(fetches, [f"{frozen.PIXELS}:0"])
        return self._calls[outputs](batch)


def load_graph(path: str | Path, fingerprint: str, precision: str, cache: Path | None = None):
    """Load the frozen graph of a checkpoint, or build it.

    Args:
        path: the checkpoint.
        fingerprint: its SHA-256.
        precision: see `frozen.freeze`.
        cache: a folder where the graph is kept for later runs.

    Returns:
        tf.compat.v1.GraphDef.

    Raises:
        InputError: the file is not a checkpoint of Inception v3.
    """
    stored = cache and cache / "bodies" / f"{fingerprint[:16]}-{precision}-{VERSION}.{GRAPH_VERSION}.pb"
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
