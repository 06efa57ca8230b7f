import numpy as np
import pytest

from bears_tl.errors import InputError
from bears_tl.files import sha256_of
from bears_tl.model import features
from bears_tl.model.features import FeatureCache, extract
from bears_tl.photos.views import CENTER, View

VIEWS = [CENTER, View(0, 0, 0.2), View(1, 0, 0.2)]


class FakeBody:
    """Gives each view its mean levels in 2,048 columns, and counts how many views it has seen."""

    def __init__(self, fails_after=10**9):
        self.batches, self.fails_after = 0, fails_after

    def features(self, batch):
        self.batches += 1
        if self.batches > self.fails_after:
            raise KeyboardInterrupt
        assert batch.shape == (features.BATCH_SIZE, 299, 299, 3)
        return np.repeat(batch.mean(axis=(1, 2, 3))[:, np.newaxis], 2048, axis=1)


@pytest.fixture
def photos(workspace):
    files = sorted(workspace.photos.glob("*/*"))
    return [{"path": str(file.relative_to(workspace.photos)), "sha256": sha256_of(file)} for file in files]


def run(workspace, photos, folder, body=None):
    body = body or FakeBody()
    return extract(lambda: body, workspace.photos, photos, VIEWS, FeatureCache(folder, "f" * 64)), body


def test_cached_features_are_the_computed_ones_and_the_body_is_not_asked_again(workspace, photos, tmp_path):
    computed, _ = run(workspace, photos, tmp_path)
    cached = extract(lambda: pytest.fail("asked"), workspace.photos, photos, VIEWS, FeatureCache(tmp_path, "f" * 64))
    assert computed.shape == (len(photos), 3, 2048)
    assert np.array_equal(computed, cached)


def test_order_of_the_photos_does_not_matter(workspace, photos, tmp_path):
    one, _ = run(workspace, photos, tmp_path / "one")
    two, _ = run(workspace, photos[::-1], tmp_path / "two")
    assert np.array_equal(one, two[::-1])


def test_a_killed_run_resumes_and_ends_the_same(workspace, photos, tmp_path, monkeypatch):
    whole, body = run(workspace, photos, tmp_path / "whole")
    monkeypatch.setattr(features, "_SHARD_ROWS", 16)
    with pytest.raises(KeyboardInterrupt):
        run(workspace, photos, tmp_path / "killed", FakeBody(fails_after=2))
    resumed, second = run(workspace, photos, tmp_path / "killed")
    assert np.array_equal(whole, resumed)
    assert second.batches <= body.batches - 2


def test_other_weights_have_another_cache(workspace, photos, tmp_path):
    run(workspace, photos, tmp_path)
    assert len(FeatureCache(tmp_path, "e" * 64)) == 0
    assert len(FeatureCache(tmp_path, "f" * 64)) == len(photos) * 3


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_shard_is_named_and_costs_only_a_recomputation(workspace, photos, tmp_path, damage, capsys):
    whole, _ = run(workspace, photos, tmp_path)
    (shard,) = tmp_path.glob("*/*.npz")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes({"truncate": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
    again, body = run(workspace, photos, tmp_path)
    assert shard.name in capsys.readouterr().out
    assert body.batches > 0 and np.array_equal(whole, again)


def test_a_photo_that_is_gone_is_named(workspace, photos, tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg"):
        run(workspace, [photos[0] | {"path": "gone.jpg"}], tmp_path)
