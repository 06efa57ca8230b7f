"""A zoo of generated files, one of each kind that a photo folder may hold, each with the verdict that it must get.

`ZOO` says for each path what intake must say of it, and what the file is made of; `write_zoo` writes it. Everything is
painted or put together here, byte by byte where no program writes such a file. First the tools, then the animals.
"""

import contextlib
import gzip
import io
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

from bears_tl.photos.image import readable_formats
from bears_tl.photos.painting.profiles import ADOBE_RGB, D50, grey_profile, icc_profile, rgb_profile, xyz_tag  # noqa: F401


def paint(seed: int, mode: str = "RGB", size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Paint waves with some noise: another picture for each seed, neither flat nor incompressible."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(size[0]) / 96, np.arange(size[1]) / 80)
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(1, 9, (4, 3))]
    levels = 128 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 8, (*x.shape, 4))
    levels = np.clip(levels, 0, 255).astype(np.uint8)
    if mode == "CMYK":
        return Image.fromarray(levels // 2, "CMYK")
    if mode in ("I", "I;16", "I;16B"):
        deep = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
        return deep if mode == "I;16" else deep.convert("I").convert(mode)
    if mode == "F":
        return Image.fromarray(levels[..., 0].astype(np.float32) / 255)
    return Image.fromarray(levels if mode in ("RGBA", "LA", "PA") else levels[..., :3]).convert(mode)


def encode(image: Image.Image, format: str, **save) -> bytes:
    """Return the bytes of an image file."""
    file = io.BytesIO()
    image.save(file, format, **save)
    return file.getvalue()


def cmyk_profile(lab_of_inks: np.ndarray) -> bytes:
    """Return a profile that says the colour of each of the 16 mixtures of no or full ink; between, it interpolates.

    Args:
        lab_of_inks: uint8 [2, 2, 2, 2, 3]: L in [0, 255] for [0, 100], a and b with 128 for 0; axes C, M, Y, K.
    """
    straight = bytes(range(256))
    unit = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + unit + 4 * straight + lab_of_inks.tobytes() + 3 * straight
    return icc_profile(b"CMYK", {b"wtpt": xyz_tag(D50), b"A2B0": lut}, b"prtr", b"Lab ")


def ycck_jpeg(inks: np.ndarray, **save) -> bytes:
    """Return the JPEG that Photoshop makes of CMYK: inverted inks, of which C, M and Y are stored as YCbCr.

    Pillow writes the four planes as they are when they are called CMYK (it inverts them); then the transform flag of
    the APP14 segment (Adobe technical note 5116, section 18) is changed from 0, CMYK, to 2, YCCK.

    Args:
        inks: uint8 [height, width, 4], 0 is no ink.
        save: what Pillow's JPEG writer takes.
    """
    c, m, y = (inks[..., i].astype(float) for i in range(3))  # libjpeg gives back 255 - RGB, which is 255 - ink
    luma = 0.299 * c + 0.587 * m + 0.114 * y  # JFIF 1.02, "RGB to YCbCr conversion"
    planes = [luma, 128 + (y - luma) / 1.772, 128 + (c - luma) / 1.402, 255.0 - inks[..., 3]]
    stored = np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)
    content = bytearray(encode(Image.fromarray(255 - stored, "CMYK"), "JPEG", **save))
    flag = content.index(b"Adobe") + 11
    assert content[flag] == 0
    content[flag] = 2
    return bytes(content)


def png(width: int, height: int, depth: int, colour: int, *chunks: tuple[bytes, bytes], interlace: int = 0) -> bytes:
    """Put together a PNG from its header's fields and the chunks between header and end."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (header, *chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_of(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return the PNG of an array [height, width, 1 to 4], uint8 or uint16."""
    height, width, channels = pixels.shape
    big = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = b"".join(b"\0" + row.tobytes() for row in big)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return png(width, height, 8 * pixels.itemsize, colour, *chunks, (b"IDAT", zlib.compress(rows)))


def title(text: str) -> PngImagePlugin.PngInfo:
    """Return a title for a PNG."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", text)
    return info


def tiff(pixels: np.ndarray, **how) -> bytes:
    """Return a TIFF of a kind that Pillow does not write."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **how)
    return file.getvalue()


def psd(image: Image.Image) -> bytes:
    """Return a Photoshop file without layers: header, three empty sections, planes (Adobe's format specification)."""
    planes = np.moveaxis(np.asarray(image), 2, 0)
    return (
        b"8BPS" + struct.pack(">H6xHIIHH", 1, *planes.shape, 8, 3) + bytes(12) + struct.pack(">H", 0) + planes.tobytes()
    )


def with_exif(image: Image.Image, format: str, orientation: int, **save) -> bytes:
    """Return an image file with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, format, exif=exif, **save)


Content = Callable[[int], bytes]  # the bytes of a file, from a seed


def saved(format: str, mode: str = "RGB", size: tuple[int, int] = (96, 80), **save) -> Content:
    """Return a painted image as Pillow writes it."""
    return lambda seed: encode(paint(seed, mode, size), format, **save)


def moving(format: str, **save) -> Content:
    """Return three frames in one file."""
    return lambda seed: encode(
        paint(seed), format, save_all=True, append_images=[paint(seed + 1), paint(seed + 2)], **save
    )


def cut(share: float, content: Content) -> Content:
    """Return the first part of a file."""
    return lambda seed: (whole := content(seed))[: int(share * len(whole))]


def flipped(share: float, content: Content) -> Content:
    """Return a file with one byte inverted."""

    def flip(seed: int) -> bytes:
        whole = bytearray(content(seed))
        whole[int(share * len(whole))] ^= 0xFF
        return bytes(whole)

    return flip


def after(content: Content, *changes: Callable[[bytes], bytes]) -> Content:
    """Return a file with something done to its bytes."""

    def change(seed: int) -> bytes:
        whole = content(seed)
        for step in changes:
            whole = step(whole)
        return whole

    return change


def _interlaced(seed: int) -> bytes:
    pixels, rows = np.asarray(paint(seed)), b""
    adam7 = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )  # PNG, 8.2
    for y, x, down, right in adam7:
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[y::down, x::right])
    return png(96, 80, 8, 2, (b"IDAT", zlib.compress(rows)), interlace=1)


def _zipped(seed: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("bear.jpg", saved("JPEG")(seed))
    return file.getvalue()


def _with_text(seed: int) -> bytes:
    return png_of(np.asarray(paint(seed)), (b"tEXt", b"Title\0a bear"))


def _text_bomb(seed: int) -> bytes:
    text = b"Comment\0\1\0\0\0" + zlib.compress(bytes(100_000_000), 9)  # 100 kB that would become 100 MB
    return png_of(np.asarray(paint(seed)), (b"iTXt", text))


def _broken_exif(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    return encode(paint(seed), "JPEG", exif=b"Exif\0\0" + exif.tobytes()[6:-9])


def _claims(header: bytes) -> Content:
    """Return a header that claims a huge photo, with nearly nothing after it."""
    return lambda seed: header + bytes(1000)


def _png_that_claims(width: int, height: int) -> Content:
    return lambda seed: png(width, height, 8, 2, (b"IDAT", zlib.compress(bytes(1000))))


def _jpeg_that_claims(width: int, height: int) -> Content:
    def write(seed: int) -> bytes:
        whole = bytearray(saved("JPEG")(seed))
        at = whole.index(b"\xff\xc0") + 5
        whole[at : at + 4] = struct.pack(">HH", height, width)
        return bytes(whole)

    return write


def _jpeg_header(frame: int, bits: int = 8, channels: int = 3, size: tuple[int, int] = (96, 80)) -> Content:
    """Return the segments of a JPEG up to its scan (ITU T.81, B.2), and a few bytes of it."""
    planes = bytes(number for i in range(channels) for number in (i + 1, 0x11, 0))
    header = struct.pack(">BHHB", bits, size[1], size[0], channels) + planes
    scan = bytes([channels]) + bytes(number for i in range(channels) for number in (i + 1, 0)) + b"\0\x3f\0"
    segments = [(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), (frame, header), (0xDA, scan)]
    packed = b"".join(b"\xff" + bytes([mark]) + struct.pack(">H", 2 + len(data)) + data for mark, data in segments)
    return lambda seed: b"\xff\xd8" + packed + bytes(100) + b"\xff\xd9"


def _gif_whose_frame_claims(width: int, height: int) -> Content:
    """Return a GIF of 1 x 1 px with a huge frame, to be cleared afterwards: Pillow fills it while it opens the file."""
    control = b"!\xf9\x04" + bytes([2 << 2, 0, 0, 0]) + b"\0"
    return lambda seed: b"GIF89a\1\0\1\0\0\0\0" + control + b"," + struct.pack("<4HB", 0, 0, width, height, 0) + b"\x08"


def _icon_that_claims(width: int, height: int) -> Content:
    def write(seed: int) -> bytes:
        inside = _png_that_claims(width, height)(seed)
        return struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inside), 22) + inside

    return write


def _webp_that_claims(width: int, height: int) -> Content:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + sides
    return lambda seed: b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def bmp_32(alpha: int) -> Content:
    """Return a BMP of 32 bits per pixel with an alpha channel of one value (BITMAPV4HEADER)."""

    def write(seed: int) -> bytes:
        pixels = np.asarray(paint(seed, "RGBA")).copy()
        pixels[..., 3] = alpha
        header = struct.pack(
            "<IiiHHIIiiIIIIII", 108, 96, 80, 1, 32, 3, 0, 0, 0, 0, 0, 0xFF0000, 0xFF00, 0xFF, 0xFF << 24
        )
        header = header.ljust(108, b"\0")
        start = 14 + len(header)
        data = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
        return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + data

    return write


def transparent(format: str, mode: str = "RGBA", **save) -> Content:
    """Return a painted image of which no pixel can be seen."""

    def write(seed: int) -> bytes:
        image = paint(seed, mode)
        if mode == "P":
            return encode(image, format, transparency=bytes(256))
        image.putalpha(0)
        return encode(image, format, **save)

    return write


def _text(text: str) -> Content:
    return lambda seed: text.encode()


JPEG, PNG = saved("JPEG", quality=90), saved("PNG")
_MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(500)
_INKS = np.stack([255 - 60 * np.indices((2, 2, 2, 2)).sum(axis=0), *[np.full((2, 2, 2, 2), 128)] * 2], -1).astype(
    np.uint8
)
_HEIC_HEAD = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(500)
_TIFF_OF_A_MILLION = b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIIHHII", 256, 4, 1, 10**6, 257, 4, 1, 10**6)

FORMATS: dict[str, tuple[str, Content]] = {
    "baseline.jpg": ("ok", JPEG),
    "progressive.jpg": ("ok", saved("JPEG", progressive=True)),
    "restarts.jpg": ("ok", saved("JPEG", restart_marker_rows=1)),
    "full_colour.jpg": ("ok", saved("JPEG", subsampling=0, quality=100)),
    "grey.jpg": ("ok", saved("JPEG", "L")),
    "stored_as_rgb.jpg": ("ok", saved("JPEG", keep_rgb=True)),
    "inverted_cmyk.jpg": ("ok", saved("JPEG", "CMYK")),
    "ycck.jpg": ("ok", lambda seed: ycck_jpeg(np.asarray(paint(seed, "CMYK")))),
    "camera.mpo": ("ok", moving("MPO")),
    "plain.png": ("ok", PNG),
    "interlaced.png": ("ok", _interlaced),
    "one_frame.gif": ("ok", saved("GIF")),
    "lossy.webp": ("ok", saved("WEBP")),
    "lossless.webp": ("ok", saved("WEBP", lossless=True)),
    "transparent.webp": ("ok", saved("WEBP", "RGBA")),
    "plain.bmp": ("ok", saved("BMP")),
    "raw.tif": ("ok", saved("TIFF")),
    "big_endian.tif": ("ok", lambda seed: tiff(np.asarray(paint(seed)), photometric="rgb", byteorder=">")),
    "lzw.tif": ("ok", saved("TIFF", compression="tiff_lzw")),
    "deflate.tif": ("ok", saved("TIFF", compression="tiff_deflate")),
    "packbits.tif": ("ok", saved("TIFF", compression="packbits")),
    "jpeg.tif": ("ok", saved("TIFF", compression="jpeg")),
    "fax.tif": ("ok", saved("TIFF", "1", compression="group4")),
    "bigtiff.tif": ("ok", lambda seed: tiff(np.asarray(paint(seed)), photometric="rgb", bigtiff=True)),
    "tiled.tif": ("ok", lambda seed: tiff(np.asarray(paint(seed)), photometric="rgb", tile=(32, 32))),
    "binary.ppm": ("ok", saved("PPM")),
    "grey.pgm": ("ok", saved("PPM", "L")),
    "bits.pbm": ("ok", saved("PPM", "1")),
    "float.pfm": ("ok", saved("PPM", "F")),
    "written_out.ppm": (
        "ok",
        lambda seed: b"P3 70 70 255 " + b" ".join(b"%d" % (7 * i % 256) for i in range(70 * 70 * 3)),
    ),
    "icon.ico": ("ok", saved("ICO", size=(96, 96), sizes=[(96, 96)])),
    "flat.psd": ("ok", lambda seed: psd(paint(seed))),
    "boxes.jp2": ("ok", saved("JPEG2000")),
    "stream.j2k": ("ok", saved("JPEG2000", no_jp2=True)),
    "drawing.eps": ("not_an_image", saved("EPS")),
    "targa.tga": ("not_an_image", saved("TGA")),
    "paintbrush.pcx": ("not_an_image", saved("PCX")),
    "silicon.sgi": ("not_an_image", saved("SGI")),
    "spider.spi": ("not_an_image", saved("SPIDER", "F")),
    "windows_1.msp": ("not_an_image", saved("MSP", "1")),
    "program.xbm": ("not_an_image", saved("XBM", "1")),
    "texture.dds": ("not_an_image", saved("DDS")),
    "game.blp": ("not_an_image", saved("BLP", "P")),
    "apple.icns": ("not_an_image", saved("ICNS", size=(128, 128))),
    "page.pdf": ("not_an_image", saved("PDF")),
}
if "AVIF" in readable_formats():
    FORMATS["plain.avif"] = ("ok", saved("AVIF"))
if "QOI" in Image.SAVE:
    FORMATS["plain.qoi"] = ("ok", saved("QOI"))
FORMATS["phone.heic"] = ("ok", saved("HEIF")) if "HEIF" in readable_formats() else ("unreadable", lambda _: _HEIC_HEAD)

PIXELS: dict[str, tuple[str, Content]] = {
    "one_bit.png": ("ok", saved("PNG", "1")),
    "grey.png": ("ok", saved("PNG", "L")),
    "grey_alpha.png": ("ok", saved("PNG", "LA")),
    "palette.png": ("ok", saved("PNG", "P")),
    "palette_key.png": ("ok", saved("PNG", "P", transparency=0)),
    "palette_alpha.png": ("ok", saved("PNG", "P", transparency=bytes(range(256)))),
    "colour_key.png": ("ok", saved("PNG", transparency=(1, 2, 3))),
    "rgba.png": ("ok", saved("PNG", "RGBA")),
    "grey_16.png": ("ok", saved("PNG", "I;16")),
    "rgb_16.png": ("ok", lambda seed: png_of(np.asarray(paint(seed)).astype(np.uint16) * 257)),
    "rgba_16.png": ("ok", lambda seed: png_of(np.asarray(paint(seed, "RGBA")).astype(np.uint16) * 257)),
    "grey_16.tif": ("ok", saved("TIFF", "I;16")),
    "grey_16_big.tif": ("ok", saved("TIFF", "I;16B")),
    "grey_32.tif": ("ok", saved("TIFF", "I")),
    "float.tif": ("ok", saved("TIFF", "F")),
    "palette_alpha.tif": ("ok", saved("TIFF", "PA")),
    "cmyk.tif": ("ok", saved("TIFF", "CMYK")),
    "lab.tif": ("ok", saved("TIFF", "LAB")),
    "ycbcr.tif": ("ok", saved("TIFF", "YCbCr")),
    "white_is_zero.tif": ("ok", lambda seed: tiff(np.asarray(paint(seed, "L")), photometric="miniswhite")),
    "white_is_zero_16.tif": (
        "unreadable",
        lambda seed: tiff(np.asarray(paint(seed, "I;16")), photometric="miniswhite"),
    ),
    "planes_8.tif": (
        "ok",
        lambda seed: tiff(np.moveaxis(np.asarray(paint(seed)), 2, 0), photometric="rgb", planarconfig="separate"),
    ),
    "planes_16.tif": (
        "unreadable",
        lambda seed: tiff(np.zeros((3, 80, 96), np.uint16) + seed % 999, photometric="rgb", planarconfig="separate"),
    ),
    "raw_photo.nef": ("unreadable", lambda seed: tiff(np.asarray(paint(seed)), photometric="rgb", subfiletype=1)),
    "adobe_rgb.jpg": ("ok", saved("JPEG", icc_profile=rgb_profile())),
    "adobe_rgb_alpha.png": ("ok", saved("PNG", "RGBA", icc_profile=rgb_profile())),
    "grey_profile.png": ("ok", saved("PNG", "L", icc_profile=grey_profile(1.8))),
    "cmyk_profile.jpg": ("ok", saved("JPEG", "CMYK", icc_profile=cmyk_profile(_INKS))),
    "broken_profile.png": ("ok", saved("PNG", icc_profile=b"no profile")),
    "profile_of_another_mode.jpg": ("ok", saved("JPEG", icc_profile=grey_profile(1.8))),
    "on_its_side.jpg": ("ok", lambda seed: with_exif(paint(seed), "JPEG", 6)),
    "on_its_side.png": ("ok", lambda seed: with_exif(paint(seed), "PNG", 5)),
    "no_such_orientation.jpg": ("ok", lambda seed: with_exif(paint(seed), "JPEG", 99)),
    "broken_exif.jpg": ("ok", _broken_exif),
    "comment.jpg": ("ok", saved("JPEG", comment=b"\0\xff<script>")),
    "alpha_of_zeros.bmp": ("ok", bmp_32(0)),
    "invisible.png": ("empty", transparent("PNG")),
    "invisible_palette.png": ("empty", transparent("PNG", "P")),
    "invisible.gif": ("empty", transparent("GIF")),
    "invisible.webp": ("empty", transparent("WEBP", lossless=True)),
    "invisible.tif": ("empty", transparent("TIFF")),
    "12_bits.jpg": ("unreadable", _jpeg_header(0xC1, bits=12)),
    "lossless.jpg": ("unreadable", _jpeg_header(0xC3)),
    "two_channels.jpg": ("unreadable", _jpeg_header(0xC0, channels=2)),
    "five_channels.tif": ("unreadable", lambda seed: tiff(np.zeros((80, 96, 5), np.uint8), planarconfig="contig")),
    "mosaic.dng": ("unreadable", lambda seed: tiff(np.asarray(paint(seed, "I;16")), photometric="cfa")),
    "canon.cr3": ("unreadable", lambda seed: b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(500)),
    "fuji.raf": ("unreadable", lambda seed: b"FUJIFILMCCD-RAW 0201FF389501" + bytes(500)),
    "photo.jxl": ("unreadable", lambda seed: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(500)),
}
SIZES: dict[str, tuple[str, Content]] = {
    "dot.png": ("too_small", saved("PNG", size=(1, 1))),
    "line.png": ("too_small", saved("PNG", size=(1, 3000))),
    "narrow.jpg": ("too_small", saved("JPEG", size=(63, 200))),
    "low.jpg": ("too_small", saved("JPEG", size=(200, 63))),
    "just.jpg": ("ok", saved("JPEG", size=(64, 64))),
    "long.png": ("ok", saved("PNG", size=(64, 2000))),
    "spacer.gif": ("too_small", saved("GIF", size=(1, 1))),
    "favicon.ico": ("too_small", saved("ICO", size=(32, 32))),
    "claims.png": ("too_large", _png_that_claims(100_000, 100_000)),
    "claims_most.png": ("too_large", _png_that_claims(2**31 - 1, 2**31 - 1)),
    "claims.jpg": ("truncated", _jpeg_that_claims(65_500, 65_500)),  # at 1/8, it would be small enough
    "claims_progressive.jpg": ("truncated", _jpeg_header(0xC2, size=(65_500, 65_500))),
    "claims.webp": ("too_large", _webp_that_claims(60_000, 60_000)),
    "claims.ico": ("too_large", _icon_that_claims(60_000, 60_000)),
    "claims_frame.gif": ("too_large", _gif_whose_frame_claims(65_500, 65_500)),
    "claims.gif": ("too_large", _claims(b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08")),
    "claims.bmp": (
        "too_large",
        _claims(b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, 10**6, 10**6, 1, 24, *[0] * 6)),
    ),
    "claims.ppm": ("too_large", _claims(b"P6 1000000 1000000 255\n")),
    "claims.psd": ("too_large", _claims(b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 10**6, 10**6, 8, 3) + bytes(14))),
    "text_bomb.png": ("too_large", _text_bomb),
    "nothing_wide.png": ("not_an_image", _png_that_claims(0, 80)),
    "nothing_high.jpg": ("not_an_image", _jpeg_that_claims(96, 0)),
}
BROKEN: dict[str, tuple[str, Content]] = {
    "empty.jpg": ("empty", lambda seed: b""),
    "one_byte.jpg": ("not_an_image", lambda seed: b"\xff"),
    "zeros.jpg": ("not_an_image", lambda seed: bytes(5000)),
    "ones.jpg": ("not_an_image", lambda seed: b"\xff" * 5000),
    "noise.jpg": ("not_an_image", lambda seed: b"?" + np.random.default_rng(seed).bytes(5000)),
    "first_bytes.jpg": ("not_an_image", after(JPEG, lambda whole: whole[:4])),
    "in_the_tables.jpg": ("truncated", after(JPEG, lambda whole: whole[:300])),
    "half.jpg": ("truncated", cut(0.5, JPEG)),
    "last_tenth_lost.jpg": ("truncated", cut(0.9, JPEG)),
    "end_mark_lost.jpg": ("truncated", after(JPEG, lambda whole: whole[:-2])),
    "last_byte_lost.jpg": ("truncated", after(JPEG, lambda whole: whole[:-1])),
    "half_progressive.jpg": ("truncated", cut(0.5, saved("JPEG", progressive=True))),
    "start_lost.jpg": ("not_an_image", after(JPEG, lambda whole: whole[2:])),
    "rest_is_zeros.jpg": ("ok", after(JPEG, lambda whole: whole[:1500] + bytes(len(whole)))),  # zeros are valid codes
    "line_ends_changed.jpg": ("not_an_image", after(PNG, lambda whole: whole.replace(b"\r\n", b"\n"))),
    "through_utf_8.jpg": ("not_an_image", after(JPEG, lambda whole: whole.decode("utf-8", "replace").encode())),
    "zipped.jpg": ("not_an_image", after(JPEG, lambda whole: gzip.compress(whole, mtime=0))),
    "written_after.jpg": ("ok", after(JPEG, lambda whole: whole + b"<!-- garbage -->" * 50)),
    "another_after.jpg": ("ok", after(JPEG, lambda whole: whole + JPEG(1))),
    "head_of_png.jpg": ("not_an_image", after(JPEG, lambda whole: b"\x89PNG\r\n\x1a\n" + whole)),
    "signature_only.png": ("not_an_image", after(PNG, lambda whole: whole[:8])),
    "half.png": ("truncated", cut(0.5, PNG)),
    "end_lost.png": ("ok", after(PNG, lambda whole: whole[:-12])),
    "flipped.png": ("damaged", flipped(0.5, PNG)),
    "flipped_text.png": ("damaged", after(_with_text, lambda whole: whole.replace(b"a bear", b"a boar"))),
    "half.gif": ("truncated", cut(0.5, saved("GIF"))),
    "end_lost.gif": ("ok", after(saved("GIF"), lambda whole: whole[:-1])),
    "half.webp": ("unreadable", cut(0.5, saved("WEBP"))),
    "half.bmp": ("truncated", cut(0.5, saved("BMP"))),
    "half.ppm": ("truncated", cut(0.5, saved("PPM"))),
    "half.tif": ("truncated", cut(0.5, saved("TIFF"))),
    "table_lost.tif": ("not_an_image", cut(0.9, saved("TIFF", compression="tiff_lzw"))),
    "flipped.tif": ("unreadable", flipped(0.5, saved("TIFF", compression="tiff_deflate"))),
    "half.jp2": ("unreadable", cut(0.5, saved("JPEG2000"))),
    "half.psd": ("truncated", cut(0.5, lambda seed: psd(paint(seed)))),
}
if "AVIF" in readable_formats():
    BROKEN["half.avif"] = ("not_an_image", cut(0.3, saved("AVIF")))
    BROKEN["last_tenth_lost.avif"] = ("truncated", cut(0.9, saved("AVIF")))
STRANGERS: dict[str, tuple[str, Content]] = {
    "page.jpg": ("not_an_image", _text("<!doctype html><html><body>404 Not Found</body></html>")),
    "drawing.jpg": ("not_an_image", _text("<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'/>")),
    "feed.jpg": ("not_an_image", _text("<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>")),
    "answer.jpg": ("not_an_image", _text('{"error": "rate limit"}')),
    "note.jpg": ("not_an_image", _text("bears\n")),
    "pointer.jpg": ("not_an_image", _text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")),
    "script.jpg": ("not_an_image", _text("#!/bin/sh\nexit 1\n")),
    "postscript.jpg": ("not_an_image", saved("EPS")),
    "document.jpg": ("not_an_image", saved("PDF")),
    "film.jpg": ("not_an_image", lambda seed: _MP4),
    "archive.jpg": ("not_an_image", _zipped),
    "bears.csv": ("not_an_image", _text("path,label\na.jpg,bear\n")),
    "module.py": ("not_an_image", _text("import os\n")),
}
MOVING: dict[str, tuple[str, Content]] = {
    "loop.gif": ("animated", moving("GIF")),
    "loop.webp": ("animated", moving("WEBP")),
    "loop.png": ("animated", moving("PNG")),
    "pages.tif": ("animated", moving("TIFF")),
}
if "AVIF" in readable_formats():
    MOVING["loop.avif"] = ("animated", moving("AVIF"))
NAMES: dict[str, tuple[str, Content]] = {
    name: ("ok", content)
    for content, names in {
        JPEG: [
            "CAPITALS.JPG", "Mixed.JpEg", "no_ending", "wrong.png", "two.jpg.txt", "dot_at_end.", "space_at_end.jpg ",
            " space before.jpg", "%20%s%n%00.jpg", "new\nline.jpg", "return\r.jpg", "tab\t.jpg", "escape\x1b[31m.jpg",
            'quo"te,s;.jpg', "it's.jpg", "back\\slash.jpg", "-rf", "~", "$HOME.jpg", "*?[a].jpg", "=1+1.jpg", "nul.jpg",
            "b" * 251 + ".jpg", "folder.jpg/inside.jpg", "deep/er/photo.jpg",
        ],
        PNG: [
            "na\u00efve.png", "cafe\u0301.PNG", "\u718a\u732b \U0001f43c.png", "\u062f\u0628.png", "\u200b.png",
            "\u202egnp.exe", os.fsdecode(b"\xff\xfe.png"), "\u718a" * 83 + "12.png", "wrong.jpg", "page.html", "a..png",
        ],
    }.items()
    for name in names
}  # fmt: skip

CLASSES = {
    "Formats": FORMATS,
    "Pixels": PIXELS,
    "Sizes": SIZES,
    "Broken": BROKEN,
    "Strangers": STRANGERS,
    "Moving": MOVING,
    "Names": NAMES,
}
PASSED_OVER = "passed over"  # the verdict on what is no input: it gets no row
ZOO = (
    {f"{class_name}/{name}": verdict for class_name, files in CLASSES.items() for name, (verdict, _) in files.items()}
    | {f"{class_name}/plain {i}.png": "ok" for class_name in (*CLASSES, "Copies", "Links") for i in range(5)}
    | {
        "Copies/a photo.png": "ok",
        "Copies/second.png": "duplicate",
        "Copies/hard link.png": "duplicate",
        "Copies/below/third.jpg": "duplicate",
        "Copies/in two classes.png": "conflicting_label",
        "Links/in two classes.png": "conflicting_label",
        "Links/to a photo.png": "duplicate",
        "Links/to a link.png": "duplicate",
        "Links/to a photo of another class.png": "conflicting_label",
        "Copies/linked to.png": "conflicting_label",
        "Links/out.png": "wrong_place",
        "Links/to nothing.png": "wrong_place",
        "Links/to itself.png": "wrong_place",
        "Links/around.png": "wrong_place",
        "Links/and around.png": "wrong_place",
        "Links/to a folder": "wrong_place",
        "Links/to here": "wrong_place",
        "Links/to a folder outside": "wrong_place",
        "Links/to a device.png": "wrong_place",
        "Links/pipe.png": "not_an_image",
        "Links/socket.png": "not_an_image",
        "stray.png": "wrong_place",
        "README.txt": "wrong_place",
        "sources.csv": PASSED_OVER,
        "ATTRIBUTION.md": PASSED_OVER,
        ".hidden.png": PASSED_OVER,
        ".git/config": PASSED_OVER,
        "__MACOSX/Names/._photo.jpg": PASSED_OVER,
        "Names/Thumbs.db": PASSED_OVER,
        "Names/desktop.ini": PASSED_OVER,
        "Names/.DS_Store": PASSED_OVER,
        "Names/.cache/photo.png": PASSED_OVER,
    }
)
_LINKS = {
    "Links/to a photo.png": "plain 0.png",
    "Links/to a link.png": "to a photo.png",
    "Links/to a photo of another class.png": "../Copies/linked to.png",
    "Links/to nothing.png": "absent.png",
    "Links/to itself.png": "to itself.png",
    "Links/around.png": "and around.png",
    "Links/and around.png": "around.png",
    "Links/to a folder": "../Copies",
    "Links/to here": ".",
    "Links/to a device.png": "/dev/zero",
}
_COPIES = {
    "second.png": "a photo.png",
    "below/third.jpg": "a photo.png",
    "in two classes.png": "../Links/in two classes.png",
}


def write_zoo(folder: Path, outside: Path) -> dict[str, str]:
    """Write the zoo.

    Args:
        folder: for the folders of classes; made.
        outside: a folder for what links lead out to; made.

    Returns:
        `ZOO`, without what this file system or machine cannot hold (some names, pipes, sockets).
    """
    outside.mkdir(parents=True)
    (outside / "photo.png").write_bytes(PNG(0))
    links = _LINKS | {"Links/out.png": outside / "photo.png", "Links/to a folder outside": outside}
    contents = {
        f"{class_name}/{name}": made for class_name, files in CLASSES.items() for name, (_, made) in files.items()
    }
    copies = {f"Copies/{name}": f"Copies/{other}" for name, other in _COPIES.items()}
    for path in (path for path in ZOO if path not in links):
        file = folder / path
        with contextlib.suppress(OSError):  # a name that this file system has not
            file.parent.mkdir(parents=True, exist_ok=True)
            if path == "Links/pipe.png":
                os.mkfifo(file)
            elif path == "Links/socket.png":
                with socket.socket(socket.AF_UNIX) as made:
                    made.bind(str(file))
            elif path == "Copies/hard link.png":
                os.link(folder / "Copies/a photo.png", file)
            else:
                original = copies.get(path, path)
                seed = zlib.crc32(os.path.normpath(original).encode("utf-8", "surrogateescape"))
                file.write_bytes(contents.get(path, PNG)(seed))
    for path, target in links.items():
        (folder / path).symlink_to(target)
    return {path: verdict for path, verdict in ZOO.items() if os.path.lexists(folder / path)}
