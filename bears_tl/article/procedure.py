"""The article's procedure of 2019, with a switch for each of its departures from current practice.

It follows the exercise that the article is based on (A. Geron, Hands-On Machine Learning, 1st edition, chapter 13).
Three things differ: it is seeded, each file is read once and a corrupt one is refused (see `views`), and the alarm of
`modes` is checked.
"""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bears_tl.article.feature_memory import FeatureMemory
from bears_tl.article.modes import ALARM_PHOTOS, mode_distance, refuse_two_modes
from bears_tl.article.network import SAVED_NAME, Network
from bears_tl.article.views import read_view
from bears_tl.errors import InputError
from bears_tl.files import read_json, seeded_rng, write_json
from bears_tl.photos.splits import split_photos

EPOCHS = 10
BATCH_SIZE = 40
TEST_SHARE = 0.2
TEST_BATCHES = 10
STATE_NAME = "as_2019.json"
# The two positions of each switch: the article's, then current practice.
POSITIONS = {
    "batch_norm": ("batch", "stored"),
    "dropout": ("on", "off"),
    "train_views": ("random", "center"),
    "test_views": ("random", "center"),
    "split": ("plain", "grouped"),
    "drawing": ("each_batch_anew", "each_photo_once"),
    "mean": ("of_batches", "of_photos"),
}


@dataclasses.dataclass(frozen=True)
class Switches:
    """How the procedure runs; the defaults are the article's choices.

    Attributes:
        batch_norm: batch: training uses the statistics of the batch, the test the stored ones; stored: both use these.
        dropout: on: a fifth of the features is dropped in training; off: none.
        train_views: random or center.
        test_views: random: test photos are cropped and mirrored at random, too; center: their center is tested.
        split: plain: the test is a random fifth, regardless of classes and copies; grouped: `split_photos`, which
            splits each class in the same proportion and keeps near-duplicates together. Its validation photos, which
            the article does not have, join training, so both splits train on four fifths.
        drawing: each_batch_anew: each batch is sampled from all training photos, so an epoch misses some and repeats
            others; each_photo_once: an epoch is a shuffled pass without the last, incomplete batch.
        mean: of_batches: the mean accuracy of ten batches of unequal size; of_photos: correct photos / all photos.
    """

    batch_norm: str = "batch"
    dropout: str = "on"
    train_views: str = "random"
    test_views: str = "random"
    split: str = "plain"
    drawing: str = "each_batch_anew"
    mean: str = "of_batches"

    def __post_init__(self):
        """Check the positions.

        Raises:
            InputError: an unknown position.
        """
        for name, positions in POSITIONS.items():
            if getattr(self, name) not in positions:
                raise InputError(
                    f"switch {name}: {getattr(self, name)!r} is unknown, expected {' or '.join(positions)}"
                )


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of the procedure.

    Attributes:
        test: rows of the test photos, in batch order.
        class_names: sorted.
        probabilities: float32 [n test photos, n classes] in [0, 1].
        hits: bool [n test photos], True where correct.
        accuracy: as the switch `mean` defines it, in [0, 1].
        accuracy_of_batches: the plain mean of the ten batch accuracies.
        accuracy_of_photos: correct photos / all photos.
        history: one row per epoch: epoch, last_batch_accuracy, seconds.
        mode_distance: distance between the body's features in training and in the test, see `modes`.
        seconds: start (graph and checkpoint), epoch_ends (last batch's accuracy, saving), test, total (these and the
            training steps); alarm, which is not part of the total.
        iteration_seconds: of each training step, including reading its photos.
        planned_iterations: of the whole procedure; `iterations` may stop it earlier.
        planned_epochs: of the whole procedure.
    """

    test: list[dict]
    class_names: list[str]
    probabilities: np.ndarray
    hits: np.ndarray
    accuracy: float
    accuracy_of_batches: float
    accuracy_of_photos: float
    history: list[dict]
    mode_distance: float
    seconds: dict[str, float]
    iteration_seconds: list[float]
    planned_iterations: int
    planned_epochs: int

    @property
    def seconds_per_iteration(self) -> float:
        """Give the mean over all iterations but the first, which includes the warm-up; NaN for fewer than two."""
        return float(np.mean(self.iteration_seconds[1:])) if len(self.iteration_seconds) > 1 else math.nan

    def extrapolated_seconds(self) -> float:
        """Estimate the seconds of the whole procedure from the iterations that ran.

        The sum is start + planned iterations x seconds_per_iteration + planned epochs x mean end of an epoch + test.
        Each term is measured in this run; the whole is not.
        """
        steps = self.planned_iterations * self.seconds_per_iteration
        ends = self.planned_epochs * self.seconds["epoch_ends"] / len(self.history)
        return self.seconds["start"] + steps + ends + self.seconds["test"]


def train_and_test(
    folder: str | Path,
    photos: list[dict],
    checkpoint_path: str | Path,
    saved_folder: str | Path,
    switches: Switches = Switches(),
    seed: int = 0,
    epochs: int = EPOCHS,
    batch_size: int = BATCH_SIZE,
    iterations: int | None = None,
    memory: FeatureMemory | None = None,
) -> Result:
    """Train and test as in 2019.

    Args:
        folder: the folder that photo paths are relative to.
        photos: rows of photos.csv: path, class_name, sha256, and group for `split: grouped`.
        checkpoint_path: a TF-slim checkpoint of Inception v3, unpacked.
        saved_folder: gets the checkpoints of the last two epochs (109 MB each) and the progress in as_2019.json.
        switches: the choices of the procedure.
        seed: for the split, the new layer, the batches, the views and dropout.
        epochs: 10 in the article.
        batch_size: 40 in the article.
        iterations: stop training after this many steps, then test; the benchmark extrapolates from them.
        memory: reuses the features it has and keeps new ones, per photo where the statistics are the stored ones.
            Predictions agree up to the last bits; the seconds do not. One memory per checkpoint.

    Raises:
        InputError: too few photos, a photo that scikit-image cannot read, a checkpoint that does not fit, or an
            interrupted run in `saved_folder`. Also when interrupted without a memory; the last checkpoint is kept.
        KeyboardInterrupt: interrupted with a memory; the next call reuses its features.
    """
    class_names = sorted({photo["class_name"] for photo in photos})
    train, test = divide(photos, switches.split, seed)
    per_epoch = len(train) // batch_size
    if len(class_names) < 2 or not per_epoch or not test:
        raise InputError(
            f"{len(photos)} photos of {len(class_names)} classes are too few, expected at least two classes, "
            f"{batch_size} training photos (one batch) and one test photo: add photos or lower the batch size"
        )
    if epochs < 1 or (iterations is not None and iterations < 1):
        raise InputError(f"epochs {epochs} or iterations {iterations} is out of range, expected 1 or more")
    state = _start(Path(saved_folder), {"seed": seed, "epochs": epochs, "switches": dataclasses.asdict(switches)})
    seconds = dict.fromkeys(("start", "alarm", "epoch_ends", "test", "total"), 0.0)
    history, iteration_seconds = [], []

    last = {}

    @functools.lru_cache(maxsize=1000)  # 1.07 MB each
    def read_center(path):
        return read_view(path, "center", None)

    def prepare(rows, views, purpose):
        """Read photos, or reuse those of the last call."""
        what = views, purpose, [photo["sha256"] for photo in rows]
        if last.get("what") != what:
            paths = [Path(folder, photo["path"]) for photo in rows]
            if views == "center":
                images = [read_center(path) for path in paths]
            else:
                rngs = [seeded_rng(seed, sha256, f"as 2019 {purpose}") for sha256 in what[2]]
                images = [read_view(path, views, rng) for path, rng in zip(paths, rngs, strict=True)]
            last.update(what=what, images=np.stack(images))
        return last["images"]

    def features_of(network, rows, views, purpose, training):
        """Compute the features of photos, or take them from memory."""
        if memory is None:
            return network.features(prepare(rows, views, purpose), training)
        view = f"{seed} {purpose}" if views == "random" else views
        shas = [photo["sha256"] for photo in rows]
        if training and switches.batch_norm == "batch":  # a photo's features depend on its batch
            parts, names = [rows], [" ".join(["batch", view, *shas])]
        else:
            parts, names = [[photo] for photo in rows], [f"stored {view} {sha256}" for sha256 in shas]

        def compute(places):
            todo = [photo for place in places for photo in parts[place]]
            chunks = [todo[start : start + batch_size] for start in range(0, len(todo), batch_size)]
            computed = [network.features(prepare(chunk, views, purpose), training) for chunk in chunks]
            return np.split(np.concatenate(computed), len(places))

        return np.concatenate(memory.find(names, compute))

    def labels_of(rows):
        return np.array([class_names.index(photo["class_name"]) for photo in rows])

    try:
        with _timed(seconds, "total"), contextlib.ExitStack() as stack:
            with _timed(seconds, "start"):
                network = stack.enter_context(Network(len(class_names), seed, switches.batch_norm, switches.dropout))
                network.restore_body(checkpoint_path)
            with _timed(seconds, "alarm"):
                parts = np.array_split(train[:ALARM_PHOTOS], math.ceil(min(ALARM_PHOTOS, len(train)) / batch_size))
                batches = [prepare(list(part), "center", "alarm") for part in parts]
                modes = [functools.partial(network.features, training=training) for training in (True, False)]
                distance = mode_distance(*modes, batches)
                refuse_two_modes(distance, intended=switches.batch_norm == "batch")
            for epoch, drawn in enumerate(_draw(train, batch_size, epochs, switches.drawing, seed), 1):
                started = time.perf_counter()
                for i, rows in enumerate(drawn[: None if iterations is None else iterations - len(iteration_seconds)]):
                    began = time.perf_counter()
                    inputs = network, rows, switches.train_views, f"{epoch} {i}"
                    network.step(features_of(*inputs, training=True), labels_of(rows))
                    iteration_seconds.append(time.perf_counter() - began)
                with _timed(seconds, "epoch_ends"):
                    shares = network.probabilities(features_of(*inputs, training=False))
                    accuracy = float((shares.argmax(axis=1) == labels_of(rows)).mean())
                    saved = network.save(Path(saved_folder), epoch)
                history.append({"epoch": epoch, "last_batch_accuracy": accuracy})
                history[-1]["seconds"] = time.perf_counter() - started
                state |= {"epochs_done": epoch, "saved": saved.name, "history": history}
                write_json(Path(saved_folder, STATE_NAME), state)
                if len(iteration_seconds) == iterations:
                    break
            with _timed(seconds, "test"):
                parts = [[test[i] for i in part] for part in judged_batches(len(test))]
                features = [features_of(network, rows, switches.test_views, "test", training=False) for rows in parts]
                found = [network.probabilities(of_batch) for of_batch in features]
    except KeyboardInterrupt:
        if memory is not None:  # the same call can continue from the memory
            raise
        raise InputError(f"interrupted: {_progress(state, saved_folder)}") from None
    seconds["total"] -= seconds["alarm"]
    write_json(Path(saved_folder, STATE_NAME), state | {"finished": True})
    probabilities = np.concatenate(found)
    hits = probabilities.argmax(axis=1) == labels_of(test)
    means = {"of_batches": mean_of_batches(hits), "of_photos": float(hits.mean())}
    return Result(
        test, class_names, probabilities, hits, means[switches.mean], *means.values(), history, distance, seconds,
        iteration_seconds, per_epoch * epochs, epochs,
    )  # fmt: skip


def divide(photos: list[dict], split: str, seed: int) -> tuple[list[dict], list[dict]]:
    """Divide photos into training and test, plain or grouped (see `Switches`), whatever their order.

    Raises:
        InputError: grouped, with fewer than three groups in a class.
    """
    photos = sorted(photos, key=lambda photo: photo["sha256"])
    order = seeded_rng(seed, "as 2019", "split").permutation(len(photos))
    shuffled = [photos[i] for i in order]
    if split == "plain":
        count = int((1 - TEST_SHARE) * len(photos))  # the article's 735 of 919
        return shuffled[:count], shuffled[count:]
    split_of = {row["sha256"]: row["split"] for row in split_photos(photos, TEST_SHARE, val_fraction=0.1, seed=seed)}
    test = [photo for photo in shuffled if split_of[photo["sha256"]] == "test"]
    return [photo for photo in shuffled if split_of[photo["sha256"]] != "test"], test


def judged_batches(count: int) -> list[np.ndarray]:
    """Give the positions of the test photos in ten batches, or in fewer if a batch would be empty."""
    return np.array_split(np.arange(count), min(TEST_BATCHES, count))


def mean_of_batches(hits: np.ndarray) -> float:
    """Compute the article's accuracy from hits, bool [n]: the plain mean over ten batches of unequal size."""
    return float(np.mean([hits[part].mean() for part in judged_batches(len(hits))]))


def _draw(train: list[dict], batch_size: int, epochs: int, drawing: str, seed: int) -> Iterator[list[list[dict]]]:
    """Yield the batches of each epoch."""
    rng = seeded_rng(seed, "as 2019", "batches")
    for _ in range(epochs):
        order = rng.permutation(len(train))
        batches = [order[start : start + batch_size] for start in range(0, len(train) - batch_size + 1, batch_size)]
        if drawing == "each_batch_anew":
            batches = [rng.choice(len(train), batch_size, replace=False) for _ in batches]
        yield [[train[i] for i in batch] for batch in batches]


def _start(folder: Path, settings: dict) -> dict:
    """Refuse the folder of an interrupted run; clear the folder of a finished one."""
    if (folder / STATE_NAME).is_file():
        state = read_json(folder / STATE_NAME)
        if not state.get("finished") and state.get("epochs_done"):
            raise InputError(f"{str(folder)!r} holds an interrupted run: {_progress(state, folder)}")
    state = settings | {"epochs_done": 0, "finished": False}
    write_json(folder / STATE_NAME, state)
    for path in [*folder.glob(f"{SAVED_NAME}-*"), *folder.glob("checkpoint")]:
        path.unlink()
    return state


def _progress(state: dict, folder: str | Path) -> str:
    if not state["epochs_done"]:
        return "no epoch was finished and nothing was saved; start again"
    done = f"{state['epochs_done']} of {state['epochs']} epochs are done, {state['saved']} is kept in {str(folder)!r}"
    return f"{done}; choose another folder, or delete this one, to start again"


@contextlib.contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - started
