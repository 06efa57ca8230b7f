import numpy as np
import pytest
from PIL import Image

from bears_tl.photos.cues import measure_colours, measure_cues


def rows_of(folder):
    rows = []
    for path in sorted(folder.rglob("*.*")):
        with Image.open(path) as image:
            width, height = image.size
        name = path.relative_to(folder).as_posix()
        rows.append({"path": name, "width": str(width), "height": str(height), "bytes": str(path.stat().st_size)})
    return rows


def test_a_photo_of_one_colour_has_that_mean_and_no_spread():
    whole, border = measure_colours(Image.new("RGB", (640, 230), (255, 51, 0)))
    assert whole == pytest.approx([1, 0.2, 0, 0, 0, 0], abs=1e-9) and border == pytest.approx(whole, abs=1e-9)


def test_the_border_sees_the_outer_twentieth_and_nothing_else():
    photo = Image.new("RGB", (400, 200), "white")
    photo.paste("black", (30, 15, 370, 185))  # a little within the frame of 20 and 10 px
    whole, border = measure_colours(photo)
    assert border == pytest.approx([1, 1, 1, 0, 0, 0], abs=1e-9)
    assert whole[0] == pytest.approx(1 - 340 * 170 / (400 * 200), abs=0.01) and whole[3] > 0.4


def test_colours_hardly_depend_on_size_and_format(tmp_path):
    draw = np.random.default_rng(0)
    photo = Image.fromarray(draw.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((1800, 1200), Image.BICUBIC)
    photo.save(tmp_path / "large.jpg", quality=95)  # is decoded at a fraction of its size
    photo.resize((300, 200), Image.BOX).save(tmp_path / "small.png")
    for name in ("colour", "border"):
        large, small = measure_cues(tmp_path, rows_of(tmp_path))[name]
        assert large == pytest.approx(small, abs=0.01)


def test_every_cue_has_a_row_a_photo_whatever_the_order(tmp_path, write_photos):
    rows = rows_of(write_photos(One=3, Two=2))
    cues, backwards = (measure_cues(tmp_path / "photos", some) for some in (rows, rows[::-1]))
    assert list(cues) == ["colour", "border", "image_size", "file_size"]
    assert [values.shape for values in cues.values()] == [(5, 6), (5, 6), (5, 3), (5, 1)]
    assert all(np.isfinite(cues[name]).all() and np.array_equal(cues[name][::-1], backwards[name]) for name in cues)
    assert np.exp(cues["image_size"]) == pytest.approx(np.tile([64, 64, 1], (5, 1)))
    assert np.exp(cues["file_size"][:, 0]) == pytest.approx([float(row["bytes"]) for row in rows])


@pytest.mark.parametrize("content", [None, b"no photo"])
def test_a_photo_that_was_lost_since_intake_is_one_line(write_photos, refused, content):
    folder = write_photos(One=2)
    rows = rows_of(folder)
    (folder / "One/1.png").unlink()
    if content:
        (folder / "One/1.png").write_bytes(content)
    with refused("One/1.png", "run intake"):
        measure_cues(folder, rows)
