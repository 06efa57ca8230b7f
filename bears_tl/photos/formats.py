"""Tell from the first bytes of a file what it is and how large, before anything is decoded."""

import contextlib
import ctypes
import functools
import logging
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin

from bears_tl.network.responses import is_page

# Common photo formats. Pillow would try some 30 more on every file: it runs Ghostscript on EPS files, and it mistakes
# other files for formats without a signature (TGA, SPIDER). MPO counts as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "ICO", "PSD", "QOI")
HEAD_BYTES = 64
_HEIF = re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.S)  # ISO/IEC 23008-12
_SEQUENCES = (b"hevc", b"hevx", b"hevm", b"hevs", b"msf1")
_NOT_READ = {  # images
    rb"FUJIFILMCCD-RAW|II\x1a\0\0\0HEAP|IIR[OS]|MMOR|IIU\0|FOVb|....ftypcrx ": "a raw photo of a camera",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL",
    rb"II\xbc\x01": "a JPEG XR",
}
_NO_IMAGES = {
    rb"\0\0..(ftyp|moov|mdat|wide|free)|RIFF....AVI |\x1a\x45\xdf\xa3|\0\0\x01[\xb3\xba]": "a video",
    rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!": "an archive",
    rb"\s*<svg|%!PS": "a drawing",
    rb"\s*%PDF": "a document",
}
_ADVICE = ", which is not read here: save it as an 8-bit JPEG or PNG"
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_BLOCK_BYTES = 1 << 20
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}  # markers that start a frame: ITU T.81, T.87
_HIERARCHICAL = {0xC5, 0xC6, 0xCD, 0xCE}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF, 0xF7}
_SEQUENTIAL = (0xC0, 0xC1)
_HUFFMAN = (*_SEQUENTIAL, 0xC2)


class PhotoError(OSError):
    """A file cannot be used as a photo; the message says why.

    Attributes:
        reason: the reason in quarantine.csv.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Return those of FORMATS that this installation can read; HEIF needs pillow-heif (the extra `heif`)."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # errors in a file are raised, not printed
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # odd metadata, which is passed over
    with contextlib.suppress(OSError, AttributeError):  # silence libtiff too; fails if it is not built into Pillow
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)
    Image.MAX_IMAGE_PIXELS = None  # one limit for the whole process; ours is a setting, see `require_size`
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def require_size(size_px: tuple[int, int], max_megapixels: float, pixels: int | None = None) -> None:
    """Refuse a photo that would need too much memory.

    Args:
        size_px: width and height of the photo.
        max_megapixels: the limit.
        pixels: how many must be in memory at once, in pixels of 4 bytes; by default all.

    Raises:
        PhotoError: there are more than the limit.
    """
    if (math.prod(size_px) if pixels is None else pixels) > max_megapixels * 10**6:
        megapixels = f"{math.ceil(math.prod(size_px) / 10**6)} megapixels"
        if pixels is not None and pixels > math.prod(size_px):
            megapixels += ", which count twice because their format takes more memory"
        limit = f"the limit is {max_megapixels:g} (setting max_megapixels)"
        raise PhotoError("too_large", f"{size_px[0]} x {size_px[1]} px, {megapixels}; {limit}")


def require_sound(file: BinaryIO, max_megapixels: float) -> None:
    """Refuse a damaged PNG, an unusual JPEG, and a file of which Pillow would decode too much while it opens it.

    Raises:
        PhotoError: the file is refused.
    """
    head = _head(file)
    sizes = {b"GIF8": _sizes_in_gif, b"\0\0\1\0": _sizes_in_ico, b"RIFF": _sizes_in_webp}.get(head[:4])
    for size_px in sizes(file) if sizes else ():
        require_size(size_px, max_megapixels)
    if head.startswith(_PNG):
        _require_sound_png(file)
    if head.startswith(_JPEG):
        _require_usual_jpeg(file)


def unidentified(file: BinaryIO) -> PhotoError:
    """Return the error for a file that Pillow does not identify: what it seems to be, and what to do."""
    head = _head(file)
    if not head:
        return PhotoError("empty", "0 bytes")
    if kind := _not_read(file):
        return PhotoError("unreadable", kind)
    for name in readable_formats():
        if Image.OPEN[name][1](head[:16].ljust(16, b"\0")) is True:  # the plugin's own check of the signature
            return PhotoError("not_an_image", f"begins like {name}, but is broken or cut off")
    text = head.removeprefix(b"\xef\xbb\xbf")  # a byte order mark
    kind = "a web page" if is_page(head) else _first_match(_NO_IMAGES, text)
    return PhotoError("not_an_image", kind or f"none of {', '.join(readable_formats())}")


def fault_of_tiff(image: Image.Image) -> str:
    """Return why Pillow (13.0) would read a TIFF incorrectly; "" if it reads it correctly."""
    tags = image.tag_v2
    if tags.get(ExifTags.Base.NewSubfileType) == 1:  # TIFF 6.0: a reduced-resolution version of another image
        return "a raw photo, of which only the thumbnail can be read: convert it to JPEG or PNG"
    if image.mode.startswith("I;16") and tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        return "a 16-bit TIFF in which 0 is white, which Pillow reads as black: save it as PNG"
    raw_planes = tags.get(ExifTags.Base.PlanarConfiguration) == 2 and tags.get(ExifTags.Base.Compression, 1) == 1
    misread = raw_planes and tags.get(ExifTags.Base.BitsPerSample, ())[:1] == (16,)
    return "a 16-bit TIFF in separate planes, which Pillow reads as noise: save it as PNG" if misread else ""


def decodes_by_rows(file: BinaryIO) -> bool:
    """Return whether a JPEG can be decoded a few rows at a time: sequential, with all channels in one scan.

    Others (progressive ones) are kept in memory at full size, even if they are decoded at reduced size.
    """
    channels = 0
    for marker, content in _segments(file):
        if marker in _SEQUENTIAL and len(content) > 5:
            channels = content[5]
        if marker == 0xDA:
            return content[:1] == bytes([channels])
    return False


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


def _not_read(file: BinaryIO) -> str:
    """Say of which kind an image is that is not read here, and what to do; "" if it is not known to be one."""
    head = _head(file)
    heif = _HEIF.match(head)
    if heif and "HEIF" not in readable_formats():
        return "a HEIF photo: run `.venv/bin/pip install pillow-heif` to read it"
    kind = "a HEIF sequence" if heif and heif[1] in _SEQUENCES else _first_match(_NOT_READ, head)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        kind = _unusual_tiff(file)
    return kind and kind + _ADVICE


def _first_match(kinds: dict[bytes, str], head: bytes) -> str:
    return next((kind for pattern, kind in kinds.items() if re.match(pattern, head, re.S | re.I)), "")


def _segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of the segments of a JPEG, up to the header of its first scan."""
    file.seek(2)
    while file.read(1) == b"\xff":
        while (marker := file.read(1)) == b"\xff":  # fill bytes
            pass
        length = int.from_bytes(file.read(2))
        if length < 2:
            return
        yield marker[0], file.read(length - 2)
        if marker == b"\xda":
            return


def _require_usual_jpeg(file: BinaryIO) -> None:
    """Refuse a JPEG that libjpeg cannot read, or not at reduced size; and one that lacks most of its pixels.

    Where pixels are missing, libjpeg makes them grey and only warns of it, which Pillow does not tell.
    """
    frame = next(((mark, content) for mark, content in _segments(file) if mark in _FRAMES and len(content) > 5), None)
    if not frame:
        return  # broken: Pillow will say so
    marker, (bits, height, width, channels) = frame[0], struct.unpack_from(">BHHB", frame[1])
    kind = "a lossless JPEG" if marker in _LOSSLESS else "a hierarchical JPEG" if marker in _HIERARCHICAL else ""
    kind = kind or (f"a {bits}-bit JPEG" if bits != 8 else "")
    kind = kind or (f"a JPEG of {channels} channels" if channels not in (1, 3, 4) else "")
    if kind:
        raise PhotoError("unreadable", kind + _ADVICE)
    count = file.seek(0, 2)
    if marker in _HUFFMAN and count < width * height / 512:  # each block of 8 x 8 px takes a bit or more
        raise PhotoError("truncated", f"a JPEG of {width} x {height} px in {count:,} bytes: most of it is missing")


def _unusual_tiff(file: BinaryIO) -> str:
    """Describe a TIFF whose first directory can be read, though Pillow does not know its kind of pixels."""
    with contextlib.suppress(Exception):  # a broken directory may raise any error
        file.seek(0)
        header = file.read(8)
        tags = TiffImagePlugin.ImageFileDirectory_v2(header + (file.read(8) if 43 in header[2:4] else b""))
        file.seek(tags.next)
        tags.load(file)
        if 50706 in tags or tags.get(ExifTags.Base.PhotometricInterpretation) in (32803, 34892):  # DNG 1.7: DNGVersion
            return "a raw photo of a camera"
        bits = tags.get(ExifTags.Base.BitsPerSample, (1,))
        channels, compression = tags.get(ExifTags.Base.SamplesPerPixel, 1), tags.get(ExifTags.Base.Compression, 1)
        if ExifTags.Base.ImageWidth in tags and ExifTags.Base.ImageLength in tags:
            name = TiffImagePlugin.COMPRESSION_INFO.get(compression, f"number {compression}")
            return f"a TIFF of {channels} x {max(bits)} bits, compression {name}"
    return ""


def _require_sound_png(file: BinaryIO) -> None:
    """Compare the checksums of all chunks of a PNG; Pillow skips those of the pixels and of all that follows them."""
    file.seek(len(_PNG))
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if file.tell() == len(_PNG) + 8 and kind != b"IHDR":
            return  # not a PNG: Pillow will say so
        if not kind.isalpha():
            raise PhotoError("damaged", "a PNG with bytes that belong to no part of it")
        checksum = zlib.crc32(kind)
        while length and (block := file.read(min(length, _BLOCK_BYTES))):
            checksum, length = zlib.crc32(block, checksum), length - len(block)
        stored = file.read(4)
        name = kind.decode("latin-1")
        if len(stored) < 4:
            raise PhotoError("truncated", f"the file ends within a PNG's {name} chunk")
        if stored != checksum.to_bytes(4):
            raise PhotoError("damaged", f"a PNG with a wrong checksum in its {name} chunk: some of its bytes changed")
        if kind == b"IEND":
            return


def _sizes_in_webp(file: BinaryIO) -> Iterator[tuple[int, int]]:
    head = _head(file)
    if head[8:16] == b"WEBPVP8X":  # others have at most 16,383 px per side
        yield int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1


def _sizes_in_gif(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the sizes of the screen and of the first frame of a GIF."""
    header = file.read(13).ljust(13, b"\0")
    yield struct.unpack_from("<HH", header, 6)
    file.seek(3 << (header[10] & 7) + 1 if header[10] & 128 else 0, 1)  # the palette
    while (block := file.read(1)) not in (b"", b";"):
        if block == b",":
            left, top, width, height = struct.unpack("<4H", file.read(8).ljust(8, b"\0"))
            yield left + width, top + height
            return
        if block == b"!":
            file.seek(1, 1)  # the kind of extension
            while length := int.from_bytes(file.read(1)):
                file.seek(length, 1)


def _sizes_in_ico(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the sizes of the images in an icon, each a PNG or a BMP."""
    count = int.from_bytes(file.read(6)[4:], "little")
    for entry in struct.iter_unpack("<12xI", (directory := file.read(16 * count))[: len(directory) // 16 * 16]):
        file.seek(entry[0])
        head = file.read(24).ljust(24, b"\0")
        yield struct.unpack_from(*(">II", head, 16) if head.startswith(_PNG) else ("<II", head, 4))
