"""Unpack an archive that nobody vouches for: each name, size and kind of entry is checked before it is written."""

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

MAX_FILES = 1_000_000  # folders count too
MAX_BYTES = 200 * 10**9
MAX_RATIO = 100  # bytes out for one byte in; photos are about 1, deflate reaches 1,032
RATIO_FREE_BYTES = 100 * 10**6  # below this the ratio is not looked at: a small archive of flat drawings is no bomb
MAX_NAME_BYTES = 255  # of one part of a path, the limit of the usual file systems
MAX_PATH_BYTES = 1_000
MAX_HEADER_BYTES = 1_000_000  # tarfile reads an extended header into memory whole
COPY_BYTES = 256 * 1024

STARTS = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
}
KINDS = ("tar", "gz", "bz2", "xz", "zip")


class ArchiveError(InputError):
    """The content of an archive is at fault: it is none, damaged, hostile or over the limits."""


class OverLimitError(ArchiveError):
    """An archive is larger than what is allowed: with other limits it may be of use."""


def kind_of(path: str | Path, name: str | None = None) -> str:
    """Judge by its first bytes what an archive is: tar, gz, bz2, xz (a compressed tar each) or zip.

    Args:
        path: the file.
        name: what to call it in messages; the path by default.

    Raises:
        ArchiveError: no archive, one of a kind that is not read, or empty.
        InputError: a web page, or not readable.
    """
    name = name or str(path)
    try:
        with open(path, "rb") as file:
            head = file.read(64 * 1024)
    except OSError as error:
        raise InputError(
            f"archive {name!r} could not be read ({error.strerror}): check the path and its rights"
        ) from None
    refuse_page(head, name)
    kind = next((kind for start, kind in STARTS.items() if head.startswith(start)), None)
    with contextlib.suppress(tarfile.HeaderError):
        kind = kind or (tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape") and "tar")
    if kind in KINDS:
        return kind
    found = kind or (f"no archive, it begins with {head[:8]!r}" if head else "empty")
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
    """Unpack an archive into `folder`, which appears whole or not at all; archives inside stay files.

    Args:
        path: judged by content, see `kind_of`.
        folder: must not be there yet.
        max_files: files and folders together.
        max_bytes: of all files, unpacked.
        max_ratio: unpacked bytes for one byte of the archive.
        name: what to call the archive in messages; its path by default.
        check: called with the unpacked folder before it takes its name; raises InputError to refuse it.

    Raises:
        ArchiveError: not an archive, truncated, damaged, encrypted, over a limit, or with an entry that is refused: an
            absolute path, `..`, a link, a device, a name that is there twice or too long.
        InputError: no space, or `folder` cannot be written.
    """
    path, folder = Path(path), Path(folder)
    name = name or str(path)
    kind = kind_of(path, name)
    entries = _zip_entries if kind == "zip" else _tar_entries
    limit_bytes = min(max_bytes, max(RATIO_FREE_BYTES, int(max_ratio * path.stat().st_size)))
    too_large = f"unpacks to more than the allowed {limit_bytes:,} bytes; a decompression bomb?"
    too_large = _OverLimit(f"{too_large} (setting max_bytes)") if limit_bytes == max_bytes else _Refused(too_large)
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
            os.sync()  # one for all files: the folder must not be renamed before its content is on the disk


class _Refused(Exception):
    """What is wrong with the archive, as the end of a sentence."""


class _OverLimit(_Refused):
    pass


class _Names:
    """The names seen so far, told apart as the most forgetful file system would: without case or Unicode form."""

    def __init__(self, max_files: int):
        self.spellings: dict[str, str] = {}
        self.files: set[str] = set()
        self.max_files, self.count = max_files, 0

    def admit(self, name: str, is_folder: bool) -> list[str]:
        """Return the parts of a name that is safe and new, or raise _Refused."""
        self.count += 1
        if self.count > self.max_files:
            raise _OverLimit(f"holds more than the allowed {self.max_files:,} files and folders (setting max_files)")
        if name.startswith("/") or PureWindowsPath(name).drive or PureWindowsPath(name).root:
            raise _Refused(f"holds an absolute path, {name[:100]!r}")
        if "\\" in name or "\0" in name:
            raise _Refused(f"holds a name with a backslash or a zero byte, {name[:100]!r}")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise _Refused(f"holds a path that leads out of it, {name[:100]!r}")
        sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
        if any(size > MAX_NAME_BYTES for size in sizes) or sum(sizes) + len(sizes) > MAX_PATH_BYTES:
            raise _Refused(f"holds a name that is too long, {name[:60]!r}...")
        if not parts and not is_folder:
            raise _Refused("holds a file without a name")
        for end in range(1, len(parts) + 1):
            self._admit_path("/".join(parts[:end]), is_folder or end < len(parts))
        return parts

    def _admit_path(self, path: str, is_folder: bool) -> None:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        known = self.spellings.get(key)
        if known not in (None, path):
            raise _Refused(f"holds two names that differ only in case or Unicode form, {known!r} and {path!r}")
        if key in self.files or (known and not is_folder):  # a folder may be named again, by each file in it
            raise _Refused(f"holds the name {path!r} twice")
        self.spellings[key] = path
        if not is_folder:
            self.files.add(key)


class _Header(tarfile.TarInfo):
    """A header that is cut or damaged is an error; tarfile takes it for the end of the archive."""

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

    # Opened here and not by tarfile, whose own streams pass over a truncated end.
    openers = {"tar": open, "gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    with openers[kind](path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # or a million headers stay in memory
            if member.issym() or member.islnk():
                raise _Refused(f"holds a link, {member.name[:100]!r}")
            if not (member.isdir() or member.isreg()) or member.issparse() or member.size < 0:
                raise _Refused(f"holds {member.name[:100]!r}, which is neither a file nor a folder (a device, a pipe?)")
            yield member.name, member.isdir(), tar.extractfile(member)
        for _ in range(limit_bytes // COPY_BYTES + 1):  # the checksum stands at the very end
            if not stream.read(COPY_BYTES):
                return
        raise _Refused("goes on and on behind its end")


def _zip_entries(path: Path, kind: str, limit_bytes: int) -> Iterator[tuple[str, bool, BinaryIO]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & 0x1:
                raise _Refused("is encrypted: unpack it yourself and give the folder")
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode == stat.S_IFLNK:
                raise _Refused(f"holds a link, {info.filename[:100]!r}")
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _Refused(
                    f"holds {info.filename[:100]!r}, which is neither a file nor a folder (a device, a pipe?)"
                )
            with archive.open(info) as content:
                yield info.orig_filename, info.is_dir(), content


def _refuse_too_large(path: Path, kind: str, limit_bytes: int, too_large: _Refused, folder: Path, name: str) -> None:
    needed_bytes = path.stat().st_size  # of a compressed tar the true size is not known before it is read
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            needed_bytes = sum(info.file_size for info in archive.infolist())
        if needed_bytes > limit_bytes:
            raise too_large
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise InputError(
            f"{name!r} needs {needed_bytes:,} bytes unpacked, {free_bytes:,} are free at {str(folder.parent)!r}: "
            "free some space and run again"
        )


@contextlib.contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Turn whatever a reader raises over an archive's content into one line; errors of writing pass."""
    import lzma

    try:
        yield
    except _Refused as error:
        kind = OverLimitError if isinstance(error, _OverLimit) else ArchiveError
        raise kind(f"archive {name!r} {error}: refused, nothing was unpacked") from None
    except EOFError:
        raise _damaged(name, "truncated", "it ends too early") from None
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
        raise _damaged(name, "damaged or of a kind that is not read", error) from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # gzip and bz2 tell of bad data by an OSError without a number
            raise
        raise _damaged(name, "damaged", error) from None


def _damaged(name: str, what: str, error) -> ArchiveError:
    return ArchiveError(f"archive {name!r} is {what} ({reason_of(error)}): fetch or make it anew; nothing was unpacked")
