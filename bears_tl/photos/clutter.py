"""Files and folders among photos that are not the user's: the systems' own, and those that this project writes."""

import contextlib
import os
from pathlib import Path

_NAMES = frozenset({
    "__macosx", "icon\r",  # macOS
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler", "found.000",  # Windows
    "system volume information",
    "lost+found",  # Linux
    "@eadir", "#recycle", "#snapshot", "@recycle", "@tmp",  # Synology and QNAP; @eaDir holds thumbnails of every photo
    "picasa.ini", "zbthumbnail.info",
})  # fmt: skip
_OWN_TABLES = frozenset({
    "sources.csv", "attribution.md", "photos.csv", "quarantine.csv", "refused.csv", "splits.csv", "predictions.csv",
    "edits.csv", "answers.csv", "lock.json",
})  # fmt: skip


def is_clutter(name: str) -> bool:
    """Return whether a file or folder should be ignored, judging by its own name (without parent folders)."""
    name = name.casefold()
    return name.startswith(".") or name in _NAMES or name.endswith("zone.identifier")  # Windows: "from the internet"


def is_in_icloud(name: str) -> bool:
    """Return whether a file stands for one that macOS has moved to iCloud: `.cat.jpg.icloud`, without its content."""
    return name.startswith(".") and name.casefold().endswith(".icloud")


def is_own_table(name: str) -> bool:
    """Return whether a file beside the class folders has the name of a table that this project writes."""
    return name.casefold() in _OWN_TABLES


def is_own_folder(folder: str | Path) -> bool:
    """Return whether a folder is a run or a cache of this project, or holds nothing but such folders.

    False for a folder that cannot be read.
    """
    if _is_marked(Path(folder)):
        return True
    with contextlib.suppress(OSError):
        inside = (path for path in Path(folder).iterdir() if not is_clutter(path.name) and path.name != "README.md")
        first = next(inside, None)
        return first is not None and _is_marked(first) and all(map(_is_marked, inside))
    return False


def _is_marked(folder: Path) -> bool:
    """Return whether a folder holds the receipt of a run, or the table of the intake, which is in a cache."""
    if os.path.isfile(folder / "intake.sqlite"):  # Path.is_file raises where this is not allowed
        return True
    with contextlib.suppress(OSError):
        return b'"stages"' in (folder / "receipt.json").read_bytes()  # others may have a file of this name
    return False
