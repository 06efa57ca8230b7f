"""Augmented views: each effect does what it should over its whole range, alone and together with others."""

import concurrent.futures
import dataclasses
import io
import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from skimage.color import hsv2rgb, rgb2hsv

from bears_tl.config import RunConfig
from bears_tl.photos.looks import STRENGTHS, erase, shift_colours
from bears_tl.photos.views import Box, View, center_box, read_views, render

COLOURS = ("brightness", "contrast", "saturation", "hue")
SOME = {"brightness": 0.3, "contrast": 0.4, "saturation": 0.5, "hue": 0.1, "rotation_degrees": 20.0, "erasing": 0.3}
RICH = View(2, 1, 0.2, **SOME)
SIZES = [(400, 300), (1, 1), (2, 3), (1, 500), (5000, 7), (7, 5000), (299, 299), (1500, 900)]
ALL_COLOURS = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), axis=-1).reshape(-1, 18, 3).astype(np.uint8)


def smooth_photo(width_px, height_px) -> Image.Image:
    y, x = np.mgrid[:height_px, :width_px]
    waves = [np.sin(x / 31 + y / 47), np.cos(x / 53 - y / 29), np.sin((x + y) / 37)]
    return Image.fromarray(np.uint8(np.rint(127.5 + 127.5 * np.stack(waves, axis=2))))


def distance(one, other):
    return np.abs(np.subtract(one, other, dtype=float))


def file_of(image: Image.Image, kind="PNG") -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind)
    return file


def ends(effect):
    return [0.0, STRENGTHS[effect]] if effect == "erasing" else [-STRENGTHS[effect], STRENGTHS[effect]]


@pytest.fixture(scope="module")
def photo():
    return file_of(smooth_photo(1300, 1000), "JPEG")


# Colours


@pytest.mark.parametrize("change", [-1.0, -0.6, -0.001, 0.001, 0.3, 1.0])
@pytest.mark.parametrize(
    ("effect", "enhance"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
def test_colours_change_as_pillow_enhances_them(effect, enhance, change):
    for pixels in (ALL_COLOURS, np.asarray(smooth_photo(60, 40))):
        expected = enhance(Image.fromarray(pixels)).enhance(1 + change)
        assert distance(shift_colours(pixels, **{effect: change}), expected).max() <= 2  # Pillow rounds twice, and down


@pytest.mark.parametrize("turns", [-0.5, -0.31, -0.001, 0.001, 0.1, 1 / 3, 0.5])
def test_the_hue_is_turned_in_hsv(turns):
    hsv = rgb2hsv(ALL_COLOURS)
    hsv[..., 0] = (hsv[..., 0] + turns) % 1
    assert distance(shift_colours(ALL_COLOURS, hue=turns), 255 * hsv2rgb(hsv)).max() <= 0.51


def test_a_third_of_the_circle_takes_red_to_green_to_blue():
    red, green, blue = (np.uint8([[colour]]) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    assert (shift_colours(red, hue=1 / 3) == green).all() and (shift_colours(green, hue=1 / 3) == blue).all()
    assert (shift_colours(red, hue=-1 / 3) == blue).all()


def test_levels_are_clipped_and_never_wrap_around():
    levels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    assert (shift_colours(levels, brightness=1.0) == np.minimum(levels.astype(int) * 2, 255)).all()
    assert (shift_colours(levels, brightness=-1.0) == 0).all()
    flat = shift_colours(levels, contrast=-1.0)
    assert np.ptp(flat) == 0 and abs(int(flat[0, 0, 0]) - 127.5) <= 0.5
    assert (np.diff(shift_colours(levels, contrast=1.0)[0, :, 0].astype(int)) >= 0).all()
    grey = shift_colours(ALL_COLOURS, saturation=-1.0)
    assert np.ptp(grey, axis=2).max() == 0 and distance(grey[..., 0], ALL_COLOURS @ [0.299, 0.587, 0.114]).max() < 0.51
    everything = shift_colours(ALL_COLOURS, 1.0, 1.0, 1.0, 0.5)
    assert everything.dtype == np.uint8 and everything.shape == ALL_COLOURS.shape


@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("effect", ["contrast", "saturation", "hue"])
def test_a_picture_of_one_grey_stays_as_it_is(level, effect):
    pixels = np.full((20, 30, 3), level, np.uint8)
    for change in (*ends(effect), 0.123):
        assert (shift_colours(pixels, **{effect: change}) == level).all()


def test_no_change_is_no_change_and_what_is_given_stays(photo):
    pixels = ALL_COLOURS.copy()
    assert shift_colours(pixels) is pixels and erase(pixels, 0.0, np.random.default_rng(0)) is pixels
    shift_colours(pixels, 0.5, 0.5, 0.5, 0.3)
    for seed in range(10):
        erase(pixels, 0.9, np.random.default_rng(seed))
    assert (pixels == ALL_COLOURS).all()


# Erasing


@pytest.mark.parametrize("erasing", [1e-9, 0.01, 0.02, 0.3, 0.9])
@pytest.mark.parametrize("size", [(299, 299), (100, 300), (1, 1), (2, 500)])
def test_a_rectangle_of_at_most_the_share_is_erased_in_half_of_the_views(erasing, size):
    pixels, shares, aspects = np.full((*size, 3), 7, np.uint8), [], []
    for seed in range(300):
        changed = (erase(pixels, erasing, np.random.default_rng(seed)) != 7).any(axis=2)
        shares.append(changed.mean())
        if changed.any():
            rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
            assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.9  # one rectangle
            aspects.append(len(rows) / size[0] * size[1] / len(columns))
    assert max(shares) <= erasing
    if size == (299, 299) and erasing >= 0.01:
        assert 120 < len(aspects) < 180
        assert max(shares) > 0.85 * erasing and min(aspects) < 0.95 and max(aspects) > 1 / 0.95
        if erasing == 0.3:
            assert min(share for share in shares if share) < 0.05
            assert 0.25 < min(aspects) < 0.45 and 1 / 0.45 < max(aspects) < 1 / 0.25


def test_what_is_erased_is_noise_of_all_levels_and_reaches_every_edge():
    pixels = np.full((299, 299, 3), 7, np.uint8)
    erased = [erase(pixels, 0.4, np.random.default_rng(seed)) for seed in range(200)]
    changed = np.stack([(view != 7).any(axis=2) for view in erased])
    assert changed[:, :9].any() and changed[:, -9:].any() and changed[:, :, :9].any() and changed[:, :, -9:].any()
    noise = np.concatenate([view[where] for view, where in zip(erased, changed, strict=True)])
    assert noise.min() == 0 and noise.max() == 255 and abs(noise.mean() - 127.5) < 1


# Turning


def test_turning_is_pillows_rotation():
    image = smooth_photo(800, 800)
    for degrees in (-170.0, -30.0, 3.0, 45.0, 90.0):
        expected = image.rotate(degrees, Image.Resampling.BICUBIC).resize((299, 299), Image.Resampling.BILINEAR)
        turned = render(image, Box(0, 0, 1, 1), degrees)
        assert distance(turned, expected)[60:240, 60:240].mean() < 2  # the middle, that no corner reaches


def test_a_turn_by_next_to_nothing_shows_the_same_as_none():
    image = smooth_photo(1300, 1000)
    for box in (center_box(1300, 1000), Box(0, 0, 0.2, 0.26), Box(0.5, 0.4, 0.46, 0.6, True)):
        assert distance(render(image, box, 1e-6), render(image, box)).mean() < 2


def test_beyond_its_border_a_photo_is_mirrored():
    image = smooth_photo(500, 400)
    wide = Image.fromarray(np.pad(np.asarray(image), [(400, 400), (500, 500), (0, 0)], "symmetric"))
    for box in (Box(0.1, 0, 0.8, 1), Box(0, 0, 0.4, 0.5), Box(0.6, 0.5, 0.4, 0.5, True), Box(0, 0, 0.04, 0.05)):
        same = Box((1 + box.left) / 3, (1 + box.top) / 3, box.width / 3, box.height / 3, box.flip)
        for degrees in (-100.0, 20.0, 45.0):
            assert distance(render(image, box, degrees), render(wide, same, degrees)).max() <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("degrees", [-180.0, -45.0, 0.1, 90.0, 180.0])
def test_no_size_and_no_angle_leaves_a_corner_black(size, degrees):
    image = Image.new("RGB", size, "white")
    for box in (center_box(*size), Box(0, 0, 0.5, 0.5)):
        assert (render(image, box, degrees) == 255).all()


# Views


def test_names_and_largest_strengths_are_those_of_the_settings():
    fields = {field.name: field for field in dataclasses.fields(RunConfig)}
    for effect, largest in STRENGTHS.items():
        allowed = fields[effect].metadata
        assert (fields[effect].default, allowed["low"], allowed["high"]) == (0, 0, largest)
    assert {field.name for field in dataclasses.fields(View)} == {"k", "seed", "max_zoom", *STRENGTHS}


@pytest.mark.parametrize("effect", STRENGTHS)
def test_a_strength_out_of_range_is_refused(effect):
    largest = STRENGTHS[effect]
    assert getattr(View(0, **{effect: largest}), effect) == largest
    for strength in (-1e-9, math.nextafter(largest, math.inf), math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=effect):
            View(0, **{effect: strength})
    with pytest.raises(ValueError, match="center"):
        View(**{effect: largest})


@pytest.mark.parametrize("effect", COLOURS)
@pytest.mark.parametrize("beyond", [math.inf, -math.inf, math.nan])
def test_a_change_of_colours_out_of_range_is_refused(effect, beyond):
    for change in (beyond, math.nextafter(math.copysign(STRENGTHS[effect], beyond), beyond)):
        with pytest.raises(ValueError, match=effect):
            shift_colours(ALL_COLOURS, **{effect: change})


@pytest.mark.parametrize("erasing", [-1e-9, 0.9000001, math.nan, math.inf])
def test_a_share_to_erase_out_of_range_is_refused(erasing):
    with pytest.raises(ValueError, match="erasing"):
        erase(ALL_COLOURS, erasing, np.random.default_rng(0))


def test_without_strengths_a_view_has_the_name_it_always_had():
    assert str(View(3, 1, 0.2)) == str(View(3, 1, 0.2, *[0.0] * 6)) == "random k=3 seed=1 max_zoom=0.2"
    assert str(View()) == "center"


def test_different_strengths_have_different_names():
    views = [View(0), RICH] + [View(0, **{e: s}) for e in STRENGTHS for s in (1e-9, 0.1, 0.1 + 1e-16, 0.3, 1 / 3)]
    views += [dataclasses.replace(RICH, **{effect: 0.0}) for effect in STRENGTHS]
    assert len(set(map(str, views))) == len(set(views)) > 30
    assert str(View(0, hue=np.float64(0.1))) == str(View(0, hue=0.1)) and str(View(0, hue=0)) == str(View(0, hue=0.0))


def test_without_strengths_the_pixels_are_those_of_the_box_alone(photo):
    image = smooth_photo(600, 500)
    for k in range(3):
        view = View(k, 0, 0.2)
        (pixels,) = read_views(file_of(image), [view], "a")
        assert np.array_equal(pixels, render(image, view.box(600, 500, "a")))


@pytest.mark.parametrize("effect", STRENGTHS)
def test_turning_one_effect_on_changes_no_draw_of_the_others(effect):
    alone, before = View(2, 1, 0.2, **{effect: SOME[effect]}), dataclasses.replace(RICH, **{effect: 0.0})
    assert alone.box(400, 300, "a") == RICH.box(400, 300, "a") == View(2, 1, 0.2).box(400, 300, "a")
    for other in STRENGTHS:
        if other != effect:
            assert before.change("a", other) == RICH.change("a", other) != 0 == alone.change("a", other)


def test_an_effect_is_its_change_and_nothing_else(photo):
    plain = View(4, 1, 0.2)
    (pixels,) = read_views(photo, [plain], "a")
    for effect in COLOURS:
        view = dataclasses.replace(plain, **{effect: SOME[effect]})
        expected = shift_colours(pixels, **{effect: view.change("a", effect)})
        assert np.array_equal(read_views(photo, [view], "a")[0], expected)
    for k in range(6):
        whole, erased = read_views(photo, [View(k, hue=0.2), View(k, hue=0.2, erasing=0.3)], "a")
        assert (whole == erased).mean() > 0.65


@pytest.mark.parametrize("effect", STRENGTHS)
def test_changes_reach_both_ends_and_depend_on_k_seed_and_content(effect):
    strength = STRENGTHS[effect]
    changes = [View(k, **{effect: strength}).change("a", effect) for k in range(300)]
    assert -strength <= min(changes) < -0.97 * strength and 0.97 * strength < max(changes) <= strength
    one, half = View(0, **{effect: strength}), View(0, **{effect: strength / 2})
    assert half.change("a", effect) == one.change("a", effect) / 2
    others = [one.change("b", effect), View(0, 1, **{effect: strength}).change("a", effect), changes[1]]
    assert len({one.change("a", effect), *others}) == 4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colour", ["black", "white", (127, 127, 127), (255, 0, 0)])
def test_no_photo_fails_at_the_strongest(size, colour):
    views = [View(k, max_zoom=0.9, **STRENGTHS) for k in range(2)]
    for pixels in read_views(file_of(Image.new("RGB", size, colour)), views, "a"):
        assert pixels.shape == (299, 299, 3) and pixels.dtype == np.uint8
    grey = [dataclasses.replace(view, erasing=0.0, brightness=0.0) for view in views]
    if colour != (255, 0, 0):
        for mode in ("RGB", "L"):
            for pixels in read_views(file_of(Image.new("RGB", size, colour).convert(mode)), grey, "a"):
                assert (pixels == np.uint8(Image.new("RGB", (1, 1), colour).getpixel((0, 0)))).all()


def test_a_rich_view_is_the_same_in_any_company_order_and_thread(photo):
    views = [View(), RICH, *(View(k, 1, 0.2, **SOME) for k in range(3)), *(View(0, **{e: SOME[e]}) for e in STRENGTHS)]
    together, backwards = read_views(photo, views, "a"), read_views(photo, views[::-1], "a")[::-1]
    data = photo.getvalue()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda view: read_views(io.BytesIO(data), [view], "a")[0], views))
    for one, two, three in zip(together, backwards, alone, strict=True):
        assert np.array_equal(one, two) and np.array_equal(one, three)
    assert len({pixels.tobytes() for pixels in together}) == len(set(views)) >= 9
    assert not np.array_equal(together[1], read_views(photo, [RICH], "b")[0])
