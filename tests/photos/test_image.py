"""Whatever a photo is stored as, it becomes an upright 8-bit RGB image."""

import io

import numpy as np
import pytest
from PIL import Image

from bears_tl.photos.image import read_image, to_rgb

COLOURS = np.array([[[200, 30, 60], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]], [[0, 0, 0], [128, 128, 128]]])
COLOURS = COLOURS.astype(np.uint8)  # 3 high, 2 wide
GREY = np.array([[0, 1, 2], [127, 254, 255]], dtype=np.uint8)


def rgb(image) -> np.ndarray:
    made = to_rgb(image)
    assert made.mode == "RGB"
    return np.asarray(made)


def three(grey) -> np.ndarray:
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2)


def test_rgb_stays_as_it_is():
    assert np.array_equal(rgb(Image.fromarray(COLOURS)), COLOURS)


def test_grey_levels_stay_as_they_are():
    assert np.array_equal(rgb(Image.fromarray(GREY)), three(GREY))


def test_one_bit_becomes_black_and_white():
    bits = np.array([[True, False], [False, False]])
    image = Image.fromarray(bits)
    assert image.mode == "1" and np.array_equal(rgb(image), three(bits * 255))


@pytest.mark.parametrize("levels", [[[0, 257, 25700], [32896, 65278, 65535]]])
@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_sixteen_bits_are_scaled_not_cut(mode, levels):
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    image = Image.frombytes(mode, (3, 2), np.array(levels, dtype=dtype).tobytes())
    assert np.array_equal(rgb(image), three([[0, 1, 100], [128, 254, 255]]))


def test_a_sixteen_bit_png_is_scaled_not_cut(tmp_path):
    Image.fromarray(np.array([[0, 25700], [32896, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    assert np.array_equal(np.asarray(read_image(tmp_path / "deep.png")), three([[0, 100], [128, 255]]))


def test_32_bit_levels_beyond_sixteen_bits_end_at_black_and_white():
    image = Image.fromarray(np.array([[-5, 70_000]], dtype=np.int32))
    assert np.array_equal(rgb(image), three([[0, 255]]))


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_levels_are_of_one_or_of_255(top):
    image = Image.fromarray(np.array([[0, 0.2, 1], [np.nan, 0.4, 0.6]], dtype=np.float32) * np.float32(top))
    assert image.mode == "F" and np.array_equal(rgb(image), three([[0, 51, 255], [0, 102, 153]]))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_laid_over_white(mode):
    # a grey of 100 under alpha 255, 0 and 51, that is all, none and a fifth of it
    image = Image.fromarray(np.array([[[100, 255], [100, 0], [100, 51]]], dtype=np.uint8), "LA").convert("RGBA")
    assert np.array_equal(rgb(image.convert(mode)), three([[100, 255, 224]]))


def test_a_palette_is_looked_up():
    image = Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE)
    assert image.mode == "P" and np.array_equal(rgb(image), COLOURS)


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_a_transparent_palette_entry_becomes_white(transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = transparency
    assert rgb(image).tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize(("mode", "colour"), [("L", 40), ("RGB", (40, 50, 60))])
def test_a_transparent_colour_becomes_white(mode, colour, tmp_path):
    image = Image.new(mode, (2, 1), colour)
    image.putpixel((0, 0), 9 if mode == "L" else (9, 9, 9))
    image.save(tmp_path / "keyed.png", transparency=colour)
    assert np.asarray(read_image(tmp_path / "keyed.png")).tolist() == [[[9, 9, 9], [255, 255, 255]]]


def test_cmyk_becomes_the_colours_of_paper():
    inks = np.array([[[0, 0, 0, 0], [0, 255, 255, 0], [255, 0, 0, 0], [0, 0, 0, 255]]], dtype=np.uint8)
    image = Image.fromarray(inks, "CMYK")
    assert rgb(image).tolist() == [[[255, 255, 255], [255, 0, 0], [0, 255, 255], [0, 0, 0]]]


def test_a_cmyk_jpeg_keeps_its_colours(tmp_path):
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    assert np.abs(np.asarray(read_image(tmp_path / "red.jpg")).astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "RGBX", "RGBa"])
def test_other_modes_become_rgb(mode):
    assert rgb(Image.new(mode, (3, 2))).shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, three(GREY)),
        (GREY[..., None], three(GREY)),
        (COLOURS, COLOURS),
        (np.dstack([COLOURS, np.full((3, 2), 255, np.uint8)]), COLOURS),
        (np.dstack([COLOURS, np.zeros((3, 2), np.uint8)]), np.full((3, 2, 3), 255)),
        (np.array([[True, False]]), three([[255, 0]])),
        (np.array([[0, 25700, 65535]], np.uint16), three([[0, 100, 255]])),
        (np.tile(np.array([0, 25700, 65535], np.uint16), (2, 2, 1)), np.tile([0, 100, 255], (2, 2, 1))),
        (np.array([[0, 0.2, 1]], np.float16), three([[0, 51, 255]])),
        (np.array([[0, 0.2, 1]], np.float32), three([[0, 51, 255]])),
        (COLOURS.astype(np.float64) / 255, COLOURS),
        (np.array([[-0.001, 1.001]]), three([[0, 255]])),
        (COLOURS[::-1, ::-1], COLOURS[::-1, ::-1]),
    ],
)
def test_an_array_of_every_usual_kind_is_taken(array, expected):
    assert np.array_equal(rgb(array), expected)


@pytest.mark.parametrize("level", [-0.01, 1.01, 255.0, np.nan, np.inf, -np.inf])
def test_floats_out_of_range_are_refused(level):
    with pytest.raises(ValueError, match=r"levels in \[0, 1\]"):
        to_rgb(np.array([[0.5, level]]))


@pytest.mark.parametrize("shape", [(), (5,), (0, 5), (5, 0), (5, 5, 0), (5, 5, 2), (5, 5, 5), (1, 5, 5, 3)])
def test_an_array_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        to_rgb(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint32, np.complex64, "U1"])
def test_an_array_of_another_dtype_is_refused(dtype):
    with pytest.raises(ValueError, match=r"uint8, uint16, bool or float"):
        to_rgb(np.zeros((5, 5), dtype))


def stored_for(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Give the stored pixels of an upright picture: Exif 2.32, 4.6.4, says at which sides row 0 and column 0 lie."""
    row_0, column_0 = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    stored = upright
    if "bottom" in (row_0, column_0):
        stored = stored[::-1]
    if "right" in (row_0, column_0):
        stored = stored[:, ::-1]
    return stored.swapaxes(0, 1) if row_0 in ("left", "right") else stored


def with_orientation(pixels: np.ndarray, orientation: int, format: str = "PNG", **more) -> io.BytesIO:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format, exif=exif, **more)
    return file


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed_once(orientation):
    made = read_image(with_orientation(stored_for(COLOURS, orientation), orientation))
    assert np.array_equal(np.asarray(made), COLOURS)
    assert np.array_equal(rgb(made), COLOURS)  # upright already: not turned again


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_decoded_at_half_its_size_is_turned_too(orientation):
    upright = np.kron(COLOURS, np.ones((100, 100, 1), np.uint8))
    file = with_orientation(stored_for(upright, orientation), orientation, "JPEG", quality=95, subsampling=0)
    made = read_image(file, smallest_side_px=100)
    assert made.size == (100, 150)
    centers = np.asarray(made)[25::50, 25::50].astype(int)
    assert np.abs(centers - COLOURS).max() <= 4


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_is_passed_over(orientation):
    assert np.array_equal(np.asarray(read_image(with_orientation(COLOURS, orientation))), COLOURS)


@pytest.mark.parametrize(
    ("place", "value", "size"),
    [(17, 0, (90, 80)), (17, 26, (90, 80)), (17, 84, (90, 80)), (6, 0, (80, 90))],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of entries that it skips
def test_broken_exif_does_not_cost_the_photo(place, value, size, format):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    broken = bytearray(exif.tobytes())
    broken[place] = value  # the number or the type of the first entry; at 6, the mark of the byte order
    file = io.BytesIO()
    Image.new("RGB", (80, 90)).save(file, format, exif=bytes(broken))
    assert read_image(file).size == size  # turned where the orientation can still be read


@pytest.mark.parametrize(
    ("smallest", "width"), [(None, 1600), (801, 1600), (800, 800), (300, 400), (1, 200), (9999, 1600)]
)
def test_a_draft_keeps_the_side_that_was_asked_for(smallest, width, tmp_path):
    Image.new("RGB", (1600, 1600)).save(tmp_path / "large.jpg")
    assert read_image(tmp_path / "large.jpg", smallest).size == (width, width)


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "two.gif").getpixel((0, 0)) == (255, 0, 0)


def test_what_is_no_photo_raises_oserror(tmp_path):
    (tmp_path / "page.jpg").write_text("<html></html>")
    Image.effect_noise((200, 200), 50).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    for name in ("page.jpg", "cut.jpg", "absent.jpg"):
        with pytest.raises(OSError):
            read_image(tmp_path / name)
