"""Turn a source (the sample, a folder, an archive or an address) into a folder of class folders."""

import hashlib
import os
import re
import shutil
import sys
import urllib.parse
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.files import sha256_of, write_error
from bears_tl.lock import forget, one_at_a_time, recorded
from bears_tl.network.download import download, is_drive
from bears_tl.photos import archive, left_out
from bears_tl.photos.archive import ArchiveError, OverLimitError
from bears_tl.photos.layout import class_root

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
    """Return the folder of class folders; download and unpack into `data_folder` if necessary.

    An archive that was unpacked before is reused. The folder name includes the archive's hash, so a changed archive
    gets a new folder. Entries of the archive that were not unpacked are printed each time.

    Args:
        source: `sample`, an existing folder, a tar.xz, tar.gz, tar.bz2, tar or zip archive (judged by content), or
            the URL or Google Drive id of one.
        data_folder: where everything is written: archives to archives/, their hashes to lock.json.
        sha256: expected hash of the archive, 64 hexadecimal digits.
        seed: seed of the painted sample.
        max_files: see `archive.extract`, also for `max_ratio`.
        max_bytes: limit on the unpacked size of all files, and on the archive itself.
        max_ratio: limit on unpacked bytes per byte of the archive.
        download_options: passed on to `download`: timeouts, attempts.

    Raises:
        InputError: no such source, not an archive, a web page, an unusable archive, a wrong hash, no space.
        NotReachableError: the address could not be reached, or did not send the complete archive.
    """
    limits = {"max_files": max_files, "max_bytes": max_bytes, "max_ratio": max_ratio}
    folder = _obtain(str(source), Path(data_folder), sha256, seed, limits, download_options or {})
    _say_left_out(folder)
    return class_root(folder)


def fetch_to(source: str, folder: str | Path, *, sha256: str | None = None) -> Path:
    """Create a photo folder from a source, atomically; an interrupted download is resumed.

    Args:
        source: as for `fetch`, but not a folder.
        folder: must not exist yet; will hold the class folders.
        sha256: expected hash of the archive.

    Raises:
        InputError: the folder already exists, the source is a folder, or as for `fetch`.
        NotReachableError: as for `fetch`.
    """
    source, folder = str(source), Path(folder)
    if os.path.lexists(folder):
        raise InputError(f"{str(folder)!r} already exists: name a new folder, or remove it")
    if os.path.isdir(os.path.expanduser(source)):
        raise InputError(f"{source!r} is already a folder of photos: use it directly")
    work = folder.with_name(f".{folder.name}.fetch")
    limits = {"max_files": archive.MAX_FILES, "max_bytes": archive.MAX_BYTES, "max_ratio": archive.MAX_RATIO}
    found = _obtain(source, work, sha256, 0, limits, {})
    try:
        left_out.write(folder, left_out.read(found))
        os.rename(class_root(found), folder)
        shutil.rmtree(work)
    except OSError as error:
        raise write_error(folder, error) from error
    _say_left_out(folder)
    return folder


def _obtain(
    source: str, data_folder: Path, sha256: str | None, seed: int, limits: dict, download_options: dict
) -> Path:
    """Return the folder that `fetch` searches for class folders; see there."""
    local = os.path.expanduser(source)
    if sha256 and (source == "sample" or os.path.isdir(local)):
        raise InputError(f"sha256 was given for {source!r}: only archives can be checked; leave it out")
    if source == "sample":
        return _sample(data_folder, seed)
    if os.path.isdir(local):
        return Path(local)
    if os.path.isfile(local):
        return _unpacked(Path(local), _checked_hash(Path(local), sha256), data_folder, source, limits)
    if is_drive(source) or re.match(r"https?://", source, re.I):
        return _fetched(source, data_folder, sha256, limits, {"max_bytes": limits["max_bytes"]} | download_options)
    raise InputError(f"no photos at {source!r}: expected {EXPECTED}; check the spelling")


def _say_left_out(folder: Path) -> None:
    rows = left_out.read(folder)
    for line in left_out.summary(rows):
        print(line, file=sys.stderr)
    if rows:
        print(f"{left_out.table_of(folder)} lists what was not unpacked", file=sys.stderr, flush=True)


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
        if folder.is_dir():  # the archive itself may have been deleted
            return folder

    def check(whole: Path) -> None:
        archive.kind_of(whole, source)

    download(source, path, lock=lock, sha256=sha256, description="the photos", check=check, **options)
    try:
        return _unpacked(path, recorded(lock, path.name)["sha256"], data_folder, source, limits)
    except OverLimitError:  # the next run may allow more
        raise
    except ArchiveError:
        forget(path, lock)  # the archive is useless, and its lock entry would block a better one
        raise


def _unpacked(path: Path, sha256: str, data_folder: Path, source: str, limits: dict) -> Path:
    def check(unpacked: Path, rows: list[dict]) -> None:
        try:
            class_root(unpacked)
        except InputError:
            raise ArchiveError(
                f"archive {source!r} contains no class folders: expected one folder of photos per class"
                f"{''.join(f'; {line}' for line in left_out.summary(rows))}"
            ) from None

    folder = _target(path, sha256, data_folder)
    if not folder.is_dir():
        with one_at_a_time(folder, f"unpacking {source}"):
            for left_over in folder.parent.glob(f".{folder.name[:100]}.*.part"):  # from a killed process
                shutil.rmtree(left_over, ignore_errors=True)
            if not folder.is_dir():
                guessed = archive.extract(path, folder, name=source, check=check, **limits)
                _say_guessed(source, guessed)
    return folder


def _say_guessed(source: str, guessed: dict[str, str]) -> None:
    if guessed:
        read_as = ", ".join(f"{encoding} (for example {name[:100]!r})" for encoding, name in sorted(guessed.items()))
        print(
            f"{source!r} does not say how its names are encoded; they were read as {read_as}: "
            "if that looks wrong, unpack it yourself and name the folder",
            file=sys.stderr,
            flush=True,
        )


def _target(path: Path, sha256: str, data_folder: Path) -> Path:
    stem = re.sub(r"(\.tar)?\.(tar|tgz|tbz2?|txz|gz|bz2|xz|zip)$", "", path.name, flags=re.I)
    return data_folder / f"{_plain(re.sub('^[0-9a-f]{8}-', '', stem))}-{sha256[:12]}"


def _archive_name(source: str) -> str:
    """Return the file name for an address: its last part, after a hash because many sites have a photos.zip."""
    last = "drive" if is_drive(source) else urllib.parse.unquote(re.split("[?#]", source)[0].rsplit("/", 1)[-1])
    return f"{hashlib.sha256(os.fsencode(source)).hexdigest()[:8]}-{_plain(last)}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text)[-60:].strip("._-") or "photos"


def _checked_hash(path: Path, sha256: str | None) -> str:
    archive.kind_of(path)  # checked first, to avoid hashing a large file that is not an archive
    digest = sha256_of(path)
    if sha256 and sha256.lower() != digest:
        raise InputError(f"archive {str(path)!r} has SHA-256 {digest}, expected {sha256}: check the file and the hash")
    return digest
