"""A program that asks one exported format about photos; it imports nothing of bears_tl, as a stranger's program would.

`python -I asker.py TASK`: TASK is a JSON file with format, folder (the export), pixels (.npy, the center views), photos
(paths, for the formats that read photos), and result (the .npz file to write: probabilities, strangeness, seconds).
"""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def saved_model(folder):
    """Ask the SavedModel about pixels."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder / "saved_model"))
    return lambda pixels: model.signatures["classify_pixels"](pixels=tf.constant(pixels))


def saved_model_bytes(folder):
    """Ask the SavedModel about the bytes of photos."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder / "saved_model"))
    return lambda path: model.signatures["classify_bytes"](photos=tf.constant([Path(path).read_bytes()]))


def reader(folder):
    """Ask reader.py of the export about photos."""
    found = importlib.util.spec_from_file_location("reader", folder / "reader.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)

    def ask(path):
        answer = module.classify(path)
        return {"probabilities": [list(answer["probabilities"].values())], "strangeness": [answer["strangeness"]]}

    return ask


def litert(kind):
    """Ask a .tflite file about pixels."""

    def opened(folder):
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(str(folder / f"classifier_{kind}.tflite"), num_threads=os.cpu_count())
        ask = runner.get_signature_runner()
        return lambda pixels: ask(pixels=pixels)

    return opened


def openvino(folder):
    """Ask the IR about pixels; without the hint, OpenVINO computes in bfloat16 on processors that are faster in it."""
    sys.modules.setdefault("openvino_telemetry", None)  # without it, OpenVINO sends nothing
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(str(folder / "openvino" / "classifier.xml"), "CPU", hints)

    def ask(pixels):
        found = model([pixels])
        return {name: found[name] for name in ("probabilities", "strangeness")}

    return ask


def onnx(folder):
    """Ask the ONNX file about pixels."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "classifier.onnx"), providers=["CPUExecutionProvider"])
    names = ["probabilities", "strangeness"]
    return lambda pixels: dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


ASKERS = {
    "saved_model": saved_model,
    "saved_model_bytes": saved_model_bytes,
    "litert_float32": litert("float32"),
    "litert_float16": litert("float16"),
    "litert_int8": litert("int8"),
    "reader": reader,
    "openvino": openvino,
    "onnx": onnx,
}


def main(path):
    """Do a task."""
    task = json.loads(Path(path).read_text(encoding="utf-8"))
    ask = ASKERS[task["format"]](Path(task["folder"]))
    reads_photos = task["format"] in ("saved_model_bytes", "reader")
    photos = task["photos"] if reads_photos else np.load(task["pixels"])[:, np.newaxis]
    ask(photos[0])  # the first call compiles
    started = time.perf_counter()
    answers = [ask(photo) for photo in photos]
    seconds = time.perf_counter() - started
    if "bears_tl" in sys.modules:
        raise SystemExit("the export was not asked from outside: bears_tl was imported")
    found = {
        name: np.array([np.asarray(answer[name])[0] for answer in answers]) for name in ("probabilities", "strangeness")
    }
    np.savez(task["result"], seconds=seconds, **found)


if __name__ == "__main__":
    main(sys.argv[1])
