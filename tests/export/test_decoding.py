"""TensorFlow's operations give the center view that Pillow gives, and survive broken files."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from bears_tl.export.decoding import center_view
from bears_tl.export.orientation import orientation_of
from bears_tl.photos.sample import paint
from bears_tl.photos.views import CENTER, read_views
from bears_tl.tensorflow import tf

PHOTO = Image.fromarray(paint("Panda", 3, 7))


@pytest.fixture(scope="module")
def decode():
    return tf.function(center_view, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


@pytest.fixture(scope="module")
def find():
    return tf.function(orientation_of, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def encoded(image, format="JPEG", orientation=None, **how):
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    image.save(file, format, exif=exif, **how)
    return file.getvalue()


def resized(*size):
    return PHOTO.resize(size, Image.Resampling.BICUBIC)


def assert_same_view(decode, content):
    expected = read_views(io.BytesIO(content), [CENTER], "")[0]
    np.testing.assert_array_equal(decode(content), expected)


@pytest.mark.parametrize("size", [(400, 300), (3000, 299), (31, 47), (1201, 903), (1797, 2399), (4000, 3600)])
def test_a_jpeg_of_any_size_gives_pillows_view(decode, size):
    assert_same_view(decode, encoded(resized(*size), quality=90))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_photo_is_turned_upright(decode, find, format, orientation):
    content = encoded(resized(1203, 700), format, orientation)
    assert int(find(content)) == orientation
    assert_same_view(decode, content)


def test_the_orientation_of_a_webp_is_found(find):
    assert int(find(encoded(PHOTO, "WEBP", 6))) == 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P"])
def test_a_png_gives_pillows_view(decode, mode):
    image = PHOTO.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    assert_same_view(decode, encoded(image.convert(mode), "PNG"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_gives_pillows_view(decode, mode):
    image = PHOTO.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    content = encoded(image, "WEBP", lossless=True)
    try:
        tf.io.decode_image(content)
    except tf.errors.InvalidArgumentError:
        pytest.skip(f"TensorFlow {tf.__version__} reads no WebP")
    assert_same_view(decode, content)


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_is_upright(find, value):
    assert int(find(encoded(PHOTO, "JPEG", value))) == 1


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_no_broken_file_is_too_much_for_the_orientation(find, format):
    """Cut anywhere in its first bytes, or with bytes changed, it ends with a number from 1 to 8."""
    small, rng = PHOTO.resize((16, 16)), np.random.default_rng(0)
    content = encoded(small, format, 8)
    contents = [content[:length] for length in range(0, len(content), 7)]
    for _ in range(200):
        changed = np.frombuffer(content, np.uint8).copy()
        changed[rng.integers(8, len(changed), 6)] = rng.choice([0, 1, 127, 255], 6)
        contents.append(changed.tobytes())
    assert {int(find(each)) for each in [b"", *contents]} <= set(range(1, 9))
