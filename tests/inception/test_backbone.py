import numpy as np
import pytest

from bears_tl.inception import architecture, checkpoint
from bears_tl.inception.architecture import count_by_block
from bears_tl.inception.backbone import Backbone
from bears_tl.inception.cosine import cosines
from bears_tl.inception.slim import slim_features
from bears_tl.photos.views import center_view

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def body(workspace):
    return Backbone.restore(workspace.checkpoint)


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).uniform(-1, 1, (5, 299, 299, 3)).astype(np.float32)


def close(one, other, limit=1e-5):
    return np.abs(one - other).max() <= limit * max(1, np.abs(other).max())


def test_every_value_of_the_checkpoint_is_in_the_body(body, workspace):
    read = checkpoint.read(workspace.checkpoint)
    held = body.values()
    assert list(held) == list(read)
    assert sum(value.size for value in held.values()) == 21_802_784
    assert all(np.array_equal(held[name], read[name]) for name in read)


def test_a_checkpoint_must_hold_what_keras_holds(body):
    held = {name: value.shape for name, value in body.values().items()}
    assert held == architecture.BODY and list(held) == list(architecture.BODY) and len(held) == 376


def test_nothing_of_the_body_can_be_trained(body):
    assert body.model.trainable_variables == []


def test_features_of_a_batch_are_those_of_each_photo_alone(body, batch):
    features = body.features(batch)
    assert features.shape == (5, 2048) and features.dtype == np.float32
    assert close(np.stack([body.features(view) for view in batch]), features)


def test_features_leave_the_body_as_it_was(body, batch):
    before = body.values()
    body.features(batch)
    after = body.values()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_no_photos_have_no_features(body, batch):
    assert body.features(batch[:0]).shape == (0, 2048)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((1, 299, 299, 3)), np.zeros((1, 224, 224, 3), np.float32), np.full((1, 299, 299, 3), 255, np.float32)],
    ids=["float64", "224 px", "levels of 0 to 255"],
)
def test_what_is_no_view_is_refused(body, wrong):
    with pytest.raises(ValueError, match="expected"):
        body.features(wrong)


def test_slims_own_graph_gives_the_same_features(body, batch, workspace):
    # A random body amplifies rounding errors more than a trained one; for real weights the bound below is 1e-5.
    assert close(body.features(batch), slim_features(workspace.checkpoint, batch), 1e-4)


def test_slims_own_graph_gives_the_same_features_with_real_weights(batch, real_checkpoint, real_photos):
    photos = sorted(real_photos.glob("*/*"))[::110]
    body = Backbone.restore(real_checkpoint)
    for views in (batch, np.stack([center_view(np.asarray(read(photo))) for photo in photos])):
        assert np.abs(body.features(views) - slim_features(real_checkpoint, views)).max() < 1e-5


def read(photo):
    from bears_tl.photos.image import read_image

    return read_image(photo)


def test_a_cosine_ignores_length():
    reference = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    assert cosines(2 * reference, reference) == pytest.approx(np.ones(3))
    assert cosines(np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 3.0]]), reference).min() == 0


def test_blocks_are_counted_in_their_order():
    sizes = {"InceptionV3/B/x/weights": 6, "InceptionV3/A/weights": 4, "InceptionV3/B/y/beta": 1}
    values = {name: np.zeros(size) for name, size in sizes.items()}
    assert list(count_by_block(values).items()) == [("B", 7), ("A", 4)]
