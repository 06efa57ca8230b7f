"""Read and write files: hashes, atomic writes, JSON and CSV tables."""

import contextlib
import csv
import errno
import hashlib
import json
import os
import secrets
import shutil
import types
from collections.abc import Iterable, Iterator
from pathlib import Path

from bears_tl.errors import InputError


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's content: 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seeded_rng(seed: int, content: str, purpose: str):
    """Return a random generator that depends only on the arguments, so that order and threads change no draw.

    Args:
        seed: the run's seed.
        content: identifies the subject of the draw, such as a photo's SHA-256; never a path.
        purpose: keeps the draws for different purposes independent.
    """
    import numpy as np

    digest = hashlib.sha256(f"{seed}|{content}|{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there replaces `path` if the block succeeds.

    The file is flushed to disk before the rename. After a crash, `path` holds either the old file or the new one.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # already gone, or its parent is not a folder
            temporary.unlink()


@contextlib.contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; it is renamed to `folder` if the block succeeds.

    Raises:
        InputError: `folder` already exists and is not empty, the disk is full or the parent cannot be written.
    """
    folder = Path(folder)
    # The current folder, which has no name here, may be empty, but is not replaced under the user's feet
    if not folder.name or folder.is_symlink() or is_taken(folder):
        raise InputError(f"{str(folder)!r} already exists: name another folder, or remove it")
    temporary = folder.with_name(f".{folder.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_taken(path: str | Path) -> bool:
    """Return whether a path is taken by a file or by a folder that is not empty."""
    path = Path(path)
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def write_error(path: Path, error: OSError) -> InputError:
    """Return an InputError that says why `path` could not be written and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"no space left on the disk while writing {str(path)!r}: free some space and run again")
    return InputError(
        f"{str(path)!r} could not be written ({error.strerror or error}): "
        "check the permissions of its folder or choose another one"
    )


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def short_hash(value) -> str:
    """Hash plain JSON values to 12 hexadecimal digits; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def to_json(value) -> bytes:
    """Return the bytes that `write_json` writes: sorted keys, UTF-8."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "surrogateescape")


def write_json(path: str | Path, value) -> None:
    """Write JSON with sorted keys, atomically."""
    write_bytes(path, to_json(value))


def read_json(path: str | Path):
    """Read a JSON file.

    Raises:
        InputError: the file does not exist or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))
    except FileNotFoundError:
        raise InputError(f"{str(path)!r} does not exist: run the stage that writes it first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} could not be read as JSON ({error}): remove it and create it again") from None


def write_csv(path: str | Path, columns: list[str], rows: Iterable[dict]) -> None:
    """Write a UTF-8 table with a header, atomically; keys without a column are ignored.

    File names that are not UTF-8 keep their bytes (surrogateescape).
    """
    lines = csv_lines([columns, *([row.get(column) for column in columns] for row in rows)])
    write_bytes(path, "".join(lines).encode("utf-8", "surrogateescape"))


def csv_lines(rows: Iterable[Iterable]) -> Iterator[str]:
    """Format rows of a table as `write_csv` does, one after the other, each with its line end."""
    parts: list[str] = []
    # Python 3.11 quotes a field containing \r only if the line terminator contains \r: write \r\n, then strip the \r.
    writer = csv.writer(types.SimpleNamespace(write=parts.append), lineterminator="\r\n")
    for row in rows:
        writer.writerow(row)
        yield "".join(parts).removesuffix("\r\n") + "\n"
        parts.clear()


def read_csv(path: str | Path, columns: list[str]) -> list[dict]:
    """Read a table written by `write_csv`; every value is a string.

    Raises:
        InputError: the file does not exist, cannot be read or lacks one of `columns`.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            names, rows = reader.fieldnames or [], list(reader)
    except FileNotFoundError:
        raise InputError(f"{str(path)!r} does not exist: run the stage that writes it first") from None
    except (OSError, csv.Error) as error:
        raise InputError(f"{str(path)!r} could not be read as CSV ({error}): remove it and create it again") from None
    missing = [column for column in columns if column not in names]
    if missing:
        raise InputError(f"{str(path)!r} lacks the columns {', '.join(missing)}: remove it and create it again")
    return rows
