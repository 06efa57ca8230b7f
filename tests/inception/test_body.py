import numpy as np
import pytest

from bears_tl.errors import InputError
from bears_tl.inception import body as body_
from bears_tl.inception.backbone import Backbone
from bears_tl.inception.body import Body
from bears_tl.inception.machine import Plan
from bears_tl.inception.slim import slim_features
from bears_tl.photos.views import CENTER, read_views, scale

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def body(workspace):
    return Body.open(workspace.checkpoint, precision="float32")


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


def test_features_are_slims_with_real_weights_and_photos(real_checkpoint, real_photos):
    photos = sorted(real_photos.glob("*/*"))[::110]
    pixels = np.stack([read_views(photo, [CENTER], "")[0] for photo in photos])
    judge = slim_features(real_checkpoint, scale(pixels))
    assert np.abs(Body.open(real_checkpoint, precision="float32").infer(pixels) - judge).max() < 2e-5
    assert cosines(Body.open(real_checkpoint, precision="bfloat16").infer(pixels), judge).min() > 0.999


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_the_bits_give_nearly_the_same_features(features, pixels, workspace, precision):
    half = Body.open(workspace.checkpoint, precision=precision)
    assert half.precision == precision
    found = half.infer(pixels[:8])
    assert cosines(found, features[:8]).min() > 0.999
    assert np.array_equal(found[2:3], half.infer(pixels[2:3]))


@pytest.mark.parametrize("plan", [Plan(1, 1), Plan(8, 1), Plan(8, 4), Plan(5, 2), Plan(32, 1)], ids=str)
def test_no_plan_and_no_company_changes_a_bit(body, features, pixels, plan, monkeypatch):
    monkeypatch.setattr(body, "plan", plan)
    assert np.array_equal(body.infer(pixels), features)
    assert np.array_equal(body.infer(pixels[7:8]), features[7:8])


def test_no_photos_have_no_features(body, pixels):
    assert body.features(pixels[:0]).shape == (0, 2048)


def test_features_are_rounded_to_16_bits(body, features, pixels):
    found = body.features(pixels[:3])
    assert found.dtype == np.float16 and np.array_equal(found, features[:3].astype(np.float16))


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
    monkeypatch.setattr(body, "_call", lambda batch: np.full((len(batch), 2048), value, np.float32))
    with refused("weights are broken"):
        body.features(pixels[:1])


class TestOnDisk:
    """The graph is saved and loaded again."""

    @pytest.fixture
    def cache(self, workspace, tmp_path, pixels, features):
        body = Body.open(workspace.checkpoint, "f" * 64, "float32", tmp_path)
        assert np.array_equal(body.infer(pixels[:1]), features[:1])
        return tmp_path

    def test_the_checkpoint_is_not_read_again(self, cache, pixels, features, monkeypatch):
        monkeypatch.setattr(body_.checkpoint, "read", lambda path: pytest.fail("read"))
        again = Body.open("nowhere", "f" * 64, "float32", cache)
        assert np.array_equal(again.infer(pixels[:1]), features[:1])

    def test_other_weights_or_another_precision_have_another_graph(self, cache, monkeypatch):
        monkeypatch.setattr(body_.checkpoint, "read", lambda path: pytest.fail("read"))
        for fingerprint, precision in (("e" * 64, "float32"), ("f" * 64, "bfloat16")):
            with pytest.raises(pytest.fail.Exception, match="read"):
                Body.open("nowhere", fingerprint, precision, cache)

    @pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
    def test_a_damaged_graph_is_named_and_made_again(self, cache, workspace, pixels, features, capsys, damage):
        (path,) = (cache / "bodies").glob("*.pb")
        data = bytearray(path.read_bytes())
        whole = bytes(data)
        data[len(data) // 2] ^= 1
        path.write_bytes({"cut": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
        body = Body.open(workspace.checkpoint, "f" * 64, "float32", cache)
        assert path.name in capsys.readouterr().out
        assert np.array_equal(body.infer(pixels[:1]), features[:1]) and path.read_bytes() == whole

    def test_a_folder_that_cannot_be_written_is_named_and_does_not_matter(
        self, workspace, tmp_path, pixels, features, monkeypatch, capsys
    ):
        def full(path, data):
            raise InputError("no space left on the disk")

        monkeypatch.setattr(body_, "write_bytes", full)
        body = Body.open(workspace.checkpoint, "f" * 64, "float32", tmp_path)
        assert "no space left" in capsys.readouterr().out
        assert np.array_equal(body.infer(pixels[:1]), features[:1])
