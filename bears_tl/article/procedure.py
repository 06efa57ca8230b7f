"""The article's procedure of 2019 as it was, and a switch for each of its departures from good practice.

It follows the exercise that the article was made from (A. Geron, Hands-On Machine Learning, 1st edition, chapter 13).
What is ours: it is seeded, a file is read once and a corrupt one refused (see `views`), and the alarm of `modes`
looks on.
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
# Every switch with its two positions: the article's, then good practice.
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
    """How the procedure runs; each default is the article's way.

    Attributes:
        batch_norm: batch: training steps use the batch's statistics, the test the stored ones; stored: both do.
        dropout: on: a fifth of the features is dropped in training; off: none.
        train_views: random or center.
        test_views: random: the test photos are cropped and mirrored at random, too; center: their middle is judged.
        split: plain: a random fifth is the test, whatever its classes and copies; grouped: `split_photos`, each class
            divided exactly and near-duplicates together. Its test is the test; its validation, which the article does
            not have, joins training, so that both splits train on four fifths.
        drawing: each_batch_anew: a batch is a sample of all training photos, so an epoch misses some and repeats
            others; each_photo_once: an epoch is a shuffled pass, what does not fill a batch is left out.
        mean: of_batches: the accuracies of ten batches of unequal size are averaged; of_photos: right photos by photos.
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
            InputError: a position that the switch does not have.
        """
        for name, positions in POSITIONS.items():
            if getattr(self, name) not in positions:
                raise InputError(
                    f"switch {name}: {getattr(self, name)!r} is unknown, expected {' or '.join(positions)}"
                )


@dataclasses.dataclass(frozen=True)
class Result:
    """What the procedure gave.

    Attributes:
        test: the test photos' rows, in the order of the batches.
        class_names: sorted.
        probabilities: float32 [n test photos, n classes] in [0, 1].
        hits: bool [n test photos], which are right.
        accuracy: as the switch `mean` says, in [0, 1].
        accuracy_of_batches: the plain mean of the ten batches' accuracies.
        accuracy_of_photos: right photos by photos.
        history: a row an epoch: epoch, last_batch_accuracy, seconds.
        mode_distance: how far the body's features in training are from those in the test, see `modes`.
        seconds: start (graph and checkpoint), epoch_ends (last batch's accuracy, saving), test, total (all of these and
            the training steps); alarm, not part of the total.
        iteration_seconds: of each training step with its reading.
        planned_iterations: of the whole procedure; fewer were made where `iterations` limited it.
        planned_epochs: likewise.
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
        """Give the mean over the iterations after the first, in which TensorFlow warms up; NaN with fewer than two."""
        return float(np.mean(self.iteration_seconds[1:])) if len(self.iteration_seconds) > 1 else math.nan

    def extrapolated_seconds(self) -> float:
        """Say what the whole procedure takes, from the few iterations that were made.

        It is start + planned iterations x seconds_per_iteration + planned epochs x mean end of an epoch + test, all
        measured in this run; it is not the measurement of a whole run.
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
        folder: that `path` of a photo is relative to.
        photos: rows of photos.csv: path, class_name, sha256, and group for `split: grouped`.
        checkpoint_path: a TF-slim checkpoint of Inception v3, unpacked.
        saved_folder: for the checkpoints of the last two epochs (109 MB each) and as_2019.json: how far it came.
        switches: each departure from good practice.
        seed: of the split, the new layer, the batches, the views and the dropout.
        epochs: 10 in the article.
        batch_size: 40 in the article.
        iterations: stop after so many training steps, then test; what a benchmark extrapolates from.
        memory: features that are there are not computed again, others are kept, those with stored statistics photo by
            photo: what comes out is the same but for the last bits, the seconds are not. For this checkpoint only.

    Raises:
        InputError: too few photos, a photo that scikit-image cannot read, a checkpoint that does not fit, an
            interrupted run in `saved_folder`, or an interruption now: what was saved last stays.
        KeyboardInterrupt: interrupted, with a memory: the same again takes up what is remembered.
    """
    class_names = sorted({photo["class_name"] for photo in photos})
    train, test = divide(photos, switches.split, seed)
    per_epoch = len(train) // batch_size
    if len(class_names) < 2 or not per_epoch or not test:
        raise InputError(
            f"{len(photos)} photos of {len(class_names)} classes are too few, expected two classes, {batch_size} or "
            "more training photos for one batch and a photo to test: add photos or lower the batch size"
        )
    if epochs < 1 or (iterations is not None and iterations < 1):
        raise InputError(f"epochs {epochs} and iterations {iterations} are out of range, expected 1 or more")
    state = _start(Path(saved_folder), {"seed": seed, "epochs": epochs, "switches": dataclasses.asdict(switches)})
    seconds = dict.fromkeys(("start", "alarm", "epoch_ends", "test", "total"), 0.0)
    history, iteration_seconds = [], []

    last = {}

    @functools.lru_cache(maxsize=1000)  # 1.07 MB each
    def read_center(path):
        return read_view(path, "center", None)

    def prepare(rows, views, purpose):
        """Read photos, unless they are those that were read last."""
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
        """Give the features of photos."""
        if memory is None:
            return network.features(prepare(rows, views, purpose), training)
        view = f"{seed} {purpose}" if views == "random" else views
        shas = [photo["sha256"] for photo in rows]
        if training and switches.batch_norm == "batch":  # then a photo's features depend on the others
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
                    seen = network, rows, switches.train_views, f"{epoch} {i}"
                    network.step(features_of(*seen, training=True), labels_of(rows))
                    iteration_seconds.append(time.perf_counter() - began)
                with _timed(seconds, "epoch_ends"):
                    shares = network.probabilities(features_of(*seen, training=False))
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
                seen = [features_of(network, rows, switches.test_views, "test", training=False) for rows in parts]
                found = [network.probabilities(features) for features in seen]
    except KeyboardInterrupt:
        if memory is not None:  # who remembers can go on
            raise
        raise InputError(f"interrupted: {_say(state, saved_folder)}") from None
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
    """Divide photos into training and test, plain or grouped (see `Switches`); the order of `photos` does not matter.

    Raises:
        InputError: grouped, and a class has fewer than three groups.
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
    """Give the places of the test photos batch by batch: ten batches, none empty where there are fewer photos."""
    return np.array_split(np.arange(count), min(TEST_BATCHES, count))


def mean_of_batches(hits: np.ndarray) -> float:
    """Give the article's figure: the plain mean over ten batches, of unequal size, of each one's share of hits [n]."""
    return float(np.mean([hits[part].mean() for part in judged_batches(len(hits))]))


def _draw(train: list[dict], batch_size: int, epochs: int, drawing: str, seed: int) -> Iterator[list[list[dict]]]:
    """Yield each epoch's batches."""
    rng = seeded_rng(seed, "as 2019", "batches")
    for _ in range(epochs):
        order = rng.permutation(len(train))
        batches = [order[start : start + batch_size] for start in range(0, len(train) - batch_size + 1, batch_size)]
        if drawing == "each_batch_anew":
            batches = [rng.choice(len(train), batch_size, replace=False) for _ in batches]
        yield [[train[i] for i in batch] for batch in batches]


def _start(folder: Path, settings: dict) -> dict:
    """Refuse the folder of an interrupted run; clear that of a finished one."""
    if (folder / STATE_NAME).is_file():
        state = read_json(folder / STATE_NAME)
        if not state.get("finished") and state.get("epochs_done"):
            raise InputError(f"an interrupted run lies there: {_say(state, folder)}")
    state = settings | {"epochs_done": 0, "finished": False}
    write_json(folder / STATE_NAME, state)
    for path in [*folder.glob(f"{SAVED_NAME}-*"), *folder.glob("checkpoint")]:
        path.unlink()
    return state


def _say(state: dict, folder: str | Path) -> str:
    if not state["epochs_done"]:
        return "no epoch was done and nothing is saved; start again"
    done = f"{state['epochs_done']} of {state['epochs']} epochs are done, {state['saved']} stays in {str(folder)!r}"
    return f"{done}; name another folder, or remove this one, to start again"


@contextlib.contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - started
