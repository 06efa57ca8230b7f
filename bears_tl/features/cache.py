"""The feature cache: append-only shards on disk, indexed by photo and view, read row by row."""

import contextlib
import dataclasses
import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError
from bears_tl.files import atomic_path
from bears_tl.inception import architecture
from bears_tl.inception.architecture import POOLED
from bears_tl.lock import one_at_a_time
from bears_tl.photos import views
from bears_tl.photos.views import View

FOLDER = "features"
SHARD_ROWS = 256  # the most that a killed run loses; a shard is 3 MiB
_ROW_BYTES = 2 * POOLED  # float16: 12 kB
_SHARD_STRIDE = 1 << 20  # a row's place is one number: shard * this + row
MISSING = -1


@dataclasses.dataclass
class _Shard:
    """A file of features, or features in memory if no file could be written."""

    path: Path
    offset: int = 0  # of the first row in the file
    verified: bool = False
    rows: np.ndarray | None = None


class FeatureCache:
    """Features on disk, indexed by (photo's SHA-256, view), in one folder per body (weights, precision and engine).

    A shard is an uncompressed .npz of keys, uint8 [n, 32], and features, float16 [n, 6144], written atomically. Its zip
    checksums are verified on first use. If that fails, or if the shard is of another version, a message names it and
    its features are computed again. Rows are read directly from the file, so memory holds only about 0.2 kB per row.
    Several processes can fill one cache at the same time, because each adds its own files.
    """

    def __init__(self, folder: str | Path, fingerprint: str, bits: str):
        """Open or create the cache of one body.

        Args:
            folder: the folder with the caches of all bodies.
            fingerprint: the SHA-256 of the body's checkpoint.
            bits: precision and engine of the body, see `inception.body.bits_of`.
        """
        self.folder = Path(folder) / FOLDER / f"{fingerprint[:16]}-{bits}"
        self._shards: list[_Shard] = []
        self._places: dict[bytes, int] = {}
        for path in sorted(self.folder.glob("*.npz")):
            self._enter(path)

    def __len__(self):
        return len(self._places)

    def places(self, photos: list[str], views: list[View]) -> np.ndarray:
        """Look up features and verify their shards.

        Args:
            photos: the SHA-256 of each photo.
            views: the views of each photo.

        Returns:
            int64 [n photos, n views], places to pass to `read`; MISSING where the cache has no features.
        """
        keys = [[key(sha256, view) for view in views] for sha256 in photos]
        while True:
            found = np.array([[self._places.get(key, MISSING) for key in row] for row in keys], np.int64)
            found = found.reshape(len(photos), len(views))
            used = [self._shards[number] for number in np.unique(found[found != MISSING] // _SHARD_STRIDE)]
            if not [shard for shard in used if not shard.verified and not self._verify(shard)]:
                return found

    def read(self, places: np.ndarray) -> np.ndarray:
        """Read features.

        Args:
            places: int64 [n], none of them MISSING.

        Returns:
            float16 [n, 6144].

        Raises:
            InputError: a shard is missing, because another process has pruned the cache.
        """
        features = np.empty((len(places), POOLED), np.float16)
        numbers, rows = np.divmod(places, _SHARD_STRIDE)
        for number in np.unique(numbers):
            shard, here = self._shards[number], np.flatnonzero(numbers == number)
            if shard.rows is not None:
                features[here] = shard.rows[rows[here]]
                continue
            try:
                with open(shard.path, "rb", buffering=0) as file:
                    for i in here:
                        file.seek(shard.offset + int(rows[i]) * _ROW_BYTES)
                        if file.readinto(features[i].data) != _ROW_BYTES:
                            raise OSError("cut off")
            except OSError as error:
                raise InputError(
                    f"{str(shard.path)!r} cannot be read ({error}), because the cache was changed meanwhile: run again"
                ) from None
        return features

    def put(self, rows: list[tuple[str, View]], features: np.ndarray) -> None:
        """Store features, float16 [n, 6144], of n (SHA-256, view) pairs.

        If no file can be written (full disk, no permission), they are kept in memory for this process only. A message
        says so once.
        """
        keys = [key(sha256, view) for sha256, view in rows]
        path = self.folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()[:32]}.npz"
        try:
            _write(path, keys, features)
        except InputError as error:
            if not any(shard.rows is not None for shard in self._shards):  # print it once
                print(f"Features are not kept for later runs: {error}")
            self._add(_Shard(path, verified=True, rows=features), keys)
        else:
            self._enter(path)

    def prune(self, keep: set[bytes]) -> int:
        """Rewrite the rows to keep in full shards and remove all others; one process at a time.

        Args:
            keep: the keys of the rows to keep, see `key`.

        Returns:
            The number of removed rows.

        Raises:
            InputError: the folder cannot be written.
        """
        with one_at_a_time(self.folder / "prune", "the feature cache"):
            for shard in list(self._shards):
                self._verify(shard)
            before = [shard.path for shard in self._shards]
            kept = sorted(keep & set(self._places))
            written = set()
            for start in range(0, len(kept), SHARD_ROWS):
                keys = kept[start : start + SHARD_ROWS]
                path = self.folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()[:32]}.npz"
                _write(path, keys, self.read(np.array([self._places[key] for key in keys])))
                written.add(path)
            removed = len(self) - len(kept)
            for path in set(before) - written:
                path.unlink(missing_ok=True)
            self._shards, self._places = [], {}
            for path in sorted(written):
                self._enter(path)
            return removed

    def _enter(self, path: Path) -> None:
        """Index the rows of a shard and find where they begin in the file."""
        try:
            with zipfile.ZipFile(path) as archive:
                with archive.open("keys.npy") as file:
                    keys = np.lib.format.read_array(file, allow_pickle=False)
                with archive.open("features.npy") as file:
                    shape, order, dtype = _header(file)
                    header_bytes = file.tell()
                entry = archive.getinfo("features.npy")
            expected = ((len(keys), POOLED), False, np.float16, (len(keys), 32), zipfile.ZIP_STORED)
            if (shape, order, dtype, keys.shape, entry.compress_type) != expected or not 0 < len(keys) < _SHARD_STRIDE:
                raise ValueError(f"another version: {dtype} {list(shape)}")
            offset = _data_offset(path, entry) + header_bytes
        except FileNotFoundError:
            return  # another process has just pruned it
        except Exception as error:  # zipfile and NumPy raise many kinds on broken files
            self._refuse(path, error)
            return
        self._add(_Shard(path, offset), [row.tobytes() for row in keys])

    def _add(self, shard: _Shard, keys: list[bytes]) -> None:
        first = len(self._shards) * _SHARD_STRIDE
        self._shards.append(shard)
        self._places.update(zip(keys, range(first, first + len(keys)), strict=True))

    def _verify(self, shard: _Shard) -> bool:
        """Verify the checksums of a shard once; return whether it can be used."""
        if shard.verified:
            return True
        try:
            with zipfile.ZipFile(shard.path) as archive:
                if broken := archive.testzip():
                    raise ValueError(f"the checksum of {broken} is wrong")
        except Exception as error:
            number = self._shards.index(shard)
            self._places = {key: at for key, at in self._places.items() if at // _SHARD_STRIDE != number}
            self._refuse(shard.path, error)
            return False
        shard.verified = True
        return True

    def _refuse(self, path: Path, error: Exception) -> None:
        print(f"The cache shard {path} cannot be used ({error}); its features are computed again.")
        with contextlib.suppress(OSError):  # without permission the file stays, and the next run prints this again
            path.unlink(missing_ok=True)


def key(sha256: str, view: View) -> bytes:
    """Return the 32-byte key of features: a hash of the photo's content, the view and the versions of the code."""
    return hashlib.sha256(f"{sha256}|{view}|{views.VERSION}|{architecture.VERSION}".encode()).digest()


def describe(folder: str | Path) -> list[dict]:
    """List the caches of all bodies in a folder: name, shards, rows and bytes."""
    found = []
    for path in sorted(Path(folder, FOLDER).glob("*-*/")):
        if shards := list(path.glob("*.npz")):
            fingerprint, _, bits = path.name.partition("-")
            cache = FeatureCache(folder, fingerprint, bits)
            size_bytes = sum(shard.stat().st_size for shard in shards)
            found.append({"name": path.name, "shards": len(shards), "rows": len(cache), "bytes": size_bytes})
    return found


def _write(path: Path, keys: list[bytes], features: np.ndarray) -> None:
    assert features.dtype == np.float16 and features.shape == (len(keys), POOLED)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32), features=features)


def _header(file) -> tuple:
    """Read an .npy header: shape, whether in Fortran order, dtype."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"another version: .npy {version}")
    return np.lib.format.read_array_header_1_0(file)


def _data_offset(path: Path, entry: zipfile.ZipInfo) -> int:
    """Find where a zip member's data begin: after its local header, which has its own name and extra field lengths.

    See APPNOTE.TXT 4.3.7, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
    """
    with open(path, "rb") as file:
        header = os.pread(file.fileno(), 30, entry.header_offset)
    return entry.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
