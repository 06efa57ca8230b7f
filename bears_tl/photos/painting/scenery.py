"""Paint a bear's surroundings: background, ground, stones, shadow and foreground."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bears_tl.photos.painting.canvas import blurred, cloud, nearest, pixel_grid, pixels_of
from bears_tl.photos.painting.shapes import Part, seen

MIST = 0.55  # how far the background fades to grey, so that even the stand-in's random weights can tell the bears apart


class Scene(NamedTuple):
    """A place; colours are rgb in 0..1."""

    sky: tuple  # colours at the top and at the horizon
    far: str  # what stands behind the ground: ridges, pines, trunks, bamboo or wall
    far_colour: tuple
    ground: tuple  # dark and light colour
    grain: tuple  # rows, columns of the ground's noise: many columns and few rows make upright blades
    front: str  # what is in front of the feet: blades, drift, stones or water


SCENES = {
    "forest": Scene(((0.62, 0.70, 0.50), (0.82, 0.86, 0.66)), "trunks", (0.30, 0.24, 0.17),
                    ((0.20, 0.22, 0.10), (0.46, 0.44, 0.24)), (60, 120), "blades"),
    "meadow": Scene(((0.42, 0.63, 0.88), (0.82, 0.90, 0.95)), "ridges", (0.36, 0.50, 0.36),
                    ((0.26, 0.38, 0.14), (0.60, 0.68, 0.30)), (26, 260), "blades"),
    "snow": Scene(((0.58, 0.70, 0.84), (0.86, 0.90, 0.94)), "pines", (0.30, 0.40, 0.42),
                  ((0.66, 0.75, 0.86), (0.93, 0.95, 0.98)), (16, 10), "drift"),
    "rocks": Scene(((0.55, 0.66, 0.78), (0.84, 0.86, 0.86)), "ridges", (0.44, 0.44, 0.46),
                   ((0.34, 0.33, 0.32), (0.62, 0.60, 0.56)), (60, 60), "stones"),
    "river": Scene(((0.50, 0.66, 0.80), (0.85, 0.88, 0.84)), "pines", (0.20, 0.32, 0.20),
                   ((0.20, 0.34, 0.40), (0.52, 0.66, 0.70)), (90, 9), "water"),
    "bamboo": Scene(((0.66, 0.74, 0.50), (0.82, 0.88, 0.64)), "bamboo", (0.46, 0.54, 0.26),
                    ((0.28, 0.28, 0.14), (0.52, 0.50, 0.28)), (60, 90), "blades"),
    "zoo": Scene(((0.58, 0.55, 0.50), (0.66, 0.63, 0.57)), "wall", (0.60, 0.57, 0.52),
                 ((0.52, 0.46, 0.36), (0.74, 0.67, 0.54)), (90, 90), "stones"),
    "tundra": Scene(((0.62, 0.66, 0.76), (0.94, 0.84, 0.70)), "ridges", (0.46, 0.42, 0.46),
                    ((0.38, 0.24, 0.13), (0.74, 0.54, 0.26)), (30, 200), "blades"),
}  # fmt: skip


def stones(scene: Scene, rng: np.random.Generator) -> list[Part]:
    """Place stones on the ground around the bear, in camera coordinates and in the unit of `bears.POSES`."""
    strewn = []
    for _ in range(rng.integers(7, 13)):
        size = rng.uniform(0.05, 0.14)
        middle = np.array([rng.uniform(-2, 2), size * 0.2, rng.choice((-1, 1)) * rng.uniform(0.35, 1.1)])
        colour = np.array(scene.ground[1]) * rng.uniform(0.6, 1.0)
        for _ in range(3):  # three lumps are blended into one stone
            start, end = (seen(middle + rng.uniform(-1, 1, 3) * size * [1.2, 0.3, 0.6], 0) for _ in range(2))
            radius = size * rng.uniform(0.7, 1.0)
            strewn.append(Part(start, end, radius, radius, colour, seen(middle - [0, -1, 0], 0), 0.14, size))
    return strewn


def background(
    scene: Scene, height: int, width: int, feet: float, blur: float, rng: np.random.Generator
) -> Image.Image:
    """Paint sky, distance and ground.

    Args:
        scene: one of `SCENES`.
        height: in pixels.
        width: in pixels.
        feet: row on which the bear stands; may be below the image.
        blur: radius in pixels; from 2 on, the ground at the feet is blurred too.
        rng: draws all details.

    Returns:
        An rgb image.
    """
    horizon = min(feet, height * 0.95) - height * rng.uniform(0.22, 0.42)
    rows, _ = pixel_grid(height, width)
    above, below, dark, light = np.array([*scene.sky, *scene.ground], np.float32)[..., None, None]
    haze = 0.10 * cloud(rng, height, width, 5, 4)
    picture = above + (below - above) * np.clip(rows / max(horizon, 1), 0, 1) + haze
    distance = {"trunks": trees, "bamboo": trees, "wall": wall, "ridges": ridges, "pines": ridges}[scene.far]
    distance(picture, scene, horizon, haze, rng)

    lumps = cloud(rng, height, width, *scene.grain) + cloud(rng, height, width, 9, 5)
    nearness = np.clip((rows - horizon) / (height - horizon + 1), 0, 1)
    edge = horizon + 0.012 * height * cloud(rng, 1, width, 1, 12)
    cover(picture, rows - edge, dark + (light - dark) * (0.62 - 0.22 * nearness + 0.33 * lumps))
    picture += MIST * (0.52 - picture)
    image = Image.fromarray(pixels_of(picture, rounding=0))
    focus = np.clip((rows - feet) / height * 4 + 1, 0, 1) * (255 if blur < 2 else 0)  # sharp at the bear's feet
    focus = Image.fromarray(np.broadcast_to(focus, (height, width)).astype(np.uint8))
    return Image.composite(image, image.filter(ImageFilter.GaussianBlur(blur)), focus)


def cover(picture: np.ndarray, mask: np.ndarray, shade: np.ndarray) -> None:
    """Blend `shade` into `picture`, float32 [3, height, width], in place; `mask` is the opacity, clipped to 0..1."""
    picture += np.clip(mask, 0, 1) * (shade - picture)


def trees(picture: np.ndarray, scene: Scene, horizon: float, haze: np.ndarray, rng: np.random.Generator) -> None:
    """Paint leaves and, in front of them, trunks or stems of bamboo, in place."""
    height, width = haze.shape
    rows, columns = pixel_grid(height, width)
    pale, colour, green, veil = np.array(
        [scene.sky[1], scene.far_colour, (0.34, 0.44, 0.20), (0.8, 1, 0.5)], np.float32
    )[..., None, None]
    leaves = cloud(rng, height, width, 24, 30) + 0.7 * cloud(rng, height, width, 60, 80)
    cover(picture, 0.55 + 0.6 * leaves, green + 3 * haze * veil)
    for number in range(16):
        nearness = (number + 4) / 20
        thick = width * rng.uniform(0.03, 0.06) * nearness * (1.3 if scene.far == "trunks" else 0.7)
        middle, lean = rng.uniform(0, width), rng.uniform(-0.06, 0.06)
        reach = thick + 0.06 * height
        strip = slice(max(int(middle - reach), 0), int(middle + reach))  # only the columns that the trunk can cover
        offset = (columns[:, strip] - middle - lean * rows) / thick
        shade = colour * rng.uniform(0.8, 1.2) * (1.25 - 0.9 * np.clip(np.abs(offset + 0.25), 0, 0.8))
        if scene.far == "bamboo":  # the joints of the stems
            shade *= np.where((rows + rng.uniform(0, 99)) % (height * 0.16) < 2, np.float32(0.6), 1)
        shade += (1 - nearness) * 0.7 * (pale - shade)
        cover(picture[..., strip], (0.5 - np.abs(offset)) * thick, shade)


def wall(picture: np.ndarray, scene: Scene, horizon: float, haze: np.ndarray, rng: np.random.Generator) -> None:
    """Paint a wall of blocks, in place."""
    height, width = haze.shape
    rows, columns = pixel_grid(height, width)
    colour = np.array(scene.far_colour, np.float32)[:, None, None]
    block = height * rng.uniform(0.09, 0.13)
    course = np.floor(rows / block)
    picture[:] = colour + 0.5 * haze + 0.05 * cloud(rng, height, width, 90, 120)
    gap = np.minimum(rows % block, (columns + course % 2 * block) % (2 * block))
    cover(picture, (2.5 - gap) * 0.5, colour * 0.7)


def ridges(picture: np.ndarray, scene: Scene, horizon: float, haze: np.ndarray, rng: np.random.Generator) -> None:
    """Paint three ridges, bare or with pines, one in front of the other, in place."""
    height, width = haze.shape
    rows, columns = pixel_grid(height, width)
    pale, colour = np.array([scene.sky[1], scene.far_colour], np.float32)[..., None, None]
    for number in range(3):
        line = horizon - height * (0.20 - 0.085 * number) * rng.uniform(0.8, 1.3)
        line = line + height * (0.10 * cloud(rng, 1, width, 1, 4 + 3 * number) + 0.02 * cloud(rng, 1, width, 1, 25))
        if scene.far == "pines":
            tops = rng.uniform(0, width, (30 + 10 * number, 1))
            slopes = np.abs(columns - tops) * rng.uniform(3, 5, tops.shape)
            crowns = np.maximum(height * rng.uniform(0.05, 0.20, tops.shape) - slopes, 0)
            line = line - crowns.max(0).astype(np.float32)
        texture = 0.06 * cloud(rng, height, width, 40, 40)
        cover(picture, rows - line, colour + (0.65 - 0.3 * number) * (pale - colour) + texture)


def shadow(coverage: np.ndarray, feet: float, lean: float) -> np.ndarray:
    """Compute the shadow that the bear casts on the ground.

    Args:
        coverage: float32 [height, width], 1 where the bear is, else 0.
        feet: row on which it stands.
        lean: how far the light comes from the right, in -1..1.

    Returns:
        float32 [height, width], about 0..1.
    """
    outline, flat = Image.fromarray(coverage), 0.16
    # (a, b, c, d, e, f): the shadow's pixel (x, y) is the outline's pixel (a x + b y + c, d x + e y + f).
    slant = (1, lean / flat, -lean / flat * feet, 0, 1 / flat, feet - feet / flat)
    return blurred(np.asarray(outline.transform(outline.size, Image.Transform.AFFINE, slant)), coverage.shape[0] / 60)


def foreground(picture: np.ndarray, scene: Scene, feet: float, rng: np.random.Generator) -> Image.Image:
    """Paint grass, snow or water in front of the bear's feet.

    Args:
        picture: float32 [3, height, width] in 0..1; may be modified.
        scene: one of `SCENES`; its stones are already part of the relief, see `stones`.
        feet: row on which the bear stands; may be below the picture.
        rng: draws all details.

    Returns:
        An rgb image.
    """
    height, width = picture.shape[1:]
    rows, _ = pixel_grid(height, width)
    dark, light = np.array(scene.ground, np.float32)
    between = (light - dark)[:, None, None]
    if scene.front == "water" and feet < height:
        ripple = cloud(rng, height, width, height // 5, 7)
        line = feet - 0.02 * height
        mirror = nearest(np.broadcast_to(2 * line - rows, ripple.shape), np.arange(width) + 0.03 * height * ripple)
        water = 0.5 * (dark[:, None, None] + between * (0.5 + 0.6 * ripple))
        water += 0.45 * picture.reshape(3, -1).take(mirror, axis=1)
        picture = np.where(rows > line + 3 * ripple, water, picture)
    if scene.front == "drift":
        line = feet - 0.015 * height + 0.05 * height * cloud(rng, 1, width, 1, 6)
        snow = dark[:, None, None] + between * (0.9 + 0.25 * cloud(rng, height, width, 8, 14))
        cover(picture, (rows - line) / 7, snow)
    image = Image.fromarray(pixels_of(picture))
    draw = ImageDraw.Draw(image)
    if scene.front == "blades":
        for _ in range(260):
            x, y = rng.uniform(0, width), min(feet, height) + height * rng.uniform(-0.02, 0.18)
            tall, lean = height * rng.uniform(0.03, 0.10), height * rng.uniform(-0.03, 0.03)
            shade = np.clip((dark + (light - dark) * rng.uniform(0, 1.1)) * 255, 0, 255).astype(int)
            draw.polygon([(x - 2, y), (x + lean, y - tall), (x + 2, y)], tuple(shade))
    elif scene.front == "drift" and rng.random() < 0.6:  # falling snow
        for x, y, size in rng.uniform(0, 1, (120, 3)) * [width, height, 2.5]:
            draw.ellipse([x, y, x + 1 + size, y + 1 + size], (250, 252, 255))
    return image
