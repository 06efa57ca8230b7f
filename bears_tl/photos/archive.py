"""Unpack untrusted archives safely: the name, size and type of each entry are checked before it is written.

An odd entry is left out; an archive that is damaged or over a limit as a whole is refused.
"""

import bz2
import contextlib
import dataclasses
import errno
import gzip
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from bears_tl.errors import InputError, reason_of
from bears_tl.files import atomic_folder
from bears_tl.network.responses import refuse_page
from bears_tl.photos import left_out

MAX_FILES = 1_000_000  # files and folders
MAX_BYTES = 200 * 10**9
MAX_RATIO = 100  # unpacked bytes per archive byte; about 1 for photos, at most 1,032 for deflate
RATIO_FREE_BYTES = 100 * 10**6  # no ratio check below this: small archives of flat drawings compress well
MAX_NAME_BYTES = 255  # per part of a path, the limit of common file systems
MAX_PATH_BYTES = 1_000
MAX_HEADER_BYTES = 1_000_000  # per header that tarfile reads into memory whole
COPY_BYTES = 256 * 1024

READ_WHOLE = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
BAD_DATA = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError, struct.error, IndexError)
TOO_ODD = (RuntimeError, OverflowError, MemoryError)  # RuntimeError includes RecursionError and NotImplementedError
BAD_DATA_ERRNOS = (None, errno.EINVAL)  # gzip and bz2 report bad data as an OSError without errno
UTF8_FLAG = 0x800
DOS_FOLDER = 0x10
UNICODE_PATH = 0x7075  # Info-ZIP's extra field: version 1, CRC-32 of the name it replaces, the name in UTF-8

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
    check: Callable[[Path, list[dict]], None] | None = None,
) -> dict[str, str]:
    """Unpack an archive into `folder`, atomically; nested archives are not unpacked.

    Entries that cannot be unpacked safely are left out and listed in a table beside `folder`, see `left_out`. Nothing
    is written outside of `folder`.

    Args:
        path: the archive; its type is identified by content, see `kind_of`.
        folder: must not exist yet.
        max_files: limit on files and folders together.
        max_bytes: limit on the unpacked size of all files.
        max_ratio: limit on unpacked bytes per byte of the archive.
        name: name of the archive in messages; its path by default.
        check: called with the unpacked folder, before it is renamed to `folder`, and the rows of entries that were
            left out; raises InputError to reject the archive.

    Returns:
        Each encoding that was guessed for names of a zip, with the first such name. Empty if nothing was guessed.

    Raises:
        ArchiveError: not an archive, truncated, damaged, over a limit, or without a file that can be unpacked.
        InputError: the disk is full, or `folder` cannot be written.
    """
    path, folder = Path(path), Path(folder)
    name = name or str(path)
    kind = kind_of(path, name)
    limit_bytes = min(max_bytes, max(RATIO_FREE_BYTES, int(max_ratio * path.stat().st_size)))
    too_large = f"unpacks to more than the allowed {limit_bytes:,} bytes; a decompression bomb?"
    too_large = _OverLimit(f"{too_large} (setting max_bytes)") if limit_bytes == max_bytes else _Unsafe(too_large)
    guessed: dict[str, str] = {}
    rows: list[dict] = []
    with atomic_folder(folder) as unfinished, _damage_named(name):
        _refuse_too_large(path, kind, limit_bytes, too_large, unfinished, name)
        tree, left_bytes = _Tree(unfinished), limit_bytes
        entries = _zip_entries(path) if kind == "zip" else _tar_entries(path, kind, limit_bytes)
        for count, entry in enumerate(entries, 1):
            if count > max_files:
                raise _OverLimit(f"contains more than the allowed {max_files:,} files and folders (setting max_files)")
            if entry.guessed:
                guessed.setdefault(entry.guessed, entry.name)
            try:
                if entry.fault:
                    raise _LeftOut(entry.fault)
                parts = _safe_parts(entry)
                if entry.is_folder:
                    tree.add_folder(parts)
                    continue
                with tree.new_file(parts) as file:
                    for chunk in entry.chunks:
                        left_bytes -= len(chunk)
                        if left_bytes < 0:
                            raise too_large
                        file.write(chunk)
            except _LeftOut as error:
                rows.append({"name": entry.name[:MAX_PATH_BYTES], "reason": str(error)})
                left_bytes -= entry.skipped_bytes
                if left_bytes < 0:
                    raise too_large from None
        if rows and not tree.files:
            raise ArchiveError(f"archive {name!r} {_nothing_usable(rows)}")
        if check:
            check(unfinished, rows)
        left_out.write(folder, rows)  # before the folder is renamed: whoever sees the folder sees its table
        if hasattr(os, "sync"):
            os.sync()  # once for all files: their content must be on disk before the folder is renamed
    return guessed


class _Unsafe(Exception):
    """What is wrong with the archive; the message completes the sentence "archive X ..."."""


class _OverLimit(_Unsafe):
    pass


class _LeftOut(Exception):
    """Why an entry is not unpacked; the message is one of `left_out.REASONS`."""


@dataclasses.dataclass
class _Entry:
    """A file or folder in an archive.

    Attributes:
        name: with `/` between its parts.
        is_folder: whether it is a folder.
        chunks: the content of a file; iterating raises _LeftOut if only this entry is damaged.
        fault: why it must be left out, or "".
        guessed: the encoding that was guessed for the name, or "".
        skipped_bytes: what must be read of the archive if the entry is left out.
    """

    name: str
    is_folder: bool
    chunks: Iterator[bytes]
    fault: str = ""
    guessed: str = ""
    skipped_bytes: int = 0


def _safe_parts(entry: _Entry) -> list[str]:
    """Return the parts of a name; raise _LeftOut if it leads out of the folder or no common disk can hold it."""
    windows = PureWindowsPath(entry.name)
    if entry.name.startswith("/") or windows.drive or windows.root or ".." in re.split(r"[/\\]", entry.name):
        raise _LeftOut("outside")
    parts = [part for part in entry.name.split("/") if part not in ("", ".")]
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    is_long = max(sizes, default=0) > MAX_NAME_BYTES or sum(sizes) + len(sizes) > MAX_PATH_BYTES
    if is_long or "\0" in entry.name or not (parts or entry.is_folder):
        raise _LeftOut("impossible_name")
    return parts


class _Tree:
    """The folder that is being written.

    The disk decides which names it can hold side by side: one that ignores case finds the second of two names taken.

    Attributes:
        files: how many were written completely.
    """

    def __init__(self, folder: Path):
        self.folder, self.folders, self.files = folder, {()}, 0

    def add_folder(self, parts: list[str]) -> None:
        """Create a folder and its parents; raise _LeftOut if that is impossible."""
        for end in range(1, len(parts) + 1):
            path = tuple(parts[:end])
            if path not in self.folders:
                with _possible():
                    os.mkdir(self.folder.joinpath(*path))
                self.folders.add(path)

    @contextlib.contextmanager
    def new_file(self, parts: list[str]) -> Iterator[BinaryIO]:
        """Open a new file for writing; remove it again if the block raises _LeftOut."""
        self.add_folder(parts[:-1])
        path = self.folder.joinpath(*parts)
        with _possible():
            file = open(path, "xb")  # noqa: SIM115, closed below
        try:
            with file:
                yield file
        except _LeftOut:
            path.unlink()
            raise
        self.files += 1


@contextlib.contextmanager
def _possible() -> Iterator[None]:
    """Convert an error that only concerns the name of a new file or folder into _LeftOut."""
    try:
        yield
    except FileExistsError:
        raise _LeftOut("taken_name") from None
    except UnicodeEncodeError:
        raise _LeftOut("impossible_name") from None
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
            raise
        raise _LeftOut("impossible_name") from None


def _nothing_usable(rows: list[dict]) -> str:
    if {row["reason"] for row in rows} == {"encrypted"}:
        return "is encrypted: unpack it yourself and name the folder"
    return f"contains no file that can be unpacked: {'; '.join(left_out.summary(rows))}"


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
        if header.size < 0 or (header.type in READ_WHOLE and header.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def _tar_entries(path: Path, kind: str, limit_bytes: int) -> Iterator[_Entry]:
    # Opened here because tarfile's own streams ignore a truncated end.
    openers = {"tar": open, "gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    with openers[kind](path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # otherwise up to a million headers stay in memory
            fault = _tar_fault(member)
            name = member.name.replace("\\", "/") if os.sep == "\\" else member.name  # elsewhere a common character
            chunks = iter(()) if fault or member.isdir() else _chunks(tar.extractfile(member))
            skipped_bytes = 0 if fault == "link" or member.isdir() else member.size  # these have a size, but no content
            yield _Entry(name, member.isdir(), chunks, fault, skipped_bytes=skipped_bytes)
        for _ in range(limit_bytes // COPY_BYTES + 1):  # read to the very end, where the checksum is verified
            if not stream.read(COPY_BYTES):
                return
        raise _Unsafe("contains too much data after its last entry")


def _tar_fault(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "link"
    return "" if member.isdir() or (member.isreg() and not member.issparse()) else "special_file"


def _chunks(content: BinaryIO) -> Iterator[bytes]:
    while chunk := content.read(COPY_BYTES):
        yield chunk


def _zip_entries(path: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name, guessed = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            is_folder = name.endswith("/") or kind == stat.S_IFDIR
            is_folder = is_folder or bool(info.external_attr & DOS_FOLDER and not info.file_size)
            fault = "encrypted" if info.flag_bits & 0x1 else ""
            fault = "special_file" if kind not in (0, stat.S_IFREG, stat.S_IFDIR) else fault
            fault = "link" if kind == stat.S_IFLNK else fault
            yield _Entry(name, is_folder, _zip_chunks(archive, info), fault, guessed)


def _zip_chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of a file. Errors concern this file alone: the directory of a zip is read before."""
    try:
        with archive.open(info) as content:
            yield from _chunks(content)
    except NotImplementedError:
        raise _LeftOut("compression") from None
    except (EOFError, *BAD_DATA, *TOO_ODD):
        raise _LeftOut("damaged") from None
    except OSError as error:
        if error.errno not in BAD_DATA_ERRNOS:
            raise
        raise _LeftOut("damaged") from None


def _zip_name(info: zipfile.ZipInfo) -> tuple[str, str]:
    """Return an entry's name, with `/` between its parts, and the encoding that was guessed for it or ""."""
    raw = info.orig_filename.encode("utf-8" if info.flag_bits & UTF8_FLAG else "cp437")  # as zipfile decoded it
    name, guessed = _unicode_path(info.extra, raw), ""
    if name is None:
        guessed = "" if info.flag_bits & UTF8_FLAG or raw.isascii() else "UTF-8"
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            name, guessed = raw.decode("cp437"), "cp437"
    # PowerShell 5 and .NET before 4.6.1 write backslashes. In Japanese and Chinese encodings, which look like cp437,
    # a backslash may be half of a character: it is left alone there if the name also has a slash.
    is_half = guessed == "cp437" and "/" in name and os.sep == "/"
    return name if is_half else name.replace("\\", "/"), guessed


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """Return the name in Info-ZIP's Unicode Path field, or None. It is only valid for the name `raw`."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(field) > 5 and field[:5] == struct.pack("<BL", 1, zlib.crc32(raw)):
            with contextlib.suppress(UnicodeDecodeError):
                return field[5:].decode("utf-8")
    return None


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
    try:
        yield
    except _Unsafe as error:
        kind = OverLimitError if isinstance(error, _OverLimit) else ArchiveError
        raise kind(f"archive {name!r} {error}: nothing was unpacked") from None
    except EOFError:
        raise _damaged(name, "truncated", "unexpected end of file") from None
    except BAD_DATA as error:
        truncated = re.search(r"unexpected end|truncated|end is missing|not a zip file", str(error))
        raise _damaged(name, "truncated" if truncated else "damaged", error) from None
    except TOO_ODD as error:
        raise _damaged(name, "damaged or of an unsupported type", error) from None
    except OSError as error:
        if error.errno not in BAD_DATA_ERRNOS:
            raise
        raise _damaged(name, "damaged", error) from None


def _damaged(name: str, what: str, error) -> ArchiveError:
    return ArchiveError(f"archive {name!r} is {what} ({reason_of(error)}): nothing was unpacked; get a new copy of it")
