"""Files and folders that operating systems and programs leave among photos."""


def is_clutter(name: str) -> bool:
    """Return whether a file or folder should be ignored, judging by its own name (without parent folders)."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")
