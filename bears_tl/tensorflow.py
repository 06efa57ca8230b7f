"""TensorFlow without the lines that it writes at its start: `from bears_tl.tensorflow import tf`."""

import contextlib
import os
import platform
import sys

# TensorFlow leaves oneDNN off on x86 processors without AVX512-VNNI. Eigen's convolutions take its place, whose sums
# depend on the batch: a photo's features then have other last bits in other company.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # notes on instruction sets and missing GPUs say nothing to a user


@contextlib.contextmanager
def quiet_stderr():
    """Send what C++ writes to stderr to nowhere: TensorFlow logs some lines before it reads TF_CPP_MIN_LOG_LEVEL."""
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

    tf.config.list_physical_devices()  # looks for a GPU, and complains at length where there is none
tf.get_logger().setLevel("WARNING")  # "INFO: Restoring parameters from ..."
