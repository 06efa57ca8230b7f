"""The article's network: TF-slim's Inception v3 and a new softmax layer, in a TensorFlow 1 graph and session."""

import warnings
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.files import seeded_rng
from bears_tl.inception import checkpoint
from bears_tl.inception.slim import import_slim
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.tensorflow import tf

IMAGENET_CLASSES = 1001  # in the published weights: ImageNet's 1000 and "background"
DROPOUT_KEEP_SHARE = 0.8  # the default of TF-slim's inception_v3
SAVED_NAME = "model.ckpt"
_LOGITS = ("InceptionV3/AuxLogits/", "InceptionV3/Logits/")


class Network:
    """The Inception v3 of 2016 with a new layer on its `PreLogits`; only the new layer is trained.

    The graph follows the exercise that the article is based on (A. Geron, Hands-On Machine Learning, 1st edition,
    chapter 13): one placeholder, `training`, controls both batch norm and dropout, and the update ops of the batch
    norms never run. Use it in a `with` block, because it holds a session.
    """

    def __init__(self, n_classes: int, seed: int, batch_norm: str = "batch", dropout: str = "on"):
        """Build the graph and start a session.

        Args:
            n_classes: outputs of the new layer.
            seed: for the new layer's weights (Glorot uniform) and dropout.
            batch_norm: batch (training steps use the statistics of the batch) or stored (they use the stored ones).
            dropout: on or off.
        """
        slim, inception_v3 = import_slim()
        compat = tf.compat.v1
        seed = int(seeded_rng(seed, "as 2019", "network").integers(2**31))
        with tf.Graph().as_default() as graph, _quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TF-slim calls layers in a way that Keras has deprecated
            compat.set_random_seed(seed)
            self._images = compat.placeholder(tf.float32, [None, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3], "X")
            self._labels = compat.placeholder(tf.int32, [None], "y")
            self._training = compat.placeholder_with_default(False, [], "training")
            with slim.arg_scope(inception_v3.inception_v3_arg_scope()):
                _, end_points = inception_v3.inception_v3(
                    self._images,
                    num_classes=IMAGENET_CLASSES,
                    is_training=self._training if batch_norm == "batch" else False,
                    dropout_keep_prob=DROPOUT_KEEP_SHARE if dropout == "on" else 1.0,
                )
            # `PreLogits` is this tensor after dropout
            self._pooled = graph.get_tensor_by_name("InceptionV3/Logits/AvgPool_1a_8x8/AvgPool:0")
            prelogits = end_points["PreLogits"]
            if batch_norm == "stored" and dropout == "on":  # slim controls both with one is_training
                prelogits = slim.dropout(self._pooled, DROPOUT_KEEP_SHARE, is_training=self._training)
            prelogits = tf.squeeze(prelogits, axis=[1, 2])
            self._prelogits = prelogits
            with compat.variable_scope("output"):
                shape = [prelogits.shape[1], n_classes]
                kernel = compat.get_variable("kernel", shape, initializer=compat.glorot_uniform_initializer(seed))
                bias = compat.get_variable("bias", [n_classes], initializer=compat.zeros_initializer())
            logits = tf.matmul(prelogits, kernel) + bias
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(self._labels, logits)
            optimizer = compat.train.AdamOptimizer()  # learning rate 0.001
            self._train = optimizer.minimize(tf.reduce_mean(losses), var_list=[kernel, bias])
            self._probabilities = tf.nn.softmax(logits)
            self._body = compat.get_collection(compat.GraphKeys.GLOBAL_VARIABLES, scope="InceptionV3/")
            self._saver = compat.train.Saver(max_to_keep=2)  # so the checkpoint named in as_2019.json always exists
            initializer = compat.global_variables_initializer()
        self._session = compat.Session(graph=graph)
        self._session.run(initializer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()

    def restore_body(self, path: str | Path) -> None:
        """Load the body from a checkpoint, with the unused ImageNet logits if the checkpoint has them.

        Raises:
            InputError: not a checkpoint, or one of another network (see `checkpoint.read`).
        """
        shapes = {variable.op.name: tuple(variable.shape) for variable in self._body}
        checkpoint.read(path, {name: shape for name, shape in shapes.items() if not name.startswith(_LOGITS)})
        found = checkpoint.inventory(path)
        variables = [variable for variable in self._body if found.get(name := variable.op.name) == shapes[name]]
        with self._session.graph.as_default():
            tf.compat.v1.train.Saver(variables).restore(self._session, str(path))

    def features(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute the pooled features before dropout: float32 [n, 299, 299, 3] in [-1, 1] to float32 [n, 2048]."""
        return self._session.run(self._pooled, {self._images: images, self._training: training})[:, 0, 0]

    def step(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Take one Adam step on a batch: features, computed with `training` True, and labels, int [n].

        In 2019, body and step ran in one call. The body is never trained, so this step is the same, and variants can
        share features.
        """
        self._session.run(self._train, self._feed(features) | {self._labels: labels, self._training: True})

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Give probabilities, float32 [n, n classes] in [0, 1], of features computed with `training` False."""
        return self._session.run(self._probabilities, self._feed(features))

    def _feed(self, features: np.ndarray) -> dict:
        return {self._pooled: features[:, np.newaxis, np.newaxis]}

    def save(self, folder: Path, epoch: int) -> Path:
        """Save all variables as `model.ckpt-<epoch>`, then delete all but the last two checkpoints.

        Raises:
            InputError: the disk is full or the folder is not writable.
        """
        prefix = str(folder / SAVED_NAME)
        try:
            with self._session.graph.as_default(), _quiet():  # it warns about how it deletes old checkpoints
                saved = self._saver.save(self._session, prefix, global_step=epoch, write_meta_graph=False)
        except (tf.errors.OpError, OSError) as error:
            raise InputError(
                f"no checkpoint could be written to {str(folder)!r} ({reason_of(error)}): free some disk space"
            ) from None
        return Path(saved)


def _quiet():
    """Hide TensorFlow's deprecation warnings about this code of 2016."""
    from tensorflow.python.util import deprecation

    return deprecation.silence()
