"""The whole walk on real photos with real weights; skipped where there are none (see CONTRIBUTING.md)."""

import json

import pytest

pytestmark = pytest.mark.slow


def test_the_walk_reaches_99_percent_on_real_photos(workspace, real, tmp_path):
    archive = real / "photos/bear_photos.tar.xz"
    weights = real / "checkpoints/inception_v3_partial_2015.tar.gz"
    words = (f"photos={archive}", f"checkpoint={weights}", f"run={tmp_path / 'run'}")
    done = workspace.bears("train", "--set", *words, BEARS_TL_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["photos"] == {
        "count": 551, "quarantined": 0, "per_class": {"Grizzly": 224, "Panda": 224, "Polar": 103},
        "per_reason": {}, "near_duplicate_groups": 0, "corrections": 0, "notes": [],
    }  # fmt: skip
    assert metrics["checkpoint"]["kind"] == "local" and not metrics["notice"]
    assert metrics["test"]["accuracy"] >= 0.99
