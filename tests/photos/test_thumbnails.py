"""Thumbnails: the boxes of the views at 128 px, the same in memory and not."""

import numpy as np
import pytest
from PIL import Image

from bears_tl.files import sha256_of
from bears_tl.photos import thumbnails
from bears_tl.photos.thumbnails import IMAGE_SIZE_PX, Thumbnails, read_center_view, thumbnail
from bears_tl.photos.views import CENTER, View, read_views, render


def smooth(width, height, seed=0):
    levels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    for number, size in enumerate([(400, 300), (1000, 1500), (130, 70), (160, 160)]):
        smooth(*size, seed=number).save(tmp_path / f"{number}.jpg", quality=95)
    return tmp_path


@pytest.fixture
def rows(folder):
    return [{"path": f"{i}.jpg", "sha256": sha256_of(folder / f"{i}.jpg")} for i in range(4)]


@pytest.mark.parametrize(
    ("size", "expected"), [((400, 300), (213, 160)), ((130, 70), (130, 70)), ((160, 900), (160, 900))]
)
def test_the_shorter_side_has_160_px_or_fewer(tmp_path, size, expected):
    smooth(*size).save(tmp_path / "a.png")
    assert thumbnail(tmp_path / "a.png").size == expected


@pytest.mark.parametrize("view", [CENTER, View(0), View(3, 1, 0.2), View(4, 1, 0.2)])
def test_a_view_shows_what_the_body_is_shown(folder, rows, view):
    """Shrunk to 128 px, the body's view of 299 px is the same picture."""
    found = Thumbnails(folder).views(rows, view)
    assert found.shape == (4, 128, 128, 3) and found.dtype == np.uint8
    for pixels, row in zip(found, rows, strict=True):
        of_body = read_views(folder / row["path"], [view], row["sha256"])[0]
        shrunk = np.asarray(Image.fromarray(of_body).resize((128, 128), Image.Resampling.BILINEAR))
        assert np.abs(pixels.astype(float) - shrunk).mean() < 3


def test_views_differ_and_are_mirrored(folder, rows):
    table = Thumbnails(folder)
    views = [table.views(rows[:1], View(k, 0, 0.2))[0] for k in range(8)]
    assert len({pixels.tobytes() for pixels in views}) == 8
    boxes = [View(k, 0, 0.2).box(213, 160, rows[0]["sha256"]) for k in range(8)]
    assert {box.flip for box in boxes} == {True, False}
    image = thumbnail(folder / "0.jpg")
    flipped = next(k for k in range(8) if boxes[k].flip)
    assert np.array_equal(views[flipped], render(image, boxes[flipped], side_px=IMAGE_SIZE_PX))


def test_memory_order_and_company_change_no_pixel(folder, rows, monkeypatch):
    view = View(1, 0, 0.3)
    expected = Thumbnails(folder).views(rows, view)
    monkeypatch.setattr(thumbnails, "MEMORY_BYTES", 4 * 160 * 213)  # of the four, one fits
    table = Thumbnails(folder)
    for _ in range(2):
        assert np.array_equal(table.views([rows[i] for i in (3, 1, 0, 2, 1)], view), expected[[3, 1, 0, 2, 1]])
    assert len(table._kept) == 1
    assert table.views([]).shape == (0, 128, 128, 3)


def test_a_photo_is_read_once(folder, rows, monkeypatch):
    reads, read = [], thumbnails.thumbnail
    monkeypatch.setattr(thumbnails, "thumbnail", lambda file: reads.append(1) or read(file))
    table = Thumbnails(folder)
    for k in range(3):
        table.views(rows, View(k))
    assert len(reads) == 4


def test_prediction_reads_what_validation_reads(folder, rows):
    assert np.array_equal(Thumbnails(folder).views(rows[1:2])[0], read_center_view(folder / "1.jpg"))


@pytest.mark.parametrize("what", ["gone", "changed", "broken"])
def test_a_photo_that_is_not_what_it_was_is_refused(folder, rows, refused, what):
    if what == "gone":
        (folder / "2.jpg").unlink()
    else:
        (folder / "2.jpg").write_bytes(b"\xff\xd8\xff nothing")
        if what == "broken":
            rows[2]["sha256"] = sha256_of(folder / "2.jpg")
    with refused("2.jpg", "run the intake again"):
        Thumbnails(folder).views(rows)
