"""Names from a user can be drawn, printed and stored."""

import pytest

from bears_tl.judging.names import shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("$10_$20", "$10_$20"),
        ("B\u00e4r \u65e5\u672c", "B\u00e4r \u65e5\u672c"),
        ("b\udce4r", "b\\xe4r"),  # a byte that is no text
        ("a\nb\t", "a\\nb\\t"),
        ("x" * 30, "x" * 30),
        ("a" * 50 + "end", "a" * 20 + "\N{HORIZONTAL ELLIPSIS}" + "a" * 6 + "end"),
    ],
)
def test_a_name_can_be_read_and_is_not_too_long(name, expected):
    assert shown(name) == expected
    assert len(shown(name).encode()) >= len(shown(name)) <= 30
