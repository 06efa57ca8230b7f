"""Files and folders that systems and programs leave among photos, and that are never meant."""


def is_clutter(name: str) -> bool:
    """Tell by its name, without the folders it lies in, whether a file or folder is to be passed over."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")
