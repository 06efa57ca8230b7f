"""Retries: how many, how long between them, and when to give up."""

import pytest

from bears_tl.network.responses import TransientError, is_page, retrying


def faults(*waits):
    """Return a function that fails once per requested wait (or None), then succeeds."""
    left = list(waits)

    def attempt():
        if left:
            error = TransientError("trouble")
            error.wait_seconds = left.pop(0)
            raise error
        return "the file"

    return attempt


@pytest.mark.parametrize(
    ("asked_for", "waited"),
    [
        ([None] * 5, [1, 2, 4, 5, 5]),  # doubled, then capped
        ([0.0, 5.0, None], [0, 5, 4]),
    ],
)
def test_waits_are_the_servers_or_doubled_up_to_the_longest(asked_for, waited):
    waits = []
    assert retrying(6, 1, 5, sleep=waits.append)(faults(*asked_for)) == "the file"
    assert waits == waited


@pytest.mark.parametrize(("asked_for", "attempt"), [([None] * 3, 3), ([None, 5.1], 2)])
def test_it_gives_up_after_so_many_attempts_or_when_it_would_wait_too_long(asked_for, attempt):
    with pytest.raises(TransientError, match=f"^trouble; gave up after {attempt} attempts$"):
        retrying(3, 1, 5, sleep=lambda seconds: None)(faults(*asked_for))


def test_attempts_and_waits_can_be_counted_anew():
    waits = []

    def after(state):
        state.attempt_number = 1

    assert retrying(2, 1, 5, sleep=waits.append, after=after)(faults(*[None] * 7)) == "the file"
    assert waits == [1] * 7


def test_another_fault_ends_it_at_once():
    def attempt():
        calls.append(1)
        raise KeyError("a name")

    calls = []
    with pytest.raises(KeyError, match="a name"):
        retrying(3, 1, 5)(attempt)
    assert calls == [1]


@pytest.mark.parametrize(
    "head",
    [
        b"<html>", b"\n <!DOCTYPE HTML PUBLIC>", b"\xef\xbb\xbf<HTML lang='en'>", b"<head>", b"<body class=x>",
        b"<?xml version='1.0'?>\n<!-- one --> <!-- two\n-->\n<!doctype html>",
    ],
)  # fmt: skip
def test_a_page_is_recognised_by_its_start(head):
    assert is_page(head)


@pytest.mark.parametrize(
    "head", [b"", b"<htmlx>", b"<!doctype svg>", b"<?xml version='1.0'?><Error>", b"\xff\xd8\xff<html>", b"<svg><body>"]
)
def test_what_is_no_page_is_none(head):
    assert not is_page(head)
