"""Names of all kinds become one visible line, of a bounded length, and plain text in Markdown."""

import html
import re

import pytest

from bears_tl.judging.names import in_markdown, shorten, visible


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Bär $10_$20 <b>", "Bär $10_$20 <b>"),
        ("日本 🐻", "日本 🐻"),
        ("a\nb\r\tc\x07", r"a\nb\r\tc\x07"),
        ("caf\udce9", r"caf\udce9"),  # the byte E9, as os.listdir gives it
        ("\u202egnp\u2028\ufeff", r"\u202egnp\u2028\ufeff"),  # would turn the text round, break it, or hide
        ("\u0645\u06cc\u200c\u062e 👩\u200d🚀", "\u0645\u06cc\u200c\u062e 👩\u200d🚀"),  # a part of the spelling
    ],
)
def test_what_cannot_be_seen_is_written_as_an_escape(name, shown):
    assert visible(name) == shown


@pytest.mark.parametrize(
    ("name", "columns", "shown"),
    [
        ("", 5, ""),
        ("Panda", 5, "Panda"),
        ("Pandas", 5, "Pand…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("a\nb", 3, "a\\…"),
        ("x" * 100, 30, "x" * 29 + "…"),
    ],
)
def test_a_long_name_ends_in_an_ellipsis_within_its_columns(name, columns, shown):
    assert shorten(name, columns) == shown


@pytest.mark.parametrize("name", ["Grizzly", "$10_$20", "a|b", "`*_<b>_*`", "a & b", "caf\udce9", "日本 🐻"])
def test_markdown_sees_no_sign_of_its_own_in_a_name(name):
    found = re.fullmatch(r"<code>([^$|`*_<>\[\]\\]*)</code>", in_markdown(name))
    assert html.unescape(found[1]) == visible(name)
