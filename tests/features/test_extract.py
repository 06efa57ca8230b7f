import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from bears_tl.features import extract as features
from bears_tl.features.cache import FeatureCache
from bears_tl.features.extract import extract
from bears_tl.files import sha256_of
from bears_tl.inception.architecture import POOLED
from bears_tl.inception.machine import Plan
from bears_tl.photos.views import CENTER, View

VIEWS = [CENTER, View(0, 0, 0.2), View(1, 0, 0.2)]


class FakeBody:
    """A body whose 2,048 features are the mean level of a view; it counts the views."""

    def __init__(self, fails_after=10**9, plan=None):
        self.plan = plan or Plan(8, 2)
        self.views, self.fails_after, self.tuned = 0, fails_after, False

    def features(self, pixels):
        assert pixels.dtype == np.uint8 and pixels.shape[1:] == (299, 299, 3) and len(pixels) <= self.plan.batch_size
        self.views += len(pixels)
        if self.views > self.fails_after:
            raise KeyboardInterrupt
        means = pixels.mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float16)
        return np.repeat(means[:, np.newaxis], POOLED, axis=1)

    def tune(self):
        self.tuned = True


@pytest.fixture(scope="module")
def photos(workspace):
    files = sorted(workspace.photos.glob("*/*"))
    return [{"path": str(file.relative_to(workspace.photos)), "sha256": sha256_of(file)} for file in files]


def run(workspace, photos, folder, body=None, views=VIEWS):
    body, cache = body or FakeBody(), FeatureCache(folder, "f" * 64, "float32")
    return extract(lambda: body, workspace.photos, photos, views, cache), body


def never():
    pytest.fail("asked for the body")


def test_cached_features_are_the_computed_ones_and_the_body_is_not_asked_again(workspace, photos, tmp_path):
    computed, _ = run(workspace, photos, tmp_path)
    cached = extract(never, workspace.photos, photos, VIEWS, FeatureCache(tmp_path, "f" * 64, "float32"))
    assert computed.shape == (len(photos), 3, POOLED) and len(computed) == len(photos)
    assert np.array_equal(computed[:, :], cached[:, :])


def test_cached_features_of_rich_views_are_the_computed_ones(workspace, photos, tmp_path):
    strengths = {"brightness": 0.4, "hue": 0.1, "rotation_degrees": 20.0, "erasing": 0.3}
    rich = [View(k, 0, 0.2, **strengths) for k in range(2)]
    run(workspace, photos, tmp_path)
    computed, body = run(workspace, photos, tmp_path, views=rich)
    assert body.views == 2 * len(photos)  # no cached view of the same k without strengths was used
    cached = extract(never, workspace.photos, photos, rich, FeatureCache(tmp_path, "f" * 64, "float32"))
    anew, _ = run(workspace, photos[::-1], tmp_path / "anew", FakeBody(plan=Plan(1, 1)), views=rich)
    assert np.array_equal(computed[:, :], cached[:, :]) and np.array_equal(computed[:, :], anew[::-1, :])


def test_a_table_is_indexed_like_an_array_and_gives_float32(workspace, photos, tmp_path):
    table, _ = run(workspace, photos, tmp_path)
    whole = table[:, :]
    assert whole.dtype == np.float32 and whole.shape == table.shape
    some, views = np.array([5, 0, 5]), np.array([2, 1, 0])
    for index in ((some, views), (slice(3, 7), 0), (slice(None), slice(1, 2)), (some, 1)):
        assert np.array_equal(table[index], whole[index])


@pytest.mark.parametrize("plan", [Plan(1, 1), Plan(3, 4), Plan(32, 1)], ids=str)
def test_neither_the_plan_nor_the_order_of_photos_matters(workspace, photos, tmp_path, plan):
    one, _ = run(workspace, photos, tmp_path / "one")
    two, _ = run(workspace, photos[::-1], tmp_path / "two", FakeBody(plan=plan))
    assert np.array_equal(one[:, :], two[::-1, :])


def test_a_changed_setting_computes_only_what_it_touches(workspace, photos, tmp_path):
    run(workspace, photos, tmp_path, views=VIEWS[:2])
    _, body = run(workspace, photos, tmp_path)
    assert body.views == len(photos)


def test_copies_are_seen_once(workspace, photos, tmp_path):
    table, body = run(workspace, [photos[0]] * 5, tmp_path)
    assert body.views == 3 and (table[:, :] == table[0, :]).all()


def test_an_interrupted_run_keeps_what_it_had_and_ends_the_same(workspace, photos, tmp_path):
    whole, body = run(workspace, photos, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(workspace, photos, tmp_path / "killed", FakeBody(fails_after=32))
    resumed, second = run(workspace, photos, tmp_path / "killed")
    assert np.array_equal(whole[:, :], resumed[:, :])
    assert body.views == 72 and second.views <= 72 - 24


def test_many_views_are_worth_a_self_test(workspace, photos, tmp_path, monkeypatch):
    assert not run(workspace, photos, tmp_path / "few")[1].tuned
    monkeypatch.setattr(features, "WORTH_TUNING", 72)
    assert run(workspace, photos, tmp_path / "many")[1].tuned


def test_a_photo_that_is_gone_is_named_and_what_was_finished_is_kept(workspace, photos, tmp_path, refused):
    with refused("gone.jpg", "run the intake again"):
        run(workspace, [*photos, photos[0] | {"path": "gone.jpg", "sha256": "0" * 64}], tmp_path)
    assert len(FeatureCache(tmp_path, "f" * 64, "float32")) >= 3 * len(photos) - 3 * 8


def test_a_photo_that_was_changed_since_the_intake_is_named(workspace, photos, tmp_path, refused):
    shutil.copytree(workspace.photos, tmp_path / "photos")
    shutil.copy(workspace.photos / photos[1]["path"], tmp_path / "photos" / photos[0]["path"])
    cache = FeatureCache(tmp_path / "cache", "f" * 64, "float32")
    with refused(photos[0]["path"], "changed since the intake"):
        extract(FakeBody, tmp_path / "photos", photos, VIEWS, cache)


@pytest.mark.slow
def test_a_killed_process_loses_a_shard_at_most(workspace, photos, tmp_path):
    program = f"""
import sys
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
import test_extract
from bears_tl.features import extract as features
from pathlib import Path
features.SHARD_ROWS = 8
class Slow(test_extract.FakeBody):
    def features(self, pixels):
        found = super().features(pixels)
        if self.views >= 48:
            print("ready", flush=True)
            import time; time.sleep(60)
        return found
class Workspace: photos = Path({str(workspace.photos)!r})
test_extract.run(Workspace, {photos!r}, Path({str(tmp_path / "killed")!r}), Slow())
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(FeatureCache(tmp_path / "killed", "f" * 64, "float32"))
    whole, _ = run(workspace, photos, tmp_path / "whole")
    resumed, body = run(workspace, photos, tmp_path / "killed")
    assert kept >= 16 and body.views == 72 - kept
    assert np.array_equal(whole[:, :], resumed[:, :])
