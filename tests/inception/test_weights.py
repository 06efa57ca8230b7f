import functools
import http.server
import json
import tarfile
import threading

import numpy as np
import pytest

from bears_tl.config import RunConfig
from bears_tl.errors import InputError, NotReachableError
from bears_tl.inception import checkpoint, stand_in, weights
from bears_tl.inception.architecture import CONVOLUTIONS
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run

UNREACHABLE = "http://127.0.0.1:9/inception_v3_2016_08_28.tar.gz"


@pytest.fixture
def small(tmp_path):
    checkpoint.write(tmp_path / "small.ckpt", {"x": np.ones(3, np.float32)})
    return tmp_path / "small.ckpt"


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield tmp_path / "served", f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.fixture
def no_stand_in(monkeypatch):
    def write_small(path, seed):
        checkpoint.write(path, {"x": np.full(3, seed, np.float32)})

    monkeypatch.setattr(stand_in, "make", write_small)


def test_a_path_is_local_and_fingerprinted(small, tmp_path):
    found = weights.find(str(small), tmp_path / "kept", 0)
    assert (found.path, found.kind, len(found.fingerprint)) == (small, "local", 64)


def test_a_checkpoint_of_several_files_is_known_again_until_it_changes(tmp_path, refused):
    import tensorflow as tf

    prefix = str(tmp_path / "model.ckpt-3")

    def save(value):
        tf.raw_ops.SaveV2(prefix=prefix, tensor_names=["x"], shape_and_slices=[""], tensors=[np.full(3, value, "f4")])

    save(1.0)
    found, run = weights.find(prefix, tmp_path / "kept", 0), Run(RunConfig(run=str(tmp_path / "run")))
    with run.stage("restore") as facts:
        facts |= {"path": str(found.path), "kind": found.kind, "fingerprint": found.fingerprint, "precision": "float32"}
    assert artifacts.checkpoint_facts(run)["path"] == prefix
    save(2.0)
    with refused("is missing or was changed", "bears train --run"):
        artifacts.checkpoint_facts(run)
    (tmp_path / "model.ckpt-3.index").unlink()
    with refused("is missing or was changed", "bears train --run"):
        artifacts.checkpoint_facts(run)


def test_auto_takes_a_local_file_first(small, tmp_path):
    assert weights.find("auto", small.rename(tmp_path / "inception_v3.ckpt").parent, 0, UNREACHABLE).kind == "local"


def test_auto_falls_back_to_the_stand_in_and_says_so(tmp_path, no_stand_in, capsys):
    assert weights.find("auto", tmp_path, 0, UNREACHABLE).kind == "stand_in"
    assert "could not be fetched" in capsys.readouterr().out


def test_a_url_never_falls_back(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(NotReachableError):
        weights.find(UNREACHABLE, tmp_path, 0)
    assert not list(tmp_path.glob("*.ckpt"))


def test_random_makes_one_stand_in_a_seed(tmp_path, no_stand_in):
    one, again, other = (weights.find("random", tmp_path, seed) for seed in (0, 0, 1))
    assert one == again and one.fingerprint != other.fingerprint and one.kind == "stand_in"


def test_a_stand_in_is_known_by_its_content_whatever_its_name(tmp_path):
    ones = {f"{scope}/BatchNorm/beta": np.ones(4, np.float32) for scope in CONVOLUTIONS[:3]}
    checkpoint.write(tmp_path / "inception_v3_2016_08_28-0.ckpt", ones)
    assert weights.find(str(tmp_path / "inception_v3_2016_08_28-0.ckpt"), tmp_path, 0).kind == "stand_in"
    ones[f"{CONVOLUTIONS[2]}/BatchNorm/beta"] = np.array([1, 1, 1, 0.5], np.float32)
    checkpoint.write(tmp_path / "trained.ckpt", ones)
    assert weights.find(str(tmp_path / "trained.ckpt"), tmp_path, 0).kind == "local"


def test_the_published_archive_is_fetched_locked_and_said_to_be_named_like_it(small, server, tmp_path):
    folder, address = server
    with tarfile.open(folder / "inception_v3_2016_08_28.tar.gz", "w:gz") as archive:
        archive.add(small, "inception_v3.ckpt")
    kept = tmp_path / "kept"
    found = weights.find("auto", kept, 0, f"{address}/inception_v3_2016_08_28.tar.gz")
    assert found.kind == "named_official" and found.path.read_bytes() == small.read_bytes()
    locked = json.loads((kept / "lock.json").read_text())
    assert len(locked["inception_v3_2016_08_28.tar.gz"]["sha256"]) == 64
    assert weights.find("auto", kept, 0, UNREACHABLE) == found


def test_a_changed_file_is_refused_afterwards(small, server, tmp_path):
    folder, address = server
    (folder / "x.ckpt").write_bytes(small.read_bytes())
    weights.find(f"{address}/x.ckpt", tmp_path / "kept", 0)
    (kept,) = (tmp_path / "kept").glob("*-x.ckpt")
    checkpoint.write(kept, {"x": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match="SHA-256"):
        weights.find(f"{address}/x.ckpt", tmp_path / "kept", 0)


def test_a_web_page_in_place_of_weights_is_refused_and_not_kept(server, tmp_path):
    folder, address = server
    (folder / "x.ckpt").write_text("<!doctype html><html><body>Sign in</body></html>")
    with pytest.raises(InputError, match="page"):
        weights.find(f"{address}/x.ckpt", tmp_path / "kept", 0)
    assert not list((tmp_path / "kept").glob("*.ckpt"))


def test_equal_names_at_two_addresses_are_two_files(small, server, tmp_path):
    folder, address = server
    other_small, found = tmp_path / "other.ckpt", []
    checkpoint.write(other_small, {"x": np.zeros(3, np.float32)})
    for place, file in (("a", small), ("b", other_small)):
        (folder / place).mkdir()
        (folder / place / "inception_v3.ckpt").write_bytes(file.read_bytes())
        found.append(weights.find(f"{address}/{place}/inception_v3.ckpt", tmp_path / "kept", 0))
    assert found[0].fingerprint != found[1].fingerprint and found[0].path != found[1].path
    assert not (tmp_path / "kept" / "inception_v3.ckpt").exists()  # `auto` would use it as a local checkpoint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint at 'gone\.ckpt'"):
        weights.find("gone.ckpt", tmp_path, 0)
