"""The ladder: Inception v3 cut in two at a rung. Layers below the cut stay frozen; layers above it are trained."""

import zipfile
from pathlib import Path

import numpy as np

from bears_tl.batches import padded
from bears_tl.errors import InputError, reason_of
from bears_tl.files import atomic_path
from bears_tl.inception.architecture import CONVOLUTIONS
from bears_tl.inception.backbone import Backbone, convolutions
from bears_tl.inception.body import to_float16
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.tensorflow import tf
from bears_tl.training.head import Head

_BLOCKS = list(dict.fromkeys(scope.split("/")[1] for scope in CONVOLUTIONS if "/Mixed_" in scope))
RUNGS = ("head", *(block.lower() for block in reversed(_BLOCKS)), "all")  # from the top down
BATCH_SIZE = 8  # views per call; fixed: other sizes may change the last bits and make oneDNN recompile its kernels


def check_rungs(names: list[str]) -> list[str]:
    """Return the named rungs without repetition, in the order of the ladder.

    Raises:
        InputError: no rung is named, or one does not exist.
    """
    for name in names:
        if name not in RUNGS:
            raise InputError(f"unknown rung {name!r}: expected one or more of {', '.join(RUNGS)}")
    if not names:
        raise InputError(f"no rung given: expected one or more of {', '.join(RUNGS)}")
    return [rung for rung in RUNGS if rung in names]


class CutNetwork:
    """Inception v3 with a head, cut in two at a rung's border; always in inference mode.

    The border of a block is the input of its first convolution. The border of `head` is the pooled features, that of
    `all` is the pixels.

    Attributes:
        trained: TF-slim's name to tf.Variable, all kernels and betas above the cut. Beta is the only bias of a
            convolution here, so it is trained too, as in Keras' guide (https://keras.io/guides/transfer_learning/).
            There is no gamma, and the stored mean and variance never change.
        kernel: tf.Variable [2048, n classes] of the head.
        bias: tf.Variable [n classes] of the head.
    """

    def __init__(self, backbone: Backbone, head: Head, rung: str):
        """Put a head on a body and cut the network.

        Args:
            backbone: the body; training changes its values above the cut.
            head: the trained head to start from.
            rung: one of RUNGS.
        """
        import keras

        self.rung = rung
        self.class_names, model = head.class_names, backbone.model
        layers = dict(convolutions(model))
        above = scopes_above(rung)
        border = layers[above[0]][0].input if above else model.output
        self._below = keras.Model(model.input, border) if rung != "all" else None
        self._above = keras.Model(border, model.output) if above else None
        self.trained = {}
        for scope in above:
            convolution, norm = layers[scope]
            self.trained |= {f"{scope}/weights": convolution.kernel.value, f"{scope}/BatchNorm/beta": norm.beta.value}
        self.kernel, self.bias = tf.Variable(head.kernel), tf.Variable(head.bias)
        self.dtype = np.dtype(np.float16 if self._below else np.uint8)  # of the activations at the border
        self.shape = tuple(border.shape[1:])
        pixels = tf.TensorSpec([BATCH_SIZE, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3], tf.uint8)
        self._infer_below = tf.function(lambda x: self._below(_scale(x), training=False), input_signature=[pixels])
        self._infer_above = tf.function(self._features, input_signature=[self.batch_spec])

    @property
    def batch_spec(self) -> tf.TensorSpec:
        """Return the shape and dtype of a padded batch at the border."""
        return tf.TensorSpec([BATCH_SIZE, *self.shape], tf.float32 if self._below else tf.uint8)

    @property
    def trained_values(self) -> int:
        """Return the number of trained parameters, the head included."""
        return sum(int(np.prod(variable.shape)) for variable in [*self.trained.values(), self.kernel, self.bias])

    def activations(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the activations of views at the border.

        Args:
            pixels: uint8 [n, 299, 299, 3] in [0, 255], n at most BATCH_SIZE.

        Returns:
            float16 [n, ...], 0 or more; for the rung `all`, the pixels themselves.

        Raises:
            InputError: an activation is too large for float16, so the weights are broken.
        """
        if self._below is None:
            return pixels
        return to_float16(self._infer_below(pad(pixels)).numpy()[: len(pixels)], "activations")

    def logits(self, x):
        """Compute logits, float32 [n, n classes], from a tensor of `batch_spec` at the border."""
        return self._features(x) @ self.kernel + self.bias

    def _features(self, x):
        x = _scale(x) if x.dtype == tf.uint8 else x
        return self._above(x, training=False) if self._above else x

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Compute probabilities, float32 [n, n classes], from up to BATCH_SIZE activations at the border, [n, ...]."""
        head = Head(self.kernel.numpy(), self.bias.numpy(), self.class_names)  # the same bits in any place of a batch
        return head.probabilities(self._infer_above(pad(x)).numpy()[: len(x)])

    def save(self, path: str | Path) -> None:
        """Write the weights above the cut and the head to an .npz file, atomically."""
        head = {"kernel": self.kernel.numpy(), "bias": self.bias.numpy(), "class_names": np.array(self.class_names)}
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **head, **{name: variable.numpy() for name, variable in self.trained.items()})

    def restore(self, path: str | Path) -> None:
        """Load weights that `save` wrote for a network cut at the same rung.

        Raises:
            InputError: the file is missing, damaged, or holds another rung or other classes.
        """
        variables = {"kernel": self.kernel, "bias": self.bias} | self.trained
        try:
            with np.load(path) as saved:
                found = {name: saved[name] for name in saved.files}
            class_names = [str(name) for name in found.pop("class_names")]
            if class_names != self.class_names:
                raise ValueError(f"its classes are {', '.join(class_names)}, expected {', '.join(self.class_names)}")
            if found.keys() != variables.keys():
                raise ValueError(f"its {len(found)} arrays are not the {len(variables)} of rung {self.rung}")
            for name, variable in variables.items():
                variable.assign(found[name])
        except FileNotFoundError:
            raise InputError(f"{str(path)!r} is missing: train the rung first (bears ladder)") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{str(path)!r} does not hold the weights of this rung ({reason_of(error)}): "
                "remove its folder and train it again (bears ladder)"
            ) from None


def scopes_above(rung: str) -> tuple[str, ...]:
    """List the convolutions above a rung's cut, in order of creation."""
    if rung in ("head", "all"):
        return CONVOLUTIONS if rung == "all" else ()
    blocks = [scope.split("/")[1].lower() for scope in CONVOLUTIONS]
    return CONVOLUTIONS[blocks.index(rung) :]


def pad(x: np.ndarray) -> np.ndarray:
    """Pad a batch to BATCH_SIZE with zeros; convert float16, which TensorFlow warns about on most CPUs, to float32."""
    return padded(x.astype(np.float32) if x.dtype == np.float16 else x, BATCH_SIZE)


def _scale(pixels):
    return tf.cast(pixels, tf.float32) / 127.5 - 1.0
