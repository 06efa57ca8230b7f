import numpy as np
import pytest
from PIL import Image

from bears_tl.photos.cues import measure_cues
from bears_tl.photos.facts import FactCache
from bears_tl.photos.intake import take_in


def rows_of(folder):
    rows = []
    for path in sorted(folder.rglob("*.*")):
        with Image.open(path) as image:
            width, height = image.size
        name = path.relative_to(folder).as_posix()
        rows.append({"path": name, "width": str(width), "height": str(height), "bytes": str(path.stat().st_size)})
    return rows


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


def test_colours_come_from_the_facts_of_the_intake_unless_a_photo_has_changed(write_photos, tmp_path, monkeypatch):
    folder, cache = write_photos(One=5, Two=5), FactCache(tmp_path / "facts.sqlite")
    taken = take_in(folder, cache=cache).photos
    read = measure_cues(folder, taken)
    monkeypatch.setattr("bears_tl.photos.cues.read_facts", lambda path: pytest.fail(f"{path} was read"))
    known = measure_cues(folder, taken, cache)
    assert all(np.array_equal(known[name], read[name]) for name in read)
    Image.new("RGB", (64, 64)).save(folder / "One" / "0.png")
    with pytest.raises(pytest.fail.Exception, match=r"One/0\.png was read"):
        measure_cues(folder, taken, cache)
