"""Photo files where they lie: in a folder, or under the address of a bucket."""

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
    """Read a photo whose content has the hash that the intake saw.

    Args:
        base: the folder, or an address such as s3://bucket/folder, that the photo's path is relative to.
        photo: with path and sha256.
        decode: makes what is wanted of the open file.

    Raises:
        InputError: it cannot be read, or is no longer what the intake saw.
    """
    bucket = _bucket(str(base)) if "://" in str(base) else None
    try:
        data = _read_from(*bucket, photo["path"]) if bucket else Path(base, photo["path"]).read_bytes()
        if hashlib.sha256(data).hexdigest() == photo["sha256"]:
            return decode(io.BytesIO(data))
        reason = "it was changed since the intake"
    except Exception as error:  # decoders raise many kinds
        reason = reason_of(error)
    name = f"{base}/{photo['path']}" if bucket else str(Path(base, photo["path"]))
    raise InputError(f"{name!r} can no longer be used ({reason}): run the intake again")


def _read_from(filesystem, folder: str, path: str) -> bytes:
    with filesystem.open_input_file(f"{folder.rstrip('/')}/{path}") as file:
        return file.read()


@functools.cache
def _bucket(address: str) -> tuple:
    """Open an address: the pyarrow filesystem, which finds the user's credentials itself, and the folder in it."""
    try:
        from pyarrow.fs import FileSystem
    except ImportError:
        raise InputError(f"photos under {address!r} need the extra `ray`: pip install 'bears_tl[ray]'") from None
    try:
        return FileSystem.from_uri(address)
    except Exception as error:  # Arrow raises many kinds
        raise InputError(
            f"{address!r} cannot be opened ({reason_of(error)}): expected an address such as s3://bucket/folder"
        ) from None
