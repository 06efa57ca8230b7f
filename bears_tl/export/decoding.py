"""From the bytes of a photo to its center view, by TensorFlow's own operations, as `photos.views` does it with Pillow.

TensorFlow cannot do all that Pillow does: it ignores ICC profiles, converts CMYK its own way, and reads black-and-white
PNGs of 1 bit wrongly. What the first two change is measured by `parity`.
"""

from bears_tl.export.orientation import orientation_of
from bears_tl.photos.views import IMAGE_SIZE_PX, LEAST_SIDE_PX
from bears_tl.tensorflow import tf

_REDUCING_GAP = 2.0  # of `views.render`
_SUPPORT = 0.5  # half the width of Pillow's bilinear filter, less half a pixel


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

    The steps, and the rounding to 8 bits after each, are those of Pillow's Image.resize, Reduce.c and Resample.c.
    """
    size = tf.shape(image)[:2]
    side = tf.cast(tf.reduce_min(size), tf.float32)
    start = (tf.cast(size, tf.float32) - side) / 2
    factor = tf.maximum(tf.cast(side / IMAGE_SIZE_PX / _REDUCING_GAP, tf.int32), 1)
    margin = _SUPPORT * side / IMAGE_SIZE_PX
    first = tf.cast(tf.maximum(start - margin, 0), tf.int32)
    last = tf.minimum(tf.cast(tf.math.ceil(start + side + margin), tf.int32), size)
    image, start, side = tf.cond(
        factor > 1,
        lambda: (
            _reduce(image[first[0] : last[0], first[1] : last[1]], factor),
            (start - tf.cast(first, tf.float32)) / tf.cast(factor, tf.float32),
            side / tf.cast(factor, tf.float32),
        ),
        lambda: (image, start, side),
    )
    height = tf.shape(image)[0]
    scale, unit = IMAGE_SIZE_PX / side, tf.constant(1.0)
    moved = -start * scale
    image = _resample(image, [height, IMAGE_SIZE_PX], [unit, scale], [0.0, moved[1]])  # Pillow's order: first across
    image = _resample(image, [IMAGE_SIZE_PX, IMAGE_SIZE_PX], [scale, unit], [moved[0], 0.0])
    return tf.ensure_shape(image, [IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3])


def _reduce(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Average blocks of factor x factor pixels; blocks at the far edges may be smaller."""
    size = tf.shape(image)[:2]
    blocks = -(-size // factor)
    missing = blocks * factor - size
    padding = [[0, missing[0]], [0, missing[1]], [0, 0]]
    shape = [blocks[0], factor, blocks[1], factor, -1]

    def sums(values):
        return tf.reduce_sum(tf.reshape(tf.pad(values, padding), shape), axis=[1, 3])

    return _rounded(sums(tf.cast(image, tf.float32)) / sums(tf.ones([*tf.unstack(size), 1])))


def _resample(image: tf.Tensor, size: list, scale: list, moved: list) -> tf.Tensor:
    image = tf.raw_ops.ScaleAndTranslate(
        images=tf.cast(image, tf.float32)[tf.newaxis],
        size=tf.stack(size),
        scale=tf.stack(scale),
        translation=tf.stack(moved),
        kernel_type="triangle",
        antialias=True,
    )
    return _rounded(image[0])


def _rounded(levels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(tf.floor(levels + 0.5), 0, 255), tf.uint8)
