"""The whole walk on real photos with real weights; skipped where there are none (see CONTRIBUTING.md)."""

import json

import numpy as np
import pytest

from bears_tl.inception.architecture import DEPTHS
from bears_tl.judging.predictions import labels_of
from bears_tl.pipeline import suspects
from bears_tl.pipeline.run import Run
from bears_tl.training import folds
from bears_tl.training.labels import predict_again

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(workspace, real, tmp_path_factory):
    """Give a run of the real photos, with their features in the cache."""
    folder, monkeypatch = tmp_path_factory.mktemp("real"), pytest.MonkeyPatch()
    monkeypatch.setenv("BEARS_TL_CACHE", str(folder / "cache"))
    archive = real / "photos/bear_photos.tar.xz"
    weights = real / "checkpoints/inception_v3_partial_2015.tar.gz"
    words = (f"photos={archive}", f"checkpoint={weights}", f"run={folder / 'run'}")
    done = workspace.bears("train", "--set", *words, BEARS_TL_CACHE=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    yield Run.open(folder / "run")
    monkeypatch.undo()


def test_the_walk_reaches_99_percent_on_real_photos(trained):
    metrics = json.loads(trained.path("metrics.json").read_text())
    assert metrics["photos"] == {
        "count": 551, "quarantined": 0, "per_class": {"Grizzly": 224, "Panda": 224, "Polar": 103},
        "per_reason": {}, "near_duplicate_groups": 0, "corrections": 0, "notes": [],
    }  # fmt: skip
    assert metrics["checkpoint"]["kind"] == "local" and not metrics["notice"]
    assert metrics["test"]["accuracy"] >= 0.99


SEEDS = 5


@pytest.mark.parametrize(("share", "reached"), [(0.05, 0.98), (0.2, 0.95)])
def test_flipped_labels_of_real_photos_are_found_among_as_many_suggestions(trained, share, reached):
    """Beside ours: the ranking by loss, and the ways of cleanlab, all from the same folds."""
    from cleanlab.filter import find_label_issues

    run = trained
    rows = run.table("splits.csv")
    class_names = sorted({row["class_name"] for row in rows})
    true, table = labels_of(rows, class_names), suspects._first_views(run, rows).of(tuple(DEPTHS))
    groups = [row["group"] or row["sha256"] for row in rows]
    found = {}
    for seed in range(SEEDS):
        rng, labels, count = np.random.default_rng(seed), true.copy(), round(share * len(rows))
        flipped = rng.permutation(len(rows))[:count]
        labels[flipped] = (labels[flipped] + rng.integers(1, len(class_names), count)) % len(class_names)
        fold = folds.assign(groups, labels, seed)
        targets, everyone = np.eye(len(class_names))[labels], np.arange(len(rows))
        once = folds.predictor(table, targets, table.widths, fold)(targets, 1.0)
        twice = predict_again(table, labels, table.widths, fold)
        ways = {"two passes": np.argsort(twice[everyone, labels]), "loss": np.argsort(once[everyone, labels])}
        for way in ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"):
            options = {"filter_by": way, "return_indices_ranked_by": "self_confidence", "n_jobs": 1}
            ways[f"cleanlab {way}"] = find_label_issues(labels, once, **options)
        for way, order in ways.items():
            found.setdefault(way, []).append(np.isin(order[:count], flipped).sum() / count)
    for way, values in found.items():
        print(f"| {way} | {len(rows)} photos, {share:.0%} | {np.mean(values):.1%} | {min(values):.1%} |")
    assert np.mean(found["two passes"]) >= reached
