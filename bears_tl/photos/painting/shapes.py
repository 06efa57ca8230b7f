"""Round cones, the parts of bears and stones: project them to the camera and blend them into one surface."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

CAMERA_PITCH = np.radians(9)  # the camera looks slightly down, so the far feet are higher in the picture
NOTHING = -1e4  # depth where there is no part


class Part(NamedTuple):
    """A round cone between two spheres; positions are float [3]."""

    start: np.ndarray
    end: np.ndarray
    start_radius: float
    end_radius: float
    colour: np.ndarray  # float [3], rgb in 0..1
    root: np.ndarray  # fur grows away from this point
    fur: float = 1.0  # 1: shaggy, 0: bare and shiny like an eye
    blend: float = 0.07  # depth over which it blends into its neighbours

    def moved(self, move: Callable[[np.ndarray], np.ndarray], scale: float = 1.0) -> "Part":
        """Return a copy with `move` applied to its positions and its lengths multiplied by `scale`."""
        return self._replace(
            start=move(self.start),
            end=move(self.end),
            root=move(self.root),
            start_radius=self.start_radius * scale,
            end_radius=self.end_radius * scale,
            blend=self.blend * scale,
        )


def seen(point: np.ndarray, heading: float, mirrored: bool = False) -> np.ndarray:
    """Convert [forward, up, left] to camera coordinates, [right, up, towards the viewer].

    Args:
        point: float [3].
        heading: in degrees; 0 faces right, 90 faces the viewer.
        mirrored: exchange left and right.
    """
    (forward, up, left), angle = point, np.radians(heading)
    right = forward * np.cos(angle) + left * np.sin(angle)
    near = forward * np.sin(angle) - left * np.cos(angle)
    cosine, sine = np.cos(CAMERA_PITCH), np.sin(CAMERA_PITCH)
    return np.array([-right if mirrored else right, up * cosine - near * sine, near * cosine + up * sine])


class Relief(NamedTuple):
    """The visible surface of the parts, per pixel; float32."""

    depth: np.ndarray  # [height, width], towards the viewer, in pixels; `NOTHING` where there is no part
    looks: np.ndarray  # [8, height, width]: rgb, direction of the fur (x, y), surface normal (x, y), shagginess


def relief(parts: list[Part], height: int, width: int) -> Relief:
    """Blend parts, with positions in pixels [column, row, towards the viewer], into one surface, in order."""
    depth = np.full((height, width), NOTHING, np.float32)
    looks = np.zeros((8, height, width), np.float32)
    for part in parts:
        melt(part, depth, looks)
    return Relief(depth, looks)


def melt(part: Part, depth: np.ndarray, looks: np.ndarray) -> None:
    """Blend a part into the arrays of a `Relief`, in place."""
    reach = max(part.start_radius, part.end_radius)
    left, top = np.maximum(np.minimum(part.start, part.end)[:2] - reach, 0).astype(int)
    right, bottom = np.minimum(np.maximum(part.start, part.end)[:2] + reach + 2, depth.shape[::-1]).astype(int)
    if left >= right or top >= bottom:
        return
    depth, looks = depth[top:bottom, left:right], looks[:, top:bottom, left:right]
    start_x, start_y, start_z = part.start.tolist()  # Python floats keep float32 arrays float32
    axis_x, axis_y, axis_z = axis = (part.end - part.start).tolist()
    x = np.arange(left, right, dtype=np.float32)[None, :] - start_x
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - start_y
    squared = sum(length**2 for length in axis) + 1e-6
    projected, widening = x * axis_x + y * axis_y, part.end_radius - part.start_radius
    highest, chosen = np.full(depth.shape, -np.inf, np.float32), np.zeros(depth.shape, np.float32)
    surface = 0.0
    # The cone is a union of spheres. Find the visible one by iteration; a few rounds are precise enough.
    for turn in range(4 if squared > 1 else 1):
        along = np.clip((projected + surface * axis_z) / squared, 0, 1) if turn else np.float32(0)
        square = (part.start_radius + widening * along) ** 2 - (x - along * axis_x) ** 2 - (y - along * axis_y) ** 2
        surface = along * axis_z + np.sqrt(np.maximum(square, 0))
        better = (square > 0) & (surface > highest)
        np.copyto(highest, surface, where=better)
        np.copyto(chosen, along, where=better)
    inside = highest > -np.inf
    above = np.where(inside, highest, 0) + start_z - depth
    share = np.clip(0.5 + 0.5 * above / part.blend, 0, 1) * inside
    if not share.any():  # completely hidden
        return
    depth += share * above
    depth += part.blend * share * (1 - share)  # a bulge where two parts meet
    away_x, away_y = x + (start_x - float(part.root[0])), y + (start_y - float(part.root[1]))
    away = np.sqrt(away_x**2 + away_y**2) + 1e-3
    radius = part.start_radius + widening * chosen
    change = np.empty(looks.shape, np.float32)
    change[:3], change[7] = part.colour[:, None, None], part.fur
    change[3], change[4] = away_x / away, away_y / away
    change[5], change[6] = (x - chosen * axis_x) / radius, (y - chosen * axis_y) / radius
    change -= looks
    change *= share
    looks += change
