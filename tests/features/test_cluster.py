"""Features from a cluster of two workers on this machine."""

import logging
import os
import shutil
import signal
import sys

import numpy as np
import pytest

from bears_tl.features import cluster
from bears_tl.features.cache import FeatureCache
from bears_tl.features.extract import extract, fill, find_missing
from bears_tl.inception.body import Body, bits_of, pack
from bears_tl.photos.views import CENTER, View
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    """Start Ray as on two machines of one core each, and connect to it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "object_store_memory": 200 * 2**20}
    machines = Cluster(initialize_head=True, head_node_args=machine | {"include_dashboard": False})
    machines.add_node(**machine)
    ray.init(machines.address, log_to_driver=False, logging_level=logging.CRITICAL)
    yield machines.address
    ray.shutdown()
    machines.shutdown()


def mortal(log, died):
    """Make a worker that logs what it computes; the first one to get a second block is killed there."""

    class Mortal(cluster.Worker):
        blocks = 0

        def __call__(self, block):
            self.blocks += 1
            if self.blocks == 2 and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            done = super().__call__(block)
            with open(log, "a") as file:
                file.writelines(f"{sha256} {view}\n" for sha256, view in zip(done["sha256"], done["view"], strict=True))
            return done

    return Mortal


def test_neither_a_changed_photo_nor_a_killed_worker_costs_what_was_finished_or_changes_a_bit(
    workspace, address, tmp_path, capfd
):
    run_folder, bucket = workspace.folder / "runs/on_a_cluster", tmp_path / "bucket"
    shutil.copytree(workspace.folder / "runs/trained", run_folder)
    shutil.copytree(workspace.photos, bucket)
    run = Run.open(run_folder)
    views = [*artifacts.train_views(run), View(1, 0, 0.2)]
    photos = run.table("splits.csv")

    # A training photo was changed; training photos come first.
    changed = bucket / artifacts.split_rows(run)["train"][0]["path"]
    changed.write_bytes(changed.read_bytes() + b"more")
    done = workspace.bears(
        *("features", "--run", run_folder, "--ray", "--address", address, "--photos-url", f"file://{bucket}"),
        BEARS_TL_CACHE=str(tmp_path),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and changed.name in done.stderr and "was changed" in done.stderr

    # The photo is restored; this time a worker is killed.
    facts = run.facts("restore")  # the precision was chosen again because of the other cache folder
    how = {"precision": facts["precision"], "engine": facts["engine"]}
    cache = FeatureCache(tmp_path, facts["fingerprint"], bits_of(facts["engine"], facts["precision"]))
    missing = find_missing(photos, views, cache)
    todo = sum(len(views) for _, views in missing)
    assert len(photos) <= todo < 2 * len(photos)  # something was kept
    packed = pack(workspace.checkpoint, facts["fingerprint"], cache=tmp_path, **how)
    worker = mortal(tmp_path / "log", tmp_path / "died")
    capfd.readouterr()
    fill(cache, missing, lambda missing: cluster.compute(packed, workspace.photos, missing, **how, worker=worker))
    assert "ray" not in capfd.readouterr().err
    computed = (tmp_path / "log").read_text().splitlines()
    assert (tmp_path / "died").exists() and len(computed) == len(set(computed)) == todo

    found = extract(lambda: pytest.fail("asked"), workspace.photos, photos, views, cache)
    alone = FeatureCache(tmp_path, facts["fingerprint"], "alone")
    local = extract(lambda: Body.unpack(packed, **how), workspace.photos, photos, views, alone)
    assert np.array_equal(found[:], local[:])


def test_an_address_without_a_cluster_is_refused(refused, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    for address, reason in (("127.0.0.1:1", "refused"), ("127.0.0.1:many", "many")):
        with refused(address, reason, "ray start"):
            list(cluster.compute(None, "", [({}, [CENTER])], "float32", "openvino", address))


def test_without_ray_the_extra_is_named(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with refused("bears_tl[ray]"):
        list(cluster.compute(None, "", [({}, [CENTER])], "float32", "openvino"))
