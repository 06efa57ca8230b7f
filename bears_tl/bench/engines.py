"""Inference engines other than TensorFlow, on the same frozen graph, for comparison in the benchmark.

This file does not import TensorFlow, so that memory and start-up time are those of the engine alone.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bears_tl.batches import batches_of, padded
from bears_tl.inception.architecture import FEATURES
from bears_tl.inception.openvino_engine import load_openvino


class OpenVino:
    """OpenVINO on the CPU in throughput mode: it chooses the number of parallel requests."""

    CANDIDATES = tuple({"batch_size": size} for size in (1, 4, 8, 16))

    def __init__(self, path: str | Path, precision: str, batch_size: int):
        """Compile a frozen graph.

        Args:
            path: a file written by `peers.freeze`.
            precision: float32 or bfloat16.
            batch_size: photos per request; fixed shapes are fastest.

        Raises:
            RuntimeError: OpenVINO does not support this precision on this machine.
        """
        openvino = load_openvino()
        core = openvino.Core()
        model = core.read_model(path)
        model.reshape([batch_size, 299, 299, 3])
        wanted = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16}[precision]
        hints = {"INFERENCE_PRECISION_HINT": wanted, "PERFORMANCE_HINT": "THROUGHPUT"}
        compiled = core.compile_model(model, "CPU", hints)
        if compiled.get_property("INFERENCE_PRECISION_HINT") != wanted:
            raise RuntimeError(f"OpenVINO does not compute in {precision} on this processor")
        self._queue, self._batch_size = openvino.AsyncInferQueue(compiled), batch_size

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Compute features: uint8 [n, 299, 299, 3] to float32 [n, 2048]."""
        features = np.empty((len(pixels), FEATURES), np.float32)

        def keep(request, start):
            part = features[start : start + self._batch_size]
            part[:] = request.get_output_tensor().data[: len(part)]

        self._queue.set_callback(keep)
        for number, batch in enumerate(batches_of(pixels, self._batch_size)):
            inputs = {0: padded(batch, self._batch_size)}
            self._queue.start_async(inputs, number * self._batch_size, share_inputs=True)
        self._queue.wait_all()
        return features


class OnnxRuntime:
    """ONNX Runtime on the CPU: one stream on all cores, or one stream per core."""

    CANDIDATES = (
        *({"batch_size": size, "streams": 1} for size in (1, 4, 8, 16)),
        *({"batch_size": size, "streams": os.cpu_count() or 1} for size in (1, 4)),
    )

    def __init__(self, path: str | Path, batch_size: int, streams: int):
        """Load a file written by `peers.convert_to_onnx`.

        Args:
            path: the file.
            batch_size: photos per call.
            streams: number of parallel calls, which share the cores.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, (os.cpu_count() or 1) // streams)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._batch_size, self._pool = batch_size, ThreadPoolExecutor(streams)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Compute features: uint8 [n, 299, 299, 3] to float32 [n, 2048]."""
        batches = batches_of(pixels, self._batch_size)
        return np.concatenate(
            list(self._pool.map(lambda batch: self._session.run(None, {self._input: batch})[0], batches))
        )
