"""Label smoothing, mixup and class weights: each against its formula; off, the head is that of Keras."""

import numpy as np
import pytest

from bears_tl.config import RunConfig
from bears_tl.files import seeded_rng
from bears_tl.training import adam
from bears_tl.training.adam import Training, draw_mixes
from bears_tl.training.head import softmax
from bears_tl.training.regression import log_softmax
from bears_tl.training.trainer import balanced_weights, train_head

NAMES = ["a", "b", "c"]
DEPTH = 16
ON = {"label_smoothing": 0.1, "mixup": 0.4, "class_weights": "balanced"}
MEASURES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


def made_up(counts, seed=0, views=2):
    """Give features that tell three classes apart, mostly, and labels: so many photos a class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(3), counts))
    features = rng.random((len(labels), views, DEPTH), dtype=np.float32)
    features[np.arange(len(labels)), :, labels] += 0.7
    return features, labels


def trained(**settings):
    val_features, val_labels = made_up((10, 25, 10), seed=1)
    config = RunConfig(**({"epochs": 12, "optimizer": "adam"} | settings))
    return train_head(*made_up((20, 50, 20)), val_features[:, :1], val_labels, NAMES, config)[:2]


@pytest.fixture
def batch():
    """Give a training whose weights are not zero, with features, labels, partners and shares of a batch."""
    rng = np.random.default_rng(3)

    def make(**options):
        training = Training(DEPTH, 3, 0.01, **options)
        training.kernel[:] = rng.normal(size=(DEPTH, 3))
        training.bias[:] = rng.normal(size=3)
        x, y = rng.random((7, DEPTH), dtype=np.float32), rng.integers(3, size=7)
        partners, shares = draw_mixes(rng, 7, 7, 0.5)
        return training, x, y, partners, shares

    return make


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.99])
@pytest.mark.parametrize("weights", [None, np.array([0.5, 1, 3], np.float32)])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_steps_losses_hits_and_gradient_are_those_of_the_formula(batch, smoothing, weights, mixed):
    training, x, y, partners, shares = batch(label_smoothing=smoothing, class_weights=weights)
    kernel, bias = training.kernel.astype(float), training.bias.astype(float)
    gradients = []
    training._descend = gradients.extend
    losses, hits = training.step(x, y, *((partners, shares) if mixed else ()))

    keep = shares[:, None].astype(float) if mixed else np.ones((7, 1))
    seen = keep * x + (1 - keep) * x[partners]
    targets = (1 - smoothing) * np.eye(3) + smoothing / 3
    targets *= 1 if weights is None else weights[:, None]
    target = keep * targets[y] + (1 - keep) * targets[y[partners]]
    log_shares = log_softmax(seen @ kernel + bias)
    answer = log_shares.argmax(axis=1)
    assert losses == pytest.approx(-(target * log_shares).sum(axis=1), rel=1e-4)
    expected_hits = keep[:, 0] * (answer == y) + (1 - keep[:, 0]) * (answer == y[partners])
    assert hits == pytest.approx(expected_hits, abs=1e-6)
    slopes = (target.sum(axis=1, keepdims=True) * np.exp(log_shares) - target) / 7  # of the mean over the batch
    assert gradients[0] == pytest.approx(seen.T @ slopes, abs=1e-5)
    assert gradients[1] == pytest.approx(slopes.sum(axis=0), abs=1e-5)


def test_off_the_head_is_that_of_a_plain_loop_in_keras():
    import keras

    from bears_tl.tensorflow import tf

    head, history = trained(patience=12)
    assert history[-1]["val_loss"] == min(row["val_loss"] for row in history)  # so the last epoch's weights are kept
    features, labels = made_up((20, 50, 20))
    kernel, bias = tf.Variable(np.zeros((DEPTH, 3), np.float32)), tf.Variable(np.zeros(3, np.float32))
    optimizer = keras.optimizers.Adam(RunConfig().learning_rate)
    rng = seeded_rng(0, "head", "orders and views")
    with tf.device("CPU:0"):
        for _ in range(12):
            order, view = rng.permutation(90), rng.integers(2, size=90)
            for start in range(0, 90, 40):
                photos, views = order[start : start + 40], view[start : start + 40]
                with tf.GradientTape() as tape:
                    logits = tf.constant(features[photos, views]) @ kernel + bias
                    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels[photos], logits))
                optimizer.apply(tape.gradient(loss, [kernel, bias]), [kernel, bias])
    assert np.allclose(head.kernel, kernel.numpy(), atol=1e-6) and np.allclose(head.bias, bias.numpy(), atol=1e-6)


@pytest.mark.parametrize("option", ON)
def test_each_option_changes_the_head_and_the_same_seed_gives_the_same_bits(option):
    (plain, _), (one, history), (two, again) = (
        trained(),
        trained(**{option: ON[option]}),
        trained(**{option: ON[option]}),
    )
    assert np.array_equal(one.kernel, two.kernel) and not np.array_equal(one.kernel, plain.kernel)
    assert [[row[name] for name in MEASURES] for row in history] == [[row[name] for name in MEASURES] for row in again]


def test_how_many_photos_are_held_at_once_does_not_matter_to_the_options(monkeypatch):
    whole, history = trained(**ON)
    monkeypatch.setattr(adam, "CHUNK_PHOTOS", 50)  # one batch of 40, then the next
    chunked, of_chunks = trained(**ON)
    assert np.array_equal(whole.kernel, chunked.kernel) and np.array_equal(whole.bias, chunked.bias)
    for name in MEASURES:
        assert [row[name] for row in of_chunks] == pytest.approx([row[name] for row in history], rel=1e-5)


def test_the_validation_loss_is_plain_cross_entropy_under_every_option():
    head, history = trained(**ON)
    features, labels = made_up((10, 25, 10), seed=1)
    chosen = softmax(head.logits(features[:, 0]))[np.arange(45), labels]
    assert -np.log(chosen).mean() == pytest.approx(min(row["val_loss"] for row in history), rel=1e-4)


def test_mixup_leaves_orders_and_views_as_they_were():
    (_, plain), (_, mixed) = trained(epochs=1, batch_size=90), trained(epochs=1, batch_size=90, mixup=1e-9)
    assert mixed[0]["train_loss"] == pytest.approx(plain[0]["train_loss"])  # one batch from zeros: log 3 in any case
    one, other = (trained(mixup=alpha)[0].kernel for alpha in (1e-9, 2.0))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("alpha", [5e-324, 1e-9, 0.2, 1.0, 100.0])
def test_partners_are_shuffled_within_their_batch_and_shares_lie_between_0_and_1(alpha):
    partners, shares = draw_mixes(np.random.default_rng(0), 91, 40, alpha)
    assert partners.dtype == np.int32 and shares.dtype == np.float32 and len(shares) == 91
    for start, size in ((0, 40), (40, 40), (80, 11)):
        assert sorted(partners[start : start + size]) == list(range(size))
    assert ((shares >= 0) & (shares <= 1)).all()


def test_mixes_of_one_photo_are_itself():
    partners, _ = draw_mixes(np.random.default_rng(0), 3, 1, 1.0)
    assert partners.tolist() == [0, 0, 0]


def test_balanced_weights_are_scikit_learns_and_weigh_a_photo_by_1_on_average():
    labels = np.repeat([0, 1, 2], [10, 30, 60])
    weights = balanced_weights(labels, 3)
    assert weights == pytest.approx([100 / 30, 100 / 90, 100 / 180])
    assert weights[labels].mean() == pytest.approx(1)


def test_balanced_weights_find_more_of_a_rare_class():
    features, labels = made_up((6, 120, 120))
    rare = features[labels == 0][:, 0]
    found = {
        weights: train_head(
            features, labels, features[:, :1], labels, NAMES, RunConfig(epochs=30, class_weights=weights)
        )[0].probabilities(rare)[:, 0].mean()
        for weights in ("none", "balanced")
    }  # fmt: skip
    assert found["balanced"] > found["none"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"label_smoothing": 1.0}, ("label_smoothing", "1.0", "0.0 to 0.99")),
        ({"label_smoothing": -0.1}, ("label_smoothing", "-0.1")),
        ({"label_smoothing": float("nan")}, ("label_smoothing", "nan")),
        ({"mixup": -1.0}, ("mixup", "-1.0")),
        ({"mixup": float("inf")}, ("mixup", "inf")),
        ({"mixup": "much"}, ("mixup", "much")),
        ({"class_weights": "even"}, ("class_weights", "even", "none | balanced")),
        ({"class_weights": None}, ("class_weights", "None")),
    ],
)
def test_values_that_mean_nothing_are_refused(setting, words, refused):
    with refused(*words):
        RunConfig(**setting)
