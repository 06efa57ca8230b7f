"""The formats of an export, and how far each may be from the run's own answers."""

import dataclasses
import importlib.util

INSTALL = ".venv/bin/pip install -e '.[export]'"


@dataclasses.dataclass(frozen=True)
class Format:
    """A way to ask an export; its key in FORMATS is known to `asker.py`.

    Attributes:
        label: its name in tables.
        file: what it reads, in the folder of the export.
        most: the largest difference of a probability to the run's; None: see `same_class`.
        same_class: the least share of test photos with the run's class.
        reads_photos: it gets files, not pixels.
        packages: what it needs besides TensorFlow.
    """

    label: str
    file: str
    most: float | None = 1e-3
    same_class: float | None = None
    reads_photos: bool = False
    packages: tuple[str, ...] = ()


_LITERT, _ONNX = ("ai_edge_litert",), ("tf2onnx", "onnxruntime")
FORMATS = {
    "saved_model": Format("SavedModel, pixels", "saved_model"),
    "saved_model_bytes": Format("SavedModel, bytes", "saved_model", reads_photos=True),
    "litert_float32": Format("LiteRT, float32", "classifier_float32.tflite", packages=_LITERT),
    "litert_float16": Format("LiteRT, float16", "classifier_float16.tflite", 2e-2, packages=_LITERT),
    "litert_int8": Format("LiteRT, int8", "classifier_int8.tflite", None, 0.99, packages=_LITERT),
    "reader": Format("reader.py", "classifier_float32.tflite", reads_photos=True, packages=_LITERT),
    "openvino": Format("OpenVINO IR", "openvino", packages=("openvino",)),
    "onnx": Format("ONNX", "classifier.onnx", packages=_ONNX),
}


def missing_packages(name: str) -> list[str]:
    """Return the packages that a format needs and that are not installed."""
    return [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
