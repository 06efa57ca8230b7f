"""Lock the content of downloaded files (name -> SHA-256), and lock files that one process is working on."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bears_tl.errors import InputError
from bears_tl.files import read_json, write_error, write_json


def recorded(lock: str | Path, name: str) -> dict | None:
    """Return the lock's entry for a file name, {"bytes", "sha256", "source"}, or None.

    Raises:
        InputError: the lock is not JSON of this form.
    """
    entries = read_json(lock) if Path(lock).exists() else {}
    entry = entries.get(name) if isinstance(entries, dict) else "?"
    if entry is not None and not (isinstance(entry, dict) and isinstance(entry.get("sha256"), str)):
        raise InputError(f"{str(lock)!r} is not a lock file (name -> bytes, sha256, source): remove it and run again")
    return entry


def forget(path: str | Path, lock: str | Path) -> None:
    """Delete an unusable file and its lock entry, so that the next run fetches it again."""
    Path(path).unlink(missing_ok=True)
    record(Path(lock), Path(path).name)


def record(lock: Path, name: str, size_bytes: int = 0, digest: str | None = None, source: str = "") -> None:
    """Write a file's entry in the lock, or remove the entry if there is no digest."""
    with one_at_a_time(lock, lock.name):
        entries = read_json(lock) if lock.exists() else {}
        entry = {"bytes": size_bytes, "sha256": digest, "source": source} if digest else None
        if entries.get(name) != entry:
            others = {key: value for key, value in entries.items() if key != name}
            write_json(lock, others | {name: entry} if entry else others)


def expected_hash(path: Path, lock: Path, sha256: str | None) -> str | None:
    """Return the SHA-256 a file must have: the requested one, else the locked one, else None.

    Raises:
        InputError: the requested hash differs from the locked one, or is not a SHA-256.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise InputError(f"sha256 {sha256!r}: expected 64 hexadecimal digits")
    locked = (recorded(lock, path.name) or {}).get("sha256")
    if sha256 and locked and sha256.lower() != locked:
        raise InputError(
            f"{path.name!r} is locked to SHA-256 {locked} by {str(lock)!r}, but {sha256} was requested: "
            "if the change is intended, remove its entry from the lock and move the file away"
        )
    return sha256.lower() if sha256 else locked


@contextlib.contextmanager
def one_at_a_time(path: str | Path, description: str) -> Iterator[None]:
    """Let one process at a time create `path`; others wait until it is done.

    The empty lock file `.<name>.lock` is never removed. Otherwise two processes could each lock a different file of
    the same name.

    Raises:
        InputError: the folder cannot be written.
    """
    import filelock  # fcntl.flock on Unix, msvcrt on Windows; both are released when a process dies

    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(path.with_name(f".{path.name[:100]}.lock"))
        try:
            held.acquire(timeout=0)
        except filelock.Timeout:
            print(f"waiting for another process that is working on {description}", file=sys.stderr, flush=True)
            held.acquire()
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield
    finally:
        held.release()
