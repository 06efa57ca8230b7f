import numpy as np
import pytest

from bears_tl.config import RunConfig
from bears_tl.errors import InputError
from bears_tl.training import adam
from bears_tl.training.adam import HISTORY_COLUMNS
from bears_tl.training.head import Head, softmax
from bears_tl.training.trainer import train_head

NAMES = ["a", "b", "c"]


def made_up(count, seed=0, views=2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    features = rng.random((count, views, 2048), dtype=np.float32)
    features[np.arange(count), :, labels] += 3
    return features, labels


def trained(**settings):
    val_features, val_labels = made_up(30, seed=1)
    config = RunConfig(**({"epochs": 40, "optimizer": "adam"} | settings))
    return train_head(*made_up(90), val_features[:, :1], val_labels, NAMES, config)[:2]


def test_a_head_learns_what_can_be_learned():
    head, history = trained()
    features, labels = made_up(60, seed=2)
    assert (head.probabilities(features[:, 0]).argmax(1) == labels).mean() > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert list(history[0]) == HISTORY_COLUMNS and head.parameters == 6147


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        trained(seed=seed)[0].save(tmp_path / name)
    one, two, other = ((tmp_path / name).read_bytes() for name in ("one", "two", "other"))
    assert one == two != other


def test_how_many_photos_are_held_at_once_does_not_matter(monkeypatch):
    whole, history = trained()
    monkeypatch.setattr(adam, "CHUNK_PHOTOS", 50)  # one batch of 40, then the next
    chunked, history_of_chunks = trained()
    assert np.array_equal(whole.kernel, chunked.kernel) and np.array_equal(whole.bias, chunked.bias)
    for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        assert [row[name] for row in history_of_chunks] == pytest.approx([row[name] for row in history], rel=1e-5)


def test_the_weights_of_the_lowest_validation_loss_are_kept():
    head, history = trained(learning_rate=0.05, patience=5)
    val_features, val_labels = made_up(30, seed=1)
    chosen = softmax(head.logits(val_features[:, 0]))[np.arange(30), val_labels]
    losses = [row["val_loss"] for row in history]
    assert -np.log(chosen).mean() == pytest.approx(min(losses), rel=1e-3, abs=1e-5)
    assert len(history) == min(40, int(np.argmin(losses)) + 1 + 5)


@pytest.mark.parametrize("classes", [2, 3, 10, 200])
def test_a_photo_gets_the_same_bits_alone_and_among_37(classes):
    rng = np.random.default_rng(classes)
    kernel, bias = rng.normal(size=(2048, classes)), rng.normal(size=classes)
    head = Head(kernel.astype(np.float32), bias.astype(np.float32), [str(i) for i in range(classes)])
    features = rng.random((37, 2048)).astype(np.float16)
    together = head.probabilities(features)
    alone = np.concatenate([head.probabilities(row[None]) for row in features])
    assert together.dtype == np.float32 and np.array_equal(together, alone)
    assert np.array_equal(head.probabilities(features[::-1]), together[::-1])


def test_probabilities_sum_to_one_even_for_large_logits():
    head = Head(np.full((2048, 3), [10, -10, 0], np.float32), np.zeros(3, np.float32), NAMES)
    shares = head.probabilities(np.ones((2, 2048), np.float32))
    assert np.allclose(shares.sum(1), 1) and shares[0, 0] == 1


def test_a_saved_head_is_read_back_exactly(tmp_path):
    head, _ = trained()
    head.save(tmp_path / "head.npz")
    again = Head.load(tmp_path / "head.npz")
    assert np.array_equal(head.kernel, again.kernel) and np.array_equal(head.bias, again.bias)
    assert again.class_names == NAMES


@pytest.mark.parametrize(("kernel", "bias"), [((2048, 2), 2), ((2048, 3), 2), ((3, 2048), 3), ((2048,), 3)])
def test_a_head_of_another_shape_is_refused(tmp_path, refused, kernel, bias):
    Head(np.zeros(kernel, np.float32), np.zeros(bias, np.float32), NAMES).save(tmp_path / "head.npz")
    with refused("head.npz", "3 classes", "train"):
        Head.load(tmp_path / "head.npz")


def test_a_head_with_a_weight_that_is_no_number_is_refused(tmp_path, refused):
    Head(np.full((2048, 3), np.nan, np.float32), np.zeros(3, np.float32), NAMES).save(tmp_path / "head.npz")
    with refused("head.npz", "not a finite number", "train"):
        Head.load(tmp_path / "head.npz")


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 broken", b"not a head"])
def test_what_is_no_head_is_refused_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(InputError) as raised:
        Head.load(tmp_path / "head.npz")
    assert "\n" not in str(raised.value) and "train" in str(raised.value)
