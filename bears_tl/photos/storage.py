"""Read photo files from a folder or from a bucket."""

import functools
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.photos.views import View, read_views

Decoded = TypeVar("Decoded")


def read_photo(base: str | Path, photo: dict, views: list[View]) -> list[np.ndarray]:
    """Read a photo's views, uint8 [299, 299, 3] each; see `decode_photo`."""
    return decode_photo(base, photo, lambda file: read_views(file, views, photo["sha256"]))


def decode_photo(base: str | Path, photo: dict, decode: Callable[[BinaryIO], Decoded]) -> Decoded:
    """Read and decode a photo after checking that its content is unchanged since intake.

    Args:
        base: folder that the photo's path is relative to, or an address such as s3://bucket/folder.
        photo: row with path and sha256.
        decode: called with the open file; its result is returned.

    Raises:
        InputError: the photo cannot be read, or has changed since intake.
    """
    bucket = _bucket(str(base)) if "://" in str(base) else None
    try:
        data = _read_from(*bucket, photo["path"]) if bucket else Path(base, photo["path"]).read_bytes()
        if hashlib.sha256(data).hexdigest() == photo["sha256"]:
            return decode(io.BytesIO(data))
        reason = "it was changed since the intake"
    except Exception as error:  # decoders raise errors of many types
        reason = reason_of(error)
    name = f"{base}/{photo['path']}" if bucket else str(Path(base, photo["path"]))
    raise InputError(f"{name!r} can no longer be used ({reason}): run the intake again")


def _read_from(filesystem, folder: str, path: str) -> bytes:
    with filesystem.open_input_file(f"{folder.rstrip('/')}/{path}") as file:
        return file.read()


@functools.cache
def _bucket(address: str) -> tuple:
    """Return the pyarrow filesystem of an address, and the folder in it; pyarrow finds the user's credentials."""
    try:
        from pyarrow.fs import FileSystem
    except ImportError:
        raise InputError(f"photos under {address!r} need the extra `ray`: pip install 'bears_tl[ray]'") from None
    try:
        return FileSystem.from_uri(address)
    except Exception as error:  # Arrow raises errors of many types
        raise InputError(
            f"{address!r} cannot be opened ({reason_of(error)}): expected an address such as s3://bucket/folder"
        ) from None
