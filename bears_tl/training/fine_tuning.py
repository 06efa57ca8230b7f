"""Fine-tuning: train the layers above a cut, with checkpoints from which an interrupted training resumes exactly."""

import contextlib
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bears_tl.batches import batches_of
from bears_tl.config import RunConfig
from bears_tl.errors import InputError, reason_of
from bears_tl.files import atomic_path, seeded_rng
from bears_tl.origin import Origin
from bears_tl.tensorflow import tf
from bears_tl.threads import map_ahead
from bears_tl.training.adam import HISTORY_COLUMNS
from bears_tl.training.rungs import BATCH_SIZE, CutNetwork, pad
from bears_tl.training.trainer import balanced_weights

SAVE_SECONDS = 300  # within an epoch; the state is also saved after each epoch
# The head's share of learning_rate. The head is already trained, and Adam's first steps are as large as the learning
# rate, however small the gradient. At the full rate the validation loss of 551 real photos first rose from 0.0027 to
# 0.0037 nats; at a tenth it did not.
HEAD_SHARE = 0.1
_PARTS_AHEAD = 4  # parts of batches that are read in advance


class FineTuning:
    """The training of a cut network: summed gradients, and one optimizer each for the head and the layers below it."""

    def __init__(self, network: CutNetwork, labels: np.ndarray, config: RunConfig):
        """Start from the network's current weights.

        Args:
            network: the network; training changes it.
            labels: int [n], of the training photos.
            config: seed, batch_size, learning_rate (the head gets a tenth of it), fine_tune_learning_rate (for the
                layers below the head), fine_tune_epochs, fine_tune_patience, label_smoothing and class_weights are
                used. mixup is not: it works on features only.
        """
        import keras

        self.network, self.config, self.labels = network, config, labels.astype(np.int32)
        self.steps = -(-len(labels) // config.batch_size)
        classes = len(network.class_names)
        balanced = config.class_weights == "balanced"
        self._class_weights = balanced_weights(labels, classes) if balanced else np.ones(classes, np.float32)
        head, below = [network.kernel, network.bias], list(network.trained.values())
        self.variables = [*head, *below]
        self._optimizers = []
        for rate, variables in ((HEAD_SHARE * config.learning_rate, head), (config.fine_tune_learning_rate, below)):
            if variables:
                decay = keras.optimizers.schedules.CosineDecay(rate, self.steps * config.fine_tune_epochs)
                self._optimizers.append((keras.optimizers.Adam(decay), variables))
                self._optimizers[-1][0].build(variables)
        self._sums = [tf.Variable(tf.zeros_like(variable)) for variable in self.variables]
        each = [tf.TensorSpec([BATCH_SIZE], dtype) for dtype in (tf.int32, tf.float32)]
        signature = [network.batch_spec, *each]
        self._add_gradients = tf.function(self._add_gradients, input_signature=signature, autograph=False)
        self._judge = tf.function(self._judge, input_signature=signature, autograph=False)
        self._move = tf.function(self._move, input_signature=[], autograph=False)

    def _objective(self, logits, y):
        """Return the weighted cross-entropy to smoothed targets, float32 [n], as `head.Training.step` minimizes it."""
        losses, smoothing = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits), self.config.label_smoothing
        if smoothing:
            against_all = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)
            losses = (1 - smoothing) * losses + smoothing * against_all
        return losses * tf.gather(self._class_weights, y)

    def _add_gradients(self, x, y, weights):
        """Add the gradients of a part of a batch; photos have weight 1 / batch size, padding has weight 0."""
        logits = self.network.logits(x)
        objective = self._objective(logits, y)
        # Add in pairs: TensorFlow adds three or more terms in the order they finish, and the order changes float sums
        gradients = tf.gradients(
            tf.reduce_sum(objective * weights),
            self.variables,
            aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE,
        )
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(gradient)
        return self._sums_of(objective, logits, y, weights)

    def _judge(self, x, y, weights):
        logits = self.network.logits(x)
        return self._sums_of(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits), logits, y, weights)

    def _sums_of(self, losses, logits, y, weights):
        hits = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == y, tf.float32)
        counts = tf.cast(weights > 0, tf.float32)
        return tf.stack([tf.reduce_sum(losses * counts), tf.reduce_sum(hits * counts)])

    def _move(self):
        """Apply the summed gradients and reset them."""
        sums = iter(self._sums)
        for optimizer, variables in self._optimizers:
            optimizer.apply([next(sums).value() for _ in variables], variables)
        for total in self._sums:
            total.assign(tf.zeros_like(total))

    def train(self, table, epoch: int, first_step: int) -> Iterator[np.ndarray]:
        """Train one epoch from a given step: each photo once, in random order, in one randomly drawn view.

        Batch norm stays in inference mode, so the gradient of a batch is the sum over its photos. It is accumulated
        over parts of BATCH_SIZE, so memory does not grow with the batch size.

        Args:
            table: [n, n views, ...], `Borders` or an array.
            epoch: 1 or more; together with the seed, it determines the order and the views.
            first_step: the number of steps of this epoch that are already done.

        Yields:
            After each step, the sums of objective and hits over its photos: float64 [2].
        """
        rng, size = seeded_rng(self.config.seed, "", f"fine-tuning, epoch {epoch}"), self.config.batch_size
        order, views = rng.permutation(len(table)), rng.integers(table.shape[1], size=len(table))
        batches = batches_of(np.arange(len(table)), size)[first_step:]
        parts = [part for batch in batches for part in batches_of(batch, BATCH_SIZE)]
        read = map_ahead(lambda part: table[order[part], views[part]], parts, _PARTS_AHEAD)
        with contextlib.closing(read):
            for batch in batches:
                sums = np.zeros(2)
                for part in batches_of(batch, BATCH_SIZE):
                    weights = np.full(len(part), 1 / len(batch), np.float32)
                    x, y = next(read), self.labels[order[part]]
                    sums += self._add_gradients(pad(x), pad(y), pad(weights)).numpy()
                self._move()
                yield sums

    def judge(self, table, labels: np.ndarray) -> np.ndarray:
        """Return mean cross-entropy in nats and accuracy on center views, [n, 1, ...]: float64 [2]."""
        sums, labels = np.zeros(2), labels.astype(np.int32)
        for part, x in _center_views(table):
            sums += self._judge(pad(x), pad(labels[part]), pad(np.ones(len(part), np.float32))).numpy()
        return sums / len(table)

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next step depends on, except the photos."""
        return {str(i): variable.numpy() for i, variable in enumerate(self._all_variables())}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a state that `state` returned."""
        for i, variable in enumerate(self._all_variables()):
            variable.assign(state[str(i)])

    def _all_variables(self) -> list:
        return [*self.variables, *[slot.value for optimizer, _ in self._optimizers for slot in optimizer.variables]]


def fine_tune(
    network: CutNetwork, tables: dict, labels: dict[str, np.ndarray], config: RunConfig, path: str | Path,
    origin: Origin, seconds: float = 0.0,
) -> dict:  # fmt: skip
    """Train the layers above the cut; keep the weights with the lowest validation loss, the initial ones included.

    Args:
        network: the network; it ends with the weights that are kept.
        tables: train, [n, n views, ...], and val, [m, 1, ...]: `Borders` or arrays.
        labels: train and val, int [n] in [0, n classes).
        config: see `FineTuning`.
        path: where the state is saved after each epoch, and after SAVE_SECONDS within one. If it holds a state of the
            same origin, training resumes from there and ends with the same bits as an uninterrupted one.
        origin: the inputs of the training; a saved state of another origin is ignored.
        seconds: the time taken to prepare the tables; it is added to the result.

    Returns:
        history (rows of HISTORY_COLUMNS; epoch 0 holds the initial weights, without training), kept_epoch, seconds.

    Raises:
        InputError: the saved state is damaged or cannot be written.
    """
    tuning, path = FineTuning(network, labels["train"], config), Path(path)
    progress, arrays = _load(path, origin)

    def row(epoch, train):
        val = tuning.judge(tables["val"], labels["val"])
        return dict(
            zip(HISTORY_COLUMNS, [epoch, *train, *map(float, val), clock() - progress["epoch_began"]], strict=True)
        )

    def save():
        now = progress | {"origin": origin.parts, "seconds": clock()}
        _save(path, now, {"now": tuning.state(), "best": {str(i): value for i, value in enumerate(best)}})

    started = time.perf_counter() - seconds - (progress["seconds"] if progress else 0)

    def clock():
        return time.perf_counter() - started

    with ordered_sums():
        if progress is None:
            best = [variable.numpy() for variable in tuning.variables]
            progress = {"epoch": 1, "step": 0, "sums": [0.0, 0.0], "kept_epoch": 0, "epoch_began": 0.0}
            progress["history"] = [row(0, ["", ""])]
            save()
        else:
            tuning.restore(arrays["now"])
            best = [arrays["best"][str(i)] for i in range(len(tuning.variables))]
        while not _finished(progress, config):
            saved = clock()
            progress["epoch_began"] = progress["epoch_began"] if progress["step"] else saved
            for sums in tuning.train(tables["train"], progress["epoch"], progress["step"]):
                progress["sums"] = [float(total) for total in progress["sums"] + sums]
                progress["step"] += 1
                if clock() - saved > SAVE_SECONDS and progress["step"] < tuning.steps:
                    save()
                    saved = clock()
            train = [total / len(tables["train"]) for total in progress["sums"]]
            history = [*progress["history"], row(progress["epoch"], train)]
            if history[-1]["val_loss"] < history[progress["kept_epoch"]]["val_loss"]:
                best = [variable.numpy() for variable in tuning.variables]
                progress["kept_epoch"] = progress["epoch"]
            progress |= {"epoch": progress["epoch"] + 1, "step": 0, "sums": [0.0, 0.0], "history": history}
            save()
    for variable, value in zip(tuning.variables, best, strict=True):
        variable.assign(value)
    return {"history": progress["history"], "kept_epoch": progress["kept_epoch"], "seconds": clock()}


def probabilities(network: CutNetwork, table) -> np.ndarray:
    """Return probabilities of center views, [n, 1, ...] at the border: float32 [n, n classes] in [0, 1]."""
    return np.concatenate([network.probabilities(x) for _, x in _center_views(table)])


def _finished(progress: dict, config: RunConfig) -> bool:
    done = progress["epoch"] - 1
    return done >= config.fine_tune_epochs or done - progress["kept_epoch"] >= config.fine_tune_patience


@contextlib.contextmanager
def ordered_sums() -> Iterator[None]:
    """Keep TensorFlow from merging pairwise sums into one long sum, whose order can vary between runs."""
    options, name = tf.config.optimizer, "arithmetic_optimization"
    before = options.get_experimental_options().get(name, True)
    options.set_experimental_options({name: False})
    try:
        yield
    finally:
        options.set_experimental_options({name: before})


def _center_views(table) -> Iterator[tuple]:
    parts = batches_of(np.arange(len(table)), BATCH_SIZE)
    yield from zip(parts, map_ahead(lambda i: table[i, np.zeros_like(i)], parts, _PARTS_AHEAD), strict=True)


def _save(path: Path, progress: dict, arrays: dict[str, dict[str, np.ndarray]]) -> None:
    flat = {f"{kind}/{name}": value for kind, values in arrays.items() for name, value in values.items()}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, progress=np.array(json.dumps(progress)), **flat)


def _load(path: Path, origin: Origin) -> tuple:
    """Read a saved state: progress, and arrays by kind and name; (None, {}) if there is none of that origin."""
    if not path.is_file():
        return None, {}
    try:
        with np.load(path) as saved:
            progress = json.loads(str(saved["progress"]))
            if change := origin.change_since(progress["origin"]):
                print(f"{path} was saved with other inputs ({change}); training starts from the beginning.")
                return None, {}
            arrays: dict[str, dict] = {"now": {}, "best": {}}
            for name in saved.files:
                kind, _, rest = name.partition("/")
                if rest:
                    arrays[kind][rest] = saved[name]
            return progress, arrays
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{str(path)!r} is damaged ({reason_of(error)}): remove it to train this rung again") from None
