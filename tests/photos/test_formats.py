"""What a file is, is told from its first bytes, with what to do about it; and nothing large is decoded on the way."""

import io
import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from bears_tl.photos.formats import PhotoError, decodes_by_rows, readable_formats, unidentified
from bears_tl.photos.image import open_image, read_image

from . import zoo


@pytest.mark.parametrize(
    ("head", "reason", "words"),
    [
        (b"", "empty", "0 bytes"),
        (b"<!DOCTYPE html><html>", "not_an_image", "a web page"),
        (b"\xef\xbb\xbf\n <HTML>", "not_an_image", "a web page"),
        (b"<svg xmlns=", "not_an_image", "a drawing"),
        (b"%PDF-1.7", "not_an_image", "a document"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0", "not_an_image", "a video"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "not_an_image", "a video"),
        (b"PK\x03\x04", "not_an_image", "an archive"),
        (b"\xff\xd8\xff", "not_an_image", "begins like JPEG, but is broken or cut off"),
        (b"II*\0", "not_an_image", "begins like TIFF"),
        (b"\x89PNG\r\n\x1a\n", "not_an_image", "begins like PNG"),
        (b"P", "not_an_image", "none of JPEG"),
        (b"the free bears", "not_an_image", "none of JPEG"),
        (bytes(32), "not_an_image", "none of JPEG"),
        (b"FUJIFILMCCD-RAW 0201", "unreadable", "a raw photo of a camera, which is not read here: save it as"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "unreadable", "a raw photo of a camera"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "unreadable", "a JPEG XL, which is not read here: save it as"),
    ],
)
def test_a_file_that_is_not_read_is_named(head, reason, words):
    error = unidentified(io.BytesIO(head))
    assert error.reason == reason and str(error).startswith(words)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("12_bits.jpg", "a 12-bit JPEG, which is not read here: save it as an 8-bit JPEG or PNG"),
        ("lossless.jpg", "a lossless JPEG"),
        ("two_channels.jpg", "a JPEG of 2 channels"),
        ("five_channels.tif", "a TIFF of 5 x 8 bits, compression raw"),
        ("mosaic.dng", "a raw photo of a camera"),
    ],
)
def test_an_image_of_an_unusual_kind_is_named(path, words):
    with pytest.raises(PhotoError, match=f"^{words}") as caught:
        read_image(io.BytesIO(zoo.PIXELS[path][1](0)))
    assert caught.value.reason == "unreadable"


def test_without_its_package_a_heif_photo_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(Image, "OPEN", {name: opener for name, opener in Image.OPEN.items() if name != "HEIF"})
    readable_formats.cache_clear()
    try:
        head = io.BytesIO(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")
        assert "HEIF" not in readable_formats()
        with pytest.raises(PhotoError, match=r"\.venv/bin/pip install pillow-heif"), open_image(head):
            pass
    finally:
        readable_formats.cache_clear()


def chunks(content: bytes) -> dict[bytes, int]:
    """Return kind and position of each chunk of a PNG."""
    found, at = {}, 8
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        found[kind] = at
        at += 12 + length
    return found


@pytest.mark.parametrize("kind", [b"IHDR", b"tEXt", b"IDAT", b"IEND"])
def test_a_png_with_a_wrong_checksum_anywhere_is_damaged(kind):
    content = bytearray(zoo.encode(zoo.paint(0), "PNG", pnginfo=zoo.title("a bear")))
    length, _ = struct.unpack_from(">I4s", content, (at := chunks(content)[kind]))
    content[at + 8 + length] ^= 1
    with pytest.raises(PhotoError, match=f"a wrong checksum in its {kind.decode()} chunk") as caught:
        read_image(io.BytesIO(content))
    assert caught.value.reason == "damaged"


def test_a_png_whose_pixels_have_a_wrong_checksum_of_zlib_is_not_read():
    pixels = bytearray(zlib.compress(bytes(80 * (1 + 3 * 96))))
    pixels[-1] ^= 1
    with pytest.raises(OSError, match="broken data stream"):
        read_image(io.BytesIO(zoo.png(96, 80, 8, 2, (b"IDAT", bytes(pixels)))))


@pytest.mark.parametrize("lost_bytes", [13, 16, 20])
def test_a_png_that_ends_within_its_pixels_is_truncated(lost_bytes):
    with pytest.raises(PhotoError, match="ends within a PNG's IDAT chunk") as caught:
        read_image(io.BytesIO(zoo.PNG(0)[:-lost_bytes]))
    assert caught.value.reason == "truncated"


CLAIMS = ["claims.png", "claims.gif", "claims_frame.gif", "claims.ico", "claims.webp"]


@pytest.mark.parametrize("path", CLAIMS)
def test_what_claims_to_be_huge_is_refused_before_memory_is_taken(path, monkeypatch):
    def refuse(*_):
        raise AssertionError("memory is taken")

    monkeypatch.setattr(Image.core, "fill", refuse)
    monkeypatch.setattr(Image.core, "new", refuse)
    monkeypatch.setattr("PIL._webp.WebPAnimDecoder", refuse)
    with pytest.raises(PhotoError, match=r"megapixels; the limit is 250 \(setting max_megapixels"):
        read_image(io.BytesIO(zoo.SIZES[path][1](0)), max_megapixels=250)


@pytest.mark.parametrize(("save", "expected"), [({}, True), ({"progressive": True}, False), ({"quality": 100}, True)])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_only_a_sequential_jpeg_decodes_by_rows(mode, save, expected):
    assert decodes_by_rows(io.BytesIO(zoo.encode(zoo.paint(0, mode), "JPEG", **save))) == expected


def test_a_jpeg_with_a_scan_per_channel_does_not_decode_by_rows():
    whole = bytearray(zoo.PIXELS["comment.jpg"][1](0))
    whole[whole.index(b"\xff\xda") + 4] = 1
    assert not decodes_by_rows(io.BytesIO(whole))


def test_no_warning_of_pillow_reaches_the_user(tmp_path):
    (tmp_path / "odd.jpg").write_bytes(zoo.PIXELS["broken_exif.jpg"][1](0))
    Image.new("1", (14_000, 13_000)).save(tmp_path / "large.png")
    command = "import sys; from bears_tl.photos.image import read_image; [read_image(file, 9) for file in sys.argv[1:]]"
    files = [str(tmp_path / name) for name in ("odd.jpg", "large.png")]
    done = subprocess.run([sys.executable, "-W", "default", "-c", command, *files], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
