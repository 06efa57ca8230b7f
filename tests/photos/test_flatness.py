"""A picture that says "image not found" is told from a photo, however that is drawn."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from bears_tl.photos.flatness import FLAT_BITS, entropy_bits
from bears_tl.photos.groups import grey_thumbnail
from bears_tl.photos.image import read_image
from bears_tl.photos.intake import take_in
from bears_tl.photos.sample import paint


def placeholder(kind: str, ground: tuple[int, int, int]) -> Image.Image:
    """Draw what servers send in place of a photo."""
    image = Image.new("RGB", (500, 375), ground)
    draw, ink = ImageDraw.Draw(image), (120, 130, 140)
    if kind == "text":
        draw.text((90, 150), "This photo is no longer available", ink, ImageFont.load_default(20))
    if kind == "icon":
        draw.rectangle((150, 110, 350, 260), outline=ink, width=8)
        draw.ellipse((180, 130, 220, 170), ink)
        draw.polygon([(160, 250), (230, 170), (290, 250)], ink)
        draw.text((140, 290), "Image not found", ink, ImageFont.load_default(30))
    if kind == "panel":
        draw.rectangle((100, 60, 400, 315), ink)
        draw.text((120, 150), "NO IMAGE", ground, ImageFont.load_default(60))
    return image


@pytest.mark.parametrize(
    ("levels", "bits"), [([7] * 8, 0), ([0, 255] * 4, 1), ([0, 1, 2, 3] * 2, 2), (list(range(256)), 8)]
)
def test_entropy_is_that_of_the_grey_levels(levels, bits):
    assert entropy_bits(Image.fromarray(np.array([levels], np.uint8))) == bits


@pytest.mark.parametrize("ground", [(255, 255, 255), (0, 0, 0), (200, 220, 240)])
@pytest.mark.parametrize("kind", ["plain", "text", "icon", "panel"])
def test_of_the_good_photos_the_placeholders_are_listed(kind, ground, write_photos):
    folder, image = write_photos(Panda=5, Polar=5), placeholder(kind, ground)
    image.save(folder / "Panda" / "drawn.png")
    image.quantize(64, dither=Image.Dither.NONE).save(folder / "Panda" / "drawn.gif")
    image.save(folder / "Polar" / "drawn.jpg")
    taken = take_in(folder)
    assert [photo["path"] for photo in taken.flat] == ["Panda/drawn.gif", "Panda/drawn.png", "Polar/drawn.jpg"]
    assert len(taken.photos) == 13 and all(photo in taken.photos for photo in taken.flat)


def test_no_painted_photo_is_near_the_limit():
    for i in range(5):
        assert entropy_bits(grey_thumbnail(Image.fromarray(paint("Panda", i)))) > 2 * FLAT_BITS


@pytest.mark.slow
def test_no_real_photo_is_flat(real_photos):
    bits = [entropy_bits(grey_thumbnail(read_image(path, 384))) for path in sorted(real_photos.rglob("*.jpg"))]
    assert min(bits) > 2 * FLAT_BITS
