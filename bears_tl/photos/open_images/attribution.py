"""Write authors and licences: sources.csv for programs, ATTRIBUTION.md for people. Titles and names are untrusted."""

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

The {count} photos in this folder were selected from [{name}](<{page}>). Each photo belongs to its author, listed below
with the licence stated by the data set. The data set does not guarantee these licences: check a photo's page before you
share it. Where a line says "orientation noted", the file's EXIF says how to rotate the photo; no pixel was changed.

{rights}
"""


def plain_text(text: str) -> str:
    """Convert text to one line of printable characters: no line breaks, control or direction characters.

    Args:
        text: of any length; cut off after `MAX_CHARACTERS`.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= MAX_CHARACTERS else f"{line[: MAX_CHARACTERS - 3]}..."


def plain_address(text: str) -> str:
    """Return a web address that is safe in tables and links, or "" for anything else, such as `javascript:`."""
    text = text.strip()
    if not re.match(r"https?://[^\s/]", text, re.I):
        return ""
    return urllib.parse.quote(text, safe="%/:?#&=~+,;@!$*-._")  # brackets, quotes and spaces would end a link


def write_sources(folder: Path, rows: list[dict]) -> None:
    """Write `folder`/sources.csv.

    Args:
        folder: the photo folder.
        rows: one row per photo, with the keys of `SOURCE_COLUMNS`.

    Raises:
        InputError: the file cannot be written.
    """
    harmless = [row | {name: _no_formula(row[name]) for name in ("author", "title")} for row in rows]
    write_csv(folder / "sources.csv", SOURCE_COLUMNS, harmless)


def write_attribution(folder: Path, rows: list[dict], *, name: str, page: str, rights: str) -> None:
    """Write `folder`/ATTRIBUTION.md, one line per photo.

    Args:
        folder: the photo folder.
        rows: as for `write_sources`; rows with a nonzero `rotation` get the note "orientation noted".
        name: name of the data set.
        page: address of the data set.
        rights: a sentence about the rights to the labels, in Markdown.

    Raises:
        InputError: the file cannot be written.
    """
    lines = [_HEAD.format(count=len(rows), name=name, page=page, rights=rights)]
    class_name = None
    for row in rows:
        if row["class_name"] != class_name:
            class_name = row["class_name"]
            lines.append(f"\n## {_markdown(class_name)}\n\n")
        title = _link(row["title"] or "Untitled", row["landing_page"])
        author = _link(row["author"] or "an unnamed author", row["author_page"])
        orientation = "; orientation noted" if row["rotation"] else ""  # neither 0 nor unknown
        lines.append(f"- {_markdown(row['path'])}: {title} by {author}, <{row['licence']}>{orientation}\n")
    write_bytes(folder / "ATTRIBUTION.md", "".join(lines).encode())


def _markdown(text: str) -> str:
    """Escape all ASCII punctuation, as CommonMark allows, so that text is neither Markdown nor HTML."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def _link(text: str, address: str) -> str:
    return f"[{_markdown(text)}](<{address}>)" if address else _markdown(text)


def _no_formula(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
