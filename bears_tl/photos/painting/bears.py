"""Build bears from round cones: poses, body shapes, coat colours, and their position in the picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bears_tl.photos.painting.shapes import Part, seen

BLACK, WET_BLACK, CLAW = np.array([[0.085, 0.080, 0.085], [0.045, 0.035, 0.035], [0.20, 0.18, 0.16]])
CLAW_FUR = 0.1


class Pose(NamedTuple):
    """Positions of a bear's joints, (x forward, y up), in units of about its shoulder height."""

    rump: tuple
    chest: tuple
    head: tuple
    fore: tuple  # shoulder, elbow, wrist, toes
    hind: tuple  # hip, knee, heel, toes
    stride: float  # how far a foot swings while walking


POSES = {
    "stand": Pose((-0.58, 0.80), (0.42, 0.84), (1.00, 1.10), ((0.45, 0.70), (0.40, 0.40), (0.45, 0.14), (0.56, 0.07)),
                  ((-0.58, 0.70), (-0.44, 0.42), (-0.64, 0.16), (-0.50, 0.07)), 0.07),
    "walk": Pose((-0.58, 0.80), (0.42, 0.82), (1.04, 0.92), ((0.45, 0.70), (0.42, 0.40), (0.42, 0.14), (0.54, 0.07)),
                 ((-0.58, 0.70), (-0.44, 0.42), (-0.62, 0.16), (-0.48, 0.07)), 0.26),
    "graze": Pose((-0.58, 0.82), (0.40, 0.76), (0.98, 0.42), ((0.42, 0.62), (0.44, 0.38), (0.42, 0.13), (0.54, 0.07)),
                  ((-0.58, 0.70), (-0.44, 0.42), (-0.64, 0.16), (-0.50, 0.07)), 0.12),
    "sit": Pose((-0.15, 0.38), (0.06, 0.92), (0.20, 1.38), ((0.12, 0.92), (0.26, 0.60), (0.34, 0.24), (0.44, 0.13)),
                ((-0.10, 0.32), (0.30, 0.40), (0.50, 0.14), (0.60, 0.20)), 0.03),
    "lie": Pose((-0.62, 0.38), (0.36, 0.38), (0.86, 0.62), ((0.40, 0.34), (0.44, 0.16), (0.82, 0.11), (0.98, 0.10)),
                ((-0.60, 0.34), (-0.18, 0.30), (-0.38, 0.11), (-0.16, 0.09)), 0.03),
    "rear": Pose((-0.02, 0.86), (0.04, 1.46), (0.20, 1.94), ((0.10, 1.46), (0.26, 1.16), (0.46, 1.04), (0.56, 0.97)),
                 ((0.00, 0.76), (0.12, 0.44), (0.00, 0.16), (0.16, 0.08)), 0.05),
}  # fmt: skip
CLOSE_UPS = ("portrait", "face")


class Build(NamedTuple):
    """The body shape of a species; muzzle and ears are in units of the head's radius."""

    length: float
    girth: float
    neck: float
    head: float
    muzzle: float
    ear_out: float
    ear: float


BUILDS = {
    "Grizzly": Build(1.00, 1.00, 0.00, 0.275, 1.0, 0.60, 0.32),
    "Panda": Build(0.90, 1.08, 0.00, 0.325, 0.6, 0.66, 0.38),
    "Polar": Build(1.08, 1.00, 0.14, 0.235, 1.2, 0.62, 0.26),
}


@dataclass(frozen=True)
class Bear:
    """One bear, before its parts are built; positions are float [3]: forward, up, left."""

    kind: str
    pose: Pose
    coat: dict[str, np.ndarray]
    upright: bool
    length: float
    girth: float
    size: float  # radius of the head
    turn: float  # of the head relative to the body, in degrees
    nod: float  # of the head, in radians
    rump: np.ndarray
    chest: np.ndarray
    head: np.ndarray


def bear(kind: str, pose_name: str, rng: np.random.Generator) -> tuple[list[Part], np.ndarray]:
    """Build a bear as the camera sees it.

    Args:
        kind: a key of `BUILDS`.
        pose_name: a key of `POSES` or one of `CLOSE_UPS`.
        rng: draws the differences between bears of a species.

    Returns:
        Its parts, with positions [right, up, towards the viewer], and the center of its head, float [3].
    """
    build, coat, close_up = BUILDS[kind], coat_colours(kind, rng), pose_name in CLOSE_UPS
    pose = POSES[rng.choice(("stand", "sit", "walk")) if close_up else pose_name]
    upright = pose.chest[1] - pose.rump[1] > 0.3
    # Heading of the body: 0 degrees is to the right, 90 towards the viewer. The head turns further to the viewer.
    heading = rng.uniform(50, 90) if upright or close_up else rng.uniform(-5, 55)
    turn = rng.uniform(-15, 20) if close_up else rng.uniform(0, 0.8) * (90 - heading)
    nod = rng.uniform(-0.18, 0.08) - (0.5 if pose_name == "graze" else 0)
    mirrored = bool(rng.random() < 0.5)
    length, girth = (1 if upright else build.length * rng.uniform(0.96, 1.05)), build.girth * rng.uniform(0.94, 1.08)
    size = build.head * rng.uniform(0.96, 1.05)
    rump, chest, head = (joint(place, length) for place in (pose.rump, pose.chest, pose.head))
    head += rng.normal(0, 0.03, 3)
    head += build.neck * (head - chest)
    whole = Bear(kind, pose, coat, upright, length, girth, size, turn, nod, rump, chest, head)
    parts = [*trunk_parts(whole), *leg_parts(whole, rng), *head_parts(whole)]
    return (
        [part.moved(lambda point: seen(point, heading, mirrored)) for part in parts],
        seen(head - [-0.08, 0, 0], heading, mirrored),
    )


def joint(place: tuple, length: float, side: float = 0.0) -> np.ndarray:
    """Convert a position of a `Pose` to three dimensions, for a body of this length: float [3]."""
    return np.array([place[0] * length, place[1], side])


def coat_colours(kind: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the colour of each region of a coat: rgb in 0..1."""
    if kind == "Grizzly":
        base = np.array([0.32, 0.20, 0.12]) + rng.uniform(0, 1) * np.array([0.28, 0.21, 0.13])
        factors = {"trunk": 1, "shoulder": 1.2, "leg": 0.62, "face": 1.12, "ear": 0.85, "snout": 1.5, "ring": 0.7}
    elif kind == "Panda":
        base = np.array([0.97, 0.95, 0.91]) - rng.uniform(0, 0.06) * np.array([0.6, 1, 1.6])
        factors = {"trunk": 1, "face": 1.02, "snout": 1.02}
        factors |= dict.fromkeys(("shoulder", "leg", "ear", "ring"), BLACK / base)
    else:
        base = np.array([0.99, 0.97, 0.91]) - rng.uniform(0, 0.08) * np.array([0.4, 0.9, 2.0])
        factors = {"trunk": 1, "shoulder": 1, "leg": 0.97, "face": 1.02, "ear": 0.93, "snout": 0.96, "ring": 0.72}
    return {region: base * factor for region, factor in factors.items()}


def trunk_parts(bear: Bear) -> Iterator[Part]:
    """Build rump, belly, shoulders, hump, neck and tail."""
    rump, chest, coat, girth = bear.rump, bear.chest, bear.coat, bear.girth
    middle = (rump + chest) / 2 - [0, 0 if bear.upright else 0.05, 0]
    mane = np.add(chest, [0.6, 0.9, 0])
    yield Part(rump, middle, 0.35 * girth, 0.37 * girth, coat["trunk"], mane)
    yield Part(middle, chest, 0.37 * girth, 0.33 * girth, coat["trunk"], mane)
    left, right = chest - [0, 0, 0.1], chest - [0, 0, -0.1]
    yield Part(left, right, 0.345 * girth, 0.345 * girth, coat["shoulder"], mane, blend=0.04)
    if bear.kind == "Grizzly":
        hump = np.add(chest, [-0.16 if bear.upright else -0.02, 0.20, 0])
        yield Part(hump, hump - [0.15, 0, 0], 0.23, 0.16, coat["shoulder"], mane, blend=0.12)
    throat, brow = 0.7 * chest + 0.3 * bear.head, np.add(bear.head, [0.5, 0.3, 0])
    yield Part(throat, bear.head, 0.29 * girth, bear.size * 0.86, coat["face"], brow)
    if not bear.upright:
        yield Part(rump - [0.33, -0.06, 0], rump - [0.36, -0.03, 0], 0.06, 0.05, coat["trunk"], mane)


def leg_parts(bear: Bear, rng: np.random.Generator) -> Iterator[Part]:
    """Build four legs with their claws."""
    pose, coat = bear.pose, bear.coat
    legs = ((pose.fore, (0.20, 0.15, 0.125, 0.115), 1), (pose.hind, (0.27, 0.19, 0.125, 0.115), -1))
    for side in (-1, 1):
        swing = side * pose.stride * rng.uniform(0.7, 1.2)
        for leg, radii, forward in legs:
            spread = (0.20, 0.30, 0.34, 0.36) if bear.upright and forward < 0 else (0.20, 0.24, 0.24, 0.24)
            points = [joint(place, bear.length, side * out) for place, out in zip(leg, spread, strict=True)]
            for point, share in zip(points, (0, 0.35, 0.9, 1), strict=True):
                point[0] += forward * swing * share
            root, toes = np.add(points[0], [0.1, 0.8, 0]), points[3]
            thigh = coat["trunk"] if forward < 0 and not bear.upright else coat["leg"]
            for number, colour in enumerate((thigh, coat["leg"], coat["leg"])):
                yield Part(*points[number : number + 2], *radii[number : number + 2], colour, root)
            for toe in (-0.055, 0, 0.055):
                tip = toes - [-0.10, 0.01, -toe]
                yield Part(tip, tip - [-0.05, 0.035, 0], 0.016, 0.008, CLAW, tip, CLAW_FUR, 0.01)


def head_parts(bear: Bear) -> Iterator[Part]:
    """Build skull, snout, cheeks, ears, eyes, mouth and nose."""
    build, coat = BUILDS[bear.kind], bear.coat

    def part(start, end, start_radius, end_radius, colour, root=(1.3, -0.2, 0), **kind) -> Part:
        """Return a part, given positions (forward, up, side) and radii in units of the head's radius."""
        seats = []
        for x, y, z in (start, end, root):
            x, y = x * np.cos(bear.nod) - y * np.sin(bear.nod), x * np.sin(bear.nod) + y * np.cos(bear.nod)
            cosine, sine = np.cos(np.radians(bear.turn)), np.sin(np.radians(bear.turn))
            seats.append(bear.head + bear.size * np.array([x * cosine + z * sine, y, z * cosine - x * sine]))
        return Part(*seats[:2], start_radius * bear.size, end_radius * bear.size, colour, seats[2], **kind)

    tip, ear = 0.72 + 0.75 * build.muzzle, build.ear
    yield part((-0.10, 0.00, 0), (0.12, 0.02, 0), 0.98, 0.90, coat["face"], fur=0.75)
    snout_root = (tip + 1, 0, 0)
    yield part((0.45, -0.22, 0), (tip - 0.25, -0.34, 0), 0.52, 0.34, coat["snout"], snout_root, blend=0.08, fur=0.5)
    for side in (-1, 1):
        yield part((0.10, -0.32, side * 0.42), (0, -0.25, side * 0.46), 0.62, 0.62, coat["face"], blend=0.1, fur=0.75)
        low, high = side * build.ear_out, side * build.ear_out * 1.1
        yield part((-0.25, 0.62, low), (-0.22, 0.86, high), ear, ear * 0.9, coat["ear"], blend=0.03, fur=0.5)
        yield part((0.02, 0.76, low), (0.02, 0.86, high), ear * 0.5, ear * 0.45, coat["ear"] * 0.6, blend=0.05, fur=0.5)
        if bear.kind == "Panda":
            patch = (0.78, 0.27, side * 0.42), (0.64, -0.12, side * 0.62)
            yield part(*patch, 0.20, 0.25, coat["ring"], blend=0.03, fur=0.6)
        ring, eye = (0.83, 0.23, side * 0.42), (0.91, 0.24, side * 0.445)
        yield part(ring, ring, 0.14, 0.14, coat["ring"], blend=0.015, fur=0.3)
        yield part(eye, eye, 0.105, 0.105, WET_BLACK, fur=0, blend=0.004)
        yield part((tip, -0.58, 0), (tip - 0.5, -0.62, side * 0.30), 0.04, 0.03, WET_BLACK, fur=0.2, blend=0.02)
    yield part((tip, -0.22, -0.10), (tip, -0.22, 0.10), 0.17, 0.17, WET_BLACK, fur=0, blend=0.01)


class Place(NamedTuple):
    """Scale and position of a bear in the picture, in pixels."""

    unit: float  # length of one unit of the bear
    column: float  # column of its origin
    feet: float  # row of the ground below it

    def put(self, part: Part) -> Part:
        """Convert a part to pixels [column, row, towards the viewer]."""
        flip, origin = np.array([self.unit, -self.unit, self.unit]), np.array([self.column, self.feet, 0])
        return part.moved(lambda point: point * flip + origin, self.unit)


def place_in(
    height: int, width: int, parts: list[Part], head: np.ndarray, pose_name: str, rng: np.random.Generator
) -> Place:
    """Choose scale and position of a bear, as returned by `bear`, in a picture of `height` x `width` pixels."""
    outline = [part for part in parts if part.fur != CLAW_FUR]
    positions = np.array([[part.start, part.end] for part in outline])
    radii = np.array([[[part.start_radius], [part.end_radius]] for part in outline])
    left, low, _ = (positions - radii).min((0, 1)).tolist()
    right, high, _ = (positions + radii).max((0, 1)).tolist()
    if pose_name in CLOSE_UPS:
        unit = min(height, width) * (rng.uniform(0.62, 0.78) if pose_name == "portrait" else rng.uniform(0.85, 1.15))
        column = width * rng.uniform(0.40, 0.60) - float(head[0]) * unit
        feet = height * rng.uniform(0.42, 0.52) + float(head[1]) * unit
    else:
        unit = rng.uniform(0.76, 0.94) * min(width / (right - left), 0.93 * height / (high - low))
        column = (width - unit * (right - left)) * rng.uniform(0.3, 0.7) - left * unit
        feet = max(height * rng.uniform(0.86, 0.93) + low * unit, high * unit + 0.04 * height)
    return Place(unit, column, feet)
