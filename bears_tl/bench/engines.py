"""Inference engines other than TensorFlow on the same frozen graph: what the benchmark holds ours against.

This file does not import TensorFlow: memory and start-up of each engine shall be its own.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bears_tl.batches import batches_of, padded
from bears_tl.inception.architecture import FEATURES


class OpenVino:
    """OpenVINO on the CPU in its throughput mode: as many requests at the same time as it thinks best."""

    CANDIDATES = tuple({"batch_size": size} for size in (1, 4, 8, 16))

    def __init__(self, path: str | Path, precision: str, batch_size: int):
        """Compile a frozen graph.

        Args:
            path: what `peers.freeze` wrote.
            precision: float32 or bfloat16.
            batch_size: photos a request; fixed shapes are its fastest.

        Raises:
            RuntimeError: OpenVINO has no such precision on this machine.
        """
        # At its import OpenVINO reports to its maker unless a file in the user's home forbids it. Without this package
        # it takes a stub of its own, which sends nothing.
        sys.modules["openvino_telemetry"] = None
        import openvino

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
    """ONNX Runtime on the CPU: one stream on all cores, or one a core."""

    CANDIDATES = (
        *({"batch_size": size, "streams": 1} for size in (1, 4, 8, 16)),
        *({"batch_size": size, "streams": os.cpu_count() or 1} for size in (1, 4)),
    )

    def __init__(self, path: str | Path, batch_size: int, streams: int):
        """Load what `peers.convert_to_onnx` wrote.

        Args:
            path: the file.
            batch_size: photos a call.
            streams: calls at the same time, which share the cores.
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
