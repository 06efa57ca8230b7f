"""Paint the relief of a bear: strands of fur, light, and ragged outlines."""

import numpy as np

from bears_tl.photos.painting.canvas import blurred, cloud, nearest, pixel_grid
from bears_tl.photos.painting.shapes import NOTHING, Relief


def coat(
    relief: Relief, unit: float, sun: np.ndarray, ground: tuple, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paint a relief with shading and fur.

    Args:
        relief: must cover at least one pixel.
        unit: length of one unit in pixels; sets the length of the hairs.
        sun: direction of the light, [right, down, towards the viewer], of length 1.
        ground: colour of the ground, reflected by the undersides.
        rng: draws the hairs.

    Returns:
        The picture, float32 [3, height, width] in 0..1, and the coverage, float32 [height, width], 0 or 1.
    """
    coverage = (relief.depth > NOTHING / 10).astype(np.float32)
    picture = np.zeros((3, *coverage.shape), np.float32)
    # From here on, work only on the bounding box of the parts, with a margin for hairs that stick out.
    margin = int(0.1 * unit)
    spans = [np.flatnonzero(coverage.any(axis)) for axis in (1, 0)]
    box = tuple(slice(max(span[0] - margin, 0), span[-1] + margin) for span in spans)
    depth, looks, covered = relief.depth[box], relief.looks[:, *box], coverage[box]
    height, width = depth.shape

    # Extend the fur direction a little beyond the outline, for hairs that stick out.
    along_x, along_y, shaggy = (blurred(looks[number], 0.06 * unit) for number in (3, 4, 7))
    steady = np.sqrt(along_x**2 + along_y**2 + 1e-3)
    along_x, along_y = along_x / steady, along_y / steady
    shaggy = np.where(covered > 0, looks[7], np.clip(shaggy, 0, 1))

    strand = strands(along_x, along_y, rng)
    tangle = cloud(rng, height, width, int(height / unit * 12) + 1, int(width / unit * 12) + 1)
    colour = lit(depth, looks, covered, shaggy, strand, tangle, unit, sun, ground)

    # Each strand takes the colour at its root, which makes outlines and patches ragged.
    drag = 0.035 * unit * shaggy * np.clip(0.6 * strand + 0.4, 0, 2)
    rows, columns = pixel_grid(height, width)
    origin = nearest(rows - drag * along_y, columns - drag * along_x)
    bare = (looks[7] < 0.25) & (covered > 0)
    here = np.arange(height * width).reshape(height, width)
    origin = np.where(bare.take(origin), here, origin)  # do not smear eyes and noses
    for whole, part in zip((*picture, coverage), (*np.clip(colour, 0, 1), covered), strict=True):
        whole[box] = part.take(origin)
    return picture, coverage


def strands(along_x: np.ndarray, along_y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smear noise along the direction in which the fur grows, given as x and y: all float32 [height, width]."""
    height, width = along_x.shape
    rows, columns = pixel_grid(height, width)
    noise = rng.standard_normal((height, width), np.float32) + 1.2 * cloud(rng, height, width, height // 4, width // 4)
    strand = noise / 2.6
    for step in range(1, 7):
        strand += noise.take(nearest(rows - step * 1.5 * along_y, columns - step * 1.5 * along_x)) / 2.6
    return strand


def lit(
    depth: np.ndarray,
    looks: np.ndarray,
    covered: np.ndarray,
    shaggy: np.ndarray,
    strand: np.ndarray,
    tangle: np.ndarray,
    unit: float,
    sun: np.ndarray,
    ground: tuple,
) -> np.ndarray:
    """Shade the relief with sun, sky light, ground reflection and dark hollows: float32 [3, height, width]."""
    x, y, shine = looks[5], looks[6], 1 - looks[7]
    toward = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    facing = x * float(sun[0]) + y * float(sun[1]) + toward * float(sun[2])
    flat, wide = np.where(covered > 0, depth, 0), 0.14 * unit
    hollow = np.clip((blurred(flat, wide) / (blurred(covered, wide) + 1e-3) - depth) / (0.4 * unit), -0.2, 0.5)
    direct = np.clip(0.35 + 0.65 * facing + shaggy * (0.03 * strand + 0.10 * tangle), 0, 1.2)
    light = 0.46 - 0.15 * y + 0.66 * direct - 0.40 * hollow
    reflected = np.array(ground, np.float32)[:, None, None] - 0.5
    colour = looks[:3] * light * (1 + np.clip(y, 0, 1) * 0.3 * reflected)
    # Noise is also added, not only multiplied: this sheen makes black fur look like fur.
    sheen = 0.016 * shaggy * strand * np.clip(facing + 0.3, 0, 1)
    colour = colour * (1 + 0.075 * shaggy * strand) + sheen
    colour += shine**4 * (looks[0] < 0.1) * np.clip(facing * 7 - 6, 0, 1)  # the glint of eye and nose
    return colour
