"""Every alternative gives the reference features, with any settings and any number of photos."""

import importlib.util
import sys

import numpy as np
import pytest

from bears_tl.bench import engines, peers, tutorial
from bears_tl.inception.backbone import Backbone
from bears_tl.photos.views import CENTER, read_views, scale
from bears_tl.pipeline.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def paths(workspace):
    return sorted(workspace.photos.glob("*/*.jpg"))[::5]


@pytest.fixture(scope="module")
def pixels(paths):
    return np.stack([read_views(path, [CENTER], "")[0] for path in paths])


@pytest.fixture(scope="module")
def reference(workspace, pixels):
    return Backbone.restore(workspace.checkpoint).features(scale(pixels))


@pytest.fixture(scope="module")
def graph(workspace, tmp_path_factory):
    path = tmp_path_factory.mktemp("frozen") / "body.pb"
    peers.freeze(workspace.checkpoint, path)
    return path


@pytest.fixture(scope="module")
def onnx(graph):
    pytest.importorskip("tf2onnx", reason="needs the extra bench")
    peers.convert_to_onnx(graph, graph.with_suffix(".onnx"))
    return graph.with_suffix(".onnx")


def cosines(one, other):
    """Compare features after subtracting their mean, because features of a random body have much in common."""
    one, other = one - other.mean(axis=0), other - other.mean(axis=0)
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def agrees(features, reference, least=0.99999):
    assert features.shape == reference.shape and features.dtype == np.float32
    assert cosines(features, reference).min() >= least


def test_the_photos_differ(reference):
    assert cosines(reference[::-1], reference)[: len(reference) // 2].max() < 0.9


@pytest.mark.parametrize("settings", peers.KerasPredict.CANDIDATES[:2], ids=str)
def test_keras_predict(workspace, pixels, reference, settings):
    agrees(peers.KerasPredict(workspace.checkpoint, **settings).features(pixels), reference)


def test_tf_data_reads_the_same_photos_and_leaves_out_what_it_cannot_decode(workspace, paths, reference, tmp_path):
    pipeline = peers.TfData(workspace.checkpoint, batch_size=2, jit=False)
    agrees(pipeline.features(paths), reference, 0.9)  # it resizes without anti-aliasing
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(paths[0].read_bytes()[:1000])
    features = pipeline.features([paths[0], broken, tmp_path / "missing.jpg", *paths[1:]])
    agrees(features, reference, 0.9)


@pytest.mark.parametrize("settings", [{"batch_size": 2, "streams": 1}, {"batch_size": 4, "streams": 2}], ids=str)
def test_onnx_runtime(onnx, pixels, reference, settings):
    pytest.importorskip("onnxruntime", reason="needs the extra bench")
    agrees(engines.OnnxRuntime(onnx, **settings).features(pixels), reference)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra bench")
class TestOpenVino:
    @pytest.mark.parametrize("batch_size", [2, 4])
    def test_float32(self, graph, pixels, reference, batch_size):
        engine = engines.OpenVino(graph, "float32", batch_size)
        agrees(engine.features(pixels), reference)
        agrees(engine.features(pixels[:3]), reference[:3])

    def test_bfloat16_or_it_says_that_there_is_none(self, graph, pixels, reference):
        try:
            engine = engines.OpenVino(graph, "bfloat16", 2)
        except RuntimeError as error:
            assert "bfloat16" in str(error)
        else:
            agrees(engine.features(pixels), reference, 0.9)

    def test_it_does_not_report_to_its_maker(self, graph):
        engines.OpenVino(graph, "float32", 1)
        from openvino.tools.ovc import telemetry_utils

        assert telemetry_utils.tm.__name__.endswith("telemetry_stub")
        assert sys.modules["openvino_telemetry"] is None


def test_a_real_body_on_real_photos(real_checkpoint, real_photos, tmp_path):
    pixels = np.stack([read_views(path, [CENTER], "")[0] for path in sorted(real_photos.glob("*/*"))[::110]])
    reference = Backbone.restore(real_checkpoint).features(scale(pixels))
    agrees(peers.KerasPredict(real_checkpoint, batch_size=8, jit=False).features(pixels), reference)
    peers.freeze(real_checkpoint, tmp_path / "body.pb")
    if importlib.util.find_spec("openvino"):
        agrees(engines.OpenVino(tmp_path / "body.pb", "float32", 2).features(pixels), reference)


def test_the_tutorial_learns_and_is_tested_on_the_test_photos(workspace, monkeypatch):
    for name, value in {"BATCH_SIZE": 3, "LEARNING_RATE": 0.003, "ROTATION": 0.0, "DROPOUT": 0.0}.items():
        monkeypatch.setattr(tutorial, name, value)  # so that few epochs are enough
    rows = Run.open(workspace.folder / "runs/trained").table("splits.csv")
    found = tutorial.train_and_test(workspace.photos, rows, workspace.checkpoint, epochs=8)
    assert found["count"] == sum(row["split"] == "test" for row in rows) and found["right"] > found["count"] / 2
    assert found["steps"] == found["planned_steps"] and found["missing_seconds"] == 0


def test_scikit_learn_learns_and_is_tested_on_the_test_photos(workspace):
    pytest.importorskip("sklearn", reason="needs the extra bench")
    rows = Run.open(workspace.folder / "runs/trained").table("splits.csv")
    right, count = peers.logistic_regression(
        workspace.photos, rows, workspace.checkpoint, {"batch_size": 8, "jit": False}
    )
    assert count == sum(row["split"] == "test" for row in rows) and right > count / 2
