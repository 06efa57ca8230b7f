"""The page: sections and templates become RUN/report.html."""

import base64
import hashlib
import importlib.resources
import math
from pathlib import Path

import jinja2
from markupsafe import Markup

from bears_tl.errors import InputError, reason_of
from bears_tl.files import write_bytes
from bears_tl.judging.names import shorten, visible
from bears_tl.pipeline.run import Run
from bears_tl.report.contents import Contents
from bears_tl.report.sections import SECTIONS

_TEMPLATES = importlib.resources.files("bears_tl.report")  # page.html, sections.html, report.css, report.js
_NOTHING = "\N{EN DASH}"  # shown where there is no number


def write(run: Run) -> Path:
    """Write report.html of a run, finished or not; equal files give equal bytes.

    A section whose files are missing says so and names the command that writes them. A section that fails says why.

    Returns:
        The path of the file.

    Raises:
        InputError: the file cannot be written.
    """
    with run.stage("report"):
        write_bytes(run.path("report.html"), make(run).encode())
    return run.path("report.html")


def make(run: Run) -> str:
    """Make the page of a run as HTML; see `write`."""
    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"percent": _percent, "number": _number, "hundredths": _hundredths, "short": _short}
    macros, contents = templates.get_template("sections.html").module, Contents(run)
    sections = [
        {"id": name, "title": title, "body": _section(getattr(macros, name), build, contents)}
        for name, (title, build) in SECTIONS.items()
    ]
    style, script = Markup(_text("report.css")), Markup(_text("report.js"))
    return templates.get_template("page.html").render(
        name=run.folder.resolve().name,
        notice=contents.notice(),
        sections=sections,
        style=style,
        script=script,
        policy=f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'",
    )


def _section(macro, build, contents: Contents) -> Markup:
    try:
        return macro(build(contents))
    except InputError as error:
        reason = f"Missing: {error}."
    except Exception as error:  # files of an earlier version, or damaged: the other sections are still worth reading
        reason = f"This section could not be made ({type(error).__name__}: {reason_of(error)})."
    return Markup('<p class="missing">{}</p>').format(visible(reason))


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the hash of a style or script that the browser may use (CSP level 2)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(value):
    """Make every text visible: no line break or control character, nothing that is not UTF-8; None is a dash."""
    if value is None:
        return _NOTHING
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _short(name: str, columns: int = 48) -> str:
    return shorten(name, columns)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _percent(value, digits: int = 1) -> str:
    return f"{value:.{digits}%}" if _is_number(value) else _NOTHING


def _number(value, digits: int = 4) -> str:
    return f"{value:.{digits}g}" if _is_number(value) else _NOTHING


def _hundredths(value) -> float | None:
    """Give a share as a place in a bar of 100 units; None draws nothing."""
    return round(100 * min(max(value, 0), 1), 2) if _is_number(value) else None
