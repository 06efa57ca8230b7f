"""The EXIF orientation of a photo, found by TensorFlow's own operations, so that it can be part of a SavedModel.

TensorFlow's decoders ignore it. Formats: JPEG (https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1.1), PNG
(https://www.w3.org/TR/png-3/, 5.3) and WebP (RFC 9649) are sequences of parts, each with its length; one of them holds
EXIF, a TIFF directory (https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, 4.5 and 4.6).
"""

from typing import NamedTuple

from bears_tl.tensorflow import tf

_TAG, _SHORT, _LONG = 0x0112, 3, 4
_ENTRY_BYTES, _MOST_ENTRIES = 12, 1000
_PREFIX = b"Exif\0\0"


class _Container(NamedTuple):
    """How a format divides its file into parts, in bytes from the start of a part."""

    start: int  # of the first part in the file
    size_at: int
    size_bytes: int
    big_endian: bool
    name_at: int
    exif: bytes  # the name of the part that holds EXIF
    end: bytes  # the name of the part after which there is none
    data_at: int
    overhead: int  # bytes of a part that its size leaves out
    align: int = 1  # parts start at multiples of this


_JPEG = _Container(2, 2, 2, True, 0, b"\xff\xe1", b"\xff\xda", 4, 2)
_PNG = _Container(8, 0, 4, True, 4, b"eXIf", b"IEND", 8, 12)
_WEBP = _Container(12, 4, 4, False, 0, b"EXIF", b"", 8, 8, 2)


def orientation_of(photo: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation of a photo.

    Args:
        photo: string [], the bytes of a JPEG, PNG or WebP file.

    Returns:
        int64 [] in [1, 8]; 1, upright, if there is none or EXIF is broken.
    """
    padded = photo + tf.constant(b"\0" * 16)  # so that numbers at the very end can be read, too
    kind = tf.where(_text(photo, 0, 8) == b"\x89PNG\r\n\x1a\n", 1, tf.where(_text(photo, 8, 4) == b"WEBP", 2, 0))
    branches = [lambda container=container: _find(padded, container) for container in (_JPEG, _PNG, _WEBP)]
    start = tf.switch_case(kind, branches)
    start += tf.where(_text(padded, start, 6) == _PREFIX, tf.constant(6, tf.int64), 0)
    found = tf.where(start > 0, _read(padded, start), 1)
    return tf.where((found >= 1) & (found <= 8), found, 1)


def _find(photo: tf.Tensor, container: _Container) -> tf.Tensor:
    """Return where EXIF starts, int64 []; 0 if there is none."""
    length = tf.cast(tf.strings.length(photo), tf.int64)

    def goes_on(place, found):
        name = _text(photo, place + container.name_at, len(container.exif))
        is_part = _text(photo, place, 1) == b"\xff" if container is _JPEG else True
        return (found == 0) & (place < length) & (name != container.end) & is_part

    def step(place, found):
        name = _text(photo, place + container.name_at, len(container.exif))
        data = place + container.data_at
        size = _number(photo, place + container.size_at, container.size_bytes, container.big_endian)
        is_exif = name == container.exif
        if container is _JPEG:  # XMP is in such a part, too
            is_exif &= _text(photo, data, 6) == _PREFIX
        after = place + container.overhead + size
        return after + after % container.align, tf.where(is_exif, data, 0)

    start = tf.constant(container.start, tf.int64), tf.constant(0, tf.int64)
    return tf.while_loop(goes_on, step, start)[1]


def _read(photo: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Return the value of the orientation's entry in a TIFF directory, int64 []; 1 if there is none."""
    big_endian = _text(photo, start, 2) == b"MM"
    first = start + _number(photo, start + 4, 4, big_endian)
    count = tf.minimum(_number(photo, first, 2, big_endian), _MOST_ENTRIES)
    data = tf.io.decode_raw(_text(photo, first + 2, count * _ENTRY_BYTES), tf.uint8)
    data = data[: tf.size(data) // _ENTRY_BYTES * _ENTRY_BYTES]
    entries = tf.cast(tf.reshape(data, [-1, _ENTRY_BYTES]), tf.int64)
    tags, kinds = _value(entries[:, 0:2], big_endian), _value(entries[:, 2:4], big_endian)
    values = tf.where(kinds == _LONG, _value(entries[:, 8:12], big_endian), _value(entries[:, 8:10], big_endian))
    values = tf.boolean_mask(values, (tags == _TAG) & ((kinds == _SHORT) | (kinds == _LONG)))
    return tf.concat([values, tf.constant([1], tf.int64)], 0)[0]


def _number(photo: tf.Tensor, place: tf.Tensor, count: int, big_endian) -> tf.Tensor:
    """Read an unsigned number of `count` bytes, int64 []; 0 beyond the end."""
    data = tf.io.decode_raw(_text(photo, place, count), tf.uint8)
    data = tf.pad(data, [[0, count - tf.size(data)]])
    return _value(tf.cast(tf.reshape(data, [1, count]), tf.int64), big_endian)[0]


def _value(digits: tf.Tensor, big_endian) -> tf.Tensor:
    """Turn bytes, int64 [n, count], into numbers, int64 [n]."""
    weights = [256**i for i in range(digits.shape[1])]
    return tf.reduce_sum(digits * tf.where(big_endian, tf.constant(weights[::-1], tf.int64), weights), axis=1)


def _text(photo: tf.Tensor, place, count) -> tf.Tensor:
    """Return `count` bytes from a place on, string []; fewer at the end, none beyond it."""
    place = tf.minimum(tf.cast(place, tf.int64), tf.cast(tf.strings.length(photo), tf.int64))
    return tf.strings.substr(photo, place, tf.cast(count, tf.int64))
