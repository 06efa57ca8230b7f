"""The loop of 10_loop, on a copy of a run's photos: some are labelled at first, the others come in as new ones."""

import shutil
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.files import write_csv
from bears_tl.photos.edits import EDIT_COLUMNS
from bears_tl.photos.intake import MIN_PHOTOS_PER_CLASS
from bears_tl.photos.splits import SPLITS
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

MOST_CLASSES = 10
MOST_PHOTOS = {"train": 40, "val": 10, "test": 20}  # of a class: a demonstration takes a minute, not hours
FIRST_SHARE = 4  # one in so many training photos has a label at first
_LEAST_TRAINED = 2  # photos of a class, for folds


def divide(run: Run, folder: str | Path) -> dict[str, str]:
    """Copy photos of a run to a folder, as if most of them were new; an earlier copy there is removed.

    It gets `photos/`, split into train, val and test above class folders, `new/`, where the other training photos have
    no class, and an empty table of corrections, `edits.csv`. Of many photos only some are drawn.

    Args:
        run: a run whose photos are split; its photos are only read.
        folder: a folder in the run's.

    Returns:
        The class of each new photo, by its SHA-256.

    Raises:
        InputError: a photo is gone, or the folder is not in the run's.
    """
    folder, source = Path(folder), artifacts.photo_folder(run)
    if run.folder.resolve() not in folder.resolve().parents:
        raise InputError(f"{str(folder)!r} is not in the run {str(run.folder)!r}, so it is left alone")
    shutil.rmtree(folder, ignore_errors=True)
    of_split = artifacts.split_rows(run)
    names = sorted({row["class_name"] for row in of_split["train"]})
    truths: dict[str, str] = {}
    for class_name in sorted(artifacts.draw(run, names, MOST_CLASSES)):
        drawn = {}
        for split in SPLITS:
            of_class = [row for row in of_split[split] if row["class_name"] == class_name]
            drawn[split] = artifacts.draw(run, of_class, MOST_PHOTOS[split])
        least = MIN_PHOTOS_PER_CLASS - len(drawn["val"]) - len(drawn["test"])
        first = max(-(-len(drawn["train"]) // FIRST_SHARE), _LEAST_TRAINED, least)
        new = drawn["train"][first:]
        drawn["train"] = drawn["train"][:first]
        truths |= {row["sha256"]: class_name for row in new}
        places = {f"photos/{split}/{class_name}": rows for split, rows in drawn.items()} | {"new": new}
        for place, rows in places.items():
            (folder / place).mkdir(parents=True, exist_ok=True)
            for row in rows:
                _copy(source / row["path"], folder / place / f"{row['sha256'][:16]}{Path(row['path']).suffix}")
    write_csv(folder / "edits.csv", EDIT_COLUMNS, [])
    return truths


def train(run: Run, folder: str | Path, name: str) -> Run:
    """Train a head on the photos of such a folder as they are now, with the run's settings, and return its run.

    Args:
        run: the run that was divided; features of its photos are in the cache.
        folder: see `divide`.
        name: the new run is the folder of this name in it.
    """
    folder = Path(folder)
    changes = {"photos": str(folder / "photos"), "edits": str(folder / "edits.csv"), "split": "given"}
    trained = Run(run.config.replace(run=str(folder / name), **changes))
    stages.fetch(trained)
    stages.intake(trained)
    stages.split(trained)
    body = stages.restore(trained)
    stages.train(trained, stages.features(trained, body))
    return trained


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise InputError(f"{str(source)!r} could not be copied ({error.strerror}): run 01_fetch again") from None
