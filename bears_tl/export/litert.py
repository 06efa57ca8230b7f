"""The classifier for LiteRT (TensorFlow Lite): in float32, with weights in float16, and with weights in 8 bits."""

import io
import zipfile

from bears_tl.export.classifier import OUTPUTS
from bears_tl.inception.frozen import PIXELS
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.tensorflow import quiet_stderr, tf

KINDS = ("float32", "float16", "int8")


def convert(graph, kind: str) -> bytes:
    """Convert a graph; only built-in operations of LiteRT are used, no Flex.

    int8 means weights in 8 bits; the ranges of everything else are measured for each photo. With fixed ranges (all in 8
    bits) only 91 % of 315 bears got the same class, so that is not offered.

    Args:
        graph: tf.compat.v1.GraphDef, see `classifier.build`.
        kind: one of KINDS.

    Returns:
        The .tflite file: uint8 [1, 299, 299, 3] to `classifier.OUTPUTS`.
    """
    module = tf.Module()
    shape = [1, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, PIXELS)], autograph=False)
    def classify(pixels):
        names = [f"{name}:0" for name in OUTPUTS]
        found = tf.graph_util.import_graph_def(graph, {PIXELS: pixels}, return_elements=names, name="")
        return dict(zip(OUTPUTS, found, strict=True))

    module.classify = classify
    with quiet_stderr():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()], module)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def with_files(model: bytes, files: dict[str, str]) -> bytes:
    """Append a zip archive to a model, as TensorFlow Lite's metadata does; LiteRT ignores it, `unzip` reads it."""
    packed = io.BytesIO(model)
    with zipfile.ZipFile(packed, "a") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # without a date, so equal models give equal bytes
    return packed.getvalue()
