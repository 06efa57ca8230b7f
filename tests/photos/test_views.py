"""A view is a box of the upright photo at 299 x 299 px, and a function of photo, seed and k alone."""

import io
import math
import tarfile

import numpy as np
import pytest
from PIL import Image
from skimage.transform import resize

from bears_tl.photos.image import read_image
from bears_tl.photos.views import (
    CENTER,
    Box,
    View,
    center_box,
    center_view,
    random_box,
    read_views,
    render,
    rising_strength,
    scale,
)

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)
SIZES = [(400, 300), (300, 400), (299, 299), (1, 1), (2, 3), (1, 500), (500, 1), (5000, 7), (7, 5000), (298, 300)]
ZOOMS = [0.0, 0.2, 0.9, 0.999999]
SEVERAL = [CENTER, View(0, 1, 0.2), View(1, 1, 0.2), View(0, 1, 0.0), View(0, 2, 0.6)]


def rng(seed=0):
    return np.random.default_rng(seed)


def halves(first, second, width_px, height_px) -> Image.Image:
    """Paint a photo of two halves, side by side when it is wide, one above the other when it is tall."""
    image = Image.new("RGB", (width_px, height_px), second)
    wide = width_px > height_px
    image.paste(first, (0, 0, width_px // 2, height_px) if wide else (0, 0, width_px, height_px // 2))
    return image


def smooth_photo(width_px, height_px) -> Image.Image:
    """Paint waves of about 30 px, like a photo without fine texture."""
    y, x = np.mgrid[:height_px, :width_px]
    waves = [np.sin(x / 31 + y / 47), np.cos(x / 53 - y / 29), np.sin((x + y) / 37)]
    return Image.fromarray(np.uint8(np.rint(127.5 + 127.5 * np.stack(waves, axis=2))))


def reference(photo: Image.Image) -> np.ndarray:
    """Compute the center view with scikit-image: float [299, 299, 3] in [0, 255]. Needs width - height to be even."""
    pixels = np.asarray(photo, dtype=np.float32) / 255
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return 255 * resize(pixels[top : top + side, left : left + side], (299, 299), anti_aliasing=True)


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory):
    path = tmp_path_factory.mktemp("views") / "photo.jpg"
    smooth_photo(1300, 1000).save(path, quality=95)
    return path


KINDS = {
    "RGB": Image.new("RGB", (40, 30), RED),
    "L": Image.new("L", (40, 30), 7),
    "1": Image.new("1", (40, 30), 1),
    "P": Image.new("P", (40, 30)),
    "RGBA": Image.new("RGBA", (40, 30), (1, 2, 3, 4)),
    "LA": Image.new("LA", (40, 30), (1, 2)),
    "CMYK": Image.new("CMYK", (40, 30)),
    "I;16": Image.new("I;16", (40, 30), 65535),
    "I": Image.new("I", (40, 30), 65535),
    "F": Image.new("F", (40, 30), 255.0),
    "uint8": np.full((30, 40, 3), 255, np.uint8),
    "uint16": np.full((30, 40), 65535, np.uint16),
    "bool": np.ones((30, 40), bool),
    "float32": np.ones((30, 40, 3), np.float32),
    "float64": np.zeros((30, 40, 4), np.float64),
    "fortran": np.asfortranarray(np.full((30, 40, 3), 9, np.uint8)),
    "read-only": np.broadcast_to(np.uint8(3), (30, 40, 3)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_is_299_x_299_float32_from_minus_1_to_1_whatever_goes_in(kind):
    view = center_view(KINDS[kind])
    assert view.shape == (299, 299, 3) and view.dtype == np.float32
    assert view.min() >= -1 and view.max() <= 1


def test_black_is_minus_1_and_white_is_1():
    assert (center_view(np.zeros((50, 50), np.uint8)) == -1).all()
    assert (center_view(np.full((50, 50), 255, np.uint8)) == 1).all()


def test_scale_takes_every_level_to_its_place_and_no_other_dtype():
    levels = np.arange(256, dtype=np.uint8)
    expected = np.arange(256) / 127.5 - 1
    assert scale(levels).dtype == np.float32 and np.abs(scale(levels) - expected).max() < 1e-6
    assert scale(levels)[[0, 255]].tolist() == [-1, 1]
    for dtype in (np.float32, np.int64, np.uint16):
        with pytest.raises(ValueError, match="uint8"):
            scale(levels.astype(dtype))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("max_zoom", ZOOMS)
def test_no_size_and_no_zoom_fails(size, max_zoom):
    image = Image.new("RGB", size, RED)
    for seed in range(3):
        pixels = render(image, random_box(*size, max_zoom, rng(seed)))
        assert pixels.shape == (299, 299, 3) and (pixels == [255, 0, 0]).all()
    assert (center_view(image) == [1, -1, -1]).all()


@pytest.mark.parametrize("max_zoom", [-1e-9, 1.0, 1.5, math.nan, math.inf])
def test_a_zoom_out_of_range_is_refused(max_zoom):
    with pytest.raises(ValueError, match="max_zoom"):
        View(0, 0, max_zoom)


def test_a_box_is_square_in_pixels_as_large_as_promised_and_inside_the_photo():
    draw = rng(5)
    for _ in range(1000):
        width, height = (int(2 ** draw.uniform(0, 13)) for _ in range(2))
        max_zoom = float(draw.choice([0, 0.2, draw.uniform(0, 1), 0.999999]))
        for box, zoom in ((center_box(width, height), 0), (random_box(width, height, max_zoom, draw), max_zoom)):
            side = box.width * width
            assert side == pytest.approx(box.height * height)
            assert min(width, height) * (1 - zoom) <= side * (1 + 1e-9) and side <= min(width, height) * (1 + 1e-9)
            assert box.left >= 0 and box.top >= 0
            assert box.left + box.width <= 1 + 1e-12 and box.top + box.height <= 1 + 1e-12


@pytest.mark.parametrize(("width", "height"), [(400, 100), (100, 400), (200, 100)])
def test_a_box_of_another_ratio_is_width_over_height(width, height):
    box = center_box(width, height, target_ratio=2.0)
    assert box.width * width == pytest.approx(2 * box.height * height)
    assert max(box.width, box.height) == 1


def test_without_zoom_the_box_of_a_square_photo_is_all_of_it():
    box = random_box(500, 500, 0.0, rng())
    assert (box.left, box.top, box.width, box.height) == (0, 0, 1, 1)


def test_random_boxes_reach_all_places_zooms_and_both_sides():
    boxes = [random_box(600, 300, 0.5, rng(seed)) for seed in range(400)]
    lefts = [box.left / (1 - box.width) for box in boxes]
    assert min(lefts) < 0.02 and max(lefts) > 0.98
    heights = [box.height for box in boxes]
    assert min(heights) < 0.52 and max(heights) > 0.98
    assert 150 < sum(box.flip for box in boxes) < 250


@pytest.mark.parametrize(("size", "axis"), [((300, 900), 0), ((900, 300), 1)])
def test_height_and_width_are_in_order(size, axis):
    view = np.moveaxis(center_view(halves(RED, BLUE, *size)), axis, 0)
    assert (view[:148] == [1, -1, -1]).all() and (view[-148:] == [-1, -1, 1]).all()


def test_the_ends_of_a_long_photo_are_outside_of_the_center_view():
    for size, ends in (((900, 300), [(0, 0, 290, 300), (610, 0, 900, 300)]), ((300, 900), [(0, 0, 300, 290)])):
        image = Image.new("RGB", size, GREEN)
        for end in ends:
            image.paste(RED, end)
        assert (center_view(image) == [-1, 1, -1]).all()


def test_flip_mirrors_left_and_right():
    photo = smooth_photo(500, 400)
    flips = set()
    for seed in range(10):
        box = random_box(*photo.size, 0.2, rng(seed))
        flips.add(box.flip)
        assert not np.array_equal(render(photo, box), render(photo.transpose(Image.FLIP_LEFT_RIGHT), box))
    assert flips == {True, False}
    left_red = halves(RED, BLUE, 600, 300).crop((150, 0, 450, 300))
    for seed in range(10):
        box = random_box(300, 300, 0.0, rng(seed))
        pixels = render(left_red, box)
        assert (pixels[:, 0] == ([0, 0, 255] if box.flip else [255, 0, 0])).all()
        assert (pixels[:, -1] == ([255, 0, 0] if box.flip else [0, 0, 255])).all()


def test_a_random_box_is_a_function_of_its_rng():
    assert random_box(400, 300, 0.2, rng(1)) == random_box(400, 300, 0.2, rng(1)) != random_box(400, 300, 0.2, rng(2))


def test_a_views_box_depends_on_k_seed_zoom_and_content():
    first = View(0, 0, 0.2).box(400, 300, "a")
    assert first == View(0, 0, 0.2).box(400, 300, "a") == View(0, 0, 0.2).box(800, 600, "a")
    others = [
        View(1, 0, 0.2).box(400, 300, "a"),
        View(0, 1, 0.2).box(400, 300, "a"),
        View(0, 0, 0.2).box(400, 300, "b"),
    ]
    others.append(View(0, 0, 0.3).box(400, 300, "a"))
    assert len({(box.left, box.top, box.width) for box in [first, *others]}) == 5


def test_the_center_view_depends_on_the_size_alone():
    assert CENTER.box(400, 300, "a") == CENTER.box(400, 300, "b") == Box(0.125, 0, 0.75, 1)


def test_different_views_have_different_names_and_the_same_the_same():
    views = [CENTER, View(0), View(1), View(0, 1), View(0, 0, 0.2), View(0, 0, 0.3)]
    assert len(set(map(str, views))) == len(views) and str(View(2, 3, 0.25)) == str(View(2, 3, 0.25))


def test_a_view_is_the_same_in_any_company(jpeg):
    together = read_views(jpeg, SEVERAL, "hash")
    backwards = read_views(jpeg, SEVERAL[::-1], "hash")[::-1]
    for view, one, other in zip(SEVERAL, together, backwards, strict=True):
        (alone,) = read_views(jpeg, [view], "hash")
        assert alone.shape == (299, 299, 3) and alone.dtype == np.uint8
        assert np.array_equal(alone, one) and np.array_equal(alone, other)
    assert read_views(jpeg, [], "hash") == []


def test_views_of_one_photo_differ(jpeg):
    views = read_views(jpeg, SEVERAL, "hash")
    assert len({view.tobytes() for view in views}) == len(views)
    assert not np.array_equal(views[1], read_views(jpeg, [SEVERAL[1]], "another hash")[0])


def test_a_jpeg_decoded_at_a_share_of_its_size_shows_the_same(jpeg):
    assert read_image(jpeg, 299).size < read_image(jpeg).size  # so there is something to compare
    whole = io.BytesIO()
    read_image(jpeg).save(whole, "BMP")
    for drafted, full in zip(read_views(jpeg, SEVERAL, "hash"), read_views(whole, SEVERAL, "hash"), strict=True):
        assert np.abs(drafted.astype(float) - full).mean() < 1


def test_the_smallest_box_of_a_draft_has_299_px_a_side():
    for max_zoom in (0.0, 0.2, 0.5, 0.85, 0.9):
        file = io.BytesIO()
        Image.new("RGB", (3000, 2400)).save(file, "JPEG")
        drafted = read_image(file, math.ceil(299 / (1 - max_zoom)))
        assert min(drafted.size) * (1 - max_zoom) >= 299 or drafted.size == (3000, 2400)


@pytest.mark.parametrize("size", [(400, 300), (300, 400), (1200, 800), (640, 480), (200, 150), (1000, 400), (299, 299)])
def test_pixels_agree_with_scikit_image(size):
    photo = smooth_photo(*size)
    assert np.abs((center_view(photo) + 1) * 127.5 - reference(photo)).mean() < 2


def test_pixels_of_real_photos_agree_with_scikit_image(real):
    photos = []
    with tarfile.open(real / "photos" / "bear_photos.tar.xz") as archive:
        for member in archive:
            if member.isfile():
                file = io.BytesIO(archive.extractfile(member).read())
                with Image.open(file) as image:
                    if (image.width - image.height) % 2 == 0:  # else the two boxes are half a pixel apart
                        photos.append(file)
    photos = photos[:: len(photos) // 20][:20]
    assert len(photos) == 20
    distances = [np.abs(read_views(file, [CENTER], "")[0] - reference(read_image(file))).mean() for file in photos]
    # fur seen through two filters: 0.9 of 255 on average, up to 3.5 on a single photo
    assert np.mean(distances) < 1.5 and max(distances) < 4


def test_a_rising_strength_starts_at_the_plain_view_and_moves_away_from_it(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(rng().integers(0, 256, (320, 400, 3), np.uint8)).save(path)
    pictures = rising_strength(path, "ab" * 32, {"brightness": 0.5}, [0, 0.5, 1], seed=3)
    plain = read_views(path, [View(k, 3) for k in range(8)], "ab" * 32)
    assert any(np.array_equal(pictures[0], view) for view in plain)
    half, full = (np.abs(picture.astype(float) - pictures[0]).mean() for picture in pictures[1:])
    assert 0 < half < full
