"""The frozen graph is saved and loaded again."""

import numpy as np
import pytest

from bears_tl.errors import InputError
from bears_tl.inception import tensorflow_engine
from bears_tl.inception.body import Body

pytestmark = pytest.mark.slow


def opened(path, fingerprint="f" * 64, precision="float32", cache=None):
    return Body.open(path, fingerprint, precision, cache, engine="tensorflow")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (1, 299, 299, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def features(workspace, pixels):
    return opened(workspace.checkpoint).infer(pixels)


@pytest.fixture
def cache(workspace, tmp_path, pixels, features):
    body = opened(workspace.checkpoint, cache=tmp_path)
    assert np.array_equal(body.infer(pixels[:1]), features[:1])
    return tmp_path


def test_the_checkpoint_is_not_read_again(cache, pixels, features, monkeypatch):
    monkeypatch.setattr(tensorflow_engine.checkpoint, "read", lambda path: pytest.fail("read"))
    again = opened("nowhere", cache=cache)
    assert np.array_equal(again.infer(pixels[:1]), features[:1])


def test_other_weights_or_another_precision_have_another_graph(cache, monkeypatch):
    monkeypatch.setattr(tensorflow_engine.checkpoint, "read", lambda path: pytest.fail("read"))
    for fingerprint, precision in (("e" * 64, "float32"), ("f" * 64, "bfloat16")):
        with pytest.raises(pytest.fail.Exception, match="read"):
            opened("nowhere", fingerprint, precision, cache)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_graph_is_named_and_made_again(cache, workspace, pixels, features, capsys, damage):
    (path,) = (cache / "bodies").glob("*.pb")
    data = bytearray(path.read_bytes())
    whole = bytes(data)
    data[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
    body = opened(workspace.checkpoint, cache=cache)
    assert path.name in capsys.readouterr().out
    assert np.array_equal(body.infer(pixels[:1]), features[:1]) and path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_named_and_does_not_matter(
    workspace, tmp_path, pixels, features, monkeypatch, capsys
):
    def full(path, data):
        raise InputError("no space left on the disk")

    monkeypatch.setattr(tensorflow_engine, "write_bytes", full)
    body = opened(workspace.checkpoint, cache=tmp_path)
    assert "no space left" in capsys.readouterr().out
    assert np.array_equal(body.infer(pixels[:1]), features[:1])
