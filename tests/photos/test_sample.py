"""The painted data set: reproducible, all photos different, and only the bear reveals the class."""

import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bears_tl.errors import InputError
from bears_tl.photos import sample

PHOTOS_PER_CLASS = 8  # one pack of eight: every background, pose and size once


@pytest.fixture(scope="module")
def photos() -> dict[str, list[np.ndarray]]:
    """Paint a few photos of each class, once for all tests."""
    with ThreadPoolExecutor(2) as pool:
        return {
            name: list(pool.map(partial(sample.paint, name), range(PHOTOS_PER_CLASS))) for name in sample.CLASS_NAMES
        }


def all_of(photos: dict[str, list[np.ndarray]]) -> list[np.ndarray]:
    return [photo for of_class in photos.values() for photo in of_class]


def test_photos_are_rgb_of_ordinary_size(photos):
    for photo in all_of(photos):
        assert photo.dtype == np.uint8
        assert photo.ndim == 3 and photo.shape[2] == 3
        assert 280 <= min(photo.shape[:2]) <= 340 and 375 <= max(photo.shape[:2]) <= 430


def test_paint_is_a_function_of_its_arguments_alone(photos):
    np.random.seed(5)
    assert np.array_equal(sample.paint("Panda", np.int64(3)), photos["Panda"][3])
    other = sample.paint("Panda", 3, seed=1)
    assert other.shape != photos["Panda"][3].shape or not np.array_equal(other, photos["Panda"][3])


def test_no_two_photos_are_alike(photos):
    thumbnails = [
        np.asarray(Image.fromarray(photo).resize((32, 32), Image.Resampling.BOX), float) for photo in all_of(photos)
    ]
    for number, thumbnail in enumerate(thumbnails):
        for other in thumbnails[:number]:
            # Also not the mirror image; about 10 levels is what two photos of one bear in a burst differ by.
            assert np.abs(thumbnail - other).mean() > 10
            assert np.abs(thumbnail - other[:, ::-1]).mean() > 10


@pytest.mark.parametrize("what", ["scene", "pose", "light", "size"])
def test_every_class_is_dealt_the_same(what):
    options = tuple(range(8))
    dealt = {name: [sample.dealt(options, what, name, index, 0) for index in range(40)] for name in sample.CLASS_NAMES}
    assert all(sorted(cards) == sorted(options * 5) for cards in dealt.values())
    assert dealt["Grizzly"] != dealt["Panda"] != dealt["Polar"]


def test_sizes_are_the_same_for_every_class(photos):
    sizes = [sorted(photo.shape for photo in of_class) for of_class in photos.values()]
    assert sizes[0] == sizes[1] == sizes[2]


def border_colour(photo: np.ndarray) -> np.ndarray:
    """Mean rgb of the outer 8 % of a photo."""
    height, width = photo.shape[:2]
    border = np.ones((height, width), bool)
    border[round(0.08 * height) : round(0.92 * height), round(0.08 * width) : round(0.92 * width)] = False
    return photo[border].mean(0)


def brightness_in_the_middle(photo: np.ndarray) -> np.ndarray:
    """Quantiles of the colours in the middle half of a photo, where the bear is."""
    height, width = photo.shape[:2]
    middle = photo[height // 4 : -height // 4, width // 4 : -width // 4].reshape(-1, 3)
    return np.quantile(middle, (0.1, 0.3, 0.5, 0.7, 0.9), axis=0).ravel()


def nearest_centroid_accuracy(photos: dict[str, list[np.ndarray]], feature) -> float:
    """Leave one out: how often the nearest mean of a class is the photo's own."""
    features = np.array([[feature(photo) for photo in of_class] for of_class in photos.values()])
    hits = []
    for label, of_class in enumerate(features):
        for index, point in enumerate(of_class):
            centroids = features.mean(1)
            centroids[label] = np.delete(of_class, index, 0).mean(0)
            hits.append(np.linalg.norm(centroids - point, axis=1).argmin() == label)
    return float(np.mean(hits))


def test_the_bear_tells_the_class_and_the_background_does_not(photos):
    by_border = nearest_centroid_accuracy(photos, border_colour)
    by_middle = nearest_centroid_accuracy(photos, brightness_in_the_middle)
    assert by_border < 0.6
    assert by_middle > by_border + 0.2


def test_unknown_class_is_refused():
    with pytest.raises(InputError, match=r"'Koala'.*Grizzly, Panda, Polar"):
        sample.paint("Koala", 0)


def test_the_folder_holds_these_photos_to_the_byte(photos, tmp_path):
    seen = []

    def progress(tasks):
        seen.append(len(tasks))
        return iter(tasks)

    sample.paint_sample(tmp_path / "sample", photos_per_class=1, progress=progress)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {}
    for name, of_class in photos.items():
        jpeg = io.BytesIO()
        Image.fromarray(of_class[0]).save(jpeg, "jpeg", quality=90)
        expected[Path(f"sample/{name}/{name.lower()}_0000.jpg")] = jpeg.getvalue()
    assert written == expected
    assert seen == [3]
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


@pytest.mark.parametrize("content", [None, "mine"])
def test_a_folder_that_is_there_is_left_alone(tmp_path, content):
    folder = tmp_path / "photos"
    folder.mkdir()
    if content:
        (folder / "note.txt").write_text(content)
    before = folder.stat().st_ino
    with pytest.raises(InputError, match="photos"):
        sample.paint_sample(folder, photos_per_class=1)
    assert folder.stat().st_ino == before
    assert [path.read_text() for path in folder.iterdir()] == ([content] if content else [])
    assert list(tmp_path.iterdir()) == [folder]


def test_a_half_painted_folder_is_never_seen(tmp_path, monkeypatch):
    def fails(class_name, index, seed):
        raise InputError("out of paint")

    monkeypatch.setattr(sample, "paint", fails)
    with pytest.raises(InputError, match="out of paint"):
        sample.paint_sample(tmp_path / "photos", photos_per_class=3)
    assert list(tmp_path.iterdir()) == []


def test_no_photos_are_refused(tmp_path):
    with pytest.raises(InputError, match="photos_per_class"):
        sample.paint_sample(tmp_path / "photos", photos_per_class=0)
