"""Names of classes and files in figures: on one line, every character visible, and not too long."""

import bisect
import itertools
import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control and format characters, bytes that are not UTF-8, line breaks
_JOINERS = "\u200c\u200d"  # Persian, Hindi and emoji need these two format characters


def visible(name: str) -> str:
    r"""Write line breaks, control characters and bytes that are not UTF-8 as Python's escapes, such as \n or \udcff."""
    return "".join(
        ascii(letter)[1:-1] if unicodedata.category(letter) in _INVISIBLE and letter not in _JOINERS else letter
        for letter in name
    )


def shorten(name: str, columns: int) -> str:
    """Make a name visible and cut it off with an ellipsis, so that it takes at most so many columns.

    Chinese, Japanese and Korean characters and emoji take two columns, others one.
    """
    name = visible(name)
    ends = list(itertools.accumulate(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in name))
    if not ends or ends[-1] <= columns:
        return name
    return name[: bisect.bisect_right(ends, columns - 1)] + "…"


def in_markdown(name: str) -> str:
    """Format a name for Markdown, whatever it holds: as code, so that no notebook reads it as a formula."""
    return f"<code>{re.sub('[!-/:-@[-`{-~]', lambda found: f'&#{ord(found[0])};', visible(name))}</code>"
