"""Whose photos these are: sources.csv for programs, ATTRIBUTION.md for people. Their words come from strangers."""

import re
import urllib.parse
from pathlib import Path

from bears_tl.files import write_bytes, write_csv

SOURCE_COLUMNS = [
    "path", "class_name", "image_id", "url", "licence", "author", "author_page", "title", "landing_page",
    "original_url", "rotation", "sha256",
]  # fmt: skip
MAX_CHARACTERS = 300  # of a title or a name; some titles are essays

_HEAD = """\
# Attribution

The {count} photos in this folder were chosen from [{name}](<{page}>). Each belongs to its author, who is named here
with the licence that the data set states for it. The data set does not vouch for these licences: before you pass a
photo on, look at its page. Where it says "orientation noted", the EXIF tells how the photo is to be turned; no pixel
was changed.

{rights}
"""


def plain_text(text: str) -> str:
    """Make one line of printable characters of any text: no line breaks, no control or direction characters.

    Args:
        text: of any length; what goes beyond `MAX_CHARACTERS` is cut off.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= MAX_CHARACTERS else f"{line[: MAX_CHARACTERS - 3]}..."


def plain_address(text: str) -> str:
    """Give an address that can stand in a table or a link as it is, or nothing: `javascript:` is no web address."""
    text = text.strip()
    if not re.match(r"https?://[^\s/]", text, re.I):
        return ""
    return urllib.parse.quote(text, safe="%/:?#&=~+,;@!$*-._")  # brackets, quotes and spaces would end a link


def write_sources(folder: Path, rows: list[dict]) -> None:
    """Write `folder`/sources.csv.

    Args:
        folder: the photo folder.
        rows: one a photo, with the keys of `SOURCE_COLUMNS`.

    Raises:
        InputError: it cannot be written.
    """
    harmless = [row | {name: _no_formula(row[name]) for name in ("author", "title")} for row in rows]
    write_csv(folder / "sources.csv", SOURCE_COLUMNS, harmless)


def write_attribution(folder: Path, rows: list[dict], *, name: str, page: str, rights: str) -> None:
    """Write `folder`/ATTRIBUTION.md, one line a photo.

    Args:
        folder: the photo folder.
        rows: as for `write_sources`; a row with a `rotation` is said to be turned.
        name: of the data set.
        page: its address.
        rights: a sentence on whose the labels are, in Markdown.

    Raises:
        InputError: it cannot be written.
    """
    lines = [_HEAD.format(count=len(rows), name=name, page=page, rights=rights)]
    class_name = None
    for row in rows:
        if row["class_name"] != class_name:
            class_name = row["class_name"]
            lines.append(f"\n## {_markdown(class_name)}\n\n")
        title = _link(row["title"] or "Without a title", row["landing_page"])
        author = _link(row["author"] or "an author without a name", row["author_page"])
        turned = "; orientation noted" if row["rotation"] else ""  # neither 0 nor unknown
        lines.append(f"- {_markdown(row['path'])}: {title} by {author}, <{row['licence']}>{turned}\n")
    write_bytes(folder / "ATTRIBUTION.md", "".join(lines).encode())


def _markdown(text: str) -> str:
    """Take their meaning from all marks: CommonMark lets any ASCII punctuation be escaped, HTML's `<` and `&` too."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def _link(text: str, address: str) -> str:
    return f"[{_markdown(text)}](<{address}>)" if address else _markdown(text)


def _no_formula(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
