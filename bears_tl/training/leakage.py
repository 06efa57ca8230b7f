"""How much a leaky split inflates accuracy: one head, evaluated with near-duplicates across splits and without."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from bears_tl.config import RunConfig
from bears_tl.photos.image import read_image
from bears_tl.photos.splits import SPLITS, split_photos
from bears_tl.photos.views import scale
from bears_tl.training.trainer import train_head

THUMBNAIL_PX = 24


def near_copy(image: Image.Image) -> Image.Image:
    """Make a near-duplicate as found in scraped sets: cropped by 3 %, brightened by 10 %, saved at JPEG quality 40."""
    width, height = image.size
    cropped = image.crop((round(0.03 * width), round(0.03 * height), width, height))
    buffer = io.BytesIO()
    ImageEnhance.Brightness(cropped).enhance(1.1).save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("RGB")


def thumbnail(image: Image.Image) -> np.ndarray:
    """Return an RGB photo as input for the head: a 24 x 24 thumbnail, float32 [1728] in [-1, 1]."""
    size_px = (THUMBNAIL_PX, THUMBNAIL_PX)
    return scale(np.asarray(image.resize(size_px, Image.Resampling.BILINEAR, reducing_gap=2.0))).ravel()


def first_of_each_class(photos: list[dict], count: int) -> list[dict]:
    """Choose the first photos of each class, up to a number: a comparison on a large set need not use all of it."""
    class_names = sorted({photo["class_name"] for photo in photos})
    members = [[photo for photo in photos if photo["class_name"] == name] for name in class_names]
    return [photo for of_class in members for photo in of_class[:count]]


def compare_splits(folder: str | Path, photos: list[dict], config: RunConfig, seeds: list[int]) -> list[dict]:
    """Add a near-copy of each photo, split without and with groups, and evaluate the head on both splits.

    The features are thumbnails. They need no body, and a linear layer on pixels memorizes more than it generalizes,
    which makes the effect easy to see.

    Args:
        folder: the folder that each `path` is relative to.
        photos: rows of photos.csv.
        config: the split fractions and the settings of `train_head` are used, but always Adam: it needs no folds.
        seeds: each seed gives another split and another training.

    Returns:
        One row per seed: seed, and the test accuracies leaky and clean, in [0, 1].
    """
    features, of_copies = [], []
    for photo in photos:  # a large photo takes 300 MB, its thumbnail 7 kB: keep only one photo in memory
        image = read_image(Path(folder, photo["path"]), smallest_side_px=4 * THUMBNAIL_PX)
        features.append(thumbnail(image))
        of_copies.append(thumbnail(near_copy(image)))
    features = np.stack([*features, *of_copies])
    # Another hash gives another position in the split
    copies = [photo | {"sha256": photo["sha256"][::-1]} for photo in photos]
    ungrouped = [photo | {"group": photo["sha256"]} for photo in [*photos, *copies]]
    grouped = [*photos, *copies]
    found = []
    for seed in seeds:
        seeded = config.replace(seed=seed, optimizer="adam")
        accuracies = [_judge(rows, features, seeded) for rows in (ungrouped, grouped)]
        found.append({"seed": seed} | dict(zip(("leaky", "clean"), accuracies, strict=True)))
    return found


def _judge(photos: list[dict], features: np.ndarray, config: RunConfig) -> float:
    rows = split_photos(photos, config.test_fraction, config.val_fraction, config.seed)
    class_names = sorted({row["class_name"] for row in rows})
    labels = np.array([class_names.index(row["class_name"]) for row in rows])
    train, val, test = (np.array([row["split"] == split for row in rows]) for split in SPLITS)
    of_val = features[val][:, None], labels[val]
    head = train_head(features[train][:, None], labels[train], *of_val, class_names, config).head
    return float((head.probabilities(features[test]).argmax(axis=1) == labels[test]).mean())
