"""Read the facts of a file (hash, format, size, perceptual hashes, or why it is not a photo) and cache them."""

import contextlib
import json
import math
import os
import sqlite3
import stat
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from bears_tl.errors import InputError
from bears_tl.files import write_error
from bears_tl.lock import one_at_a_time
from bears_tl.photos.flatness import entropy_bits
from bears_tl.photos.formats import PhotoError, readable_formats
from bears_tl.photos.groups import HASH_BYTES, HASHES, THUMBNAIL_PX, grey_thumbnail, perceptual_hashes
from bears_tl.photos.image import HUGE_PX, decoded, open_image, to_rgb

VERSION = 3  # increase it when the meaning of the facts changes
_ANIMATED = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")
_HASHED_SIDE_PX = 4 * THUMBNAIL_PX  # a huge photo is shrunk to no less before it is hashed
_TABLE = "CREATE TABLE facts (key TEXT PRIMARY KEY, version TEXT, facts BLOB) WITHOUT ROWID"


def read_facts(path: str | Path, max_megapixels: float = math.inf) -> dict:
    """Read a file once, decode it fully and return its facts.

    Args:
        path: any file; pipes, sockets and devices are not opened.
        max_megapixels: a photo of which more must be in memory at once is not decoded: its reason is too_large.

    Returns:
        bytes; sha256, format, mode, width, height (as stored, before EXIF), frames, hashes (uint8 [27, 32]) and
        entropy_bits (of the grey levels) as far as the file could be read; reason (not_an_image, truncated, damaged,
        empty, too_large or unreadable) and detail, both empty for a photo. The file's content never raises an error.
    """
    import hashlib

    facts: dict = {"reason": "", "detail": ""}
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return facts | {"reason": "not_an_image", "detail": "a pipe, socket or device"}
        facts["bytes"] = status.st_size
        if not status.st_size:
            return facts | {"reason": "empty", "detail": "0 bytes"}
        with open(path, "rb") as file:
            facts["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            with open_image(file, max_megapixels) as image:
                facts |= {"format": image.format, "mode": image.mode, "width": image.width, "height": image.height}
                # Several images are no animation in an MPO (preview, stereo pair) or a PSD (layers).
                facts["frames"] = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
                is_huge = image.width * image.height > min(HUGE_PX, max_megapixels * 10**6)
                smallest_side_px = _HASHED_SIDE_PX if is_huge else None
                with decoded(image, smallest_side_px, max_megapixels) as pixels:
                    grey = grey_thumbnail(to_rgb(_small(pixels), smallest_side_px))
                facts |= {"hashes": perceptual_hashes(grey), "entropy_bits": entropy_bits(grey)}
    except PhotoError as error:
        return facts | {"reason": error.reason, "detail": str(error)}
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on broken files
        if isinstance(error, MemoryError) or getattr(error, "errno", None):
            facts.pop("sha256", None)  # a fault of the machine, not of the content: without a hash it is not cached
        words = str(error).lower()
        reason = "truncated" if "truncated" in words else "too_large" if "too large" in words else "unreadable"
        return facts | {"reason": reason, "detail": " ".join(f"{type(error).__name__}: {error}".split())}
    return facts


def _small(image: Image.Image) -> Image.Image:
    """Shrink an image before colour conversion if the mode allows it: large photos are hashed several times faster."""
    if image.mode in ("L", "RGB", "CMYK"):
        return image.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return image


class FactCache:
    """An SQLite cache of file facts, keyed by device, inode, size, modification time and status change time.

    A changed file is read again, even if a program restored its size and modification time. So is a file that was
    renamed or got other permissions, because these change its status, too; renaming its folder does not. The cache
    survives a kill at any time, and several processes may use it at once.
    """

    def __init__(self, path: str | Path):
        """Open or create the cache; a damaged cache is replaced, entries of other versions are deleted.

        Raises:
            InputError: the folder cannot be written.
        """
        # A different version of Pillow, or different plugins, may read more or fewer files.
        self._version = f"{VERSION} {PIL.__version__} {' '.join(readable_formats())}"
        self._unsaved: list[tuple] = []  # written together, because other processes must wait during a write
        path = Path(path)
        with one_at_a_time(path, "the intake cache"):  # so that no process replaces a cache another just created
            try:
                try:
                    self._connect(path)
                except sqlite3.DatabaseError as error:
                    if isinstance(error, sqlite3.OperationalError):
                        raise
                    print(f"The cache {path} is damaged ({error}): creating a new one and reading all files again.")
                    self._database.close()
                    path.unlink()
                    self._connect(path)
            except OSError as error:
                raise write_error(path, error) from error
            except sqlite3.OperationalError as error:
                raise InputError(
                    f"the cache {str(path)!r} could not be written ({error}): check the permissions of its folder"
                ) from error

    def _connect(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=60)
        self._database.execute("PRAGMA journal_mode = WAL")  # a reader does not wait for a writer
        self._database.execute("PRAGMA synchronous = NORMAL")
        with self._database:
            if self._database.execute("SELECT sql FROM sqlite_master WHERE name = 'facts'").fetchone() != (_TABLE,):
                self._database.execute("DROP TABLE IF EXISTS facts")
                self._database.execute(_TABLE)
            self._database.execute("DELETE FROM facts WHERE version != ?", [self._version])

    def get(self, status: os.stat_result) -> dict | None:
        """Return the facts of a file with this status, or None if it was not read yet."""
        key = [_key(status), self._version]
        with contextlib.suppress(Exception):  # a damaged row may raise any error: read the file again
            row = self._database.execute("SELECT facts FROM facts WHERE key = ? AND version = ?", key).fetchone()
            return row and _unpacked(row[0])
        return None

    def put(self, status: os.stat_result, facts: dict) -> None:
        """Add the facts of a file whose content was read; `save` writes them to disk."""
        if "sha256" in facts:
            self._unsaved.append((_key(status), self._version, _packed(facts)))

    def save(self) -> None:
        """Write the facts added since the last save."""
        with contextlib.suppress(sqlite3.Error), self._database:  # a full disk only makes the next intake slower
            self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", self._unsaved)
        self._unsaved.clear()

    def close(self) -> None:
        """Save and close the file."""
        self.save()
        self._database.close()


def _key(status: os.stat_result) -> str:
    # No program can set st_ctime_ns, the time of the last change of content or status. On Windows it is the time of
    # creation: there, a file that was changed in place with its size and modification time restored is not noticed.
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _packed(facts: dict) -> bytes:
    """Serialize facts as JSON, a newline and the hashes; zlib's checksum detects changed bytes."""
    hashes = facts["hashes"].tobytes() if "hashes" in facts else b""
    texts = json.dumps({name: value for name, value in facts.items() if name != "hashes"})
    return zlib.compress(texts.encode() + b"\n" + hashes, 1)


def _unpacked(packed: bytes) -> dict:
    texts, _, hashes = zlib.decompress(packed).partition(b"\n")
    facts = json.loads(texts)
    return facts | {"hashes": np.frombuffer(hashes, np.uint8).reshape(HASHES, HASH_BYTES)} if hashes else facts
