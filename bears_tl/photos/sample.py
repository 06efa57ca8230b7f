"""The data set `sample`: pictures of three bears that the project paints itself, so that nothing has to be fetched.

Scenes, poses, light and picture sizes are dealt to the three classes alike, so that only the bear tells the class.
"""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from bears_tl.errors import InputError
from bears_tl.files import atomic_folder
from bears_tl.photos.painting.bears import CLOSE_UPS, POSES, bear, place_in
from bears_tl.photos.painting.canvas import developed, picture_of
from bears_tl.photos.painting.fur import coat
from bears_tl.photos.painting.scenery import SCENES, background, foreground, shadow, stones
from bears_tl.photos.painting.shapes import relief

CLASS_NAMES = ("Grizzly", "Panda", "Polar")
# Height, width.
SIZES = ((300, 400), (288, 416), (320, 400), (304, 384), (300, 420), (400, 300), (408, 306), (340, 380))
OVERSAMPLING = 1.3  # the bear is painted larger, then shrunk: soft edges for little time
LIGHTS = (  # tint rgb, contrast
    ((1.00, 1.00, 1.00), 1.03), ((1.03, 1.00, 0.95), 1.03), ((0.96, 0.94, 0.99), 0.95),
    ((0.98, 0.99, 1.00), 0.93), ((1.02, 1.01, 1.00), 1.06), ((1.00, 0.96, 0.92), 0.98),
)  # fmt: skip


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
    strewn = stones(scene, rng) if scene.front == "stones" else []
    place = place_in(height, width, parts, head, pose, rng)
    feet = place.feet
    sun = np.array([rng.uniform(-0.6, 0.6), -0.75, 0.55])
    sun /= np.linalg.norm(sun)
    # The background is out of focus, so it need not be painted larger than it is.
    far = background(scene, final_height, final_width, feet / OVERSAMPLING, 2.5 if pose in CLOSE_UPS else 1.2, rng)
    picture = picture_of(far.resize((width, height), Image.Resampling.BICUBIC))
    surface = relief([place.put(part) for part in parts + strewn], height, width)
    hair = parts[0].start_radius * place.unit / 0.36  # hairs are as long as the bear is thick
    fur, coverage = coat(surface, hair, sun, scene.ground[1], rng)
    picture *= 1 - 0.55 * shadow(coverage, feet, float(sun[0]))
    picture += coverage * (fur - picture)
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
    # Checked before the work, not after; and a rename would quietly take the place of an empty folder.
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
