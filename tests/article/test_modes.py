"""The alarm fires only on a body that is trained in one mode and served in another."""

import numpy as np
import pytest

from bears_tl.article.modes import LARGEST_DISTANCE, mode_distance, refuse_two_modes


def rounded(features):
    """Round float32 values to 8 significant bits, as bfloat16 does."""
    return ((features.view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)


@pytest.fixture
def batches():
    return [np.random.default_rng(i).random((4, 2048), np.float32) for i in range(2)]


def test_the_same_features_are_no_distance_apart(batches):
    assert mode_distance(np.abs, np.abs, batches) == 0
    refuse_two_modes(0.0)


def test_the_distance_is_a_mean_over_photos():
    batches = [np.ones((1, 4)), np.ones((3, 4))]
    assert mode_distance(lambda batch: batch * (2 if len(batch) == 1 else 1), np.abs, batches) == 0.25
    assert mode_distance(np.abs, lambda batch: 2 * batch, batches) == 0.5


def test_rounding_passes(batches):
    refuse_two_modes(distance := mode_distance(rounded, np.abs, batches))
    assert distance > 0


@pytest.mark.parametrize("distance", [LARGEST_DISTANCE * 1.01, 0.78, float("nan"), float("inf")])
def test_the_alarm_fires_unless_it_is_intended(refused, distance):
    with refused("in training", "batch_norm: stored"):
        refuse_two_modes(distance)
    refuse_two_modes(distance, intended=True)


@pytest.mark.slow
def test_the_alarm_fires_on_batch_statistics_of_the_body(workspace, refused):
    from bears_tl.inception.backbone import Backbone
    from bears_tl.photos.image import read_image
    from bears_tl.photos.views import center_view

    body = Backbone.restore(workspace.checkpoint)
    body.model.trainable = True  # else Keras keeps batch norms in inference mode
    photos = np.stack([center_view(read_image(path)) for path in sorted(workspace.photos.rglob("*.jpg"))[:6]])
    modes = [
        lambda batch, training=training: body.model(batch, training=training).numpy() for training in (True, False)
    ]
    distance = mode_distance(*modes, [photos])
    with refused(f"{distance:.0%}"):
        refuse_two_modes(distance)
