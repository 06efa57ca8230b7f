"""The data set `sample`: pictures of three bears that the project paints itself, so that nothing has to be fetched.

A bear is a list of round cones in three dimensions, seen from the side that its pose asks for. Backgrounds, poses,
light and picture sizes are dealt to the three classes alike, so that only the bear tells the class.
"""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bears_tl.errors import InputError
from bears_tl.files import atomic_folder

CLASS_NAMES = ("Grizzly", "Panda", "Polar")
# Height, width.
SIZES = ((300, 400), (288, 416), (320, 400), (304, 384), (300, 420), (400, 300), (408, 306), (340, 380))
OVERSAMPLING = 1.3  # the bear is painted larger, then shrunk: soft edges for little time
CAMERA_PITCH = np.radians(9)  # seen from slightly above, so that the far feet stand higher in the picture
BLACK, WET_BLACK, CLAW = np.array([[0.085, 0.080, 0.085], [0.045, 0.035, 0.035], [0.20, 0.18, 0.16]])
LIGHTS = (  # tint rgb, contrast
    ((1.00, 1.00, 1.00), 1.05), ((1.06, 1.00, 0.89), 1.05), ((0.92, 0.88, 0.98), 0.90),
    ((0.95, 0.98, 1.01), 0.85), ((1.03, 1.02, 0.99), 1.12), ((1.01, 0.91, 0.84), 0.95),
)  # fmt: skip


class Scene(NamedTuple):
    """A background; colours are rgb in 0..1."""

    sky: tuple  # colours at the top and at the horizon
    far: str  # what stands behind the ground: ridges, pines, trunks, bamboo or wall
    far_colour: tuple
    ground: tuple  # its dark and its light colour
    grain: tuple  # rows, columns of the ground's noise: many columns and few rows make upright blades
    front: str  # what stands before the feet: blades, drift, stones or water


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


class Pose(NamedTuple):
    """Where the joints are, (x forward, y up), of a bear whose shoulder is about 1 high."""

    rump: tuple
    chest: tuple
    head: tuple
    fore: tuple  # shoulder, elbow, wrist, toes
    hind: tuple  # hip, knee, heel, toes
    stride: float  # how far a foot swings


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
    """The shape of a kind of bear; the head's inner lengths are in units of its radius."""

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


class Part(NamedTuple):
    """A round cone between two balls; positions are float [3]."""

    start: np.ndarray
    end: np.ndarray
    start_radius: float
    end_radius: float
    colour: np.ndarray  # rgb, 0..1
    root: np.ndarray  # fur grows away from here
    fur: float = 1.0  # 1 shaggy, 0 bare and wet as an eye
    blend: float = 0.07  # over which depth it melts into its neighbours


def paint(class_name: str, index: int, seed: int = 0) -> np.ndarray:
    """Paint one bear; a pure function of its arguments.

    Args:
        class_name: one of `CLASS_NAMES`.
        index: number of the photo in its class, from 0.
        seed: another seed, another set of photos.

    Returns:
        uint8 [height, width, 3], rgb in 0..255; about 300 x 400, some of them upright.

    Raises:
        InputError: no such class.
    """
    if class_name not in CLASS_NAMES:
        raise InputError(f"{class_name!r} is no class of the sample: choose one of {', '.join(CLASS_NAMES)}")
    index, seed = int(index), int(seed)  # numpy's integers are written otherwise, and the text is what seeds
    rng = generator(seed, class_name, index)
    scene = SCENES[dealt(tuple(SCENES), "scene", class_name, index, seed)]
    pose = dealt((*POSES, *CLOSE_UPS), "pose", class_name, index, seed)
    tint, contrast = dealt(LIGHTS, "light", class_name, index, seed)
    final_height, final_width = dealt(SIZES, "size", class_name, index, seed)
    height, width = round(final_height * OVERSAMPLING), round(final_width * OVERSAMPLING)

    parts, head = bear(class_name, pose, rng)
    if scene.front == "stones":
        parts += stones(scene, rng)
    parts, feet = placed(parts, head, pose, height, width, rng)
    sun = np.array([rng.uniform(-0.6, 0.6), -0.75, 0.55])
    sun /= np.linalg.norm(sun)
    # The background is out of focus, so it need not be painted larger than it is.
    far = background(scene, final_height, final_width, feet / OVERSAMPLING, 2.5 if pose in CLOSE_UPS else 1.2, rng)
    picture = np.asarray(Image.fromarray(far).resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    coat, coverage = render(parts, scene, sun, height, width, rng)
    picture *= 1 - 0.55 * shadow(coverage, feet, float(sun[0]))[..., None]
    picture += coverage[..., None] * (coat - picture)
    image = foreground(picture, scene, feet, rng).resize((final_width, final_height), Image.Resampling.LANCZOS)
    return developed(image, tint, contrast * rng.uniform(0.95, 1.05), rng)


def paint_sample(
    folder: str | Path,
    seed: int = 0,
    photos_per_class: int = 40,
    progress: Callable[[list], Iterable] = iter,
) -> None:
    """Write `folder`/<Class>/<class>_<index>.jpg for all classes; the folder appears whole or not at all.

    Args:
        folder: must not be there yet.
        seed: see `paint`.
        photos_per_class: at least 1.
        progress: wraps the list of photos in an iterable that shows how far it is, as `tqdm.tqdm` does.

    Raises:
        InputError: `folder` is there already or cannot be written, or `photos_per_class` is less than 1.
    """
    if photos_per_class < 1:
        raise InputError(f"photos_per_class is {photos_per_class}: give 1 or more")
    # Asked before the work, not after; and a rename would quietly take the place of an empty folder.
    if Path(folder).exists():
        raise InputError(f"{str(folder)!r} is there already: remove it or choose another folder")

    def write(path: Path, class_name: str, index: int) -> None:
        Image.fromarray(paint(class_name, index, seed)).save(path, quality=90)

    with atomic_folder(folder) as unfinished, ThreadPoolExecutor(2) as pool:
        photos = []
        for class_name in CLASS_NAMES:
            (unfinished / class_name).mkdir()
            for index in range(photos_per_class):
                path = unfinished / class_name / f"{class_name.lower()}_{index:04d}.jpg"
                photos.append(pool.submit(write, path, class_name, index))
        try:
            for photo in progress(photos):
                photo.result()
        finally:
            pool.shutdown(cancel_futures=True)  # after a mistake or Ctrl-C, do not paint the rest first


def generator(*key) -> np.random.Generator:
    """Give a generator that depends on the text of `key` alone, alike in every process."""
    return np.random.default_rng(list(hashlib.sha256(repr(key).encode()).digest()))


def dealt(options: tuple, what: str, class_name: str, index: int, seed: int):
    """Deal `options` like shuffled packs of cards, so that every class gets each of them equally often."""
    pack, card = divmod(index, len(options))
    return options[generator(seed, class_name, what, pack).permutation(len(options))[card]]


def cloud(rng: np.random.Generator, height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Make smooth noise, float32 [height, width], about -1..1, with `rows` x `columns` lumps."""
    coarse = np.clip(rng.standard_normal((rows + 1, columns + 1), np.float32) * 0.5, -1, 1)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def blurred(values: np.ndarray, radius: float) -> np.ndarray:
    """Blur float32 [height, width] by shrinking and enlarging, which is fast whatever the radius."""
    image, step = Image.fromarray(np.ascontiguousarray(values)), max(1, round(radius))
    return np.asarray(image.resize((image.width // step + 1, image.height // step + 1), Image.Resampling.BOX)
                      .resize(image.size, Image.Resampling.BICUBIC))  # fmt: skip


def coat_colours(class_name: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Choose the rgb, 0..1, of each region of a coat."""
    if class_name == "Grizzly":
        base = np.array([0.32, 0.20, 0.12]) + rng.uniform(0, 1) * np.array([0.28, 0.21, 0.13])
        factors = {"trunk": 1, "shoulder": 1.2, "leg": 0.62, "face": 1.12, "ear": 0.85, "snout": 1.5, "ring": 0.7}
    elif class_name == "Panda":
        base = np.array([0.97, 0.95, 0.91]) - rng.uniform(0, 0.06) * np.array([0.6, 1, 1.6])
        factors = {"trunk": 1, "face": 1.02, "snout": 1.02}
        factors |= dict.fromkeys(("shoulder", "leg", "ear", "ring"), BLACK / base)
    else:
        base = np.array([0.99, 0.97, 0.91]) - rng.uniform(0, 0.08) * np.array([0.4, 0.9, 2.0])
        factors = {"trunk": 1, "shoulder": 1, "leg": 0.97, "face": 1.02, "ear": 0.93, "snout": 0.96, "ring": 0.72}
    return {region: base * factor for region, factor in factors.items()}


def bear(class_name: str, pose_name: str, rng: np.random.Generator) -> tuple[list[Part], np.ndarray]:
    """Build a bear as the camera sees it.

    Returns:
        its parts, positions [right, up, towards the viewer], and the middle of its head, float [3].
    """
    build, coat = BUILDS[class_name], coat_colours(class_name, rng)
    pose = POSES[rng.choice(("stand", "sit", "walk")) if pose_name in CLOSE_UPS else pose_name]
    upright = pose.chest[1] - pose.rump[1] > 0.3
    # The body's heading: 0 looks right, 90 degrees looks at the viewer. The head turns from there towards the viewer.
    heading = rng.uniform(50, 90) if upright or pose_name in CLOSE_UPS else rng.uniform(-5, 55)
    turn = rng.uniform(-15, 20) if pose_name in CLOSE_UPS else rng.uniform(0, 0.8) * (90 - heading)
    nod = rng.uniform(-0.18, 0.08) - (0.5 if pose_name == "graze" else 0)
    mirrored = bool(rng.random() < 0.5)
    length, girth = (1 if upright else build.length * rng.uniform(0.96, 1.05)), build.girth * rng.uniform(0.94, 1.08)
    size = build.head * rng.uniform(0.96, 1.05)
    parts = []

    def joint(place: tuple, side: float = 0.0) -> np.ndarray:
        return np.array([place[0] * length, place[1], side])

    def add(start, end, start_radius: float, end_radius: float, colour, root, **kind) -> None:
        seen = [view(point, heading, mirrored) for point in (start, end, root)]
        parts.append(Part(*seen[:2], start_radius, end_radius, np.array(colour), seen[2], **kind))

    rump, chest, head = joint(pose.rump), joint(pose.chest), joint(pose.head) + rng.normal(0, 0.03, 3)
    head += build.neck * (head - chest)
    middle = (rump + chest) / 2 - [0, 0 if upright else 0.05, 0]
    mane = np.add(chest, [0.6, 0.9, 0])
    add(rump, middle, 0.35 * girth, 0.37 * girth, coat["trunk"], mane)
    add(middle, chest, 0.37 * girth, 0.33 * girth, coat["trunk"], mane)
    add(chest - [0, 0, 0.1], chest - [0, 0, -0.1], 0.345 * girth, 0.345 * girth, coat["shoulder"], mane, blend=0.04)
    if class_name == "Grizzly":
        hump = chest + ([-0.16, 0.20, 0] if upright else [-0.02, 0.20, 0])
        add(hump, hump - [0.15, 0, 0], 0.23, 0.16, coat["shoulder"], mane, blend=0.12)
    throat = 0.7 * chest + 0.3 * head
    add(throat, head, 0.29 * girth, size * 0.86, coat["face"], np.add(head, [0.5, 0.3, 0]))
    if not upright:
        add(rump - [0.33, -0.06, 0], rump - [0.36, -0.03, 0], 0.06, 0.05, coat["trunk"], mane)

    legs = ((pose.fore, (0.20, 0.15, 0.125, 0.115), 1), (pose.hind, (0.27, 0.19, 0.125, 0.115), -1))
    for side in (-1, 1):
        swing = side * pose.stride * rng.uniform(0.7, 1.2)
        for leg, radii, forward in legs:
            spread = (0.20, 0.30, 0.34, 0.36) if upright and forward < 0 else (0.20, 0.24, 0.24, 0.24)
            points = [joint(place, side * out) for place, out in zip(leg, spread, strict=True)]
            for point, share in zip(points, (0, 0.35, 0.9, 1), strict=True):
                point[0] += forward * swing * share
            thigh = coat["trunk"] if forward < 0 and not upright else coat["leg"]
            for number, colour in enumerate((thigh, coat["leg"], coat["leg"])):
                add(*points[number : number + 2], *radii[number : number + 2], colour, np.add(points[0], [0.1, 0.8, 0]))
            for toe in (-0.055, 0, 0.055):
                tip = points[3] - [-0.10, 0.01, -toe]
                add(tip, tip - [-0.05, 0.035, 0], 0.016, 0.008, CLAW, tip, fur=0.1, blend=0.01)

    def feature(start, end, start_radius, end_radius, colour, root=(1.3, -0.2, 0), **kind) -> None:
        """Add to the head what is given as (forward, up, side) in units of its radius."""
        seats = []
        for x, y, z in (start, end, root):
            x, y = x * np.cos(nod) - y * np.sin(nod), x * np.sin(nod) + y * np.cos(nod)
            cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
            seats.append(head + size * np.array([x * cosine + z * sine, y, z * cosine - x * sine]))
        add(*seats[:2], start_radius * size, end_radius * size, colour, seats[2], **kind)

    tip, ear = 0.72 + 0.75 * build.muzzle, build.ear
    feature((-0.10, 0.00, 0), (0.12, 0.02, 0), 0.98, 0.90, coat["face"], fur=0.75)
    feature((0.45, -0.22, 0), (tip - 0.25, -0.34, 0), 0.52, 0.34, coat["snout"], (tip + 1, 0, 0), blend=0.08, fur=0.5)
    for side in (-1, 1):
        feature((0.10, -0.32, side * 0.42), (0, -0.25, side * 0.46), 0.62, 0.62, coat["face"], blend=0.1, fur=0.75)
        low, high = side * build.ear_out, side * build.ear_out * 1.1
        feature((-0.25, 0.62, low), (-0.22, 0.86, high), ear, ear * 0.9, coat["ear"], blend=0.03, fur=0.5)
        feature((0.02, 0.76, low), (0.02, 0.86, high), ear * 0.5, ear * 0.45, coat["ear"] * 0.6, blend=0.05, fur=0.5)
        if class_name == "Panda":
            patch = (0.78, 0.27, side * 0.42), (0.64, -0.12, side * 0.62)
            feature(*patch, 0.20, 0.25, coat["ring"], blend=0.03, fur=0.6)
        eye = (0.91, 0.24, side * 0.445)
        feature((0.83, 0.23, side * 0.42), (0.83, 0.23, side * 0.42), 0.14, 0.14, coat["ring"], blend=0.015, fur=0.3)
        feature(eye, eye, 0.105, 0.105, WET_BLACK, fur=0, blend=0.004)
        feature((tip, -0.58, 0), (tip - 0.5, -0.62, side * 0.30), 0.04, 0.03, WET_BLACK, fur=0.2, blend=0.02)
    feature((tip, -0.22, -0.10), (tip, -0.22, 0.10), 0.17, 0.17, WET_BLACK, fur=0, blend=0.01)
    return parts, view(head - [-0.08, 0, 0], heading, mirrored)


def view(point, heading: float, mirrored: bool = False) -> np.ndarray:
    """Turn [forward, up, left] to what the camera sees: [right, up, towards the viewer]."""
    (forward, up, left), angle = point, np.radians(heading)
    right = forward * np.cos(angle) + left * np.sin(angle)
    near = forward * np.sin(angle) - left * np.cos(angle)
    cosine, sine = np.cos(CAMERA_PITCH), np.sin(CAMERA_PITCH)
    return np.array([-right if mirrored else right, up * cosine - near * sine, near * cosine + up * sine])


def stones(scene: Scene, rng: np.random.Generator) -> list[Part]:
    """Strew stones on the ground around the bear."""
    strewn = []
    for _ in range(rng.integers(7, 13)):
        size = rng.uniform(0.05, 0.14)
        middle = np.array([rng.uniform(-2, 2), size * 0.2, rng.choice((-1, 1)) * rng.uniform(0.35, 1.1)])
        colour = np.array(scene.ground[1]) * rng.uniform(0.6, 1.0)
        for _ in range(3):  # lumps that melt into one stone
            start, end = (view(middle + rng.uniform(-1, 1, 3) * size * [1.2, 0.3, 0.6], 0) for _ in range(2))
            radius = size * rng.uniform(0.7, 1.0)
            strewn.append(Part(start, end, radius, radius, colour, view(middle - [0, -1, 0], 0), 0.14, size))
    return strewn


def placed(
    parts: list[Part], head: np.ndarray, pose: str, height: int, width: int, rng: np.random.Generator
) -> tuple[list[Part], float]:
    """Choose the bear's size and place in the picture.

    Returns:
        the parts in pixels [column, row, towards the viewer], and the row of the ground below the bear.
    """
    outline = [part for part in parts if part.fur > 0.14 or part.fur == 0]  # without stones and claws
    positions = np.array([[part.start, part.end] for part in outline])
    radii = np.array([[[part.start_radius], [part.end_radius]] for part in outline])
    left, low, _ = (positions - radii).min((0, 1)).tolist()
    right, high, _ = (positions + radii).max((0, 1)).tolist()
    if pose in CLOSE_UPS:
        unit = min(height, width) * (rng.uniform(0.62, 0.78) if pose == "portrait" else rng.uniform(0.85, 1.15))
        column = width * rng.uniform(0.40, 0.60) - float(head[0]) * unit
        feet = height * rng.uniform(0.42, 0.52) + float(head[1]) * unit
    else:
        unit = rng.uniform(0.76, 0.94) * min(width / (right - left), 0.93 * height / (high - low))
        column = (width - unit * (right - left)) * rng.uniform(0.2, 0.8) - left * unit
        feet = max(height * rng.uniform(0.86, 0.93) + low * unit, high * unit + 0.04 * height)
    flip, origin = np.array([unit, -unit, unit]), np.array([column, feet, 0])
    return [
        Part(part.start * flip + origin, part.end * flip + origin, part.start_radius * unit, part.end_radius * unit,
             part.colour, part.root * flip + origin, part.fur, part.blend * unit)
        for part in parts
    ], feet  # fmt: skip


def render(
    parts: list[Part], scene: Scene, sun: np.ndarray, height: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Show the parts, shaded and furry.

    Returns:
        rgb float32 [height, width, 3] in 0..1, and coverage float32 [height, width], 0 or 1.
    """
    unit = parts[0].start_radius / 0.36
    depth = np.full((height, width), -1e4, np.float32)
    looks = np.zeros((8, height, width), np.float32)  # rgb, the way fur grows (x, y), normal (x, y), shagginess
    for part in parts:
        draw_part(part, depth, looks)
    # From here on only the box that the bear fills, with room for its hairs.
    coat, coverage = np.zeros((height, width, 3), np.float32), (depth > -1e3).astype(np.float32)
    margin = int(0.1 * unit)
    spans = [np.flatnonzero(coverage.any(axis)) for axis in (1, 0)]
    box = tuple(slice(max(span[0] - margin, 0), span[-1] + margin) for span in spans)
    whole, depth, looks, coverage = coverage, depth[box], looks[:, *box], coverage[box]
    height, width = depth.shape
    # Carried a little beyond the outline, so that hairs stick out of it.
    along_x, along_y, shaggy = (blurred(looks[channel], 0.06 * unit) for channel in (3, 4, 7))
    steady = np.sqrt(along_x**2 + along_y**2 + 1e-3)
    along_x, along_y = along_x / steady, along_y / steady
    shaggy = np.where(coverage > 0, looks[7], np.clip(shaggy, 0, 1))

    # Strands: noise smeared along the way the fur grows.
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    noise = rng.standard_normal((height, width), np.float32) + 1.2 * cloud(rng, height, width, height // 4, width // 4)
    strand = noise / 2.6
    for step in range(1, 7):
        strand += noise.take(pixel(rows - step * 1.5 * along_y, columns - step * 1.5 * along_x, noise.shape)) / 2.6
    tangle = cloud(rng, height, width, int(height / unit * 12) + 1, int(width / unit * 12) + 1)

    # Light from above, sky above and ground below, hollows dark.
    x, y, shine = looks[5], looks[6], 1 - looks[7]
    toward = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    facing = x * float(sun[0]) + y * float(sun[1]) + toward * float(sun[2])
    flat = np.where(coverage > 0, depth, 0)
    wide = 0.14 * unit
    hollow = np.clip((blurred(flat, wide) / (blurred(coverage, wide) + 1e-3) - depth) / (0.4 * unit), -0.2, 0.5)
    direct = np.clip(0.35 + 0.65 * facing + shaggy * (0.03 * strand + 0.10 * tangle), 0, 1.2)
    light = 0.46 - 0.15 * y + 0.66 * direct - 0.40 * hollow
    bounce = 1 + np.clip(y, 0, 1)[..., None] * 0.3 * (np.array(scene.ground[1], np.float32) - 0.5)
    colour = np.moveaxis(looks[:3] * light, 0, 2) * bounce
    # Noise that is added, not only multiplied, is the sheen that makes black fur look like fur.
    sheen = 0.016 * shaggy * strand * np.clip(facing + 0.3, 0, 1)
    colour = colour * (1 + 0.075 * shaggy * strand)[..., None] + sheen[..., None]
    colour += (shine**4 * (looks[0] < 0.1) * np.clip(facing * 7 - 6, 0, 1))[..., None]  # the glint of eye and nose

    # Every strand drags along what is at its root: ragged outlines and patches.
    drag = 0.035 * unit * shaggy * np.clip(0.6 * strand + 0.4, 0, 2)
    here = np.arange(height * width).reshape(height, width)
    origin = pixel(rows - drag * along_y, columns - drag * along_x, noise.shape)
    bare = (looks[7] < 0.25) & (coverage > 0)
    origin = np.where(bare.take(origin), here, origin)  # eyes and noses are not smeared
    coat[box], whole[box] = np.clip(colour, 0, 1).reshape(-1, 3).take(origin, axis=0), coverage.take(origin)
    return coat, whole


def pixel(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Give the flat index, int [height, width], of the pixels nearest to float positions."""
    rows = np.clip(rows + 0.5, 0, shape[0] - 1).astype(np.intp)
    return rows * shape[1] + np.clip(columns + 0.5, 0, shape[1] - 1).astype(np.intp)


def draw_part(part: Part, depth: np.ndarray, looks: np.ndarray) -> None:
    """Melt a round cone into `depth` [height, width] and `looks` [8, height, width], in place."""
    reach = max(part.start_radius, part.end_radius)
    left, top = np.maximum(np.minimum(part.start, part.end)[:2] - reach, 0).astype(int)
    right, bottom = np.minimum(np.maximum(part.start, part.end)[:2] + reach + 2, depth.shape[::-1]).astype(int)
    if left >= right or top >= bottom:
        return
    box = (slice(top, bottom), slice(left, right))
    start_x, start_y, start_z = part.start.tolist()  # Python's numbers leave float32 arrays float32
    axis_x, axis_y, axis_z = axis = (part.end - part.start).tolist()
    x = np.arange(left, right, dtype=np.float32)[None, :] - start_x
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - start_y
    squared = sum(length**2 for length in axis) + 1e-6
    surface, highest, chosen = 0.0, np.float32(-np.inf), np.float32(0)
    # Of the balls that make up the cone, find the one whose surface the viewer sees: a few rounds come near enough.
    for turn in range(4 if squared > 1 else 1):
        along = np.clip((x * axis_x + y * axis_y + surface * axis_z) / squared, 0, 1) if turn else np.float32(0)
        radius = part.start_radius + (part.end_radius - part.start_radius) * along
        room = radius**2 - (x - along * axis_x) ** 2 - (y - along * axis_y) ** 2
        surface = along * axis_z + np.sqrt(np.maximum(room, 0))
        better = (room > 0) & (surface > highest)
        highest, chosen = np.where(better, surface, highest), np.where(better, along, chosen)
    inside = highest > -np.inf
    surface = np.where(inside, highest, 0) + start_z
    radius = part.start_radius + (part.end_radius - part.start_radius) * chosen
    off_x, off_y = x - chosen * axis_x, y - chosen * axis_y
    behind = depth[box]
    share = np.clip(0.5 + 0.5 * (surface - behind) / part.blend, 0, 1) * inside
    depth[box] = behind + share * (surface - behind) + part.blend * share * (1 - share)
    away_x, away_y = x + (start_x - float(part.root[0])), y + (start_y - float(part.root[1]))
    away = np.sqrt(away_x**2 + away_y**2) + 1e-3
    targets = (*part.colour.tolist(), away_x / away, away_y / away, off_x / radius, off_y / radius, part.fur)
    for channel, target in enumerate(targets):
        looks[channel][box] += share * (target - looks[channel][box])


def background(scene: Scene, height: int, width: int, feet: float, blur: float, rng: np.random.Generator) -> np.ndarray:
    """Paint sky, distance and ground: uint8 [height, width, 3]; `feet` is the row on which the bear stands."""
    horizon = min(feet, height * 0.95) - height * rng.uniform(0.22, 0.42)
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    top, bottom, dark, light, colour = np.array([*scene.sky, *scene.ground, scene.far_colour], np.float32)
    haze = 0.10 * cloud(rng, height, width, 5, 4)[..., None]
    picture = top + (bottom - top) * np.clip(rows / max(horizon, 1), 0, 1)[..., None] + haze

    def cover(mask: np.ndarray, shade: np.ndarray) -> None:
        picture[:] += np.clip(mask, 0, 1)[..., None] * (shade - picture)

    if scene.far in ("trunks", "bamboo"):
        leaves = cloud(rng, height, width, 24, 30) + 0.7 * cloud(rng, height, width, 60, 80)
        cover(0.55 + 0.6 * leaves, np.float32([0.34, 0.44, 0.20]) + 3 * haze * np.float32([0.8, 1, 0.5]))
        for number in range(16):
            nearness = (number + 4) / 20
            thick = width * rng.uniform(0.03, 0.06) * nearness * (1.3 if scene.far == "trunks" else 0.7)
            middle, lean = rng.uniform(0, width), rng.uniform(-0.06, 0.06)
            reach = thick + 0.06 * height
            strip = slice(max(int(middle - reach), 0), int(middle + reach))  # no need to touch the rest
            offset = (columns[:, strip] - middle - lean * rows) / thick
            shade = colour * rng.uniform(0.8, 1.2) * (1.25 - 0.9 * np.clip(np.abs(offset + 0.25), 0, 0.8))[..., None]
            if scene.far == "bamboo":  # the joints of its stems
                shade *= np.where((rows + rng.uniform(0, 99)) % (height * 0.16) < 2, np.float32(0.6), 1)[..., None]
            shade += (1 - nearness) * 0.7 * (bottom - shade)
            mask = np.clip((0.5 - np.abs(offset)) * thick, 0, 1)[..., None]
            picture[:, strip] += mask * (shade - picture[:, strip])
    elif scene.far == "wall":
        block = height * rng.uniform(0.09, 0.13)
        course = np.floor(rows / block)
        picture[:] = colour + 0.5 * haze + 0.05 * cloud(rng, height, width, 90, 120)[..., None]
        gap = np.minimum(rows % block, (columns + course % 2 * block) % (2 * block))
        cover((2.5 - gap) * 0.5, colour * 0.7)
    else:
        for number in range(3):
            line = horizon - height * (0.20 - 0.085 * number) * rng.uniform(0.8, 1.3)
            line = line + height * (0.10 * cloud(rng, 1, width, 1, 4 + 3 * number) + 0.02 * cloud(rng, 1, width, 1, 25))
            if scene.far == "pines":
                tops = rng.uniform(0, width, (30 + 10 * number, 1))
                slopes = np.abs(columns - tops) * rng.uniform(3, 5, tops.shape)
                crowns = np.maximum(height * rng.uniform(0.05, 0.20, tops.shape) - slopes, 0)
                line = line - crowns.max(0).astype(np.float32)
            paleness = 0.65 - 0.3 * number
            texture = 0.06 * cloud(rng, height, width, 40, 40)[..., None]
            cover(rows - line, colour + paleness * (bottom - colour) + texture)

    lumps = cloud(rng, height, width, *scene.grain) + cloud(rng, height, width, 9, 5)
    nearness = np.clip((rows - horizon) / (height - horizon + 1), 0, 1)
    edge = horizon + 0.012 * height * cloud(rng, 1, width, 1, 12)
    cover(rows - edge, dark + (light - dark) * (0.62 - 0.22 * nearness + 0.33 * lumps)[..., None])
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    focus = np.clip((rows - feet) / height * 4 + 1, 0, 1) * (255 if blur < 2 else 0)  # sharp where the bear stands
    focus = Image.fromarray(np.broadcast_to(focus, (height, width)).astype(np.uint8))
    return np.asarray(Image.composite(image, image.filter(ImageFilter.GaussianBlur(blur)), focus))


def shadow(coverage: np.ndarray, feet: float, lean: float) -> np.ndarray:
    """Throw the bear's outline on the ground: float32 [height, width], 0..1."""
    outline, flat = Image.fromarray(coverage), 0.16
    # (a, b, c, d, e, f): the shadow's pixel (x, y) shows the outline's (a x + b y + c, d x + e y + f).
    slant = (1, lean / flat, -lean / flat * feet, 0, 1 / flat, feet - feet / flat)
    return blurred(np.asarray(outline.transform(outline.size, Image.Transform.AFFINE, slant)), coverage.shape[0] / 60)


def foreground(picture: np.ndarray, scene: Scene, feet: float, rng: np.random.Generator) -> Image.Image:
    """Put grass, snow or water before the bear's feet in a picture of float32 [height, width, 3] in 0..1."""
    height, width = picture.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None]
    dark, light = np.array(scene.ground, np.float32)
    if scene.front == "water" and feet < height:
        ripple = cloud(rng, height, width, height // 5, 7)
        line = feet - 0.02 * height
        mirror = pixel(2 * line - rows + 0 * ripple, np.arange(width)[None, :] + 0.03 * height * ripple, ripple.shape)
        water = dark + (light - dark) * (0.5 + 0.6 * ripple)[..., None]
        water = 0.5 * water + 0.45 * picture.reshape(-1, 3).take(mirror, axis=0)
        picture = np.where((rows > line + 3 * ripple)[..., None], water, picture)
    if scene.front == "drift":
        line = feet - 0.015 * height + 0.05 * height * cloud(rng, 1, width, 1, 6)
        snow = dark + (light - dark) * (0.9 + 0.25 * cloud(rng, height, width, 8, 14))[..., None]
        picture = picture + np.clip((rows - line) / 7, 0, 1)[..., None] * (snow - picture)
    image = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    if scene.front == "blades":
        for _ in range(260):
            x, y = rng.uniform(0, width), min(feet, height) + height * rng.uniform(-0.02, 0.18)
            tall, lean = height * rng.uniform(0.03, 0.10), height * rng.uniform(-0.03, 0.03)
            shade = np.clip((dark + (light - dark) * rng.uniform(0, 1.1)) * 255, 0, 255).astype(int)
            draw.polygon([(x - 2, y), (x + lean, y - tall), (x + 2, y)], tuple(shade))
    elif scene.front == "drift" and rng.random() < 0.6:  # it snows
        for x, y, size in rng.uniform(0, 1, (120, 3)) * [width, height, 2.5]:
            draw.ellipse([x, y, x + 1 + size, y + 1 + size], (250, 252, 255))
    return image


def developed(image: Image.Image, tint: tuple, contrast: float, rng: np.random.Generator) -> np.ndarray:
    """Give the picture its light, vignette and grain: uint8 [height, width, 3]."""
    picture = np.asarray(image, np.float32) / 255
    height, width = picture.shape[:2]
    down, across = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    vignette = 1 - 0.10 * (down[:, None] ** 2 + across[None, :] ** 2)
    gain = np.float32(tint) * rng.uniform(0.92, 1.10)
    grain = 0.012 * rng.standard_normal((height, width, 1), np.float32)
    picture = ((picture - 0.5) * contrast + 0.5) * vignette[..., None] * gain + grain
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
