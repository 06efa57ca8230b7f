"""TF-slim's Inception v3 of 2016 on today's TensorFlow: the judge of our body, and the engine of the 2019 mode."""

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

    TF-slim looks for `tf_keras.legacy_tf_layers`; since tf-keras 2.16 that package lies at
    `tf_keras.src.legacy_tf_layers`. An alias in `sys.modules` is all it takes to build, save, restore and run. Build
    graphs inside a plain `tf.Graph()`: in an eager wrapper TF-slim's collections are refused.

    Returns:
        tuple of modules: `tf_slim` and `tf_slim.nets.inception_v3`.
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
    """Compute pooled features with TF-slim's own graph, restored by TensorFlow's own Saver: the reference for ours.

    Args:
        path: a checkpoint with the body's variables.
        batch: float32 [n, 299, 299, 3] in [-1, 1].

    Returns:
        float32 [n, 2048].
    """
    slim, inception_v3 = import_slim()
    compat = tf.compat.v1
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TF-slim calls layers in a way that Keras calls deprecated
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


def smallest_cosine(features: np.ndarray, reference: np.ndarray) -> float:
    """Compare features, float [n, 2048], with reference features photo by photo: the smallest cosine, at most 1."""
    products = (features * reference).sum(axis=1)
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(reference, axis=1)
    return float((products / lengths).min())
