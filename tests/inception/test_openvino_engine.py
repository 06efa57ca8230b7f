"""OpenVINO's model is made once, checked each time, and TensorFlow takes over where it cannot be used."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bears_tl.inception import machine, openvino_engine, tensorflow_engine
from bears_tl.inception.body import Body

pytestmark = pytest.mark.slow


def opened(path, cache, engine="auto", fingerprint="f" * 64, precision="float32"):
    return Body.open(path, fingerprint, precision, cache, engine)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 299, 299, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(workspace, tmp_path_factory, pixels):
    """Give a cache folder with a model, and its features."""
    cache = tmp_path_factory.mktemp("cache")
    body = opened(workspace.checkpoint, cache)
    assert body.engine == "openvino"
    return cache, body.infer(pixels)


@pytest.fixture
def cache(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "cache")
    return tmp_path / "cache"


def test_a_model_that_is_there_needs_no_tensorflow(cache):
    code = f"""
import sys, numpy as np
from pathlib import Path
from bears_tl.inception.body import Body
body = Body.open("nowhere", "{"f" * 64}", "auto", Path({str(cache)!r}))
assert body.features(np.zeros((1, 299, 299, 3), np.uint8)).shape == (1, 6144)
assert body.engine == "openvino" and "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("damage", ["flip", "gone", "other checkpoint"])
def test_a_damaged_model_is_named_and_made_again(cache, made, workspace, pixels, capsys, damage):
    (weights,) = (cache / "bodies").glob("*.bin")
    receipt = weights.with_suffix(".json")
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "flip":
        weights.write_bytes(data)
    elif damage == "gone":
        weights.unlink()
    else:
        receipt.write_text(receipt.read_text().replace("ffff", "eeee"))
    body = opened(workspace.checkpoint, cache)
    assert f"{weights.stem}.xml is damaged; making it again" in capsys.readouterr().out
    assert body.engine == "openvino" and np.array_equal(body.infer(pixels), made[1])


def copy_graph(cache, to):
    """Give a cache TensorFlow's graph but no model of OpenVINO, to save the time of freezing it again."""
    (to / "bodies").mkdir(parents=True)
    for graph in (cache / "bodies").glob("*.pb"):
        shutil.copy(graph, to / "bodies")


def replace_package(monkeypatch, folder, source):
    (folder / "fake" / "openvino").mkdir(parents=True)
    (folder / "fake" / "openvino" / "__init__.py").write_text(source)
    monkeypatch.setitem(sys.modules, "openvino", None)  # so that the package goes at the end, too
    del sys.modules["openvino"]
    monkeypatch.syspath_prepend(folder / "fake")


def break_import(monkeypatch, folder):
    replace_package(monkeypatch, folder, "raise ImportError('libopenvino.so: cannot open shared object file')")


def make_too_old(monkeypatch, folder):
    replace_package(monkeypatch, folder, "__version__ = '2023.1.0-12185-x'")


def crash(monkeypatch, folder):
    ended = subprocess.CompletedProcess([], -4, "", "Illegal instruction\n")
    monkeypatch.setattr(openvino_engine.subprocess, "run", lambda *_, **__: ended)


def compute_nonsense(monkeypatch, folder):
    def run(command, **_):
        np.save(f"{command[-1]}/features.npy", np.random.default_rng(0).random((4, 2048), np.float32))
        Path(command[-1], "precisions.json").write_text('["float32"]')
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setattr(openvino_engine.subprocess, "run", run)


def refuse_to_write(monkeypatch, folder):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(openvino_engine.tempfile, "TemporaryDirectory", full)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (break_import, "cannot be imported: libopenvino.so"),
        (make_too_old, "version 2023.1.0-12185-x is too old"),
        (crash, "exit status -4: Illegal instruction"),
        (compute_nonsense, "differ from TensorFlow's: cosine"),
        (refuse_to_write, "No space left"),
    ],
)
def test_tensorflow_takes_over_and_the_reason_is_named(
    fault, reason, workspace, made, tmp_path, pixels, monkeypatch, capsys, refused
):
    fault(monkeypatch, tmp_path)
    copy_graph(made[0], tmp_path / "cache")
    body = opened(workspace.checkpoint, tmp_path / "cache")
    printed = capsys.readouterr().out
    assert body.engine == "tensorflow" and body.infer(pixels).shape == (2, 2048)
    assert printed.count("\n") == 1 and "OpenVINO is not used" in printed and reason in printed
    with refused("openvino cannot be used", reason, "engine=tensorflow"):
        opened(workspace.checkpoint, tmp_path / "cache", engine="openvino")


def test_a_failure_is_remembered(workspace, made, tmp_path, monkeypatch):
    copy_graph(made[0], tmp_path)
    crash(monkeypatch, tmp_path)
    with pytest.raises(openvino_engine.EngineError, match="Illegal instruction"):
        openvino_engine.load_model(workspace.checkpoint, "f" * 64, tmp_path)
    monkeypatch.setattr(openvino_engine.subprocess, "run", lambda *_, **__: pytest.fail("tested again"))
    with pytest.raises(openvino_engine.EngineError, match=r"Illegal instruction; to try again, delete .*json"):
        openvino_engine.load_model(workspace.checkpoint, "f" * 64, tmp_path)


def test_without_openvino_tensorflow_computes_without_a_word(workspace, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(openvino_engine, "is_installed", lambda: False)
    assert opened(workspace.checkpoint, tmp_path / "cache").engine == "tensorflow"
    assert capsys.readouterr().out == ""


def test_a_gpu_is_used_by_tensorflow(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    assert opened(workspace.checkpoint, tmp_path / "cache").engine == "tensorflow"


def test_a_precision_that_openvino_lacks_is_left_to_tensorflow(workspace, cache, monkeypatch, capsys):
    assert opened(workspace.checkpoint, cache, precision="float16").engine == "tensorflow"
    assert "does not compute in float16" in capsys.readouterr().out


def test_the_model_is_that_of_tensorflows_graph(made, workspace, pixels):
    graph = tensorflow_engine.TensorFlowEngine(tensorflow_engine.load_graph(workspace.checkpoint, "f" * 64, "float32"))
    (expected,) = graph.call(pixels, machine.Plan(2, 1), ("features",))
    assert np.abs(made[1] - expected).max() <= 1e-4 * expected.max()
