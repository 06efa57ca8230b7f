"""Import TensorFlow without its startup messages: `from bears_tl.tensorflow import tf`."""

import contextlib
import os
import platform
import sys

# On x86 processors without AVX512-VNNI, TensorFlow turns oneDNN off and uses Eigen's convolutions. Their sums depend on
# the batch, so the last bits of a photo's features would depend on the other photos in the batch.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hide notes on instruction sets and missing GPUs


@contextlib.contextmanager
def quiet_stderr():
    """Discard what C++ code writes to stderr: TensorFlow logs some lines before it reads TF_CPP_MIN_LOG_LEVEL."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with quiet_stderr():
    import tensorflow as tf

    tf.config.list_physical_devices()  # looks for a GPU, and logs many lines if there is none
tf.get_logger().setLevel("WARNING")  # hide "INFO: Restoring parameters from ..."
