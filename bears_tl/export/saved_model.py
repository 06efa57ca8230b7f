"""The classifier as a TensorFlow SavedModel: from pixels, or from the bytes of photos."""

from pathlib import Path

from bears_tl.errors import InputError, reason_of
from bears_tl.export.classifier import OUTPUTS
from bears_tl.export.decoding import center_view
from bears_tl.inception.frozen import PIXELS
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.tensorflow import tf


class _Module(tf.Module):
    """Holds the graph once, whatever signature asks."""

    def __init__(self, graph, threshold: float):
        super().__init__()
        shape = [None, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3]
        pixels, photos = tf.TensorSpec(shape, tf.uint8, PIXELS), tf.TensorSpec([None], tf.string, "photos")

        @tf.function(input_signature=[pixels], autograph=False)
        def classify(pixels):
            names = [f"{name}:0" for name in OUTPUTS]
            found = tf.graph_util.import_graph_def(graph, {PIXELS: pixels}, return_elements=names, name="")
            answers = dict(zip(OUTPUTS, found, strict=True))
            return answers | {"known": answers[OUTPUTS[1]] <= threshold}

        @tf.function(input_signature=[photos], autograph=False)
        def classify_bytes(photos):
            return classify(tf.map_fn(center_view, photos, fn_output_signature=tf.uint8))

        @tf.function(input_signature=[pixels], autograph=False)
        def classify_pixels(pixels):
            return classify(pixels)

        self.classify_bytes, self.classify_pixels = classify_bytes, classify_pixels


def write(graph, threshold: float, folder: Path) -> None:
    """Write the SavedModel.

    Signatures: `classify_pixels` takes pixels, uint8 [n, 299, 299, 3]; `classify_bytes`, also the default, takes
    photos, string [n], the contents of JPEG, PNG or WebP files. Both give probabilities, float32 [n, n classes],
    strangeness, float32 [n], and known, bool [n].

    Args:
        graph: tf.compat.v1.GraphDef, see `classifier.build`.
        threshold: a photo is known if its strangeness is at most this.
        folder: where it is written; must not exist.

    Raises:
        InputError: it could not be written.
    """
    module = _Module(graph, threshold)
    signatures = {"classify_bytes": module.classify_bytes, "classify_pixels": module.classify_pixels}
    try:
        tf.saved_model.save(module, str(folder), signatures | {"serving_default": module.classify_bytes})
    except tf.errors.OpError as error:
        raise InputError(
            f"the SavedModel could not be written ({reason_of(error)}): free some space and run again"
        ) from None
