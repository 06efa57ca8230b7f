"""Find the first difference between two files of a run: bit for bit, or within a tolerance."""

import csv
import json
import math
from pathlib import Path

from bears_tl.errors import InputError

IGNORED = {"seconds", "warnings"}  # of metrics.json; warnings also name figures that could not be drawn
_SHOWN = 60  # characters of a value


def difference(before: Path, now: Path, tolerance: float) -> str:
    """Describe the first difference between two files of one name; "" if there is none.

    Seconds are never compared. Without a tolerance, all else must be the same. With one, numbers in tables and JSON may
    differ by so much (by so many times the number, if that is more), and text must be the same.

    Args:
        before: a .csv or .json file, or any other, which is compared byte by byte.
        now: the same, made again.
        tolerance: 0 or more.
    """
    for path in (before, now):
        if not path.is_file():
            return f"{path} is missing"
    try:
        if before.suffix == ".json":
            one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (before, now))
            return _in_values(_without(one), _without(other), tolerance)
        if before.suffix == ".csv" and (tolerance or "seconds" in _rows(before)[0]):
            return _in_values(_rows(before)[1], _rows(now)[1], tolerance)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{str(before)!r} cannot be read ({error}): train the run again") from None
    return "" if before.read_bytes() == now.read_bytes() else f"other bytes than {now.stat().st_size:,} made again"


def _without(values: dict) -> dict:
    return {name: value for name, value in values.items() if name not in IGNORED}


def _rows(path: Path) -> tuple[list[str], list[dict]]:
    """Read a table without its seconds; numbers are numbers."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file)
        rows = [{name: _number(value) for name, value in row.items() if name != "seconds"} for row in reader]
    return list(reader.fieldnames or []), rows


def _number(text: str):
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def _in_values(before, now, tolerance: float, place: str = "") -> str:
    """Compare plain JSON values; numbers of a path or a hash are text, so they are never rounded."""
    if isinstance(before, dict) and isinstance(now, dict):
        if before.keys() != now.keys():
            return f"{place}: {sorted(map(str, before.keys() ^ now.keys()))[0]} is only in one of them"
        pairs = [(f"{place}.{name}" if place else str(name), before[name], now[name]) for name in before]
    elif isinstance(before, list) and isinstance(now, list):
        if len(before) != len(now):
            return f"{place or 'rows'}: {len(before)} before, {len(now)} now"
        pairs = [(f"{place}[{i}]" if place else f"row {i + 1}", *both) for i, both in
                 enumerate(zip(before, now, strict=True))]  # fmt: skip
    elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, now)):
        near = math.isclose(before, now, rel_tol=tolerance, abs_tol=tolerance) or (before != before and now != now)
        return "" if near else f"{place} was {before}, is now {now}"
    else:
        return "" if before == now else f"{place} was {_shown(before)}, is now {_shown(now)}"
    return next(filter(None, (_in_values(one, other, tolerance, where) for where, one, other in pairs)), "")


def _shown(value) -> str:
    return repr(value)[:_SHOWN]
