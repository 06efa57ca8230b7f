"""The predicting door: photos of any place through a trained run."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from bears_tl.errors import InputError, reason_of
from bears_tl.judging.predictions import to_row
from bears_tl.photos.clutter import is_clutter
from bears_tl.photos.views import CENTER, read_views
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run

_CHUNK = 256  # photos held at once


def find_photos(paths: Iterable[str | Path]) -> list[Path]:
    """List files as they are named, and all files below folders, sorted; clutter is left out.

    Raises:
        InputError: a path that is not there, or nothing found.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            below = (file for file in path.rglob("*") if file.is_file())
            found += sorted(file for file in below if not any(map(is_clutter, file.relative_to(path).parts)))
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"no photo at {str(path)!r}: name photo files or folders that hold some")
    if not found:
        raise InputError(f"no files in {', '.join(repr(str(path)) for path in paths)}: name photo files or folders")
    return found


def predict(run: Run, paths: list[Path]) -> tuple[list[dict], list[dict]]:
    """Classify photos with a run's head, each by its center view, exactly as the test was judged.

    Args:
        run: a trained run.
        paths: photo files.

    Returns:
        Rows as in predictions.csv, and rows (path, detail) for files that could not be read as a photo.

    Raises:
        InputError: the run is not trained, or its checkpoint is gone or was changed.
    """
    from bears_tl.training.head import Head

    head = Head.load(run.path("head.npz"))
    body = artifacts.load_body(run)
    rows, unreadable = [], []
    for start in range(0, len(paths), _CHUNK):
        readable, views = [], []
        for path in paths[start : start + _CHUNK]:
            try:
                views.append(read_views(path, [CENTER], "")[0])
                readable.append(path)
            except Exception as error:  # decoders raise many kinds
                detail = "not an image" if isinstance(error, UnidentifiedImageError) else reason_of(error)
                unreadable.append({"path": str(path), "detail": detail})
        if readable:
            shares = head.probabilities(body.features(np.stack(views)))
            rows += [to_row({"path": str(path)}, p, head.class_names) for path, p in zip(readable, shares, strict=True)]
    return rows, unreadable
