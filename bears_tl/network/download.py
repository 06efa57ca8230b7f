"""Download one file: resume, retry, fall back to mirrors, verify the hash, and never leave a partial file behind."""

import dataclasses
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bears_tl.errors import InputError, NotReachableError
from bears_tl.files import read_json, sha256_of, write_error, write_json
from bears_tl.lock import expected_hash, one_at_a_time, record, recorded
from bears_tl.network.responses import TransientError, refuse_page, refuse_status, retrying

CHUNK_BYTES = 64 * 1024  # a dropped connection loses at most one chunk
MAX_BYTES = 500 * 10**9
DRIVE_URL = "https://drive.google.com/uc?id={}"
# Ids start with 1, older ones with 0. Requiring this keeps a misspelt long folder name from looking like an id.
DRIVE_SOURCE = re.compile(
    r"(?:https?://(?:drive|docs)\.google\.com/.*?(?:/d/|[?&]id=)([-\w]{25,}).*|([01][-\w]{24,}))", re.A
)


@dataclasses.dataclass
class _Part:
    """The unfinished file `<name>.part`, and a JSON file beside it with what a safe resume needs."""

    path: Path
    note_path: Path

    def note(self, source: str) -> dict:
        """Return what the server announced when this part was started; {} if it cannot be resumed from `source`."""
        try:
            note = read_json(self.note_path)
        except InputError:
            return {}
        return note if isinstance(note, dict) and note.get("source") == source else {}

    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class _Limits:
    timeout_seconds: tuple[float, float]  # to connect, between bytes
    attempts: int
    backoff_seconds: float
    max_wait_seconds: float
    max_bytes: int


def download(
    sources: str | list[str],
    path: str | Path,
    *,
    lock: str | Path,
    sha256: str | None = None,
    description: str | None = None,
    check: Callable[[Path], None] | None = None,
    connect_timeout_seconds: float = 5,
    read_timeout_seconds: float = 30,
    attempts: int = 4,
    backoff_seconds: float = 1,
    max_wait_seconds: float = 30,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Download a file to `path`, or use the one already there, offline, if it matches the lock.

    An interrupted transfer stays in `path` + ".part". The next run resumes it, unless the content has changed.
    The lock records the first content seen under a file name. Later downloads must match it.

    Args:
        sources: URLs or Google Drive ids of the same content, tried in order.
        path: destination; a second process that wants the same file waits for the first.
        lock: JSON file, file name -> {"bytes", "sha256", "source"}.
        sha256: expected hash, 64 hexadecimal digits.
        description: name of the file in progress lines and messages; defaults to the file name.
        check: called with the complete file before it is accepted and recorded; raises InputError to reject it.
        connect_timeout_seconds: longest wait for a connection.
        read_timeout_seconds: longest silence during a transfer.
        attempts: per source; the count restarts whenever an attempt makes progress.
        backoff_seconds: wait before the second attempt; doubles with each further attempt.
        max_wait_seconds: longest wait before an attempt; if a server asks for more, the source is given up.
        max_bytes: larger files are rejected.

    Raises:
        InputError: a wrong hash, a web page instead of the file, a file too large, a full disk or an invalid source.
        NotReachableError: no source could be reached, or none sent the complete file.
    """
    path, lock = Path(path), Path(lock)
    sources = [sources] if isinstance(sources, str) else list(sources)
    description = description or path.name
    if path.is_file() and recorded(lock, path.name):  # checked before taking the lock: the folder may be read-only
        return _accept(path, lock, sha256, sources[0], check)
    with one_at_a_time(path, description):
        if path.is_file():  # put there by hand, or by the process we waited for
            return _accept(path, lock, sha256, sources[0], check)
        expected = expected_hash(path, lock, sha256)
        limits = _Limits(
            (connect_timeout_seconds, read_timeout_seconds), attempts, backoff_seconds, max_wait_seconds, max_bytes
        )
        part = _Part(path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json"))
        failures = []
        for source in sources:
            try:
                digest = _fetch(source, part, expected, description, check, limits)
                break
            except InputError as error:
                failures.append(error)
        else:
            raise _all_failed(failures, path)
        try:
            with open(part.path, "rb") as file:
                os.fsync(file.fileno())
            record(lock, path.name, part.size_bytes(), digest, source)
            os.replace(part.path, path)
        except OSError as error:
            raise write_error(path, error) from error
        part.discard()
    return path


def is_drive(source: str) -> bool:
    """Return whether a source is a Google Drive id or a link to a file on Google Drive."""
    return DRIVE_SOURCE.fullmatch(source) is not None


def _fetch(source: str, part: _Part, expected: str | None, description: str, check, limits: _Limits) -> str:
    """Download one source into the part, with retries, and return its SHA-256."""
    import requests

    best_bytes = 0

    def attempt() -> str:
        resumed = _receive(session, source, part, expected, description, limits)
        digest = sha256_of(part.path)
        if expected and digest != expected:
            part.discard()
            if not resumed:
                raise InputError(f"{source!r} has SHA-256 {digest}, expected {expected}: check the source")
            raise TransientError("the resumed file does not have the expected SHA-256: starting over")
        return digest

    def reset_count_after_progress(state) -> None:
        nonlocal best_bytes
        if part.size_bytes() > best_bytes:
            best_bytes, state.attempt_number = part.size_bytes(), 1

    def announce_retry(state) -> None:
        _log(f"{description}: {state.outcome.exception()}; retrying in {state.upcoming_sleep:.0f} s")

    _log(f"fetching {description} from {source}")
    started_seconds = time.monotonic()
    waits = limits.attempts, limits.backoff_seconds, limits.max_wait_seconds
    with requests.Session() as session:
        session.max_redirects = 10
        session.headers["Accept-Encoding"] = "identity"  # so that Range offsets count the bytes written to disk
        try:
            digest = retrying(*waits, after=reset_count_after_progress, before_sleep=announce_retry)(attempt)
        except TransientError as error:
            raise NotReachableError(f"{source!r}: {error}") from None
    try:
        if check:
            check(part.path)
    except InputError:
        part.discard()
        raise
    _log(f"fetched {description}: {_size(part.size_bytes())} in {time.monotonic() - started_seconds:.0f} s")
    return digest


def _receive(session, source: str, part: _Part, expected: str | None, description: str, limits: _Limits) -> bool:
    """Make one request and append its body to the part; return whether it resumed an earlier transfer."""
    import requests
    import urllib3

    note = part.note(source)
    # Without a validator, only a known hash can show that both halves belong to the same content.
    offset = part.size_bytes() if note.get("validator") or (note and expected) else 0
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    if offset and note.get("validator"):
        headers["If-Range"] = note["validator"]
    try:
        with _open(session, source, headers, limits.timeout_seconds) as response:
            start, total = _range(response)
            if response.status_code == 416 and offset and total == offset == note.get("bytes"):
                return True  # the part was already complete
            refuse_status(response, source)
            mismatch = _resume_mismatch(response, offset, note)
            if mismatch:
                part.discard()
                raise TransientError(f"{mismatch}: starting over")
            _receive_body(response, source, part, start, total, description, limits.max_bytes)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema):
        raise InputError(
            f"{source!r} is not a valid address: expected https://..., http://... or a Google Drive id"
        ) from None
    except requests.exceptions.TooManyRedirects:
        raise NotReachableError(f"{source!r} redirects too many times") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _network_error(source, part, error) from error
    return offset > 0 and start == offset


def _open(session, source: str, headers: dict, timeout_seconds: tuple[float, float]):
    """Send the request; on Google Drive, follow the form of the page that asks to confirm large files."""
    drive_id = DRIVE_SOURCE.fullmatch(source)
    if not drive_id:
        return session.get(source, headers=headers, stream=True, timeout=timeout_seconds)
    from gdown.download import get_url_from_gdrive_confirmation
    from gdown.exceptions import FileURLRetrievalError

    # gdown only parses Google's pages here: its own download does not detect changed content when it resumes.
    session.headers["User-Agent"] = "Mozilla/5.0"  # other agents get different pages
    options = {"headers": headers, "stream": True, "timeout": timeout_seconds}
    response = session.get(DRIVE_URL.format(drive_id[1] or drive_id[2]), **options)
    if response.status_code >= 400 or not response.headers.get("Content-Type", "").startswith("text/html"):
        return response
    with response:
        page = response.raw.read(10**6, decode_content=True).decode("utf-8", "replace")
    try:
        return session.get(get_url_from_gdrive_confirmation(page), **options)
    except (FileURLRetrievalError, KeyError, AssertionError) as error:  # the last two: a form unknown to gdown
        reason = " ".join(re.sub(r"<[^>]*>", "", str(error)).split())[:200]
        raise NotReachableError(f"Google Drive refuses to send {source!r} ({reason})") from None


def _receive_body(
    response, source: str, part: _Part, start: int, total: int | None, description: str, max_bytes: int
) -> None:
    import tqdm

    if (total or 0) > max_bytes:
        part.discard()
        raise InputError(f"{source!r} is {_size(total)}; the limit is {_size(max_bytes)}: check the address")
    chunks = response.raw.stream(CHUNK_BYTES, decode_content=False)
    chunk = next(chunks, b"")
    if not chunk and not start:
        raise TransientError("the server sent nothing")
    if not start:
        refuse_page(chunk, source)  # before an earlier part is overwritten
    try:
        part.path.parent.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(part.path.parent).free + (0 if start else part.size_bytes())
        if total and total - start > free_bytes:
            raise InputError(
                f"{description} needs {_size(total - start)}, but only {_size(free_bytes)} is free "
                f"at {str(part.path.parent)!r}: free some space and run again"
            )
        shown = {"total": total, "initial": start, "unit": "B", "unit_scale": True, "disable": not sys.stderr.isatty()}
        with open(part.path, "ab" if start else "wb") as file, tqdm.tqdm(desc=description, **shown) as bar:
            if not start:  # after truncating, so that the note never describes bytes of older content
                write_json(part.note_path, {"source": source, "validator": _validator(response), "bytes": total})
            while chunk and file.tell() <= (max_bytes if total is None else total):
                file.write(chunk)
                bar.update(len(chunk))
                chunk = next(chunks, b"")
    except OSError as error:
        raise write_error(part.path, error) from error
    size_bytes = part.size_bytes()
    if size_bytes > max_bytes:
        part.discard()
        raise InputError(f"{source!r} sends more than the limit of {_size(max_bytes)}: check the address")
    if total is not None and size_bytes != total:
        if size_bytes > total:
            part.discard()
        raise TransientError(f"the server announced {total} bytes but sent {size_bytes}")


def _accept(path: Path, lock: Path, sha256: str | None, source: str, check) -> Path:
    """Use the existing file if it matches the lock; record it if the lock has no entry yet."""
    expected, digest = expected_hash(path, lock, sha256), sha256_of(path)
    if expected and digest != expected:
        raise InputError(
            f"{str(path)!r} has SHA-256 {digest}, expected {expected}: move it away to fetch it again, "
            f"or, if you changed it on purpose, remove {path.name!r} from {str(lock)!r}"
        )
    if not recorded(lock, path.name):
        with open(path, "rb") as file:
            refuse_page(file.read(CHUNK_BYTES), str(path))
        if check:
            check(path)
        record(lock, path.name, path.stat().st_size, digest, source)
    return path


def _range(response) -> tuple[int, int | None]:
    """Return where the body starts within the file (-1: unknown), and the file's size if announced."""
    if response.status_code in (206, 416):
        match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
        start, total = match.groups() if match else (None, "*")
        return (int(start) if start else -1), (None if total == "*" else int(total))
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _resume_mismatch(response, offset: int, note: dict) -> str | None:
    """Return why a response cannot be appended to the part: not every server obeys Range and If-Range."""
    start, total = _range(response)
    if response.status_code == 416:
        return f"the server announced {note.get('bytes')} bytes but has none from {offset} on"
    if response.status_code == 206 and start != offset:
        return "the server sent a different part than requested"
    known = (note.get("bytes"), note.get("validator"))
    if response.status_code == 206 and offset and (total, _validator(response) or known[1]) != known:
        return "the content changed during the download"
    return None


def _validator(response) -> str | None:
    tag = response.headers.get("ETag", "")  # a weak tag (W/) does not guarantee equal bytes
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _network_error(source: str, part: _Part, error: Exception) -> Exception:
    """Return the error to raise: transient if the connection broke, final if the host was never reached."""
    import requests
    import urllib3

    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    cause = getattr(cause, "reason", None) or cause
    reason = (
        "the server stopped responding"
        if "timed out" in str(cause).lower()
        else str(cause.args[0] if cause.args else cause).rsplit(": ", 1)[-1]
    )
    unreachable = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
    )
    if isinstance(cause, unreachable) or isinstance(error, requests.exceptions.SSLError):
        return NotReachableError(f"{source!r} could not be reached ({reason[:200]})")
    return TransientError(f"the connection broke after {_size(part.size_bytes())} ({reason[:200]})")


def _all_failed(failures: list[InputError], path: Path) -> InputError:
    text = "; ".join(str(failure) for failure in failures)
    if all(isinstance(failure, NotReachableError) for failure in failures):
        return NotReachableError(
            f"{text}: check the address and the network and run again, or put the file at {str(path)!r} yourself"
        )
    return failures[0] if len(failures) == 1 else InputError(text)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes} bytes"


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
