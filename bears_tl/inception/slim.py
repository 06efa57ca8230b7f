"""TF-slim's Inception v3 of 2016 on current TensorFlow: the reference for our body, also used by the 2019 mode."""

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np

from bears_tl.tensorflow import tf

# The smallest cosine of a photo's features with TF-slim's that is expected of a body that computes in this precision.
SMALLEST_COSINE = {"float32": 0.999999, "bfloat16": 0.999, "float16": 0.999}


def import_slim():
    """Import TF-slim 1.1.0 under TensorFlow 2.16 or later.

    TF-slim imports `tf_keras.legacy_tf_layers`, which moved to `tf_keras.src.legacy_tf_layers` in tf-keras 2.16.
    Aliases in `sys.modules` are enough to build, save, restore and run graphs. Build them inside a plain `tf.Graph()`:
    TF-slim's collections do not work in eager mode.

    Returns:
        The modules `tf_slim` and `tf_slim.nets.inception_v3`.
    """
    for name in ("", ".base", ".convolutional", ".core", ".normalization", ".pooling"):
        legacy = f"tf_keras.legacy_tf_layers{name}"
        sys.modules.setdefault(legacy, importlib.import_module(f"tf_keras.src.legacy_tf_layers{name}"))
    import tf_keras

    tf_keras.legacy_tf_layers = sys.modules["tf_keras.legacy_tf_layers"]
    import tf_slim
    from tf_slim.nets import inception_v3

    return tf_slim, inception_v3


def slim_features(path: str | Path, batch: np.ndarray) -> np.ndarray:
    """Compute reference features with TF-slim's graph, restored by TensorFlow's Saver.

    Args:
        path: a checkpoint with the variables of the body.
        batch: float32 [n, 299, 299, 3] in [-1, 1].

    Returns:
        float32 [n, 2048].
    """
    slim, inception_v3 = import_slim()
    compat = tf.compat.v1
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TF-slim calls layers in a way that Keras has deprecated
        images = compat.placeholder(tf.float32, [None, *batch.shape[1:]])
        with (
            slim.arg_scope(inception_v3.inception_v3_arg_scope()),
            slim.arg_scope([slim.batch_norm], is_training=False),
        ):
            net, _ = inception_v3.inception_v3_base(images, scope="InceptionV3")
        features = tf.reduce_mean(net, axis=[1, 2])
        with compat.Session() as session:
            compat.train.Saver(compat.global_variables()).restore(session, str(path))
            return session.run(features, {images: batch})
