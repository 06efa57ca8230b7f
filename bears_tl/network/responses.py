"""What a server's response means: the file, a reason for another attempt, or a refusal; and the attempts."""

import contextlib
import email.utils
import re
import time

from bears_tl.errors import InputError, NotReachableError

PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)  # worth another attempt
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)


class PassingError(Exception):
    """A fault that another attempt may get past."""

    wait_seconds: float | None = None  # what the server asks for


def retrying(attempts: int, backoff_seconds: float, max_wait_seconds: float, **hooks):
    """Make what calls a function again while it raises PassingError: `retrying(...)(function, *arguments)`.

    It waits as long as the server asks for, else `backoff_seconds`, doubled for each attempt more. It gives up after so
    many attempts, and when the server asks for more than `max_wait_seconds`, by a PassingError that says so.

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
        raise PassingError(f"{state.outcome.exception()}; given up at attempt {state.attempt_number} in a row")

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(PassingError),
        wait=wait,
        stop=lambda state: state.attempt_number >= attempts or state.upcoming_sleep > max_wait_seconds,
        retry_error_callback=give_up,
        **hooks,
    )


def is_page(head: bytes) -> bool:
    """Tell by its first bytes whether a content is HTML."""
    return _HTML_START.match(head) is not None


def refuse_page(head: bytes, name: str) -> None:
    """Refuse a web page (a login, an error, a quota notice) that came in place of a file.

    Args:
        head: the first bytes of the content.
        name: what to call it in the message.

    Raises:
        InputError: it is one; its title is in the message.
    """
    if is_page(head):
        title = re.search(rb"<title[^>]*>(.*?)</title>", head, re.I | re.S)
        words = " ".join(title[1].decode("utf-8", "replace").split())[:100] if title else "without a title"
        raise InputError(
            f"{name!r} is a web page ({words}), not the file: open it in a browser to see what it asks for"
        )


def refuse_status(response, source: str) -> None:
    """Raise PassingError for a status worth another attempt, NotReachableError for another that brings no content."""
    status = f"HTTP {response.status_code} {response.reason or ''}".strip()
    if response.status_code in PASSING_STATUSES:
        error = PassingError(f"the server answers {status}")
        error.wait_seconds = _retry_after_seconds(response.headers.get("Retry-After"))
        if error.wait_seconds:
            error.args = (f"the server answers {status} and asks to wait {error.wait_seconds:.0f} s",)
        raise error
    if response.status_code not in (200, 206, 416):
        raise NotReachableError(f"{source!r} answers {status}")


def _retry_after_seconds(text: str | None) -> float | None:
    """Read a Retry-After header: seconds or a date (RFC 9110, 10.2.3)."""
    if text is None or text.strip().isdecimal():
        return float(text) if text else None
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None
