import numpy as np
import pytest

from bears_tl.files import sha256_of
from bears_tl.inception import architecture
from bears_tl.inception.backbone import Backbone
from bears_tl.inception.body import Body, pack
from bears_tl.inception.machine import Plan
from bears_tl.inception.openvino_engine import load_model
from bears_tl.inception.slim import slim_features
from bears_tl.photos.views import CENTER, read_views, scale

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["tensorflow", "openvino"])
def body(workspace, request):
    cache = workspace.folder / "cache"
    return Body.open(workspace.checkpoint, precision="float32", cache=cache, engine=request.param)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (19, 299, 299, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def features(body, pixels):
    return body.infer(pixels)


def cosines(one, other):
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_features_are_those_of_keras_and_of_slims_own_graph(features, pixels, workspace):
    # A random body amplifies rounding errors more than a trained one; for real weights the bound below is 2e-5.
    batch = scale(pixels[:5])
    for judge in (Backbone.restore(workspace.checkpoint).features(batch), slim_features(workspace.checkpoint, batch)):
        assert np.abs(features[:5] - judge).max() <= 1e-4 * judge.max()


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_features_are_slims_with_real_weights_and_photos(real_checkpoint, real_photos, engine, tmp_path):
    photos = sorted(real_photos.glob("*/*"))[::110]
    pixels = np.stack([read_views(photo, [CENTER], "")[0] for photo in photos])
    judge = slim_features(real_checkpoint, scale(pixels))
    body = Body.open(real_checkpoint, precision="float32", cache=tmp_path, engine=engine)
    assert np.abs(body.infer(pixels) - judge).max() < 2e-5
    if engine == "tensorflow" or "bfloat16" in load_model(real_checkpoint, sha256_of(real_checkpoint), tmp_path)[1]:
        half = Body.open(real_checkpoint, precision="bfloat16", cache=tmp_path, engine=engine)
        assert cosines(half.infer(pixels), judge).min() > 0.999


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_the_bits_give_nearly_the_same_features(features, pixels, workspace, precision):
    half = Body.open(workspace.checkpoint, precision=precision, engine="tensorflow")
    assert half.precision == precision
    found = half.infer(pixels[:8])
    assert cosines(found, features[:8]).min() > 0.999
    assert np.array_equal(found[2:3], half.infer(pixels[2:3]))


@pytest.mark.parametrize("plan", [Plan(1, 1), Plan(8, 1), Plan(8, 4), Plan(5, 2), Plan(32, 1)], ids=str)
def test_no_plan_and_no_company_changes_a_bit(body, features, pixels, plan, monkeypatch):
    monkeypatch.setattr(body, "plan", plan)
    assert np.array_equal(body.infer(pixels), features)
    assert np.array_equal(body.infer(pixels[7:8]), features[7:8])


def test_maps_come_with_the_features_of_the_same_pass(body, features, pixels):
    found, *maps = body.maps(pixels[:9], tuple(architecture.DEPTHS))
    assert np.array_equal(found, features[:9])
    assert [one.shape for one in maps] == [
        (9, 17, 17, 768), (9, 8, 8, 1280), (9, 8, 8, 2048), (9, 8, 8, 2048),
    ]  # fmt: skip
    assert np.allclose(maps[-1].mean(axis=(1, 2)), found, rtol=1e-5, atol=1e-6 * found.max())
    assert min(one.min() for one in maps) >= 0


def test_a_packed_body_has_the_same_bits(body, features, pixels, workspace):
    how, cache = {"precision": "float32", "engine": body.engine}, workspace.folder / "cache"
    packed = pack(workspace.checkpoint, sha256_of(workspace.checkpoint), cache=cache, **how)
    assert np.array_equal(Body.unpack(packed, **how).infer(pixels[:3]), features[:3])


def test_no_photos_have_no_features(body, pixels):
    assert body.features(pixels[:0]).shape == (0, 6144)


def test_features_are_rounded_to_16_bits(body, features, pixels):
    found = body.features(pixels[:3])
    assert found.dtype == np.float16
    assert np.array_equal(found[:, architecture.columns(architecture.LAST)], features[:3].astype(np.float16))


def test_pooled_features_are_the_means_of_the_maps(body, pixels):
    _, *maps = body.maps(pixels[:3], tuple(architecture.DEPTHS))
    means = np.concatenate([one.mean(axis=(1, 2)) for one in maps], axis=1)
    assert np.allclose(body.features(pixels[:3]), means, rtol=2e-3, atol=1e-6)
    for depth, one in zip(architecture.DEPTHS, maps, strict=True):
        of_depth = body.features(pixels[:3])[:, architecture.columns((depth,))]
        assert np.allclose(of_depth, one.mean(axis=(1, 2)), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((1, 299, 299, 3), np.float32), np.zeros((1, 224, 224, 3), np.uint8), np.zeros((299, 299, 3), np.uint8)],
    ids=["float32", "224 px", "no batch"],
)
def test_what_are_no_pixels_is_refused(body, wrong):
    with pytest.raises(ValueError, match="expected uint8"):
        body.infer(wrong)


@pytest.mark.parametrize("value", [1e5, np.inf, np.nan])
def test_features_out_of_range_are_refused(body, pixels, monkeypatch, refused, value):
    monkeypatch.setattr(body._engine, "call", lambda batch, *_: [np.full((len(batch), 2048), value, np.float32)])
    with refused("weights are broken"):
        body.features(pixels[:1])
