import numpy as np
import pytest

from bears_tl.inception import architecture, checkpoint, frozen
from bears_tl.tensorflow import tf

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def values(workspace):
    return checkpoint.read(workspace.checkpoint)


def test_a_folded_convolution_is_the_convolution_and_its_batch_norm(values):
    scope = "InceptionV3/Mixed_6b/Branch_1/Conv2d_0b_1x7"
    kernel, beta, mean, variance = (values[f"{scope}/{name}"] for name in architecture.VARIABLES)
    folded_kernel, bias = frozen.fold(values)[scope]
    x = np.random.default_rng(0).normal(size=(1, 9, 9, kernel.shape[2]))
    plain = tf.nn.conv2d(x, kernel.astype(np.float64), 1, "SAME").numpy()
    expected = (plain - mean) / np.sqrt(variance.astype(np.float64) + 0.001) + beta
    assert np.allclose(tf.nn.conv2d(x, folded_kernel, 1, "SAME").numpy() + bias, expected, atol=1e-9)


def test_the_scaling_of_pixels_is_in_the_first_convolution(values):
    scope = architecture.CONVOLUTIONS[0]
    kernel, beta, mean, variance = (values[f"{scope}/{name}"].astype(np.float64) for name in architecture.VARIABLES)
    folded_kernel, bias = frozen.fold(values)[scope]
    pixels = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 3)).astype(np.float64)
    plain = tf.nn.conv2d(pixels / 127.5 - 1, kernel, 2, "VALID").numpy()
    expected = (plain - mean) / np.sqrt(variance + 0.001) + beta
    assert np.allclose(tf.nn.conv2d(pixels - 128, folded_kernel, 2, "VALID").numpy() + bias, expected, atol=1e-9)


def test_the_graph_holds_constants_only_and_every_convolution(values):
    graph = frozen.freeze(values)
    kinds = [node.op for node in graph.node]
    assert kinds.count("Conv2D") == kinds.count("BiasAdd") == kinds.count("Relu") == 94
    assert not [kind for kind in kinds if "Variable" in kind or "BatchNorm" in kind]


def test_a_photo_costs_5_7_thousand_million_multiplications(values):
    assert frozen.multiplications(values) == 5_711_168_096  # 11.4 GFLOP, with as many additions
