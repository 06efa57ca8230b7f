"""Build the body as a graph of constants from pixels to features, with batch norm folded into the convolutions."""

import itertools

import numpy as np

from bears_tl.inception.architecture import CONVOLUTIONS, DEPTHS, FEATURES_NAME, POOLED_NAME
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.tensorflow import tf

PIXELS = "pixels"
_EPSILON = 1e-3  # of slim's inception_v3_arg_scope and of Keras' InceptionV3
_VALID = ("Conv2d_2a_3x3", "Conv2d_4a_3x3")  # without padding, like all Conv2d_1a_..., which halve the size
_POOLED = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")  # followed by a max pool
_REDUCTIONS = ("Mixed_6a", "Mixed_7a")  # halve the size: one branch is a max pool
_FORKED = ("Mixed_7b", "Mixed_7c")  # branches 1 and 2 end in two convolutions side by side


def fold(values: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fold each batch norm into the convolution before it, and the scaling of the pixels into the first convolution.

    In inference a batch norm is linear: factor * x + (beta - mean * factor), with factor = 1 / sqrt(variance + 0.001).
    The scaling of pixels to [-1, 1] is linear too: with x = pixel - 128, an integer that bfloat16 represents exactly,
    it is x / 127.5 + 0.5 / 127.5. The first convolution has no padding, so no border values change.

    Args:
        values: the values of the checkpoint, see `architecture.BODY`.

    Returns:
        Scope to float64 kernel [height, width, in, out] and bias [out].
    """
    folded = {}
    for scope in CONVOLUTIONS:
        kernel, beta, mean, variance = (
            values[f"{scope}/{name}"].astype(np.float64)
            for name in ("weights", "BatchNorm/beta", "BatchNorm/moving_mean", "BatchNorm/moving_variance")
        )
        factor = 1 / np.sqrt(variance + _EPSILON)
        folded[scope] = kernel * factor, beta - mean * factor
    kernel, bias = folded[CONVOLUTIONS[0]]
    folded[CONVOLUTIONS[0]] = kernel / 127.5, bias + kernel.sum(axis=(0, 1, 2)) * 0.5 / 127.5
    return folded


def freeze(values: dict[str, np.ndarray], precision: str = "float32"):
    """Build the graph: uint8 pixels [n, 299, 299, 3] (`PIXELS`) to float32 features [n, 2048] (`FEATURES_NAME`).

    Further outputs: each block of `DEPTHS` under its name, float32 maps [n, side, side, channels], and their means over
    both sides, all in one row, float32 [n, 6144] (`POOLED_NAME`).

    The layers follow from the names of the convolutions (https://arxiv.org/abs/1512.00567 and slim's inception_v3.py):
    convolutions of a branch are in sequence, branches are in parallel.

    Args:
        values: the values of the checkpoint.
        precision: the precision of convolutions and pools (sums are float32): float32, bfloat16 or float16.

    Returns:
        tf.compat.v1.GraphDef.
    """
    folded, dtype = fold(values), tf.as_dtype(precision)

    def constant(array):
        return tf.constant(array.astype(dtype.as_numpy_dtype))

    def convolve(x, scope):
        name = scope.rpartition("/")[2]
        halving = name.startswith("Conv2d_1a_")
        padding = "VALID" if halving or name in _VALID else "SAME"
        kernel, bias = folded[scope]
        return tf.nn.bias_add(tf.nn.conv2d(x, constant(kernel), 2 if halving else 1, padding), constant(bias))

    def layer(x, scope):
        return tf.nn.relu(convolve(x, scope))

    def branch(x, block, scopes):
        if "Branch_3" in scopes[0]:
            # slim pools first. Averaging commutes with a 1x1 convolution, whose output has fewer channels to average
            return [tf.nn.relu(tf.nn.avg_pool2d(convolve(x, scopes[0]), 3, 1, "SAME"))]
        forked = block in _FORKED and len(scopes) > 1
        for scope in scopes[:-2] if forked else scopes:
            x = layer(x, scope)
        return [layer(x, scope) for scope in scopes[-2:]] if forked else [x]

    pooled = []
    with tf.Graph().as_default() as graph:
        shape = [None, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3]
        pixels = tf.compat.v1.placeholder(tf.uint8, shape, PIXELS)
        x = tf.cast(pixels, dtype) - tf.constant(128, dtype)
        for block, scopes in itertools.groupby(CONVOLUTIONS, lambda scope: scope.split("/")[1]):
            if block.startswith("Conv2d"):
                x = layer(x, next(scopes))
                x = tf.nn.max_pool2d(x, 3, 2, "VALID") if block in _POOLED else x
                continue
            branches = [list(of) for _, of in itertools.groupby(scopes, lambda scope: scope.split("/")[2])]
            outputs = [output for scopes in branches for output in branch(x, block, scopes)]
            x = tf.concat([*outputs, tf.nn.max_pool2d(x, 3, 2, "VALID")] if block in _REDUCTIONS else outputs, axis=3)
            if block in DEPTHS:
                maps = tf.cast(x, tf.float32)
                tf.identity(maps, name=block)
                pooled.append(tf.reduce_mean(maps, axis=[1, 2]))
        tf.identity(pooled[-1], name=FEATURES_NAME)
        tf.concat(pooled, axis=1, name=POOLED_NAME)
    return graph.as_graph_def()


def multiplications(values: dict[str, np.ndarray]) -> int:
    """Count the multiplications per photo: 5.7 billion, plus as many additions."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(freeze(values), name="")
    return sum(
        int(np.prod(operation.inputs[1].shape) * np.prod(operation.outputs[0].shape[1:3]))
        for operation in graph.get_operations()
        if operation.type == "Conv2D"
    )
