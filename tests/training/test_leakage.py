"""A split with copies on both sides inflates accuracy; a clean split does not."""

import numpy as np
import pytest
from PIL import Image

from bears_tl.config import RunConfig
from bears_tl.photos.groups import find_groups, perceptual_hashes
from bears_tl.photos.image import read_image
from bears_tl.photos.intake import take_in
from bears_tl.photos.sample import paint_sample
from bears_tl.training.leakage import THUMBNAIL_PX, compare_splits, first_of_each_class, near_copy, thumbnail


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "sample"
    paint_sample(folder)
    return folder


def test_a_near_copy_is_found_to_be_one(sample):
    image = read_image(sorted(sample.rglob("*.jpg"))[0])
    hashes = [perceptual_hashes(picture) for picture in (image, near_copy(image), image.rotate(180))]
    assert find_groups(np.stack(hashes)).tolist() == [0, 0, 2]


@pytest.mark.parametrize(("level", "expected"), [(0, -1), (255, 1)])
def test_a_thumbnail_lies_between_minus_one_and_one(level, expected):
    seen = thumbnail(Image.new("RGB", (500, 300), (level,) * 3))
    assert seen.shape == (3 * THUMBNAIL_PX**2,) and seen.dtype == np.float32 and (seen == expected).all()


@pytest.mark.slow
def test_the_leaky_split_flatters_and_the_same_seed_says_the_same(sample):
    photos = take_in(sample).photos
    found = compare_splits(sample, photos, RunConfig(), seeds=range(5))
    assert np.mean([row["leaky"] - row["clean"] for row in found]) > 0.03
    assert compare_splits(sample, photos, RunConfig(), seeds=[3]) == [found[3]]


def test_the_first_of_each_class_are_at_most_so_many():
    photos = [{"path": str(i), "class_name": "ba"[i % 2]} for i in range(5)]
    assert [photo["path"] for photo in first_of_each_class(photos, 2)] == ["1", "3", "0", "2"]
