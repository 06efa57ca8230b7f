"""The body in 8 bits is made once, close to float32, and refused where it is not."""

import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest

from bears_tl.inception import openvino_engine, quantization
from bears_tl.inception.body import Body, pack
from bears_tl.inception.cosine import cosines
from bears_tl.photos.sample import calibration_views

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="needs the extra int8"),
]
FINGERPRINT = "f" * 64


def opened(path, cache, precision="int8", engine="auto"):
    return Body.open(path, FINGERPRINT, precision, cache, engine)


@pytest.fixture(scope="module")
def pixels():
    return calibration_views(10, seed=5)


@pytest.fixture(scope="module")
def made(workspace, tmp_path_factory):
    """Give a cache folder with both models; calibrated on few pictures, because painting takes time."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantization, "PICTURES", 12)
        opened(workspace.checkpoint, cache)
    return cache


@pytest.fixture
def cache(made, tmp_path):
    shutil.copytree(made, tmp_path / "cache")
    return tmp_path / "cache"


def test_features_are_close_to_float32_and_the_same_alone_and_together(made, workspace, pixels, monkeypatch):
    monkeypatch.setattr(quantization.subprocess, "run", None)  # the model is kept
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nncf" else object())
    body = opened(workspace.checkpoint, made)
    assert (body.engine, body.precision, body.bits) == ("openvino", "int8", "int8-openvino")
    features = body.infer(pixels)
    assert cosines(features, opened(workspace.checkpoint, made, "float32").infer(pixels)).min() > 0.99
    np.testing.assert_array_equal(features, np.concatenate([body.infer(view[None]) for view in pixels]))
    body.plan = quantization.Plan(4, 2)
    np.testing.assert_array_equal(features, body.infer(pixels))
    sent = Body.unpack(pack(workspace.checkpoint, FINGERPRINT, "int8", "openvino", made), "int8", "openvino")
    np.testing.assert_array_equal(features, sent.infer(pixels))


def test_without_openvino_or_nncf_it_is_refused_with_the_way_on(workspace, made, tmp_path, refused, monkeypatch):
    with refused("precision=int8", "not tensorflow", "engine=openvino"):
        opened(workspace.checkpoint, made, engine="tensorflow")
    (tmp_path / "bodies").mkdir()
    for file in (made / "bodies").glob("*"):
        if "int8" not in file.name:
            shutil.copy(file, tmp_path / "bodies")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nncf" else object())
    with refused("precision=int8 cannot be used", "package nncf", "precision=auto"):
        opened(workspace.checkpoint, tmp_path)


def fake(monkeypatch, status, found=None):
    def run(command, **_):
        work = quantization.Path(command[4])
        if found is not None:
            np.save(work / "cosines.npy", found)
            for suffix in openvino_engine.SUFFIXES:
                (work / f"body{suffix}").write_bytes(b"x")
        return subprocess.CompletedProcess(command, status, "", "Killed" if status else "")

    monkeypatch.setattr(quantization.subprocess, "run", run)


@pytest.mark.parametrize("found", [[0.98, 0.98], [1.0] * 20 + [0.9], [float("nan")]], ids=str)
def test_features_too_far_from_float32_are_refused_from_then_on(cache, workspace, refused, monkeypatch, found):
    for file in (cache / "bodies").glob("*int8*"):
        file.unlink()
    fake(monkeypatch, 0, found)
    words = ("precision=int8 cannot be used", "differ from float32", "expected 0.9", "delete")
    with refused(*words):
        opened(workspace.checkpoint, cache)
    monkeypatch.setattr(quantization.subprocess, "run", None)
    with refused(*words):
        opened(workspace.checkpoint, cache)


def test_a_process_that_dies_is_named_and_tried_again_next_time(cache, workspace, refused, monkeypatch):
    (receipt,) = (cache / "bodies").glob("*int8.json")
    receipt.unlink()
    fake(monkeypatch, -9)
    with refused("precision=int8 cannot be used", "exit status -9", "Killed"):
        opened(workspace.checkpoint, cache)
    assert not receipt.exists()


def test_a_folder_that_cannot_be_written_is_named(cache, workspace, refused, monkeypatch):
    for file in (cache / "bodies").glob("*int8*"):
        file.unlink()

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quantization.tempfile, "TemporaryDirectory", full)
    with refused("precision=int8 cannot be used", "cannot be kept", "No space left"):
        opened(workspace.checkpoint, cache)


def test_a_damaged_model_is_made_again(cache, workspace, monkeypatch):
    (weights,) = (cache / "bodies").glob("*int8.bin")
    weights.write_bytes(b"damaged")
    fake(monkeypatch, 0, [1.0])
    opened(workspace.checkpoint, cache)
    assert weights.read_bytes() == b"x"


def test_nothing_is_imported_for_a_model_that_is_there(made):
    code = f"""
import sys
from pathlib import Path
import numpy as np
from bears_tl.inception.body import Body
Body.open("nowhere", {FINGERPRINT!r}, "int8", Path({str(made)!r})).infer(np.zeros((1, 299, 299, 3), np.uint8))
assert not {{"nncf", "tensorflow", "scipy"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
