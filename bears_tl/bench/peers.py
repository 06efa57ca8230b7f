"""The alternatives on TensorFlow, from photos to features, and the graph for other engines.

Each follows its official guides, with the best of its settings (`CANDIDATES`); the benchmark compares them with ours.
"""

import warnings
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import atomic_path, write_bytes
from bears_tl.inception.backbone import Backbone
from bears_tl.photos.views import IMAGE_SIZE_PX, scale
from bears_tl.tensorflow import tf

PIXELS = "pixels"


class KerasPredict:
    """`model.predict` of Keras' Inception v3."""

    CANDIDATES = tuple({"batch_size": size, "jit": jit} for size in (8, 32) for jit in (False, True))

    def __init__(self, checkpoint: str | Path, batch_size: int, jit: bool):
        """Load Keras' model from a checkpoint.

        Args:
            checkpoint: a TF-slim checkpoint.
            batch_size: photos per step.
            jit: compile with XLA, the default of Keras where possible.
        """
        self.model, self._batch_size = Backbone.restore(checkpoint).model, batch_size
        self.model.compile(jit_compile=jit)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Compute features: uint8 [n, 299, 299, 3] to float32 [n, 2048]."""
        return self.model.predict(scale(pixels), batch_size=self._batch_size, verbose=0)


class TfData:
    """tf.data reads, crops and resizes photos in parallel with `model.predict`, as in the TensorFlow guides.

    See https://www.tensorflow.org/tutorials/load_data/images; cropping and resizing follow
    `keras.utils.image_dataset_from_directory(crop_to_aspect_ratio=True)`: the center square, without anti-aliasing.
    """

    CANDIDATES = KerasPredict.CANDIDATES

    def __init__(self, checkpoint: str | Path, batch_size: int = 32, jit: bool = False):
        """Load Keras' model from a checkpoint; see `KerasPredict`."""
        self._body, self._batch_size = KerasPredict(checkpoint, batch_size, jit), batch_size

    def features(self, paths: list[Path]) -> np.ndarray:
        """Compute features of photo files.

        Args:
            paths: the photos; tf.io reads JPEG, PNG, GIF and BMP. Other files and undecodable ones are skipped.

        Returns:
            float32 [n, 2048], n at most the number of photos.
        """
        photos = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
        photos = photos.filter(lambda path: True)  # hides the count, so Keras does not expect every photo
        photos = photos.map(_read, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
        photos = photos.batch(self._batch_size).prefetch(tf.data.AUTOTUNE)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Your input ran out of data")  # from Keras, if the count is unknown
            return self._body.model.predict(photos, verbose=0)

    def warm_up(self, pixels: np.ndarray) -> None:
        """Let TensorFlow trace and compile for the batch size to come."""
        self._body.features(pixels)


def logistic_regression(
    folder: str | Path, rows: list[dict], checkpoint: str | Path, settings: dict
) -> tuple[int, int]:
    """Train scikit-learn's logistic regression on features of `TfData`, and count the test photos it gets right.

    Args:
        folder: the photo folder.
        rows: rows of splits.csv: path, class_name and split; val is not used.
        checkpoint: a TF-slim checkpoint.
        settings: of `KerasPredict`.

    Returns:
        How many test photos are right, and how many there are.

    Raises:
        InputError: tf.io cannot read one of the photos.
    """
    from sklearn.linear_model import LogisticRegression

    used = [row for row in rows if row["split"] in ("train", "test")]
    features = TfData(checkpoint, **settings).features([Path(folder, row["path"]) for row in used])
    if len(features) != len(used):
        raise InputError(f"tf.io could not read {len(used) - len(features)} of {len(used)} photos")
    labels, is_test = np.array([row["class_name"] for row in used]), np.array([row["split"] == "test" for row in used])
    model = LogisticRegression(max_iter=1000).fit(features[~is_test], labels[~is_test])
    return int((model.predict(features[is_test]) == labels[is_test]).sum()), int(is_test.sum())


def freeze(checkpoint: str | Path, path: str | Path) -> None:
    """Write Keras' body as a GraphDef of constants, from uint8 pixels [n, 299, 299, 3] to float32 features [n, 2048].

    Our own body runs another graph (`frozen.freeze`). Other engines get the network as published and fold it their own
    way.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = Backbone.restore(checkpoint).model
    shape = [None, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3]
    infer = tf.function(
        lambda pixels: model(tf.cast(pixels, tf.float32) / 127.5 - 1, training=False),
        input_signature=[tf.TensorSpec(shape, tf.uint8, PIXELS)],
    )
    constant = convert_variables_to_constants_v2(infer.get_concrete_function())
    write_bytes(path, constant.graph.as_graph_def().SerializeToString())


def convert_to_onnx(frozen: str | Path, path: str | Path) -> None:
    """Convert a file written by `freeze` to ONNX; needs the package tf2onnx and about 20 seconds."""
    import tf2onnx

    graph = tf.compat.v1.GraphDef.FromString(Path(frozen).read_bytes())
    output = graph.node[-1].name  # a frozen function ends with an identity node
    with atomic_path(path) as temporary:
        tf2onnx.convert.from_graph_def(
            graph, input_names=[f"{PIXELS}:0"], output_names=[f"{output}:0"], opset=18, output_path=str(temporary)
        )


def _read(path: tf.Tensor) -> tf.Tensor:
    import keras

    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    image = keras.preprocessing.image.smart_resize(image, (IMAGE_SIZE_PX, IMAGE_SIZE_PX))
    return image / 127.5 - 1
