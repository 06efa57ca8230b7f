"""Thousands of damaged files: each gets one verdict, none stops intake, and what is called a photo can be seen."""

import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

from bears_tl.photos.intake import REASONS, take_in
from bears_tl.photos.views import CENTER, read_views

from .zoo import FORMATS, MOVING, PIXELS, PNG

SEEDS = {
    name: content(7)
    for files, names in (
        (FORMATS, "baseline.jpg progressive.jpg inverted_cmyk.jpg ycck.jpg camera.mpo interlaced.png one_frame.gif"),
        (
            FORMATS,
            "lossy.webp lossless.webp plain.bmp lzw.tif deflate.tif jpeg.tif fax.tif tiled.tif icon.ico flat.psd",
        ),
        (FORMATS, "binary.ppm boxes.jp2 stream.j2k plain.avif plain.qoi phone.heic"),
        (PIXELS, "adobe_rgb.jpg cmyk_profile.jpg adobe_rgb_alpha.png palette_alpha.png grey_16.png lab.tif float.tif"),
        (PIXELS, "on_its_side.jpg"),
        (MOVING, "loop.gif loop.webp loop.png pages.tif"),
    )
    for name in names.split()
    if name in files
    for _, content in [files[name]]
}
MUTATIONS_PER_SEED = 80
NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF)  # what lengths, sizes and offsets trip over


def mutated(name: str, k: int) -> bytes:
    """Damage a seed in the k-th way."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {k}".encode()))
    content, other = bytearray(SEEDS[name]), SEEDS[list(SEEDS)[rng.integers(len(SEEDS))]]
    places = (len(content), min(len(content), 200))[k // 8 % 2]  # everywhere, or where the header lies
    start, length = int(rng.integers(places)), int(rng.integers(1, 100))
    match k % 8:
        case 0:
            del content[start:]
        case 1:
            content[start] ^= 1 << rng.integers(8)
        case 2:
            for place in rng.integers(places, size=length):
                content[place] ^= 1 << rng.integers(8)
        case 3:
            content[:length] = other[:length]
        case 4:
            del content[start : start + length]
        case 5:
            content[start:start] = other[start : start + 10 * length]
        case 6:
            content[start : start + length] = bytes(length)
        case 7:
            number, size = NUMBERS[rng.integers(len(NUMBERS))], int(rng.choice([1, 2, 4]))
            content[start : start + size] = (number & (256**size - 1)).to_bytes(size, rng.choice(["big", "little"]))
    return bytes(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    for class_name in ("Damaged", "Whole"):
        (folder / class_name).mkdir()
        for i in range(5):
            (folder / class_name / f"plain {i}.png").write_bytes(PNG(zlib.crc32(class_name.encode()) + i))
    for name in SEEDS:
        for k in range(MUTATIONS_PER_SEED):
            (folder / "Damaged" / f"{k:03} {name}").write_bytes(mutated(name, k))
    return folder


@pytest.mark.slow
def test_no_damage_stops_intake_and_none_is_passed_over(folder, capfd):
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert len(files) >= 2000
    started = time.perf_counter()
    intake = take_in(folder)
    assert sorted(row["path"] for row in intake.photos + intake.quarantined) == files
    assert intake.per_reason().keys() <= set(REASONS)
    assert all(row["detail"] for row in intake.quarantined)
    assert intake.per_class()["Whole"] == 5 and intake.per_class()["Damaged"] > 100  # some damage cannot be seen
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # of NumPy
        warnings.filterwarnings("ignore", module="PIL")
        for row in intake.photos:
            (view,) = read_views(folder / row["path"], [CENTER], row["sha256"])
            assert view.shape == (299, 299, 3) and view.dtype == np.uint8
    assert capfd.readouterr().err == ""  # C libraries print, too
    assert time.perf_counter() - started < 60


def test_damage_is_the_same_each_time():
    assert mutated("baseline.jpg", 3) == mutated("baseline.jpg", 3) != SEEDS["baseline.jpg"]
