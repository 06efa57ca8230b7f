"""The network from scratch: the same seed gives the same bits, also when serving; bad input is refused."""

import random

import numpy as np
import pytest
from PIL import Image

from bears_tl.config import RunConfig
from bears_tl.files import sha256_of
from bears_tl.photos.thumbnails import Thumbnails, read_center_view
from bears_tl.training import scratch
from bears_tl.training.scratch import Scratch, train_scratch

NAMES = ["dark", "light"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Give a folder of photos told apart by their brightness, and their rows: 12 to train on, 6 to validate."""
    folder, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    rows = []
    for number in range(18):
        levels = draw.integers(0, 120, (12, 15, 3), np.uint8) + np.uint8(130 * (number % 2))
        Image.fromarray(levels).resize((200, 170)).save(folder / f"{number}.jpg")
        sha256 = sha256_of(folder / f"{number}.jpg")
        rows.append({"path": f"{number}.jpg", "sha256": sha256, "class_name": NAMES[number % 2]})
    return folder, rows[:12], rows[12:]


def trained(photos, train=None, seconds=None, epochs=4, **settings):
    folder, of_train, of_val = photos
    return train_scratch(Thumbnails(folder), train or of_train, of_val, NAMES, RunConfig(**settings), seconds, epochs)


@pytest.fixture(scope="module")
def once(photos):
    return trained(photos)


def bits(model):
    return [weights.tobytes() for weights in model.network.get_weights()]


def numbers(history):
    return [[value for name, value in row.items() if name != "seconds"] for row in history]


def test_the_same_seed_gives_the_same_bits_whatever_the_order_of_the_photos_and_another_others(photos, once):
    again, history, _ = trained(photos, train=photos[1][::-1])
    assert bits(again) == bits(once[0]) and numbers(history) == numbers(once[1])
    assert bits(trained(photos, seed=1)[0]) != bits(once[0])


def test_a_time_becomes_a_number_of_epochs_and_that_number_gives_the_same_bits(photos):
    timed, history, planned = trained(photos, seconds=0.01, epochs=None)
    assert planned == len(history) == scratch.TIMED_EPOCHS  # the least
    told, again, same = trained(photos, epochs=planned)
    assert same == planned and bits(told) == bits(timed) and numbers(again) == numbers(history)


def test_the_first_epochs_do_not_depend_on_how_many_are_planned(photos, once):
    _, longer, _ = trained(photos, epochs=6)
    assert numbers(longer[: scratch.TIMED_EPOCHS]) == numbers(once[1][: scratch.TIMED_EPOCHS])
    assert numbers(longer)[3] != numbers(once[1])[3]


def test_a_time_is_shared_out_by_the_epochs_after_the_first(photos, monkeypatch):
    clock = iter(float(second) for second in range(10_000))
    monkeypatch.setattr(scratch.time, "perf_counter", lambda: next(clock))
    # called twice per epoch, at the start, and for the plan: an epoch takes 1, and 7 have passed after the timed ones
    _, history, planned = trained(photos, seconds=9.5, epochs=None)
    assert (planned, len(history)) == (3 + 2, 5)


def test_training_stops_early_and_keeps_the_best_weights(photos, monkeypatch):
    losses = iter([0.9, 0.5, 0.7, 0.8, 0.85, 0.86, 0.87, 0.88])
    monkeypatch.setattr(scratch, "_judge", lambda *_: (next(losses), 0.5))
    stopped, history, planned = trained(photos, epochs=8, patience=3)
    assert (len(history), planned) == (5, 8)  # the lowest was epoch 2; a quarter of 8 is less than the patience
    monkeypatch.undo()
    monkeypatch.setattr(scratch, "_judge", lambda *_: (0.5, 0.5))  # the first is kept
    kept, _, _ = trained(photos, epochs=8, patience=3)
    assert bits(kept) != bits(stopped)


@pytest.mark.parametrize(("epoch", "best", "planned", "patience", "stuck"), [
    (40, 20, 40, 20, True), (39, 20, 40, 20, False), (45, 20, 100, 20, True), (44, 20, 100, 20, False),
    (2, 1, 100, 1, False), (3, 2, 4, 1, True),
])  # fmt: skip
def test_patience_grows_with_the_plan(epoch, best, planned, patience, stuck):
    assert scratch._is_stuck(epoch, best, planned, patience) is stuck


def test_a_network_learns_what_can_be_learned(photos):
    model, history, _ = trained(photos, epochs=25)
    folder, _, val = photos
    shares = model.classify(Thumbnails(folder), val)
    assert [NAMES[i] for i in shares.argmax(axis=1)] == [row["class_name"] for row in val]
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_serving_sees_what_training_validated_on(photos, once, tmp_path):
    """A single file and a network loaded from disk give the same bits as in validation."""
    folder, _, val = photos
    model, history, _ = once
    model.save(tmp_path / "scratch.npz")
    served = Scratch.load(tmp_path / "scratch.npz")
    shares = np.concatenate([served.probabilities(read_center_view(folder / row["path"])[None]) for row in val])
    assert served.class_names == NAMES
    assert np.array_equal(shares, model.classify(Thumbnails(folder), val))
    losses = -np.log(shares[np.arange(6), [NAMES.index(row["class_name"]) for row in val]].astype(float))
    assert losses.mean() == min(row["val_loss"] for row in history)


def test_a_photo_has_the_same_bits_in_any_company(once):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 128, 128, 3), np.uint8)
    together = once[0].probabilities(pixels)
    alone = np.concatenate([once[0].probabilities(pixels[i : i + 1]) for i in (0, 20, 39)])
    assert np.array_equal(together[[0, 20, 39]], alone) and np.allclose(together.sum(axis=1), 1)
    assert once[0].probabilities(pixels[:0]).shape == (0, 2)


def test_the_same_weights_give_the_same_file(once, tmp_path):
    for name in ("one", "two"):
        once[0].save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_it_is_small_and_leaves_no_global_state_changed(photos, once):
    import keras

    def draws():  # by everything that draws without its own seed
        return np.random.random(), random.random(), float(keras.random.normal([1])[0])

    keras.utils.set_random_seed(7)
    expected = draws()
    keras.utils.set_random_seed(7)
    trained(photos, epochs=1)
    assert draws() == expected
    weights = once[0].network.trainable_weights
    assert once[0].parameters == sum(np.asarray(array).size for array in weights) < 1_000_000


def test_too_few_photos_are_refused_with_the_class_that_lacks_them(photos, refused):
    train = [row for row in photos[1] if row["class_name"] == "dark"] + photos[1][1:8:2]
    with refused("'light'", "4 training photos", "expected 5"):
        trained(photos, train=train)
    with refused("no validation photos"):
        trained((photos[0], photos[1], []))


@pytest.mark.parametrize(("seconds", "epochs"), [(None, None), (1.0, 1), (0.0, None), (float("nan"), None), (None, 0)])
def test_a_time_or_a_number_of_epochs_is_needed(photos, refused, seconds, epochs):
    with refused("expected"):
        trained(photos, seconds=seconds, epochs=epochs)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 broken", b"not a network"])
def test_what_is_no_network_is_refused(tmp_path, refused, content):
    if content is not None:
        (tmp_path / "scratch.npz").write_bytes(content)
    with refused("scratch.npz", "train it"):
        Scratch.load(tmp_path / "scratch.npz")


def test_a_head_is_no_network(tmp_path, refused):
    from bears_tl.training.head import Head

    Head(np.zeros((2048, 2), np.float32), np.zeros(2, np.float32), NAMES).save(tmp_path / "head.npz")
    with refused("head.npz", "not a trained network"):
        Scratch.load(tmp_path / "head.npz")
