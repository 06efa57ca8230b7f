"""Unpack untrusted archives safely: the name, size and type of each entry are checked before it is written."""

import contextlib
import errno
import gzip
import os
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from bears_tl.errors import InputError, reason_of
from bears_tl.files import atomic_folder
from bears_tl.network.responses import refuse_page

MAX_FILES = 1_000_000  # files and folders
MAX_BYTES = 200 * 10**9
MAX_RATIO = 100  # unpacked bytes per archive byte; about 1 for photos, at most 1,032 for deflate
RATIO_FREE_BYTES = 100 * 10**6  # no ratio check below this: small archives of flat drawings compress well
MAX_NAME_BYTES = 255  # per part of a path, the limit of common file systems
MAX_PATH_BYTES = 1_000
MAX_HEADER_BYTES = 1_000_000  # tarfile reads a whole extended header into memory
COPY_BYTES = 256 * 1024

STARTS = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty archive
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
}
KINDS = ("tar", "gz", "bz2", "xz", "zip")


class ArchiveError(InputError):
    """The archive's content is unusable: not an archive, damaged, unsafe or over a limit."""


class OverLimitError(ArchiveError):
    """The archive exceeds a limit; it may be usable with higher limits."""


def kind_of(path: str | Path, name: str | None = None) -> str:
    """Identify an archive by its first bytes: tar, gz, bz2, xz (compressed tars) or zip.

    Args:
        path: the file.
        name: its name in messages; the path by default.

    Raises:
        ArchiveError: not an archive, an unsupported type, or empty.
        InputError: a web page, or not readable.
    """
    name = name or str(path)
    try:
        with open(path, "rb") as file:
            head = file.read(64 * 1024)
    except OSError as error:
        raise InputError(
            f"archive {name!r} could not be read ({error.strerror}): check the path and its permissions"
        ) from None
    refuse_page(head, name)
    kind = next((kind for start, kind in STARTS.items() if head.startswith(start)), None)
    with contextlib.suppress(tarfile.HeaderError):
        kind = kind or (tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape") and "tar")
    if kind in KINDS:
        return kind
    found = kind or (f"not an archive (it begins with {head[:8]!r})" if head else "empty")
    raise ArchiveError(f"{name!r} is {found}: expected a tar.xz, tar.gz, tar.bz2, tar or zip of class folders")


def extract(
    path: str | Path,
    folder: str | Path,
    *,
    max_files: int = MAX_FILES,
    max_bytes: int = MAX_BYTES,
    max_ratio: float = MAX_RATIO,
    name: str | None = None,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Unpack an archive into `folder`, atomically; nested archives are not unpacked.

    Args:
        path: the archive; its type is identified by content, see `kind_of`.
        folder: must not exist yet.
        max_files: limit on files and folders together.
        max_bytes: limit on the unpacked size of all files.
        max_ratio: limit on unpacked bytes per byte of the archive.
        name: name of the archive in messages; its path by default.
        check: called with the unpacked folder before it is renamed to `folder`; raises InputError to reject it.

    Raises:
        ArchiveError: not an archive, truncated, damaged, encrypted, over a limit, or containing an unsafe entry: an
            absolute path, `..`, a link, a device, a duplicate name or one that is too long.
        InputError: the disk is full, or `folder` cannot be written.
    """
    path, folder = Path(path), Path(folder)
    name = name or str(path)
    kind = kind_of(path, name)
    entries = _zip_entries if kind == "zip" else _tar_entries
    limit_bytes = min(max_bytes, max(RATIO_FREE_BYTES, int(max_ratio * path.stat().st_size)))
    too_large = f"unpacks to more than the allowed {limit_bytes:,} bytes; a decompression bomb?"
    too_large = _OverLimit(f"{too_large} (setting max_bytes)") if limit_bytes == max_bytes else _Unsafe(too_large)
    names = _Names(max_files)
    with atomic_folder(folder) as unfinished, _damage_named(name):
        _refuse_too_large(path, kind, limit_bytes, too_large, unfinished, name)
        left_bytes = limit_bytes
        for entry_name, is_folder, content in entries(path, kind, limit_bytes):
            target = unfinished.joinpath(*names.admit(entry_name, is_folder))
            if is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                while chunk := content.read(COPY_BYTES):
                    left_bytes -= len(chunk)
                    if left_bytes < 0:
                        raise too_large
                    file.write(chunk)
        if check:
            check(unfinished)
        if hasattr(os, "sync"):
            os.sync()  # once for all files: their content must be on disk before the folder is renamed


class _Unsafe(Exception):
    """What is wrong with the archive; the message completes the sentence "archive X ..."."""


class _OverLimit(_Unsafe):
    pass


class _Names:
    """The names seen so far, compared without case or Unicode form, as some file systems do."""

    def __init__(self, max_files: int):
        self.spellings: dict[str, str] = {}
        self.files: set[str] = set()
        self.max_files, self.count = max_files, 0

    def admit(self, name: str, is_folder: bool) -> list[str]:
        """Return the parts of a name, or raise _Unsafe if it is unsafe or a duplicate."""
        self.count += 1
        if self.count > self.max_files:
            raise _OverLimit(f"contains more than the allowed {self.max_files:,} files and folders (setting max_files)")
        if name.startswith("/") or PureWindowsPath(name).drive or PureWindowsPath(name).root:
            raise _Unsafe(f"contains an absolute path, {name[:100]!r}")
        if "\\" in name or "\0" in name:
            raise _Unsafe(f"contains a name with a backslash or a zero byte, {name[:100]!r}")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise _Unsafe(f"contains a path that leads out of it, {name[:100]!r}")
        sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
        if any(size > MAX_NAME_BYTES for size in sizes) or sum(sizes) + len(sizes) > MAX_PATH_BYTES:
            raise _Unsafe(f"contains a name that is too long, {name[:60]!r}...")
        if not parts and not is_folder:
            raise _Unsafe("contains a file without a name")
        for end in range(1, len(parts) + 1):
            self._admit_path("/".join(parts[:end]), is_folder or end < len(parts))
        return parts

    def _admit_path(self, path: str, is_folder: bool) -> None:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        known = self.spellings.get(key)
        if known not in (None, path):
            raise _Unsafe(f"contains two names that differ only in case or Unicode form, {known!r} and {path!r}")
        if key in self.files or (known and not is_folder):  # a folder's name may occur again, in each file's path
            raise _Unsafe(f"contains the name {path!r} twice")
        self.spellings[key] = path
        if not is_folder:
            self.files.add(key)


class _Header(tarfile.TarInfo):
    """A tar header that raises an error if truncated or damaged; tarfile would treat it as the end of the archive."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}" if buf else "the end is missing") from None
        if header.size < 0 or (not header.isreg() and header.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def _tar_entries(path: Path, kind: str, limit_bytes: int) -> Iterator[tuple[str, bool, BinaryIO]]:
    import bz2
    import lzma

    # Opened here because tarfile's own streams ignore a truncated end.
    openers = {"tar": open, "gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    with openers[kind](path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # otherwise up to a million headers stay in memory
            if member.issym() or member.islnk():
                raise _Unsafe(f"contains a link, {member.name[:100]!r}")
            if not (member.isdir() or member.isreg()) or member.issparse() or member.size < 0:
                raise _Unsafe(
                    f"contains {member.name[:100]!r}, which is neither a file nor a folder (a device or a pipe?)"
                )
            yield member.name, member.isdir(), tar.extractfile(member)
        for _ in range(limit_bytes // COPY_BYTES + 1):  # read to the very end, where the checksum is verified
            if not stream.read(COPY_BYTES):
                return
        raise _Unsafe("contains too much data after its last entry")


def _zip_entries(path: Path, kind: str, limit_bytes: int) -> Iterator[tuple[str, bool, BinaryIO]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & 0x1:
                raise _Unsafe("is encrypted: unpack it yourself and name the folder")
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode == stat.S_IFLNK:
                raise _Unsafe(f"contains a link, {info.filename[:100]!r}")
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _Unsafe(
                    f"contains {info.filename[:100]!r}, which is neither a file nor a folder (a device or a pipe?)"
                )
            with archive.open(info) as content:
                yield info.orig_filename, info.is_dir(), content


def _refuse_too_large(path: Path, kind: str, limit_bytes: int, too_large: _Unsafe, folder: Path, name: str) -> None:
    needed_bytes = path.stat().st_size  # a lower bound: a compressed tar does not state its unpacked size
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            needed_bytes = sum(info.file_size for info in archive.infolist())
        if needed_bytes > limit_bytes:
            raise too_large
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise InputError(
            f"{name!r} needs {needed_bytes:,} bytes unpacked, but only {free_bytes:,} are free at "
            f"{str(folder.parent)!r}: free some space and run again"
        )


@contextlib.contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Convert any error caused by the archive's content into a one-line ArchiveError; write errors pass through."""
    import lzma

    try:
        yield
    except _Unsafe as error:
        kind = OverLimitError if isinstance(error, _OverLimit) else ArchiveError
        raise kind(f"archive {name!r} {error}: nothing was unpacked") from None
    except EOFError:
        raise _damaged(name, "truncated", "unexpected end of file") from None
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        ValueError,
        struct.error,
        IndexError,
    ) as error:
        truncated = re.search(r"unexpected end|truncated|end is missing|not a zip file", str(error))
        raise _damaged(name, "truncated" if truncated else "damaged", error) from None
    except (RecursionError, OverflowError, MemoryError, NotImplementedError, RuntimeError) as error:
        raise _damaged(name, "damaged or of an unsupported type", error) from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # gzip and bz2 report bad data as an OSError without errno
            raise
        raise _damaged(name, "damaged", error) from None


def _damaged(name: str, what: str, error) -> ArchiveError:
    return ArchiveError(f"archive {name!r} is {what} ({reason_of(error)}): nothing was unpacked; get a new copy of it")
