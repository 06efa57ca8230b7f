"""The body: a frozen Inception v3, computed in batches by one of two engines."""

import functools
from pathlib import Path

import numpy as np

from bears_tl.batches import batches_of, padded
from bears_tl.errors import InputError
from bears_tl.files import sha256_of
from bears_tl.inception import machine, openvino_engine, quantization
from bears_tl.inception.architecture import FEATURES, FEATURES_NAME, POOLED, POOLED_NAME
from bears_tl.inception.machine import Plan
from bears_tl.inception.openvino_engine import EngineError, OpenVinoEngine
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.threads import map_ahead

_LARGEST = np.finfo(np.float16).max


class Body:
    """A frozen Inception v3 from pixels to features. The result of a photo does not depend on the rest of its batch."""

    def __init__(self, engine, precision: str, memory: Path | None = None):
        """Compute with an engine.

        Args:
            engine: a TensorFlowEngine or an OpenVinoEngine.
            precision: the precision that the engine computes in.
            memory: a JSON file that stores the best plan of this machine, see `tune`.
        """
        self._engine, self.precision, self.plan, self._memory = engine, precision, engine.plan, memory

    @property
    def engine(self) -> str:
        """Return the name of the engine: openvino or tensorflow."""
        return self._engine.name

    @property
    def bits(self) -> str:
        """Name what the last bits of a feature depend on, besides weights and processor."""
        return bits_of(self.engine, self.precision)

    @classmethod
    def open(
        cls,
        path: str | Path,
        fingerprint: str | None = None,
        precision: str = "auto",
        cache: Path | None = None,
        engine: str = "auto",
    ) -> "Body":
        """Load the body of a checkpoint.

        Args:
            path: the checkpoint.
            fingerprint: its SHA-256, if known.
            precision: auto, float32, bfloat16, float16, or int8, which only OpenVINO computes.
            cache: a folder where the graph and the best precision and plan of this machine are kept for later runs.
                OpenVINO needs it.
            engine: openvino, tensorflow, or auto: OpenVINO where it works and there is no GPU.

        Raises:
            InputError: the file is not a checkpoint of Inception v3, or what was asked for does not work here.
        """
        memory, fingerprint = cache and cache / "machine.json", fingerprint or sha256_of(path)
        if precision == quantization.NAME and engine not in ("auto", openvino_engine.NAME):
            raise InputError(f"precision={precision} needs the engine openvino, not {engine}: set engine=openvino")
        asked = engine == openvino_engine.NAME or precision == quantization.NAME
        if asked or (engine == "auto" and not machine.has_gpu()):
            try:
                return cls._open_openvino(path, fingerprint, precision, cache, memory)
            except EngineError as error:
                if precision == quantization.NAME:
                    raise InputError(f"precision=int8 cannot be used: {error}; or set precision=auto") from None
                if asked:
                    raise InputError(
                        f"the engine openvino cannot be used: {error}; set engine=tensorflow, or repair OpenVINO"
                    ) from None
                if cache and openvino_engine.is_installed():
                    print(f"OpenVINO is not used ({error}); TensorFlow computes the features.")
        from bears_tl.inception.tensorflow_engine import TensorFlowEngine, load_graph

        if precision == "auto":
            precision = machine.choose_precision(memory)
        return cls(TensorFlowEngine(load_graph(path, fingerprint, precision, cache)), precision, memory)

    @classmethod
    def _open_openvino(cls, path, fingerprint: str, precision: str, cache: Path | None, memory: Path | None) -> "Body":
        if not cache:
            raise EngineError("it needs a cache folder for its model")
        if precision == quantization.NAME:
            model = quantization.load_quantized(path, fingerprint, cache)
            return cls(OpenVinoEngine(model, precision), precision, memory)
        model, known = openvino_engine.load_model(path, fingerprint, cache)
        if precision not in ("auto", *known):
            raise EngineError(f"it does not compute in {precision} on this processor, only in {' and '.join(known)}")
        bodies = {name: cls(OpenVinoEngine(model, name), name, memory) for name in known}

        def rate(precision: str) -> float:
            return machine.plan_rate(bodies[precision]._infer, OpenVinoEngine.plan, photos=8)

        if precision == "auto":
            precision = machine.choose_faster(known, rate, memory, "precision of openvino")
        return bodies[precision]

    @classmethod
    def unpack(cls, packed: list[bytes], precision: str, engine: str) -> "Body":
        """Load a body from the result of `pack`, on any machine that has the engine."""
        if engine == openvino_engine.NAME:
            return cls(OpenVinoEngine(packed, precision), precision)
        from bears_tl.inception.tensorflow_engine import TensorFlowEngine
        from bears_tl.tensorflow import tf

        return cls(TensorFlowEngine(tf.compat.v1.GraphDef.FromString(packed[0])), precision)

    def tune(self) -> None:
        """Measure or look up the fastest batch size and number of streams of this machine; takes about ten seconds."""
        sizes = self._engine.batch_sizes
        rate = functools.partial(machine.plan_rate, self._infer)
        self.plan = machine.choose_plan(rate, sizes, self._memory, self.bits)

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the pooled features of views.

        Args:
            pixels: uint8 [n, 299, 299, 3] in [0, 255].

        Returns:
            float32 [n, 2048], 0 or more.

        Raises:
            ValueError: the shape or dtype is wrong.
        """
        return self._infer(_checked(pixels), self.plan)

    def maps(self, pixels: np.ndarray, depths: tuple[str, ...]) -> list[np.ndarray]:
        """Compute features and, in the same pass, the maps of some blocks; their means over both sides are pooled.

        Args:
            pixels: uint8 [n, 299, 299, 3] in [0, 255].
            depths: blocks, keys of `architecture.DEPTHS`.

        Returns:
            The features, float32 [n, 2048], and one array per block, float32 [n, side, side, channels], 0 or more.

        Raises:
            ValueError: the shape or dtype is wrong.
        """
        return self._outputs(_checked(pixels), self.plan, (FEATURES_NAME, *depths))

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Compute features of all depths for the head, as the cache stores them: float16 [n, 6144], 0 or more.

        The columns of each depth are `architecture.columns`; the last 2,048 are those of `infer`, rounded.

        Raises:
            ValueError: the shape or dtype is wrong, see `infer`.
            InputError: a feature is too large for float16, so the weights are broken.
        """
        pixels = _checked(pixels)
        if not len(pixels):
            return np.empty((0, POOLED), np.float16)
        (pooled,) = self._outputs(pixels, self.plan, (POOLED_NAME,))
        return to_float16(pooled, "features")

    def _infer(self, pixels: np.ndarray, plan: Plan) -> np.ndarray:
        if not len(pixels):
            return np.empty((0, FEATURES), np.float32)
        (features,) = self._outputs(pixels, plan, (FEATURES_NAME,))
        return features

    def _outputs(self, pixels: np.ndarray, plan: Plan, outputs: tuple[str, ...]) -> list[np.ndarray]:
        batches = batches_of(pixels, plan.batch_size)

        def call(batch: np.ndarray) -> list[np.ndarray]:
            return [rows[: len(batch)] for rows in self._engine.call(padded(batch, plan.batch_size), plan, outputs)]

        parallel = len(batches) > 1 and plan.streams > 1
        done = list(map_ahead(call, batches, len(batches), plan.streams) if parallel else map(call, batches))
        return [np.concatenate(rows) for rows in zip(*done, strict=True)]


def pack(path: str | Path, fingerprint: str, precision: str, engine: str, cache: Path) -> list[bytes]:
    """Return a body as bytes, to be sent to other machines; see `Body.open` for the arguments.

    Raises:
        InputError: the file is not a checkpoint of Inception v3, or the engine does not work.
    """
    if engine == openvino_engine.NAME:
        try:
            if precision == quantization.NAME:
                model = quantization.load_quantized(path, fingerprint, cache)
            else:
                model, _ = openvino_engine.load_model(path, fingerprint, cache)
        except EngineError as error:
            raise InputError(f"the engine openvino cannot be used: {error}; restore the run again") from None
        return [model.with_suffix(suffix).read_bytes() for suffix in openvino_engine.SUFFIXES]
    from bears_tl.inception.tensorflow_engine import load_graph

    return [load_graph(path, fingerprint, precision, cache).SerializeToString()]


def bits_of(engine: str, precision: str) -> str:
    """Name what the last bits of a feature depend on, for keys of caches: float32 (TensorFlow), float32-openvino."""
    return f"{precision}-{engine}" if engine == openvino_engine.NAME else precision


def _checked(pixels: np.ndarray) -> np.ndarray:
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3):
        raise ValueError(f"expected uint8 [n, 299, 299, 3], not {pixels.dtype} {list(pixels.shape)}")
    return pixels


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
