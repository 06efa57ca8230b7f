"""Files that are whole or absent: hashes, atomic writes, the tables of a run."""

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
    """Hash a file's content: 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seeded_rng(seed: int, content: str, purpose: str):
    """Give the generator for one purpose: a function of its arguments alone, so that no order or thread changes a draw.

    Args:
        seed: the run's seed.
        content: what the draw is about, a photo's SHA-256 for example, never its path.
        purpose: what the draw is for.
    """
    import numpy as np

    digest = hashlib.sha256(f"{seed}|{content}|{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes the place of `path` when the block ends well.

    The file is flushed to disk before it is renamed, so that after a crash `path` is the old file or the new one.

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
        with contextlib.suppress(OSError):  # gone already, or its folder is no folder
            temporary.unlink()


@contextlib.contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `folder`; it is renamed to `folder`, whole, when the block ends well.

    Raises:
        InputError: `folder` is there already, the disk is full or the parent cannot be written.
    """
    folder = Path(folder)
    if os.path.lexists(folder):
        raise InputError(f"{str(folder)!r} is there already: name another folder, or remove it")
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
    """Say whether something lies at a path: a file, or a folder that is not empty."""
    path = Path(path)
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def write_error(path: Path, error: OSError) -> InputError:
    """Say in one line why `path` could not be written and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"no space left on the disk while writing {str(path)!r}: free some space and run again")
    return InputError(
        f"{str(path)!r} could not be written ({error.strerror or error}): check its folder's rights or choose another"
    )


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def short_hash(value) -> str:
    """Give 12 hexadecimal digits that stand for plain values, whatever the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def write_json(path: str | Path, value) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def read_json(path: str | Path):
    """Read a JSON file.

    Raises:
        InputError: not there or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))
    except FileNotFoundError:
        raise InputError(f"{str(path)!r} is not there: run the stage that writes it first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} could not be read as JSON ({error}): remove it and make it anew") from None


def write_csv(path: str | Path, columns: list[str], rows: Iterable[dict]) -> None:
    """Write a UTF-8 table with a header, whole or not at all; keys that are no columns are left out.

    Names of files that are not UTF-8 keep their bytes (surrogateescape).
    """
    lines: list[str] = []
    # Python 3.11 quotes a field with \r in it only where \r is in the line terminator: that is written, then cut off
    sink = types.SimpleNamespace(write=lines.append)
    writer = csv.DictWriter(sink, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    text = "".join(line.removesuffix("\r\n") + "\n" for line in lines)
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def read_csv(path: str | Path, columns: list[str]) -> list[dict]:
    """Read a table written by `write_csv`; every value is a string.

    Raises:
        InputError: not there, not readable, or one of `columns` is missing.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            names, rows = reader.fieldnames or [], list(reader)
    except FileNotFoundError:
        raise InputError(f"{str(path)!r} is not there: run the stage that writes it first") from None
    except (OSError, csv.Error) as error:
        raise InputError(f"{str(path)!r} could not be read as CSV ({error}): remove it and make it anew") from None
    missing = [column for column in columns if column not in names]
    if missing:
        raise InputError(f"{str(path)!r} lacks the columns {', '.join(missing)}: remove it and make it anew")
    return rows
