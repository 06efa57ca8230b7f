"""TensorFlow's own tutorial on transfer learning, with Inception v3: the whole training that a beginner would copy."""

import itertools
import statistics
import time
from pathlib import Path

from bears_tl.inception.backbone import Backbone
from bears_tl.judging.predictions import labels_of
from bears_tl.photos.splits import SPLITS
from bears_tl.photos.views import IMAGE_SIZE_PX
from bears_tl.tensorflow import tf

# https://www.tensorflow.org/tutorials/images/transfer_learning, "Feature extraction"
EPOCHS = 10
BATCH_SIZE = 32
LEARNING_RATE = 0.0001
DROPOUT = 0.2
ROTATION = 0.2  # up to this share of a circle, either way


def train_and_test(
    folder: str | Path, rows: list[dict], checkpoint: str | Path, epochs: int = EPOCHS, steps: int | None = None
) -> dict:
    """Train a new layer on a frozen Inception v3 as the tutorial does, and count the test photos it gets right.

    Every photo goes through the body again in each epoch, mirrored and rotated at random. The layers are those of
    Keras' guide to transfer learning as well (https://keras.io/guides/transfer_learning/).

    Args:
        folder: the photo folder.
        rows: rows of splits.csv: path, class_name and split. The photos are JPEG, PNG, GIF or BMP.
        checkpoint: a TF-slim checkpoint.
        epochs: how often each training photo is used.
        steps: stop after so many batches, 2 or more; None: train to the end.

    Returns:
        right and count of the test photos; steps done and planned; and missing_seconds, what the steps and validations
        that were left out would have taken (0 after a whole training).
    """
    import keras

    class_names = sorted({row["class_name"] for row in rows})

    splits = {split: [row for row in rows if row["split"] == split] for split in SPLITS}

    def load(split: str) -> tf.data.Dataset:
        members = splits[split]
        paths = [str(Path(folder, row["path"])) for row in members]
        photos = tf.data.Dataset.from_tensor_slices((paths, labels_of(members, class_names)))
        if split == "train":
            photos = photos.shuffle(len(members), seed=0)
        photos = photos.map(lambda path, label: (_read(path), label), num_parallel_calls=tf.data.AUTOTUNE)
        return photos.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)

    keras.utils.set_random_seed(0)
    body = Backbone.restore(checkpoint).model
    body.trainable = False
    inputs = keras.Input((IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3))
    outputs = keras.layers.RandomFlip("horizontal")(inputs)
    outputs = keras.layers.RandomRotation(ROTATION)(outputs)
    outputs = keras.layers.Rescaling(1 / 127.5, offset=-1)(outputs)
    outputs = keras.layers.Dropout(DROPOUT)(body(outputs, training=False))
    outputs = keras.layers.Dense(len(class_names), activation="softmax")(outputs)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    batches, ends = load("train"), []
    planned = epochs * len(batches)
    notes = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter()))
    how = {"shuffle": False, "verbose": 0, "callbacks": [notes]}
    if steps is None or steps >= planned:
        model.fit(batches, validation_data=load("val"), epochs=epochs, **how)
        missing_seconds = 0.0
    else:
        model.fit(batches.repeat().take(steps), epochs=1, **how)
        started = time.perf_counter()
        model.evaluate(load("val"), verbose=0)
        validation_seconds = time.perf_counter() - started
        step_seconds = statistics.median(end - start for start, end in itertools.pairwise(ends))
        missing_seconds = (planned - steps) * step_seconds + (epochs - 1) * validation_seconds
    predicted = model.predict(load("test"), verbose=0).argmax(axis=1)
    right = int((predicted == labels_of(splits["test"], class_names)).sum())
    steps_of = {"steps": len(ends), "planned_steps": planned}
    return steps_of | {"right": right, "count": len(predicted), "missing_seconds": missing_seconds}


def _read(path: tf.Tensor) -> tf.Tensor:
    """Read a photo as `keras.utils.image_dataset_from_directory` does: stretched to the input size."""
    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    return tf.image.resize(image, (IMAGE_SIZE_PX, IMAGE_SIZE_PX))
