"""What bears_tl needs, and whether a version fits. The package `packaging` may be missing or broken, too."""

import contextlib
import importlib.metadata
import platform
import re
import tomllib
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[2] / "pyproject.toml"
_REQUIREMENT = re.compile(r"\s*([\w.-]+)\s*(?:\[[^]]*\])?\s*([^;]*)(?:;(.*))?")


def canonical(name: str) -> str:
    """Return the one spelling of a package's name: small letters and hyphens (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version: 2.21.0rc1 gives (2, 21, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", re.match(r"[\d.]*", version)[0]))


def required() -> dict[str, str]:
    """Return what bears_tl needs on this machine, name to range; {} if neither source nor metadata are there."""
    lines: list[str] = []
    if _SOURCE.is_file():
        lines = tomllib.loads(_SOURCE.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            lines = importlib.metadata.requires("bears_tl") or []
    found = {}
    for line in lines:
        name, bounds, marker = _REQUIREMENT.match(line).groups(default="")
        if "extra" not in marker and ("platform_machine" not in marker or platform.machine() in marker):
            found[canonical(name)] = bounds.replace(" ", "").strip("()")
    return found


def lacking() -> list[str]:
    """Return what to install for the notebooks on a hosted image such as Colab's, as words for pip.

    Only what is missing: a package that is replaced under a running kernel breaks it.
    """
    versions = {}
    for name in ("tensorflow", *required()):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    bounds = {name: bounds for name, bounds in required().items() if name not in versions}
    if "tf-keras" in bounds and "tensorflow" in versions:  # another minor version would replace TensorFlow
        bounds["tf-keras"] = "=={}.{}.*".format(*release(versions["tensorflow"]))
    return [f"'{name}{bound}'" for name, bound in bounds.items()]


def fits(version: str, bounds: str) -> bool:
    """Return whether a version is in a range such as `>=2.19,<2.22`."""
    return all(_fits(release(version), bound) for bound in bounds.split(",") if bound)


def _fits(version: tuple[int, ...], bound: str) -> bool:
    sign, number = re.match(r"([<>=!~]+)(.*)", bound).groups()
    other = release(number)
    width = max(len(version), len(other))
    one, two = (numbers + (0,) * (width - len(numbers)) for numbers in (version, other))
    if sign == "==" and number.endswith("*"):
        return version[: len(other)] == other
    return {
        ">=": one >= two, "<=": one <= two, ">": one > two, "<": one < two, "==": one == two, "!=": one != two,
        "~=": one >= two and version[: len(other) - 1] == other[:-1],
    }[sign]  # fmt: skip
