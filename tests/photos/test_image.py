"""Whatever a photo is stored as, it becomes an upright 8-bit RGB image."""

import concurrent.futures
import io
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import skimage.color
from PIL import Image, ImageCms

from bears_tl.photos import image as image_module
from bears_tl.photos.formats import PhotoError, readable_formats
from bears_tl.photos.image import decoded, open_image, read_image, to_rgb

from . import zoo

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
    """Return the stored pixels of an upright picture: Exif 2.32, 4.6.4, says at which sides row 0 and column 0 lie."""
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
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format, exif=exif.tobytes(), **more)
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


# ICC profiles. The reference is computed from the definitions: through XYZ under D50, the white of all profiles.
SRGB_UNDER_D50 = np.array(  # ICC, "sRGB.icc" profile, its rXYZ, gXYZ and bXYZ as columns
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def srgb_of(xyz: np.ndarray) -> np.ndarray:
    """Return sRGB levels of XYZ under D50, IEC 61966-2-1."""
    linear = np.clip(xyz @ np.linalg.inv(SRGB_UNDER_D50).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def xyz_of_lab(lab: np.ndarray) -> np.ndarray:
    return (
        skimage.color.lab2xyz(lab, illuminant="D50", observer="2")
        / skimage.color.lab2xyz(np.array([100.0, 0, 0]), illuminant="D50", observer="2")
        * np.array(zoo.D50)
    )


def cube(step: int = 51) -> np.ndarray:
    """Return colours all over the cube, [36, 6, 3] for a step of 51."""
    levels = np.arange(0, 256, step, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, len(levels), 3)


def with_profile(image: Image.Image, profile: bytes) -> Image.Image:
    image.info["icc_profile"] = profile
    return image


@pytest.mark.parametrize("gamma", [1.0, 1.80078125, 2.19921875])
@pytest.mark.parametrize("colorants", [zoo.ADOBE_RGB, SRGB_UNDER_D50.T])
def test_an_icc_profile_of_rgb_is_converted_from(gamma, colorants):
    pixels = cube()
    expected = srgb_of((pixels / 255) ** gamma @ np.array(colorants))
    made = rgb(with_profile(Image.fromarray(pixels), zoo.rgb_profile(colorants, gamma)))
    assert np.abs(made - expected).max() <= 1.5
    assert np.abs(made.astype(int) - pixels).max() > 1  # without the profile it is another colour


@pytest.mark.parametrize("mode", ["L", "I;16", "LA"])
@pytest.mark.parametrize("gamma", [1.0, 1.80078125])
def test_an_icc_profile_of_grey_is_converted_from(gamma, mode):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(levels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(levels).convert(mode)
    expected = srgb_of((levels[..., None] / 255) ** gamma * np.array(zoo.D50))
    assert np.abs(rgb(with_profile(image, zoo.grey_profile(gamma))) - expected).max() <= 1.5


def test_an_icc_profile_of_cmyk_is_converted_from():
    lab = np.full((2, 2, 2, 2, 3), 128, np.uint8)
    lab[..., 0] = 255 - 255 * (np.indices((2, 2, 2, 2)).sum(axis=0) > 0)  # paper white, all else black
    lab[1, 0, 0, 0], lab[0, 1, 0, 0], lab[0, 0, 1, 0] = (140, 100, 100), (130, 170, 128), (220, 120, 180)
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255]]], np.uint8)
    made = rgb(with_profile(Image.fromarray(inks, "CMYK"), zoo.cmyk_profile(lab)))
    nodes = np.array([lab[tuple(ink // 255)] for ink in inks[0]], float)
    expected = srgb_of(xyz_of_lab(np.stack([nodes[:, 0] / 2.55, nodes[:, 1] - 128, nodes[:, 2] - 128], axis=-1)))
    assert np.abs(made[0] - expected).max() <= 2
    assert np.abs(made[0].astype(int) - rgb(Image.fromarray(inks, "CMYK"))[0]).max() > 20


@pytest.mark.parametrize("alpha", [255, 51, 0])
@pytest.mark.parametrize("mode", ["RGBA", "PA", "RGBa", "P"])
def test_colours_are_converted_before_alpha_is_laid_over_white(mode, alpha):
    image = Image.new("RGBA", (4, 4), (200, 90, 60, alpha))
    if mode == "P":
        image = image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
        image.info["transparency"] = bytes([alpha] * 256)
    image = image.convert(mode)
    colour = srgb_of((np.array([200, 90, 60]) / 255) ** 2.19921875 @ np.array(zoo.ADOBE_RGB))
    expected = colour * alpha / 255 + (255 - alpha)
    made = rgb(with_profile(image, zoo.rgb_profile()))
    assert np.abs(made - expected).max() <= (4 if mode == "RGBa" else 1.5)  # RGBa has few levels where alpha is low
    if alpha == 0:
        assert (made == 255).all()


def test_a_profile_of_srgb_leaves_every_bit():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(rgb(with_profile(Image.fromarray(cube(15)), profile)), cube(15))


@pytest.mark.parametrize(
    "profile", [b"no profile", b"\0" * 500, zoo.rgb_profile()[:200], zoo.grey_profile(1.0), "text", 7]
)
def test_a_profile_that_is_broken_or_of_another_mode_is_passed_over(profile):
    assert np.array_equal(rgb(with_profile(Image.fromarray(COLOURS), profile)), COLOURS)


def test_a_profile_of_colours_is_passed_over_in_a_grey_photo():
    assert np.array_equal(rgb(with_profile(Image.fromarray(GREY), zoo.rgb_profile())), three(GREY))


def test_without_imagecms_profiles_are_passed_over(monkeypatch):
    image_module._transform_to_srgb.cache_clear()
    monkeypatch.setitem(sys.modules, "PIL.ImageCms", None)
    monkeypatch.delattr("PIL.ImageCms")
    assert np.array_equal(rgb(with_profile(Image.fromarray(COLOURS), zoo.rgb_profile())), COLOURS)
    image_module._transform_to_srgb.cache_clear()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_profile_in_a_file_is_found(format):
    if format not in readable_formats():
        pytest.skip(f"this Pillow does not read {format}")
    image = Image.new("RGB", (64, 64), (200, 90, 60))
    save = {"lossless": True} if format == "WEBP" else {}
    file = io.BytesIO(zoo.encode(image, format, icc_profile=zoo.rgb_profile(), **save))
    expected = srgb_of((np.array([200, 90, 60]) / 255) ** 2.19921875 @ np.array(zoo.ADOBE_RGB))
    assert np.abs(np.asarray(read_image(file)) - expected).max() <= (8 if format in ("JPEG", "AVIF") else 1.5)


def test_what_was_converted_is_not_converted_again():
    made = to_rgb(with_profile(Image.fromarray(cube()), zoo.rgb_profile()))
    assert np.array_equal(rgb(made), np.asarray(made))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_and_profile_go_together(orientation):
    file = with_orientation(stored_for(COLOURS, orientation), orientation, icc_profile=zoo.rgb_profile())
    assert np.array_equal(np.asarray(read_image(file)), rgb(with_profile(Image.fromarray(COLOURS), zoo.rgb_profile())))


def test_profiles_are_converted_alike_in_many_threads():
    profiles = [zoo.rgb_profile(gamma=gamma) for gamma in (1.0, 1.5, 2.5)]
    images = [with_profile(zoo.paint(i, size=(300, 200)), profiles[i % 3]) for i in range(48)]
    image_module._transform_to_srgb.cache_clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(rgb, images))
    assert all(np.array_equal(one, rgb(image)) for one, image in zip(made, images, strict=True))


# Lab, whose white is D50 for Photoshop as for ICC; scikit-image adapts the white more simply: it is a looser judge.
def test_a_lab_tiff_becomes_rgb(tmp_path):
    lab = np.array([[[100, 0, 0], [0, 0, 0], [50, 0, 0], [60, 30, 20], [70, -30, 40], [40, 10, -45]]], np.int8)
    file = tmp_path / "lab.tif"
    file.write_bytes(
        zoo.tiff((lab * np.array([2.55, 1, 1])).round().astype(np.int16).astype(np.uint8), photometric="cielab")
    )
    with open_image(file) as image:
        assert image.mode == "LAB"
    made = np.asarray(read_image(file)).astype(float)
    assert np.abs(made - srgb_of(xyz_of_lab(lab.astype(float)))).max() <= 1
    assert np.abs(made - 255 * skimage.color.lab2rgb(lab.astype(float))).mean() <= 3


# CMYK
def rgb_of_inks(inks: np.ndarray) -> np.ndarray:
    """Return what is left of white light behind four inks that each take away what they do not show."""
    return (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:].astype(float)) / 255


def test_cmyk_without_a_profile_is_light_behind_inks():
    inks = np.random.default_rng(0).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    assert np.abs(rgb(Image.fromarray(inks, "CMYK")) - rgb_of_inks(inks)).max() <= 1


@pytest.mark.parametrize("kind", ["inverted", "ycck"])
def test_a_cmyk_jpeg_of_adobe_keeps_its_colours(kind):
    inks = np.asarray(zoo.paint(1, "CMYK"))
    save = {"quality": 100, "subsampling": 0}
    content = (
        zoo.encode(Image.fromarray(inks, "CMYK"), "JPEG", **save) if kind == "inverted" else zoo.ycck_jpeg(inks, **save)
    )
    with open_image(io.BytesIO(content)) as image:
        assert (image.mode, image.info["adobe_transform"]) == ("CMYK", 0 if kind == "inverted" else 2)
    made = np.asarray(read_image(io.BytesIO(content)))
    assert np.abs(made - rgb_of_inks(inks)).max() <= 6 and np.abs(made - rgb_of_inks(inks)).mean() < 1


# Depth
def test_sixteen_bits_a_colour_are_scaled():
    deep = np.random.default_rng(0).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    for content in (
        zoo.png_of(deep),
        zoo.tiff(deep, photometric="rgb"),
        zoo.tiff(deep, photometric="rgb", byteorder=">"),
    ):
        assert np.abs(np.asarray(read_image(io.BytesIO(content))) - deep / 257).max() <= 1  # Pillow takes the high byte


def test_the_transparent_level_of_a_sixteen_bit_png_becomes_white():
    deep = np.array([[[1000], [25700]]], np.uint16)
    made = read_image(io.BytesIO(zoo.png_of(deep, (b"tRNS", b"\x03\xe8"))))
    assert np.asarray(made).tolist() == [[[255] * 3, [100] * 3]]


@pytest.mark.parametrize(("top", "expected"), [(1.0, [0, 51, 255]), (255.0, [0, 51, 255])])
def test_a_float_tiff_is_of_one_or_of_255(top, expected):
    levels = np.array([[0, 0.2, 1]], np.float32) * np.float32(top)
    assert np.array_equal(np.asarray(read_image(io.BytesIO(zoo.tiff(levels)))), three([expected]))


@pytest.mark.parametrize(
    ("how", "shape", "words"),
    [
        ({"photometric": "rgb", "planarconfig": "separate"}, (3, 8, 9), "in separate planes"),
        ({"photometric": "miniswhite"}, (8, 9), "0 is white"),
        ({"photometric": "minisblack", "subfiletype": 1}, (8, 9), "only the thumbnail"),
    ],
)
def test_a_tiff_that_pillow_reads_wrongly_is_refused(how, shape, words, tmp_path):
    (tmp_path / "deep.tif").write_bytes(zoo.tiff(np.zeros(shape, np.uint16), **how))
    with pytest.raises(OSError, match=words):
        read_image(tmp_path / "deep.tif")


@pytest.mark.parametrize("compression", ["zlib", None])
def test_a_tiff_in_separate_planes_is_read_where_pillow_can(compression):
    deep = np.random.default_rng(0).integers(0, 65536, (3, 8, 9), dtype=np.uint16)
    planes = deep if compression else (deep // 257).astype(np.uint8)
    content = zoo.tiff(planes, photometric="rgb", planarconfig="separate", compression=compression)
    assert np.abs(np.asarray(read_image(io.BytesIO(content))) - np.moveaxis(deep / 257, 0, 2)).max() <= 1


@pytest.mark.parametrize(
    ("mode", "stored"), [("YCbCr", (123, 95, 190)), ("HSV", (8, 177, 210)), ("RGBX", (210, 90, 64, 9))]
)
def test_other_ways_to_say_a_colour(mode, stored):
    assert np.abs(rgb(Image.new(mode, (2, 2), stored)).astype(int) - [210, 90, 64]).max() <= 3


# Formats
def test_no_other_program_is_started_for_a_photo(tmp_path, monkeypatch):
    (tmp_path / "drawing.jpg").write_bytes(zoo.encode(zoo.paint(0), "EPS"))
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(PhotoError, match="a drawing"):
        read_image(tmp_path / "drawing.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
def test_avif_and_heif_are_read_upright(format, orientation):
    if format not in readable_formats():
        pytest.skip(f"{format} is not read here: pip install {'pillow-heif' if format == 'HEIF' else 'pillow>=11.3'}")
    upright = np.kron(COLOURS, np.ones((40, 40, 1), np.uint8))
    made = read_image(with_orientation(stored_for(upright, orientation), orientation, format, quality=95))
    assert made.size == (80, 120)
    assert np.abs(np.asarray(made)[20::40, 20::40].astype(int) - COLOURS).max() <= 12


@pytest.mark.parametrize("kind", ["flipped", "many samples"])
def test_what_pillow_and_libtiff_say_does_not_reach_the_user(kind, tmp_path):
    content = bytearray(zoo.encode(zoo.paint(0), "TIFF", compression="tiff_deflate"))
    if kind == "flipped":
        content[len(content) // 2] ^= 0xFF  # libtiff prints that a checksum is wrong
    else:
        samples = content.index(struct.pack("<HHIH", 277, 3, 1, 3))  # tag 277, SamplesPerPixel: a SHORT, one, of 3
        content[samples + 9] = 200  # Pillow logs that these are too many
    (tmp_path / "broken.tif").write_bytes(content)
    command = "import sys; from bears_tl.photos.image import read_image; read_image(sys.argv[1])"
    words = [sys.executable, "-W", "ignore", "-c", command, str(tmp_path / "broken.tif")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("Traceback")  # and nothing before it


# Transparency
INVISIBLE = {
    "RGBA.png": lambda image: image.putalpha(0),
    "RGBA.webp": lambda image: image.putalpha(0),
    "L.png": lambda image: image.info.update(transparency=9),
    "RGB.png": lambda image: image.info.update(transparency=(9, 9, 9)),
    "I;16.png": lambda image: image.info.update(transparency=9),
    "P.png": lambda image: image.info.update(transparency=b"\xff" * 9 + b"\0"),
    "P.gif": lambda image: image.info.update(transparency=9),
}


@pytest.mark.parametrize("name", INVISIBLE)
def test_a_photo_is_refused_only_if_none_of_its_pixels_can_be_seen(name, tmp_path):
    mode = name.split(".")[0]
    image = Image.new(mode, (80, 70), 9 if len(Image.new(mode, (1, 1)).getbands()) == 1 else (9,) * len(mode))
    if mode == "P":
        image.putpalette([9, 9, 9, *range(250)])
    INVISIBLE[name](image)
    save = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    image.save(tmp_path / name, transparency=image.info.get("transparency"), **save)
    with pytest.raises(PhotoError, match="every pixel is transparent") as caught:
        read_image(tmp_path / name)
    assert caught.value.reason == "empty"
    image.putpixel((3, 3), (8,) * 3 + (1,) if mode == "RGBA" else (8,) * 3 if mode == "RGB" else 8)
    image.save(tmp_path / name, transparency=image.info.get("transparency"), **save)
    assert read_image(tmp_path / name).getpixel((0, 0)) == (255, 255, 255)


def test_a_bmp_whose_alpha_is_all_zero_is_opaque():
    opaque = np.asarray(read_image(io.BytesIO(zoo.bmp_32(255)(1))))
    assert opaque.std() > 20 and np.array_equal(np.asarray(read_image(io.BytesIO(zoo.bmp_32(0)(1)))), opaque)
    faint = np.asarray(read_image(io.BytesIO(zoo.bmp_32(51)(1))))
    assert np.abs(faint - (opaque * 0.2 + 255 * 0.8)).max() <= 1


# Size
@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "ICO", "PSD"])
def test_a_photo_may_have_as_many_megapixels_as_the_limit(format):
    content = zoo.psd(zoo.paint(0)) if format == "PSD" else zoo.encode(zoo.paint(0), format)
    with open_image(io.BytesIO(content)) as image:
        width, height = image.size
    counted_twice = format in ("WEBP", "JPEG2000")  # their decoders take more memory
    limit = width * height * (1 + counted_twice) / 10**6
    assert read_image(io.BytesIO(content), max_megapixels=limit).size == (width, height)
    with pytest.raises(PhotoError, match=f"^{width} x {height} px, 1 megapixels") as caught:
        read_image(io.BytesIO(content), max_megapixels=limit - 1e-6)
    assert caught.value.reason == "too_large" and ("count twice" in str(caught.value)) == counted_twice
    assert str(caught.value).endswith(f"; the limit is {limit - 1e-6:g} (setting max_megapixels)")


@pytest.mark.parametrize(
    ("save", "smallest_side_px", "taken"),
    [({}, 100, True), ({}, 101, False), ({}, None, False), ({"progressive": True}, 100, False)],
)
def test_of_a_jpeg_counts_what_must_be_in_memory(save, smallest_side_px, taken, monkeypatch):
    monkeypatch.setattr(image_module, "_LARGE_PX", 1000)  # smaller ones are not looked at so closely
    content = zoo.encode(zoo.paint(0, size=(1600, 800)), "JPEG", **save)
    if taken:
        assert read_image(io.BytesIO(content), smallest_side_px, 0.02).size == (200, 100)
        return
    with pytest.raises(PhotoError, match=r"1600 x 800 px, 2 megapixels; the limit is 0\.02"):
        read_image(io.BytesIO(content), smallest_side_px, 0.02)


@pytest.mark.parametrize("lost_bytes", [1, 2, 500, 20_000])
@pytest.mark.parametrize("save", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_that_is_cut_off_is_found_out_at_any_decoding_size(save, lost_bytes):
    content = zoo.encode(zoo.paint(0, size=(1600, 800)), "JPEG", **save)
    for smallest_side_px in (None, 800, 400, 200, 100):
        with pytest.raises(OSError, match="truncated"):
            read_image(io.BytesIO(content[:-lost_bytes]), smallest_side_px)


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "I;16B", "RGBa", "PA"]


@pytest.mark.parametrize("mode", MODES)
def test_an_image_converted_in_strips_has_the_same_pixels(mode, monkeypatch):
    image = zoo.paint(0, mode)
    if mode in ("L", "RGB"):
        image.info["transparency"] = image.getpixel((5, 60))
    image.info["icc_profile"] = zoo.rgb_profile()
    image.getexif()[0x0112] = 6
    whole = rgb(image)
    monkeypatch.setattr(image_module, "_STRIP_PX", 96 * 7)  # 7 of 80 rows
    assert whole.shape == (96, 80, 3) and np.array_equal(rgb(image), whole)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16"])
def test_a_huge_photo_is_averaged_down_by_a_whole_factor(mode, monkeypatch):
    image = zoo.paint(0, mode, (96, 81))
    image.getexif()[0x0112] = 6
    whole = to_rgb(image)
    assert to_rgb(image, 20).size == whole.size
    monkeypatch.setattr(image_module, "HUGE_PX", 96 * 81 - 1)
    monkeypatch.setattr(image_module, "_STRIP_PX", 96 * 7)
    small = to_rgb(image, 24)  # of 81
    assert small.size == (27, 32) and np.array_equal(np.asarray(small), np.asarray(whole.reduce(3)))


def test_large_photos_are_decoded_one_at_a_time(monkeypatch):
    monkeypatch.setattr(image_module, "_LARGE_PX", 96 * 80 - 1)
    content, at_once, most = zoo.PNG(0), [], []

    def decode(_):
        with open_image(io.BytesIO(content)) as image, decoded(image):
            at_once.append(1)
            most.append(len(at_once))
            time.sleep(0.01)
            at_once.pop()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, range(8)))
    assert most == [1] * 8
