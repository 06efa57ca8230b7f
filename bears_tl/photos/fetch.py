"""From a source (sample, folder, archive, address) to a folder of class folders."""

import hashlib
import os
import re
import shutil
import urllib.parse
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.files import sha256_of, write_error
from bears_tl.lock import forget, one_at_a_time, recorded
from bears_tl.network.download import download, is_drive
from bears_tl.photos import archive
from bears_tl.photos.archive import ArchiveError, OverLimitError
from bears_tl.photos.clutter import is_clutter

EXPECTED = "sample, a folder of class folders, an archive, a URL or a Google Drive id"


def fetch(
    source: str | Path,
    data_folder: str | Path,
    *,
    sha256: str | None = None,
    seed: int = 0,
    max_files: int = archive.MAX_FILES,
    max_bytes: int = archive.MAX_BYTES,
    max_ratio: float = archive.MAX_RATIO,
    download_options: dict | None = None,
) -> Path:
    """Return the folder that holds the class folders, fetched and unpacked into `data_folder` if need be.

    What was unpacked before is used again at once; the folder's name carries the archive's hash, so that a changed
    archive is another folder.

    Args:
        source: `sample`, an existing folder, a tar.xz, tar.gz, tar.bz2, tar or zip archive (judged by content), or
            the URL or Google Drive id of one.
        data_folder: everything that is made goes here; archives to archives/, their hashes to lock.json.
        sha256: the archive's hash in 64 hexadecimal digits, if it is known; enforced.
        seed: of the painted sample.
        max_files: see `archive.extract`, as for the next two.
        max_bytes: of all files, unpacked; also of the archive itself.
        max_ratio: unpacked bytes for one byte of the archive.
        download_options: passed on to `download`: time-outs, attempts.

    Raises:
        InputError: no such source, no archive, a web page, a hostile or damaged archive, a wrong hash, no space.
        NotReachableError: the address could not be reached, or did not send the whole archive.
    """
    source, data_folder = str(source), Path(data_folder)
    limits = {"max_files": max_files, "max_bytes": max_bytes, "max_ratio": max_ratio}
    local = os.path.expanduser(source)
    if sha256 and (source == "sample" or os.path.isdir(local)):
        raise InputError(f"sha256 was given for {source!r}: only an archive has one")
    if source == "sample":
        return _sample(data_folder, seed)
    if os.path.isdir(local):
        return class_root(Path(local))
    if os.path.isfile(local):
        return _unpacked(Path(local), _checked_hash(Path(local), sha256), data_folder, source, limits)
    if is_drive(source) or re.match(r"https?://", source, re.I):
        return _fetched(source, data_folder, sha256, limits, {"max_bytes": max_bytes} | (download_options or {}))
    raise InputError(f"no photos at {source!r}: expected {EXPECTED}; check the spelling")


def fetch_to(source: str, folder: str | Path, *, sha256: str | None = None) -> Path:
    """Make a photo folder of a source, whole or not at all; what was downloaded before a fault is used again.

    Args:
        source: as for `fetch`, but no folder.
        folder: is not there yet; will hold the class folders.
        sha256: the archive's, enforced.

    Raises:
        InputError: the folder is there already, the source is a folder, or as for `fetch`.
        NotReachableError: as for `fetch`.
    """
    folder = Path(folder)
    if os.path.lexists(folder):
        raise InputError(f"{str(folder)!r} is there already: name a folder that is not, or remove it")
    if os.path.isdir(os.path.expanduser(source)):
        raise InputError(f"{source!r} is a folder of photos already: use it as it is")
    work = folder.with_name(f".{folder.name}.fetch")
    found = fetch(source, work, sha256=sha256)
    try:
        os.rename(found, folder)
        shutil.rmtree(work)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


def class_root(folder: str | Path) -> Path:
    """Descend through folders that only wrap another one, to the folder of class folders.

    Raises:
        InputError: there is no class folder.
    """
    folder = given = Path(folder)
    while True:
        classes = class_folders(folder)
        if not classes:
            raise InputError(f"{str(given)!r} holds no class folders: expected one folder of photos for each class")
        if len(classes) > 1 or not class_folders(classes[0]):
            return folder
        folder = classes[0]


def class_folders(folder: str | Path) -> list[Path]:
    """List the folders in a folder that are no clutter, sorted: each is a class."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError as error:
        raise InputError(f"{str(folder)!r} could not be read ({error.strerror}): check its rights") from None
    return [Path(folder) / name for name in names if not is_clutter(name)]


def _sample(data_folder: Path, seed: int) -> Path:
    folder = data_folder / ("sample" if seed == 0 else f"sample-{seed}")
    if not folder.is_dir():
        from bears_tl.photos.sample import paint_sample

        with one_at_a_time(folder, "the sample"):
            if not folder.is_dir():
                paint_sample(folder, seed)
    return folder


def _fetched(source: str, data_folder: Path, sha256: str | None, limits: dict, options: dict) -> Path:
    lock = data_folder / "lock.json"
    path = data_folder / "archives" / _archive_name(source)
    entry = recorded(lock, path.name)
    if entry and (sha256 or entry["sha256"]).lower() == entry["sha256"]:
        folder = _target(path, entry["sha256"], data_folder)
        if folder.is_dir():  # the archive itself may be gone
            return class_root(folder)

    def check(whole: Path) -> None:
        archive.kind_of(whole, source)

    download(source, path, lock=lock, sha256=sha256, description="the photos", check=check, **options)
    try:
        return _unpacked(path, recorded(lock, path.name)["sha256"], data_folder, source, limits)
    except OverLimitError:  # the next run may allow more
        raise
    except ArchiveError:
        forget(path, lock)  # of no use, and it would stand in the way of a better one
        raise


def _unpacked(path: Path, sha256: str, data_folder: Path, source: str, limits: dict) -> Path:
    def check(unpacked: Path) -> None:
        try:
            class_root(unpacked)
        except InputError:
            raise ArchiveError(f"archive {source!r} holds no class folders: expected one folder a class") from None

    folder = _target(path, sha256, data_folder)
    if not folder.is_dir():
        with one_at_a_time(folder, f"unpacking {source}"):
            for left_over in folder.parent.glob(f".{folder.name[:100]}.*.part"):  # of a process that was killed
                shutil.rmtree(left_over, ignore_errors=True)
            if not folder.is_dir():
                archive.extract(path, folder, name=source, check=check, **limits)
    return class_root(folder)


def _target(path: Path, sha256: str, data_folder: Path) -> Path:
    stem = re.sub(r"(\.tar)?\.(tar|tgz|tbz2?|txz|gz|bz2|xz|zip)$", "", path.name, flags=re.I)
    return data_folder / f"{_plain(re.sub('^[0-9a-f]{8}-', '', stem))}-{sha256[:12]}"


def _archive_name(source: str) -> str:
    """Name the file of an address: a hash of it, for many sites have a photos.zip, and its last part."""
    last = "drive" if is_drive(source) else urllib.parse.unquote(re.split("[?#]", source)[0].rsplit("/", 1)[-1])
    return f"{hashlib.sha256(os.fsencode(source)).hexdigest()[:8]}-{_plain(last)}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text)[-60:].strip("._-") or "photos"


def _checked_hash(path: Path, sha256: str | None) -> str:
    archive.kind_of(path)  # before a large file that is no archive is read whole
    digest = sha256_of(path)
    if sha256 and sha256.lower() != digest:
        raise InputError(f"archive {str(path)!r} has SHA-256 {digest}, expected {sha256}: check both")
    return digest
