"""Decide whether a server's response is the file, a reason to retry, or a final error; and retry."""

import contextlib
import email.utils
import re
import time

from bears_tl.errors import InputError, NotReachableError

TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)  # a retry may help
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)


class TransientError(Exception):
    """An error that may not happen again: worth a retry."""

    wait_seconds: float | None = None  # the wait requested by the server, if any


def retrying(attempts: int, backoff_seconds: float, max_wait_seconds: float, **hooks):
    """Return a caller that retries a function while it raises TransientError: `retrying(...)(function, *arguments)`.

    It waits as long as the server asks, otherwise `backoff_seconds`, doubled after each attempt. It raises a
    TransientError after `attempts` attempts, or when the server asks for a wait longer than `max_wait_seconds`.

    Args:
        attempts: 1 or more.
        backoff_seconds: wait before the second attempt.
        max_wait_seconds: longest wait before an attempt.
        hooks: tenacity's `after`, `before_sleep` and `sleep`; `after` may set `attempt_number` of its state back to 1.

    Returns:
        tenacity.Retrying.
    """
    import tenacity

    backoff = tenacity.wait_exponential(backoff_seconds, max_wait_seconds)

    def wait(state) -> float:
        wait_seconds = state.outcome.exception().wait_seconds
        return backoff(state) if wait_seconds is None else wait_seconds

    def give_up(state) -> None:
        count = state.attempt_number
        raise TransientError(f"{state.outcome.exception()}; gave up after {count} attempt{'s' * (count > 1)}")

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        wait=wait,
        stop=lambda state: state.attempt_number >= attempts or state.upcoming_sleep > max_wait_seconds,
        retry_error_callback=give_up,
        **hooks,
    )


def is_page(head: bytes) -> bool:
    """Return whether content is HTML, judging by its first bytes."""
    return _HTML_START.match(head) is not None


def refuse_page(head: bytes, name: str) -> None:
    """Reject a web page (login, error, quota notice) that was sent instead of a file.

    Args:
        head: the first bytes of the content.
        name: name of the content in the message.

    Raises:
        InputError: it is a web page; the message quotes its title.
    """
    if is_page(head):
        title = re.search(rb"<title[^>]*>(.*?)</title>", head, re.I | re.S)
        words = " ".join(title[1].decode("utf-8", "replace").split())[:100] if title else "untitled"
        raise InputError(f"{name!r} is a web page ({words}), not the file: open it in a browser to see what it says")


def refuse_status(response, source: str) -> None:
    """Raise TransientError for a status that a retry may fix, NotReachableError for any other without content."""
    status = f"HTTP {response.status_code} {response.reason or ''}".strip()
    if response.status_code in TRANSIENT_STATUSES:
        error = TransientError(f"the server answered {status}")
        error.wait_seconds = _retry_after_seconds(response.headers.get("Retry-After"))
        if error.wait_seconds:
            error.args = (f"the server answered {status} and asks to wait {error.wait_seconds:.0f} s",)
        raise error
    if response.status_code not in (200, 206, 416):
        raise NotReachableError(f"{source!r} answered {status}")


def _retry_after_seconds(text: str | None) -> float | None:
    """Read a Retry-After header: seconds or a date (RFC 9110, 10.2.3)."""
    if text is None or text.strip().isdecimal():
        return float(text) if text else None
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None
