"""From the bytes of a photo to its center view, by TensorFlow's own operations, as `photos.views` does it with Pillow.

TensorFlow cannot do all that Pillow does: it ignores ICC profiles and reads black-and-white PNGs of 1 bit wrongly. What
the first changes is measured by `parity`.
"""

import functools

import numpy as np
from PIL import Image

from bears_tl.export.orientation import orientation_of
from bears_tl.photos.views import IMAGE_SIZE_PX, LEAST_SIDE_PX
from bears_tl.tensorflow import tf

_REDUCING_GAP = 2.0  # of `views.render`
_SUPPORT = 0.5  # half the width of Pillow's bilinear filter, less half a pixel
_MOST_TAPS = 9  # pixels that one pixel is made of: what is left to shrink after `_reduce` is less than 4 times
_BITS = 22  # of a weight in fixed point


def center_view(photo: tf.Tensor) -> tf.Tensor:
    """Decode a photo and cut its center view.

    Args:
        photo: string [], the bytes of a JPEG, PNG or WebP file (WebP: not before TensorFlow 2.20).

    Returns:
        uint8 [299, 299, 3] in [0, 255].
    """
    is_jpeg = tf.strings.substr(photo, 0, 2) == b"\xff\xd8"
    image = tf.cond(is_jpeg, lambda: _decode_jpeg(photo), lambda: _decode_other(photo))
    return _render(_upright(image, orientation_of(photo)))


def _decode_jpeg(photo: tf.Tensor) -> tf.Tensor:
    """Decode at 1/2, 1/4 or 1/8 of the size where that is enough, as Pillow's `draft` does: uint8 [h, w, 3]."""
    size = tf.cast(tf.io.extract_jpeg_shape(photo)[:2], tf.float64)
    wanted = tf.math.ceil(size * (LEAST_SIDE_PX / tf.reduce_min(size)))
    factor = tf.reduce_min(size // wanted)

    def decode(ratio):
        return tf.io.decode_jpeg(photo, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    case = tf.cast(factor >= 2, tf.int32) + tf.cast(factor >= 4, tf.int32) + tf.cast(factor >= 8, tf.int32)
    return tf.switch_case(case, [lambda ratio=ratio: decode(ratio) for ratio in (1, 2, 4, 8)])


def _decode_other(photo: tf.Tensor) -> tf.Tensor:
    """Decode a PNG or WebP and blend transparent pixels with white: uint8 [h, w, 3]."""

    def decode_webp():  # TensorFlow takes no number of channels here other than the file's
        image = tf.io.decode_image(photo, expand_animations=False)
        missing = tf.maximum(4 - tf.shape(image)[2], 0)
        return tf.pad(image, [[0, 0], [0, 0], [0, missing]], constant_values=255)

    is_webp = tf.strings.substr(photo, 0, 4) == b"RIFF"
    image = tf.cond(is_webp, decode_webp, lambda: tf.io.decode_image(photo, channels=4, expand_animations=False))
    image = tf.ensure_shape(image, [None, None, 4])
    levels, alpha = tf.cast(image[..., :3], tf.float32), tf.cast(image[..., 3:], tf.float32) / 255
    return _rounded(levels * alpha + 255 * (1 - alpha))


def _upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn and mirror an image by its EXIF orientation."""

    def is_in(*numbers):
        return tf.reduce_any(orientation == tf.constant(numbers, tf.int64))

    image = tf.cond(is_in(5, 6, 7, 8), lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    image = tf.cond(is_in(2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(is_in(3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)


def _render(image: tf.Tensor) -> tf.Tensor:
    """Cut the center square and resize it, as Pillow's `resize(box=..., reducing_gap=2)` does: first by averaging.

    Steps and rounding are those of Pillow's Image.resize, Reduce.c and Resample.c, in integers, so the bits are equal.
    """
    size = tf.shape(image)[:2]
    side = tf.cast(tf.reduce_min(size), tf.float64)
    start = (tf.cast(size, tf.float64) - side) / 2
    factor = tf.maximum(tf.cast(side / IMAGE_SIZE_PX / _REDUCING_GAP, tf.int32), 1)
    margin = _SUPPORT * side / IMAGE_SIZE_PX
    first = tf.cast(tf.maximum(start - margin, 0), tf.int32)
    last = tf.minimum(tf.cast(tf.math.ceil(start + side + margin), tf.int32), size)
    image = tf.cast(image, tf.int32)
    image, start, end = tf.cond(
        factor > 1,
        lambda: (
            _reduce(image[first[0] : last[0], first[1] : last[1]], factor),
            (start - tf.cast(first, tf.float64)) / tf.cast(factor, tf.float64),
            (start + side - tf.cast(first, tf.float64)) / tf.cast(factor, tf.float64),
        ),
        lambda: (image, start, start + side),
    )

    def across(image):
        return _resample(image, 1, start[1], end[1])

    def down(image):
        return _resample(image, 0, start[0], end[0])

    height, width = tf.unstack(tf.shape(image)[:2] - IMAGE_SIZE_PX)
    down_first = (height > 0) & (height > 2 * width) & pillow_may_start_down()
    image = tf.cond(down_first, lambda: across(down(image)), lambda: down(across(image)))
    return tf.ensure_shape(tf.cast(image, tf.uint8), [IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3])


@functools.cache
def pillow_may_start_down() -> bool:
    """Return whether this Pillow resizes tall images first down and then across, as 13.0 does; it changes the rounding.

    The rule in `_render` was found by trying sizes with 13.0; earlier versions always begin across.
    """
    side, tall = IMAGE_SIZE_PX, IMAGE_SIZE_PX + 100
    levels = np.random.default_rng(0).integers(0, 256, (tall, side + 1), dtype=np.uint8)
    image, bilinear = Image.fromarray(levels), Image.Resampling.BILINEAR
    stepwise = image.resize((side + 1, side), bilinear).resize((side, side), bilinear)
    return image.resize((side, side), bilinear).tobytes() == stepwise.tobytes()


def _reduce(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Average blocks of factor x factor pixels, int32; blocks at the far edges may be smaller."""
    size = tf.shape(image)[:2]
    blocks = -(-size // factor)
    missing = blocks * factor - size
    padding = [[0, missing[0]], [0, missing[1]], [0, 0]]
    shape = [blocks[0], factor, blocks[1], factor, -1]

    def sums(values):
        return tf.cast(tf.reduce_sum(tf.reshape(tf.pad(values, padding), shape), axis=[1, 3]), tf.int64)

    count = sums(tf.ones([*tf.unstack(size), 1], tf.int32))
    return tf.cast((sums(image) + count // 2) * (2**24 // count) // 2**24, tf.int32)


def _resample(image: tf.Tensor, axis: int, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """Resize one side of an image to 299 px, with Pillow's bilinear filter in fixed point.

    Args:
        image: int32 [h, w, 3] in [0, 255].
        axis: 0 or 1.
        start: where the part to resize begins, float64 [] in px.
        end: where it ends; it is less than 4 * 299 px away.

    Returns:
        int32 in [0, 255].
    """
    length = tf.shape(image)[axis]
    start, end = tf.cast(start, tf.float32), tf.cast(end, tf.float32)  # Pillow's boxes are float32
    scale = tf.cast(end - start, tf.float64) / IMAGE_SIZE_PX
    support = tf.maximum(scale, 1)
    centers = tf.cast(start, tf.float64) + (tf.range(IMAGE_SIZE_PX, dtype=tf.float64) + 0.5) * scale
    firsts = tf.maximum(tf.cast(centers - support + 0.5, tf.int32), 0)
    lasts = tf.minimum(tf.cast(centers + support + 0.5, tf.int32), length)
    places = firsts[:, tf.newaxis] + tf.range(_MOST_TAPS)  # [299, taps]
    distances = (tf.cast(places, tf.float64) - centers[:, tf.newaxis] + 0.5) / support
    weights = tf.where(places < lasts[:, tf.newaxis], tf.maximum(1 - tf.abs(distances), 0), 0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    weights = tf.cast(weights * 2**_BITS + 0.5, tf.int32)
    places = tf.minimum(places, length - 1)
    shape = [1, IMAGE_SIZE_PX, 1] if axis else [IMAGE_SIZE_PX, 1, 1]
    sums = tf.constant(2 ** (_BITS - 1))
    for tap in range(_MOST_TAPS):
        sums += tf.gather(image, places[:, tap], axis=axis) * tf.reshape(weights[:, tap], shape)
    return tf.minimum(sums // 2**_BITS, 255)


def _rounded(levels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(tf.floor(levels + 0.5), 0, 255), tf.uint8)
