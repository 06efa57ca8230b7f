"""The whole classifier as one graph of constants: body, head, temperature and strangeness."""

import numpy as np

from bears_tl.inception.architecture import FEATURES_NAME, LAST, POOLED_NAME, columns
from bears_tl.tensorflow import tf
from bears_tl.training.head import Head
from bears_tl.training.strangers import NEAREST, Strangers

OUTPUTS = ("probabilities", "strangeness")


def build(body, head: Head, strangers: Strangers):
    """Add the head and the strangeness to a frozen body.

    The temperature is folded into the head's weights. The rounding of features to float16, which keeps cached and new
    features alike, is left out.

    Args:
        body: tf.compat.v1.GraphDef, from `frozen.freeze` in float32.
        head: the run's head.
        strangers: the run's training photos to compare with.

    Returns:
        tf.compat.v1.GraphDef from `frozen.PIXELS`, uint8 [n, 299, 299, 3] in [0, 255], to `OUTPUTS`: probabilities
        float32 [n, n classes] in [0, 1] and strangeness float32 [n] in [0, 1].
    """
    with tf.Graph().as_default() as graph:
        names = [f"{FEATURES_NAME}:0", f"{POOLED_NAME}:0"]
        last, pooled = tf.graph_util.import_graph_def(body, return_elements=names, name="")
        features = last if head.depths == LAST else pooled[:, columns(head.depths)]
        kernel, bias = (np.float32(part.astype(np.float64) / head.temperature) for part in (head.kernel, head.bias))
        tf.nn.softmax(tf.matmul(features, tf.constant(kernel)) + tf.constant(bias), name=OUTPUTS[0])
        rows = last / tf.maximum(tf.norm(last, axis=1, keepdims=True), 1e-30)
        norms = np.linalg.norm(strangers.examples.astype(np.float32), axis=1, keepdims=True)
        examples = tf.cast(tf.constant(strangers.examples), tf.float32) / tf.constant(np.maximum(norms, 1e-30))
        similarities = tf.matmul(rows, examples, transpose_b=True)
        nearest = tf.math.top_k(similarities, min(NEAREST, len(strangers.examples))).values
        strangeness = 1 - tf.reduce_mean(nearest, axis=1)
        tf.minimum(tf.maximum(strangeness, 0), 1, name=OUTPUTS[1])
    return graph.as_graph_def()
