"""A class map adds up to the logit and is hottest where the class is decided; neighbours are the nearest photos."""

import dataclasses
import shutil

import numpy as np
import pytest

from bears_tl.files import read_json, write_json
from bears_tl.inception.architecture import DEPTHS, LAST, columns
from bears_tl.inception.body import Body
from bears_tl.pipeline import artifacts, evaluation, reasons, stages
from bears_tl.pipeline.run import Run
from bears_tl.training import regression
from bears_tl.training.head import Head

SIDES = {"Mixed_6e": 17, "Mixed_7a": 8, "Mixed_7b": 8, "Mixed_7c": 8}
NAMES = ["Grizzly", "Panda", "Polar"]
ALL = tuple(DEPTHS)


def random_head(depths, classes=3):
    draw = np.random.default_rng(0)
    size = sum(DEPTHS[depth] for depth in depths)
    kernel, bias = draw.normal(1, 1, (size, classes)), draw.normal(1, 1, classes)
    return Head(kernel.astype(np.float32), bias.astype(np.float32), NAMES[:classes], depths)


def random_maps(depths, count=2):
    draw = np.random.default_rng(1)
    return [draw.gamma(0.5, 1, (count, SIDES[name], SIDES[name], DEPTHS[name])).astype(np.float32) for name in depths]


def means(maps):
    return np.concatenate([values.mean(axis=(1, 2), dtype=np.float64) for values in maps], axis=1)


@pytest.mark.parametrize(("depths", "side"), [(LAST, 8), (("Mixed_7a", "Mixed_7b"), 8), (ALL, 17)])
def test_the_mean_of_a_class_map_and_the_bias_are_the_logit(depths, side):
    head, maps = random_head(depths), random_maps(depths)
    for classes in ([0, 2], [1, 1]):
        found = reasons.class_maps(head, maps, np.array(classes))
        assert found.shape == (2, side, side) and found.dtype == np.float64
        logits = head.logits(means(maps))[[0, 1], classes]
        np.testing.assert_allclose(found.mean(axis=(1, 2)) + head.bias[classes], logits, rtol=1e-10)


def test_a_coarse_map_is_spread_by_area_and_a_constant_one_stays_constant():
    head, maps = random_head(ALL), [np.ones_like(values) for values in random_maps(ALL)]
    found = reasons.class_maps(head, maps, np.array([0, 1]))
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :1, :1], found.shape))
    maps = [values * 0 for values in maps]
    maps[-1][:, 0, 7] = 1  # one place of Mixed_7c, top right: 17/8 cells wide on the side of Mixed_6e
    found = np.abs(reasons.class_maps(head, maps, np.array([0, 1])))
    assert (found[:, :2, -2:] > 0).all() and not found[:, 3:].any() and not found[:, :, :-3].any()
    np.testing.assert_allclose(found[:, 2, -1] / found[:, 0, -1], 1 / 8)


def test_a_centred_head_has_the_same_probabilities_and_its_logits_add_up_to_zero():
    head, features = random_head(LAST), means(random_maps(LAST))
    centred = reasons.centred(dataclasses.replace(head, temperature=50.0))
    np.testing.assert_allclose(centred.probabilities(features), softmax(head.logits(features) / 50), rtol=1e-5)
    np.testing.assert_allclose(centred.logits(features).sum(axis=1), 0, atol=1e-2)
    assert np.abs(head.logits(features).sum(axis=1)).min() > 100  # not so before


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def body(workspace):
    return Body.open(workspace.checkpoint, precision="float32", cache=workspace.folder / "cache")


@pytest.mark.slow
@pytest.mark.parametrize("depths", [LAST, ALL])
def test_maps_of_the_body_add_up_to_the_logits_of_its_features(body, depths):
    """Features are rounded to float16, by half a unit in the last of 11 places at most; maps are not."""
    pixels = np.random.default_rng(2).integers(0, 256, (3, 299, 299, 3), dtype=np.uint8)
    head, classes = reasons.centred(random_head(depths)), np.array([2, 0, 1])
    features = body.features(pixels)[:, columns(depths)].astype(np.float64)
    found = reasons.explain(head, body, pixels, classes).mean(axis=(1, 2)) + head.bias[classes]
    rounding = (features @ np.abs(head.kernel))[[0, 1, 2], classes] * 2.0**-11
    assert (np.abs(found - head.logits(features)[[0, 1, 2], classes]) <= rounding * 1.01).all()
    _, *maps = body.maps(pixels, depths)
    exact = head.logits(means(maps))[[0, 1, 2], classes]
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    predicted = head.logits(features).argmax(axis=1)
    np.testing.assert_array_equal(reasons.explain(head, body, pixels), reasons.explain(head, body, pixels, predicted))


@pytest.mark.slow
@pytest.mark.parametrize("depths", [LAST, ALL])
def test_a_patch_that_decides_the_class_is_the_hottest_place(body, depths):
    pixels = np.random.default_rng(3).integers(0, 256, (20, 299, 299, 3), dtype=np.uint8)
    labels = np.arange(20) % 2
    pixels[labels == 0, :100, 199:], pixels[labels == 1, :100, 199:] = (255, 0, 255), (0, 255, 0)
    features = body.features(pixels)[:, columns(depths)].astype(np.float32)
    widths = tuple(DEPTHS[depth] for depth in depths)
    examples = regression.Examples.of(features[:14, np.newaxis], np.eye(2)[labels[:14]], widths)
    fit = regression.fit(examples, 1e-3)
    head = Head(fit.kernel.astype(np.float32), fit.bias.astype(np.float32), ["magenta", "green"], depths)
    assert (head.logits(features[14:]).argmax(axis=1) == labels[14:]).all()
    for found in reasons.explain(head, body, pixels[14:]):
        down, across = (np.array(np.unravel_index(found.argmax(), found.shape)) + 0.5) * 299 / len(found)
        assert down < 100 and across > 199


@pytest.fixture
def run(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("BEARS_TL_CACHE", str(workspace.folder / "cache"))
    shutil.copytree(workspace.folder / "runs/trained", tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [4, 1024])
def test_the_nearest_are_those_with_the_highest_cosine_and_never_the_photo_itself(run, monkeypatch, chunk):
    monkeypatch.setattr(reasons, "_CHUNK", chunk)
    rows = artifacts.split_rows(run)["train"]
    depths = Head.load(run.path("head.npz")).depths
    train = stages.features(run)["train"].of(depths)[:, 0].astype(np.float64)
    train /= np.linalg.norm(train, axis=1, keepdims=True)
    cosines = train @ train.T
    np.fill_diagonal(cosines, -1)
    found = reasons.nearest(run, 5 * train, [row["sha256"] for row in rows], 4)
    for of_photo, expected in zip(found, cosines, strict=True):
        first = np.argsort(-expected)[:4]
        assert [row["path"] for row in of_photo] == [rows[i]["path"] for i in first]
        assert [row["class_name"] for row in of_photo] == [rows[i]["class_name"] for i in first]
        np.testing.assert_allclose([row["similarity"] for row in of_photo], expected[first])
    (other,) = reasons.nearest(run, train[:1], ["0" * 64])
    assert len(other) == 3 and other[0]["path"] == rows[0]["path"] and other[0]["similarity"] == pytest.approx(1)
    assert len(reasons.nearest(run, train[:1], [rows[0]["sha256"]], 1000)[0]) == len(rows) - 1


@pytest.mark.slow
def test_features_that_are_not_cached_are_refused_before_the_body_is_loaded(run, tmp_path, monkeypatch, refused):
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(artifacts, "load_kept_body", None)
    tests = artifacts.predictions(run).of_split("test").worst(2)
    with refused("missing from the cache", f"bears features --run {run.folder}"):
        reasons.draw_predictions(run, tests)


@pytest.mark.slow
def test_a_model_that_is_not_kept_is_not_made_for_a_figure(run, tmp_path, monkeypatch, refused):
    cache = artifacts.cache_folder()
    shutil.copytree(cache, tmp_path / "cache", ignore=shutil.ignore_patterns("bodies"))
    monkeypatch.setenv("BEARS_TL_CACHE", str(tmp_path / "cache"))
    with refused("OpenVINO's model", str(tmp_path / "cache"), "bears predict"):
        reasons.draw_predictions(run, artifacts.predictions(run).of_split("test").worst(1))
    assert not list(tmp_path.glob("cache/bodies/*"))


@pytest.mark.slow
def test_without_the_checkpoint_an_evaluation_lacks_one_figure_and_says_why(run):
    receipt, figure = read_json(run.path("receipt.json")), run.path("figures/reasons.png")
    receipt["stages"]["restore"]["facts"]["path"] = "gone.ckpt"
    write_json(run.path("receipt.json"), receipt)
    assert figure.is_file()
    *_, warning = evaluation.evaluate(Run.open(run.folder))["warnings"]
    assert "the figure reasons.png is missing" in warning and "'gone.ckpt'" in warning and "\n" not in warning
    assert not figure.exists() and run.path("figures/worst.png").is_file()
